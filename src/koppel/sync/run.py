"""One run over one mapping: read what changed, plan it, and, unless it is only a preview, do it and write it down.

The passes of a run: what deserves another try, then what Dataverse reports, then what Business Central reports;
after writes the changes are read once more, so that what the systems made of them (numbers, versions, defaults)
arrives in the same run.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import msgspec

from koppel.engine.action import Action, ActionKind
from koppel.engine.brakes import Brakes, check_brakes
from koppel.engine.plan import towards
from koppel.errors import KoppelError
from koppel.mapping.model import Direction
from koppel.odata.records import SPOKEN, Side
from koppel.store import couplings, jobs
from koppel.store.locks import mapping_lock
from koppel.store.snapshots import field_names, open_codec, train
from koppel.sync.chunk import plan_chunk
from koppel.sync.follow import follow_up
from koppel.sync.intend import intend
from koppel.sync.match import find_matches
from koppel.sync.options import synchronise_options
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.read import BEHIND, Changes, again, chosen, read_changes, read_everything, save_cursor, start_reading
from koppel.sync.record import count_done, record_chunk, told
from koppel.sync.recover import recover
from koppel.sync.scope import Incoming, Planned, Scope
from koppel.sync.session import Session, ready_mapping
from koppel.sync.write import Done, send, try_again

SETTLING_ROUNDS = 3
BUFFER = 20_000
"""Planned actions that are kept in memory while the brakes are checked; above it, changes are read a second time."""
CHUNK = 5_000
KEPT_NOTICES = 500
OFF = "the mapping is off, nothing was looked at; take `enabled: false` out of its file to have it run"
NOTHING_SELECTED = "nothing was selected"
CHANGES: frozenset[ActionKind] = frozenset({"update", "uncouple"})
"""What counts as changing a coupled pair, for the brakes."""
WRITES = ("created", "updated", "coupled", "uncoupled", "deleted")
"""What a settling round adds to a run's counters; the rest it has counted already."""

READING_ORDER: tuple[Side, Side] = ("dataverse", "business_central")

Step = tuple[Planned, Changes | None]
"""A planned chunk; the last one of a side's pass comes with where its reading has got to."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked to do.

    ``full``: look at everything, match first, and create what is uncoupled; ``unconditional``: merge every pair of it
    anew, also those that were skipped, that hold what was agreed on, or that the connection's own user edited last.
    ``records``: only these (ids of either side, or Business Central keys), whoever edited them last; an empty
    selection selects nothing. ``create``: uncoupled records are created, also where only coupled ones synchronise;
    ``create_unmatched``: also those that match nothing, where the mapping leaves them alone.
    ``direction``: write towards one side only. ``force``: without brakes.
    """

    full: bool = False
    unconditional: bool = False
    records: tuple[str, ...] | None = None
    create: bool = False
    create_unmatched: bool = False
    direction: Direction = "both"
    force: bool = False


class Result(msgspec.Struct, kw_only=True):
    """What a run came to. ``requests`` by side; ``notices``: lines a person should read."""

    mapping: str
    job: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    seconds: float = 0.0
    requests: dict[str, int] = {}
    write_requests: int = 0
    notices: list[str] = []

    def notice(self, line: str) -> None:
        """Keep a line for people, as long as they can still read them all."""
        if len(self.notices) < KEPT_NOTICES and line not in self.notices:
            self.notices.append(line)


async def plan(session: Session, name: str, request: Request = Request()) -> AsyncIterator[Action]:
    """What a run would do, action by action; writes nothing to either system. A pair is told once."""
    session.job = 0
    session.setup_tables.clear()
    if not session.mappings[name].enabled:
        return
    ready = await ready_mapping(session, name)
    if ready.mapping.kind == "options":
        async for action in synchronise_options(session, ready, apply=False, only=request.records):
            yield action
        return
    scope = await _scope(session, ready, request)
    told_already: set[str] = set()
    for action in await recover(session, scope):
        yield action
    async for planned, _ in _planned(session, scope, request):
        for action in planned.actions:
            key = action.business_central_id + action.dataverse_id
            if action.kind != "nothing" and key not in told_already:
                told_already.add(key)
                yield towards(action, request.direction)


async def synchronise(session: Session, name: str, request: Request = Request()) -> Result:
    """Run one mapping. ``LockedError`` when another job is at it, ``BrakeError`` before anything is written."""

    async def work(ready: Ready, result: Result) -> None:
        await (_run_options if ready.mapping.kind == "options" else _run)(session, ready, request, result)

    if not session.mappings[name].enabled:
        return Result(mapping=name, notices=[OFF])
    return await as_job(session, name, "full" if request.full else "sync", work)


async def carry_out_plan(session: Session, name: str, actions: Sequence[Action], kind: str = "apply") -> Result:
    """Do these planned actions of a record mapping and no others; reading goes on where it was."""

    async def work(ready: Ready, result: Result) -> None:
        scope = await _scope(session, ready, Request())
        for start in range(0, len(actions), CHUNK):
            await _apply(session, scope, actions[start : start + CHUNK], result, Request())

    return await as_job(session, name, kind, work)


async def as_job(
    session: Session,
    name: str,
    kind: str,
    work: Callable[[Ready, Result], Awaitable[None]],
    *,
    undoes: int | None = None,
) -> Result:
    """Do work on one mapping as a job: nobody else is at the mapping meanwhile, and what came of it is written down."""
    began, before = time.monotonic(), _sent(session)
    async with mapping_lock(session.connection, name):
        session.job = await jobs.start(session.connection, kind, [name], undoes=undoes)
        session.setup_tables.clear()
        result = Result(mapping=name, job=session.job)
        try:
            await work(await ready_mapping(session, name), result)
        except BaseException as error:
            await _end(session, result, began, before, error)
            raise
        await _end(session, result, began, before, None)
    return result


def _sent(session: Session) -> dict[str, int]:
    return {side: session.systems[side].counters.requests for side in SIDES} | {"writes": session.write_requests()}


async def _end(
    session: Session, result: Result, began: float, before: dict[str, int], error: BaseException | None
) -> None:
    after = _sent(session)
    result.seconds = time.monotonic() - began
    result.requests = {side: after[side] - before[side] for side in SIDES}
    result.write_requests = after["writes"] - before["writes"]
    if session.connection.closed or session.connection.broken:
        return
    await session.connection.rollback()
    messages = [jobs.Message("info", line, result.mapping) for line in result.notices]
    await jobs.add_messages(session.connection, session.job, messages)
    await jobs.count(session.connection, session.job, {}, sum(result.requests.values()))
    status: jobs.Status = "done" if error is None else "failed" if isinstance(error, KoppelError) else "stopped"
    await jobs.finish(session.connection, session.job, status, "" if error is None else str(error))


_COUNTED = {
    "create": "created",
    "update": "updated",
    "couple": "coupled",
    "uncouple": "uncoupled",
    "hold": "failed",
}


async def _run_options(session: Session, ready: Ready, request: Request, result: Result) -> None:
    async for action in synchronise_options(session, ready, apply=True, only=request.records):
        result.counts[_COUNTED.get(action.kind, "unchanged")] += 1
        if action.refusal:
            result.notice(told(action))
    await jobs.count(session.connection, session.job, result.counts)
    await session.connection.commit()


async def _scope(session: Session, ready: Ready, request: Request) -> Scope:
    codec = await open_codec(
        session.connection, ready.mapping.name, field_names([field.mapping for field in ready.table.fields])
    )
    matches = await find_matches(session, ready) if request.full and ready.mapping.match else None
    create = request.full or request.create or not ready.mapping.only_coupled
    return Scope(ready=ready, codec=codec, create=create, create_unmatched=request.create_unmatched, matches=matches)


async def _run(session: Session, ready: Ready, request: Request, result: Result) -> None:
    if request.records == ():
        result.notice(NOTHING_SELECTED)
        return
    for line in ready.lacking:
        result.notice(f"left out, the route does not show it: {line}")
    scope = await _scope(session, ready, request)
    await _apply(session, scope, await recover(session, scope), result, request)
    brakes = session.brakes.of(ready.mapping)
    couplings_before = await couplings.count(session.connection, ready.mapping.name)
    if request.force or couplings_before <= brakes.free_up_to(ready.mapping.deletions == "delete"):
        wrote = await _stream(session, scope, _planned(session, scope, request, result), result, request)
    else:
        wrote = await _guarded(session, scope, request, result, brakes, couplings_before)
    settle = msgspec.structs.replace(request, full=False, unconditional=False)
    for _ in range(SETTLING_ROUNDS if request.records is None else 0):
        if not wrote:
            return
        steps = _passes(session, scope, [side for side in READING_ORDER if side in wrote], settle, result)
        wrote = await _stream(session, scope, steps, result, settle, settling=True)


async def _stream(
    session: Session,
    scope: Scope,
    steps: AsyncIterator[Step],
    result: Result,
    request: Request,
    *,
    settling: bool = False,
) -> set[Side]:
    """Apply chunk by chunk, the next one being planned while one is on its way; the sides that were written.

    A side's last chunk is recorded before the other side is read, which may report what was created there. A run in
    one direction leaves the other's changes to the next one.
    """
    wrote: set[Side] = set()
    sent: asyncio.Task[list[Done]] | None = None
    try:
        async for planned, changes in steps:
            before, sent = sent, await _send(session, scope, planned, result, request, settling=settling)
            if before is not None:
                wrote |= await _record(session, scope, await before, result, settling=settling)
            every = planned.why in ("again", "chosen")
            if every or changes is not None:
                before, sent = sent, None
                wrote |= await _record(session, scope, await before, result, settling=settling, every=every)
            if changes is not None and request.direction == "both":
                await save_cursor(session, scope.ready, changes)
    except Exception:
        if sent is not None:  # what is on its way is recorded, whatever went wrong meanwhile
            await _record(session, scope, await sent, result, settling=settling)
        raise
    finally:
        if sent is not None:
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)
    return wrote


async def _guarded(
    session: Session, scope: Scope, request: Request, result: Result, brakes: Brakes, coupled: int
) -> set[Side]:
    """Plan everything, check the brakes, then apply; a pair that both sides report is planned once.

    Second tries are what earlier runs promised, and chosen records are what a person asked for: as changes they do not
    count.
    """
    kept: list[Step] = []
    seen: set[str] = set()
    updates = deletions = actions = 0
    async for planned, changes in _planned(session, scope, request, result):
        fresh = [a for a in planned.actions if a.kind == "nothing" or a.business_central_id not in seen]
        seen.update(a.business_central_id for a in fresh if a.business_central_id and a.kind != "nothing")
        updates += sum(a.kind in CHANGES for a in fresh) if planned.why not in ("again", "chosen") else 0
        deletions += sum(a.kind == "delete" for a in fresh)
        actions += len(fresh)
        if actions <= BUFFER:
            kept.append((msgspec.structs.replace(planned, actions=fresh), changes))
    check_brakes(brakes, scope.ready.mapping.name, couplings=coupled, updates=updates, deletions=deletions)
    steps = _each(kept) if actions <= BUFFER else _planned(session, scope, request, result)
    return await _stream(session, scope, steps, result, request)


async def _each(steps: Iterable[Step]) -> AsyncIterator[Step]:
    for step in steps:
        yield step


async def _planned(
    session: Session, scope: Scope, request: Request, result: Result | None = None
) -> AsyncIterator[Step]:
    """The chunks of a run, planned."""
    if request.records is not None:
        unknown: list[str] = []
        for start in range(0, len(request.records), CHUNK):
            found, nobody = await chosen(session, scope, request.records[start : start + CHUNK])
            for incoming in found:
                yield await plan_chunk(session, scope, incoming), None
            unknown += nobody
        if unknown:
            raise KoppelError(
                f"no record is called {', '.join(unknown)}",
                place=scope.ready.mapping.name,
                remedy="give the record's GUID on either side, or its number in Business Central",
            )
        return
    for incoming in await again(session, scope, early=request.full):
        yield await plan_chunk(session, scope, incoming), None
    async for step in _passes(session, scope, READING_ORDER, request, result):
        yield step


async def _passes(
    session: Session, scope: Scope, sides: Iterable[Side], request: Request, result: Result | None
) -> AsyncIterator[Step]:
    for side in sides:
        if scope.unsure:  # what was made without an answer must not be taken for news
            scope.unsure = False
            yield Planned(side=side, actions=await recover(session, scope), why="again"), None
        async for step in _pass(session, scope, side, request, result):
            yield step
    while scope.went_back:
        async for step in _pass(session, scope, scope.went_back.pop(), request, result, why=BEHIND):
            yield step


async def _pass(
    session: Session, scope: Scope, side: Side, request: Request, result: Result | None, *, why: str = ""
) -> AsyncIterator[Step]:
    """What changed on a side; everything there, if there is a reason (``why``) not to rely on what it reports."""
    changes = await start_reading(session, scope.ready, side, full=request.full)
    done = 0
    total = await session.systems[side].count(scope.ready.end(side).schema.name) if request.full else None
    every = read_everything(session, scope.ready, changes, f"{SPOKEN[side]} {why}") if why else None
    async for incoming in every or read_changes(session, scope.ready, changes):
        if request.unconditional and side == "business_central":  # one side's pass is enough for a pair
            incoming = msgspec.structs.replace(incoming, why="anew")
        for part in _in_chunks(incoming):
            yield await plan_chunk(session, scope, part), None
        done += len(incoming.records)
        session.progress(scope.ready.mapping.name, SPOKEN[side], done, total)
    if result is not None and changes.notice:
        result.notice(changes.notice)
    yield Planned(side=side, actions=[]), changes


def _in_chunks(incoming: Incoming) -> Iterable[Incoming]:
    """The same, at most ``CHUNK`` records at once; deletions come last."""
    parts = [incoming.records[start : start + CHUNK] for start in range(0, len(incoming.records), CHUNK)]
    for part in parts[:-1]:
        yield msgspec.structs.replace(incoming, records=part, deleted=())
    yield msgspec.structs.replace(incoming, records=parts[-1] if parts else ())


async def _send(
    session: Session, scope: Scope, planned: Planned, result: Result, request: Request, *, settling: bool
) -> asyncio.Task[list[Done]]:
    """Send a chunk on its way; what needs no write is noted at once."""
    if not settling:
        result.counts["unchanged"] += planned.unchanged
    await couplings.touch(session.connection, scope.ready.mapping.name, planned.side, planned.touched)
    scope.codec = await train(
        session.connection, scope.codec, [a.base for a in planned.actions[:2000] if a.base is not None]
    )
    actions = [towards(action, request.direction) for action in planned.actions]
    await intend(session, scope, actions)
    return asyncio.create_task(send(session, scope, actions))


async def _apply(
    session: Session, scope: Scope, actions: Sequence[Action], result: Result, request: Request
) -> set[Side]:
    """Carry out and record actions; the sides that were written."""
    actions = [towards(action, request.direction) for action in actions]
    await intend(session, scope, actions)
    return await _record(session, scope, await send(session, scope, actions), result)


async def _record(
    session: Session,
    scope: Scope,
    sent: Sequence[Done],
    result: Result,
    *,
    settling: bool = False,
    every: bool = False,
) -> set[Side]:
    """Try again, follow up and record a chunk; the sides that were written.

    ``every`` record is followed up, changed or not.
    """
    followed, done = await follow_up(session, scope, await try_again(session, scope, sent), every=every)
    counts = count_done(done)
    counts["conflicts"] = _newly_contested(scope, done)
    if settling:
        counts = Counter({name: number for name, number in counts.items() if name in WRITES})
    await record_chunk(session, scope, done, counts)
    result.counts.update(counts)
    for one in done:
        scope.unsure = scope.unsure or one.unknown
        if one.error:
            result.notice(f"{one.action.name}: {one.error.message}; {one.error.remedy}")
        elif one.action.refusal or one.action.conflicts:
            result.notice(told(one.action))
        for warning in one.action.warnings:
            result.notice(f"{one.action.name}: {warning}")
    return followed | {side for one in done for side in one.made}


def _newly_contested(scope: Scope, done: Sequence[Done]) -> int:
    """The conflicts that this run had not come upon yet: both sides report a contested pair."""
    found = {
        (one.action.business_central_id, c.group) for one in done if not one.superseded for c in one.action.conflicts
    }
    new = found - scope.contested
    scope.contested |= new
    return len(new)

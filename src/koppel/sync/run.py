"""One run over one mapping: read what changed, plan it, and, unless it is only a preview, do it and write it down.

The passes of a run: what deserves another try, then what Dataverse reports, then what Business Central reports;
after writes the changes are read once more, so that what the systems made of them (numbers, versions, defaults)
arrives in the same run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from koppel.engine.action import Action
from koppel.engine.brakes import CHANGES, Brakes, check_brakes
from koppel.engine.plan import towards
from koppel.odata.records import Side
from koppel.store import couplings, failures, jobs
from koppel.sync.bring import bring, foresee, waited
from koppel.sync.carry import apply, stream
from koppel.sync.chunk import plan_chunk
from koppel.sync.foresee import with_following
from koppel.sync.job import as_job
from koppel.sync.match import find_matches
from koppel.sync.options import synchronise_options
from koppel.sync.parts import preview_parts, require_whole, send_parts
from koppel.sync.passes import CHUNK, READING_ORDER, Step, passes, planned_chunks
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.record import told
from koppel.sync.recover import recover
from koppel.sync.relink import look_for_references, remember_references
from koppel.sync.request import Request, Result
from koppel.sync.scope import Incoming, Scope, Spread, open_scope
from koppel.sync.session import Session, ready_mapping
from koppel.sync.spread import call_off
from koppel.sync.wholes import Foreseen, foresee_whole, remember_wholes, remember_wholes_of
from koppel.systems.sending import chunks_of

SETTLING_ROUNDS = 3
BUFFER = 20_000
"""Planned actions that are kept in memory while the brakes are checked; above it, changes are read a second time."""
OFF = "the mapping is off, nothing was looked at; take `enabled: false` out of its file to have it run"
NOTHING_SELECTED = "nothing was selected"


async def plan(session: Session, name: str, request: Request = Request()) -> AsyncIterator[Action]:
    """What a run would do, action by action; writes nothing to either system. A pair is told once."""
    require_whole(session, name)
    session.job = 0
    session.setup_tables.clear()
    if not session.mappings[name].enabled:
        return
    ready = await ready_mapping(session, name)
    if ready.mapping.kind == "options":
        async for action in synchronise_options(session, ready, request, apply=False):
            yield action
        return
    scope = await _scope(session, ready, request)
    await look_for_references(session, scope)
    told_already: set[str] = set()
    wholes: Foreseen = {}
    found = await recover(session, scope)
    for action in found:
        foresee_whole(wholes, ready, action)
        yield action
    recovered = {(side, action.id(side)) for action in found for side in SIDES}
    async for planned, _ in planned_chunks(session, scope, request):
        first, actions = await foresee(session, ready, planned.actions, plan)
        for action in first:
            if _is_news(action, told_already):
                yield towards(action, request.direction)
        for action in await with_following(session, scope, actions):
            ids = {(side, id) for side in SIDES if (id := action.id(side))}
            if ids & recovered:
                continue
            if ready.parts:
                foresee_whole(wholes, ready, towards(action, request.direction))
            if _is_news(action, told_already):
                yield towards(action, request.direction)
    async for action in preview_parts(session, ready, wholes, request):
        if _is_news(action, told_already):
            yield towards(action, request.direction)


def _is_news(action: Action, told: set[str]) -> bool:
    """Whether there is something to tell of an action that was not told yet; from now on it is."""
    key = action.mapping + _ids(action)
    silent = action.kind == "nothing" or (action.refusal and action.refusal.outside)
    if silent or key in told:
        return False
    told.add(key)
    return True


async def synchronise(session: Session, name: str, request: Request = Request()) -> Result:
    """Run one mapping. ``LockedError`` when another job is at it, ``BrakeError`` before anything is written."""

    require_whole(session, name)

    async def work(ready: Ready, result: Result) -> None:
        await (_run_options if ready.mapping.kind == "options" else _run)(session, ready, request, result)

    if not session.mappings[name].enabled:
        return Result(mapping=name, notices=[OFF])
    return await as_job(session, name, request.type, work, direction=request.direction)


async def carry_out_plan(session: Session, name: str, actions: Sequence[Action]) -> Result:
    """Do these planned actions of a record mapping and no others; reading goes on where it was.

    Parts go with the records that they are parts of, and only with those that these actions are about.
    """
    own = [action for action in actions if action.mapping == name]
    finish = Request(records=(), force=True)  # brakes looked at all of it before

    async def work(ready: Ready, result: Result) -> None:
        scope = await _scope(session, ready, Request())
        await recover(session, scope)  # what it finds is planned already
        for some in chunks_of(own, CHUNK):
            await apply(session, scope, some, result, Request())
        for part in ready.parts:
            await remember_wholes_of(session, ready, part, [action for action in actions if action.mapping == part])
        await _finish_wholes(session, scope, finish, result)
        await _finish(session, scope, Request(), result)

    return await as_job(session, name, "apply", work)


_COUNTED = {
    "create": "created",
    "update": "updated",
    "couple": "coupled",
    "uncouple": "uncoupled",
    "hold": "failed",
}


async def _run_options(session: Session, ready: Ready, request: Request, result: Result) -> None:
    async for action in synchronise_options(session, ready, request, apply=True):
        result.counts[_COUNTED.get(action.kind, "unchanged")] += 1
        if action.refusal:
            result.notice(told(action))
    await jobs.count(session.connection, session.job, result.counts)
    await session.connection.commit()


async def _scope(session: Session, ready: Ready, request: Request) -> Scope:
    matches = await find_matches(session, ready) if request.full and ready.mapping.match else None
    create = request.full or request.create or not ready.mapping.only_coupled
    scope = await open_scope(session, ready, create=create)
    scope.create_unmatched, scope.matches = request.create_unmatched, matches
    return scope


async def _run(session: Session, ready: Ready, request: Request, result: Result) -> None:
    if request.records == ():
        result.notice(NOTHING_SELECTED)
        return
    for line in ready.lacking:
        result.notice(f"left out, the route does not show it: {line}")
    scope = await _scope(session, ready, request)
    await apply(session, scope, await recover(session, scope), result, request)
    await remember_references(session, scope)
    if request.records is None:
        await remember_wholes(session, ready)
    await _finish_wholes(session, scope, request, result)
    try:
        await _go_through(session, scope, request, result)
    except Exception:
        await call_off(session, scope)
        raise
    if scope.spread and scope.spread.done:
        result.notice(f"other workers did {scope.spread.done} of its portions")


async def _go_through(session: Session, scope: Scope, request: Request, result: Result) -> None:
    ready = scope.ready
    brakes = session.brakes.of(ready.mapping)
    couplings_before = await couplings.count(session.connection, ready.mapping.name)
    deletes = ready.mapping.deletions in ("delete", "delete_edited") or bool(ready.mapping.coupled_in)
    free = request.force or couplings_before <= brakes.free_up_to(deletes)
    if free:  # a worker who does a portion of it does not know what the whole run would change
        scope.spread = Spread(request=request, result=result)
        wrote = await stream(session, scope, planned_chunks(session, scope, request, result), result, request)
    else:
        wrote = await _guarded(session, scope, request, result, brakes, couplings_before)
    wrote |= await _with_missing(session, scope, request, result)
    wrote |= await _finish_wholes(session, scope, request, result)
    if request.records is not None:
        await _finish(session, scope, request, result)
        return
    settle = msgspec.structs.replace(request, full=False, unconditional=False)
    if scope.spread:
        scope.spread.request, scope.spread.settling = settle, True
    for _ in range(SETTLING_ROUNDS):
        if not wrote:
            return
        steps = passes(session, scope, [side for side in READING_ORDER if side in wrote], settle, result)
        wrote = await stream(session, scope, steps if free else _keeping(steps), result, settle, settling=True)
        wrote |= await _finish_wholes(session, scope, settle, result)


async def _keeping(steps: AsyncIterator[Step]) -> AsyncIterator[Step]:
    """The same without what takes pairs apart: it is left to the next run, whose brakes look at it, and which reads the
    changes of that side once more."""
    left = False
    async for planned, changes in steps:
        kept = [action for action in planned.actions if action.kind not in ("delete", "uncouple")]
        left = left or len(kept) < len(planned.actions)
        if changes is not None and left:
            yield msgspec.structs.replace(planned, actions=kept, why="again"), None
        else:
            yield msgspec.structs.replace(planned, actions=kept), changes
        left = left and changes is None


async def _with_missing(session: Session, scope: Scope, request: Request, result: Result) -> set[Side]:
    """Bring along what records wait for, then try them once more; the sides that were written."""
    if not (scope.ready.mapping.brings and await bring(session, scope.ready, result, synchronise)):
        return set()
    scope.answers.clear()
    wrote = await stream(session, scope, waited(session, scope), result, request)
    left = len(await failures.find(session.connection, mapping=scope.ready.mapping.name, job=session.job))
    await jobs.count(session.connection, session.job, {"failed": left - result.counts["failed"]})
    result.counts["failed"] = left
    await session.connection.commit()
    return wrote


async def _finish(session: Session, scope: Scope, request: Request, result: Result) -> None:
    """Write what new records take only once they exist; where all changes are read once more, that does it."""
    if scope.unfinished:
        request = msgspec.structs.replace(request, records=tuple(scope.unfinished))
        await stream(session, scope, planned_chunks(session, scope, request), result, request, settling=True)


async def _finish_wholes(session: Session, scope: Scope, request: Request, result: Result) -> set[Side]:
    """Send the parts that are due, then write what waited for them; the sides that were written."""
    ready = scope.ready
    if not ready.parts:
        return set()
    complete = await send_parts(session, ready, request, result)

    async def finished() -> AsyncIterator[Step]:
        end = ready.business_central
        for some in chunks_of(complete, CHUNK):
            found = await session.systems[end.side].by_ids(end.schema.name, end.columns, some)
            incoming = Incoming(side=end.side, records=list(found.values()), why="again")
            yield await plan_chunk(session, scope, incoming), None

    scope.finishing = True
    try:
        return await stream(session, scope, finished(), result, request, settling=True) if complete else set()
    finally:
        scope.finishing = False


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
    async for planned, changes in planned_chunks(session, scope, request, result):
        fresh = [a for a in planned.actions if a.kind == "nothing" or _ids(a) not in seen]
        seen.update(_ids(a) for a in fresh if a.kind != "nothing")
        # A partner that passes from one record to another changes once.
        moved = sum(a.kind == "update" and a.couples and a.dataverse_id in scope.released["dataverse"] for a in fresh)
        updates += sum(a.kind in CHANGES for a in fresh) - moved if planned.why not in ("again", "chosen") else 0
        deletions += sum(a.kind == "delete" for a in fresh)
        actions += len(fresh)
        if actions <= BUFFER:
            kept.append((msgspec.structs.replace(planned, actions=fresh), changes))
    check_brakes(brakes, scope.ready.mapping.name, couplings=coupled, updates=updates, deletions=deletions)
    steps = _each(kept) if actions <= BUFFER else planned_chunks(session, scope, request, result)
    return await stream(session, scope, steps, result, request)


def _ids(action: Action) -> str:
    return action.business_central_id + action.dataverse_id


async def _each(steps: Iterable[Step]) -> AsyncIterator[Step]:
    for step in steps:
        yield step

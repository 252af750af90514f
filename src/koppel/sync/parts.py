"""Parts of records: the lines of a document, sent once it was created, before it is finished (``part_of``).

A whole is written down as waiting for its parts before it is created, and until every one of them is there; so neither
a crash nor a line that fails leaves a document behind that counts as complete. Where parts go both ways, a whole waits
for them whenever it was looked at: both sides' parts are read and merged, and it is opened for as long as that takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from koppel.engine.action import Action
from koppel.engine.brakes import check_brakes
from koppel.engine.plan import towards
from koppel.errors import UsageError
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, parts
from koppel.store.parts import Whole
from koppel.sync.carry import apply, stream
from koppel.sync.chunk import plan_chunk
from koppel.sync.job import as_job
from koppel.sync.opened import opened
from koppel.sync.passes import Step, in_chunks
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.read import again, decided
from koppel.sync.recover import recover
from koppel.sync.request import Request, Result
from koppel.sync.scope import Incoming, Planned, Scope, open_scope
from koppel.sync.session import Session, exchanged_parts, ready_mapping
from koppel.sync.wholes import Foreseen, foreseen_of, wholes_of_tries
from koppel.systems.sending import chunks_of

WHOLES = 1_000
"""How many records have their parts read and sent at once."""
Names = Mapping[str, Whole]


def require_whole(session: Session, name: str) -> None:
    """``UsageError`` for a mapping that never runs on its own (INV-12)."""
    whole = session.mappings[name].part_of
    if whole:
        raise UsageError(
            f"{name} never runs on its own: its records go with those of {whole}",
            remedy=f"run {whole!r}; it sends what is missing.",
        )


async def send_parts(session: Session, ready: Ready, request: Request, result: Result) -> list[str]:
    """Send the parts that are due; the wholes, by Business Central id, that wait for no part any more.

    A run of chosen records sends the parts of those that it created itself.
    """
    complete: list[str] = []
    job = session.job
    for name in ready.parts:
        only = None if request.records is None else job
        wholes = await parts.due(session.connection, name, ready.mapping.name, job=only)
        await session.connection.commit()
        if wholes:
            try:
                result.parts.append(await _run(session, name, wholes, request, complete))
            finally:
                session.job = job
    waiting = await parts.among(session.connection, ready.parts, complete)
    return [id for id in dict.fromkeys(complete) if id not in waiting]


async def _run(session: Session, name: str, wholes: Sequence[Whole], request: Request, complete: list[str]) -> Result:
    async def work(ready: Ready, result: Result) -> None:
        scope = await open_scope(session, ready, create=True)
        recovered = await recover(session, scope)
        async with _opened_for(session, scope, recovered):
            await apply(session, scope, recovered, result, request)
        if request.records is None and ready.mapping.direction != "both":  # those are tried with their wholes
            await stream(session, scope, _second_tries(session, scope), result, request)
        for some in chunks_of(wholes, WHOLES):
            complete.extend(await _send(session, scope, some, result, request))

    return await as_job(session, name, "parts", work, direction=request.direction)


async def _second_tries(session: Session, scope: Scope) -> AsyncIterator[Step]:
    async for incoming in again(session, scope):
        yield await plan_chunk(session, scope, incoming), None


async def preview_parts(session: Session, ready: Ready, found: Foreseen, request: Request) -> AsyncIterator[Action]:
    """What sending parts would do, for those that are due and those of wholes that a run will look at."""
    session.foreseen = {ready.mapping.name: {whole.business_central_id: whole.dataverse_id for whole in found}}
    new: dict[Scalar, Mapping[str, Scalar]] = {w.dataverse_id: columns for w, columns in found.items() if columns}
    session.foreseen_rows = {("dataverse", ready.dataverse.schema.name): new}
    try:
        for name in ready.parts:
            wholes = {whole.business_central_id: whole for whole in foreseen_of(session, ready, name, found)}
            if request.records is None:
                waiting = await parts.due(session.connection, name, ready.mapping.name)
                if name in exchanged_parts(session, ready):
                    waiting += await wholes_of_tries(session, ready, name)
                wholes = {whole.business_central_id: whole for whole in waiting} | wholes
            scope = await open_scope(session, await ready_mapping(session, name), create=True)
            async for planned, _ in _steps_of(session, scope, list(wholes.values()), request):
                for action in planned.actions:
                    yield action
    finally:
        session.foreseen, session.foreseen_rows = {}, {}


async def _steps_of(session: Session, scope: Scope, wholes: Sequence[Whole], request: Request) -> AsyncIterator[Step]:
    exchanged = scope.ready.mapping.direction == "both"
    if wholes and request.records is None and not exchanged:
        async for step in _second_tries(session, scope):
            yield step
    for some in chunks_of(wholes, WHOLES):
        for side in SIDES if exchanged else SIDES[:1]:
            found, _ = await _read(session, scope.ready, side, some)
            incoming = Incoming(side=side, records=found)
            async for step in _planned(session, scope, await _as_exchanged(session, scope, incoming)):
                yield step


async def _as_exchanged(session: Session, scope: Scope, incoming: Incoming) -> Incoming:
    """Parts that go both ways are looked at whether they changed or not, and as a person decided about them."""
    if scope.ready.mapping.direction != "both":
        return incoming
    return replace(incoming, watched=True, decisions=await decided(session, scope.ready.mapping.name))


async def _read(session: Session, ready: Ready, side: Side, wholes: Sequence[Whole]) -> tuple[list[Record], Names]:
    """The parts of some wholes on a side, and the wholes by what names them in their parts there."""
    names, end = _names(ready, side, wholes), ready.end(side)
    system, column = session.systems[side], getattr(ready.mapping.whole, side)
    found = await system.by_keys(end.schema.name, end.columns, column, list(names))
    order = end.places.get(ready.mapping.endpoint(side).order)
    return found if order is None else sorted(found, key=lambda record: float(record.values[order] or 0)), names


def _names(ready: Ready, side: Side, wholes: Sequence[Whole]) -> Names:
    lookup = ready.mapping.whole.lookup
    assert lookup is not None
    if side == "dataverse":
        return {whole.dataverse_id: whole for whole in wholes}
    return {w.business_central_id if lookup.by == "id" else w.business_central_key: w for w in wholes}


async def _send(session: Session, scope: Scope, wholes: Sequence[Whole], result: Result, request: Request) -> list[str]:
    """Send the parts of some wholes, look at them once more, and forget the wholes that have every part."""
    exchanged = scope.ready.mapping.direction == "both"
    missing: dict[Side, set[str]] = {}
    # What a system takes only in an update, and what it made of the rest, is settled in a second look.
    for why in ("changed", "again"):
        for side in SIDES if exchanged else SIDES[:1]:
            found, names = await _read(session, scope.ready, side, wholes)
            if exchanged:
                incoming = await _as_exchanged(session, scope, Incoming(side=side, records=found))
                await _exchange(session, scope, incoming, result, request, settling=why == "again")
            else:
                steps = _planned(session, scope, Incoming(side=side, records=found, why=why))
                await stream(session, scope, steps, result, request, settling=why == "again")
            missing[side] = await _missing(session, scope, side, found, names)
    lacking = set().union(*missing.values())
    done = [whole.business_central_id for whole in wholes if whole.business_central_id not in lacking]
    await parts.done(session.connection, scope.ready.mapping.name, done)
    await session.connection.commit()
    return done


async def _planned(session: Session, scope: Scope, incoming: Incoming) -> AsyncIterator[Step]:
    for part in in_chunks(incoming):
        yield await plan_chunk(session, scope, part), None


async def _exchange(
    session: Session, scope: Scope, incoming: Incoming, result: Result, request: Request, *, settling: bool
) -> None:
    """Merge parts with those of the other side, their wholes being open on the sides that are written."""
    planned = [await plan_chunk(session, scope, part) for part in in_chunks(incoming)]
    planned = [replace(each, actions=[towards(a, request.direction) for a in each.actions]) for each in planned]
    actions = [action for each in planned for action in each.actions]
    if not request.force:
        deletions, brakes = sum(a.kind == "delete" for a in actions), session.brakes.of(scope.ready.mapping)
        check_brakes(brakes, scope.ready.mapping.name, couplings=0, updates=0, deletions=deletions)
    async with _opened_for(session, scope, actions):
        await stream(session, scope, _steps(planned), result, request, settling=settling)


@asynccontextmanager
async def _opened_for(session: Session, scope: Scope, actions: Sequence[Action]) -> AsyncIterator[None]:
    """Have the wholes open to which actions write parts."""
    whole = await ready_mapping(session, scope.ready.mapping.part_of)
    async with AsyncExitStack() as stack:
        for side in SIDES:
            ids = {_whole_of(scope.ready, side, a) for a in actions if a.writes(side) or a.kind == "delete"}
            await stack.enter_async_context(opened(session, whole, side, ids - {""}))
        yield


def _whole_of(ready: Ready, side: Side, action: Action) -> str:
    """The id of the record on a side that the action's part belongs to."""
    column, record = getattr(ready.mapping.whole, side), action.record(side)
    value = record.values[ready.end(side).places[column]] if record else action.writes(side).get(column)
    return str(value or "")


async def _steps(planned: Sequence[Planned]) -> AsyncIterator[Step]:
    for each in planned:
        yield each, None


async def _missing(session: Session, scope: Scope, side: Side, found: Sequence[Record], names: Names) -> set[str]:
    """Which wholes, by Business Central id, lack a part still."""
    end = scope.ready.end(side)
    column, passes = end.places[getattr(scope.ready.mapping.whole, side)], end.passes
    inside = [record for record in found if passes is None or passes(record)]
    ids = [record.id for record in inside]
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, ids)
    lacking = {str(record.values[column]) for record in inside if record.id not in coupled}
    return {names[name].business_central_id for name in lacking}

"""Parts of records: the lines of a document, sent once it was created, before it is finished (``part_of``).

A whole is written down as waiting for its parts before it is created, and until every one of them is there; so neither
a crash nor a line that fails leaves a document behind that counts as complete.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from koppel.engine.action import Action
from koppel.errors import UsageError
from koppel.odata.records import Record
from koppel.store import couplings, parts
from koppel.store.parts import Whole
from koppel.sync.carry import apply, stream
from koppel.sync.chunk import plan_chunk
from koppel.sync.job import as_job
from koppel.sync.passes import Step, in_chunks
from koppel.sync.prepare import Ready
from koppel.sync.read import again
from koppel.sync.recover import recover
from koppel.sync.request import Request, Result
from koppel.sync.scope import Incoming, Scope, open_scope
from koppel.sync.session import Session, ready_mapping
from koppel.systems.sending import chunks_of

WHOLES = 1_000
"""How many records have their parts read and sent at once."""


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
        await apply(session, scope, await recover(session, scope), result, request)
        if request.records is None:
            await stream(session, scope, _second_tries(session, scope), result, request)
        for some in chunks_of(wholes, WHOLES):
            complete.extend(await _send(session, scope, some, result, request))

    return await as_job(session, name, "sync", work)


async def _second_tries(session: Session, scope: Scope) -> AsyncIterator[Step]:
    async for incoming in again(session, scope):
        yield await plan_chunk(session, scope, incoming), None


async def preview_parts(session: Session, ready: Ready, created: Mapping[str, str]) -> AsyncIterator[Action]:
    """What sending parts would do, for those that are due and those of records that would be ``created`` (Dataverse id
    by Business Central id)."""
    session.foreseen = {ready.mapping.name: dict(created)}
    try:
        for name in ready.parts:
            part = await ready_mapping(session, name)
            wholes = await parts.due(session.connection, name, ready.mapping.name)
            wholes += [Whole(ours, theirs, "") for ours, theirs in created.items()]
            scope = await open_scope(session, part, create=True)
            for some in chunks_of(wholes, WHOLES):
                found, _ = await _read(session, part, some)
                async for planned, _ in _planned(session, scope, Incoming(side="business_central", records=found)):
                    for action in planned.actions:
                        yield action
    finally:
        session.foreseen = {}


async def _read(session: Session, ready: Ready, wholes: Sequence[Whole]) -> tuple[list[Record], dict[str, Whole]]:
    """The parts of some wholes, and the wholes by what names them in their parts."""
    field, end = ready.mapping.whole, ready.business_central
    assert field.lookup is not None
    names = {w.business_central_id if field.lookup.by == "id" else w.business_central_key: w for w in wholes}
    system = session.systems[end.side]
    return await system.by_keys(end.schema.name, end.columns, field.business_central, list(names)), names


async def _send(session: Session, scope: Scope, wholes: Sequence[Whole], result: Result, request: Request) -> list[str]:
    """Send the parts of some wholes, look at them once more, and forget the wholes that have every part."""
    found, names = await _read(session, scope.ready, wholes)
    # What a system takes only in an update, and what it made of the rest, is settled in a second look.
    for why in ("changed", "again"):
        incoming = Incoming(side="business_central", records=found, why=why)
        settling = why == "again"
        await stream(session, scope, _planned(session, scope, incoming), result, request, settling=settling)
    missing = await _missing(session, scope, found, names)
    done = [whole.business_central_id for name, whole in names.items() if name not in missing]
    await parts.done(session.connection, scope.ready.mapping.name, done)
    await session.connection.commit()
    return done


async def _planned(session: Session, scope: Scope, incoming: Incoming) -> AsyncIterator[Step]:
    for part in in_chunks(incoming):
        yield await plan_chunk(session, scope, part), None


async def _missing(session: Session, scope: Scope, found: Sequence[Record], names: dict[str, Whole]) -> set[str]:
    """Which wholes lack a part still."""
    column = scope.ready.business_central.places[scope.ready.mapping.whole.business_central]
    ids = [record.id for record in found]
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, "business_central", ids)
    return {str(record.values[column]) for record in found if record.id not in coupled}

"""What a run does about records that were coupled or uncoupled in the mapping on whose couplings its own hang."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from koppel.engine.action import Action
from koppel.odata.records import Record
from koppel.store import couplings
from koppel.store.couplings import Coupling
from koppel.sync.scope import Incoming, Scope, read_side
from koppel.sync.session import Session


async def uncoupled_there(session: Session, scope: Scope) -> AsyncIterator[list[Action]]:
    """Pairs whose record was uncoupled there: its partner here is deleted, and nothing else is."""
    mapping = scope.ready.mapping
    async for pairs in couplings.without(session.connection, mapping.name, mapping.coupled_in):
        await session.connection.commit()
        yield await partings(session, scope, pairs)


async def partings(session: Session, scope: Scope, pairs: Sequence[Coupling]) -> list[Action]:
    """What is done about these pairs, whose record was uncoupled there."""
    rows = await read_side(session, scope, "dataverse", [pair.dataverse_id for pair in pairs]) if pairs else {}
    return [_parting(scope, pair, rows) for pair in pairs]


def _parting(scope: Scope, pair: Coupling, rows: Mapping[str, Record]) -> Action:
    row = rows.get(pair.dataverse_id)
    return Action(
        kind="delete" if row else "uncouple",
        mapping=scope.ready.mapping.name,
        name=pair.business_central_key,
        reason=f"uncoupled in {scope.ready.mapping.coupled_in}",
        side="dataverse",
        business_central_id=pair.business_central_id,
        dataverse_id=pair.dataverse_id,
        records=(None, row),
    )


async def coupled_there(session: Session, scope: Scope) -> AsyncIterator[Incoming]:
    """Records that were coupled there and are unknown here; what failed here has its own tries."""
    mapping, end = scope.ready.mapping, scope.ready.business_central
    if not scope.create:
        return
    async for ids in couplings.missing(session.connection, mapping.name, mapping.coupled_in):
        await session.connection.commit()
        found = await session.systems[end.side].by_ids(end.schema.name, end.columns, ids)
        yield Incoming(side=end.side, records=list(found.values()), watched=True)

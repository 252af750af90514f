"""Which mappings run, one after the other, and over what: parts with their wholes, and what goes along (PL-06).

And which would, with what they would do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

import msgspec

from koppel.engine.action import Action
from koppel.mapping.model import TableMapping
from koppel.store import couplings
from koppel.sync.read import chosen
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.scope import open_scope
from koppel.sync.session import Session, ready_mapping, wholes


async def runs(session: Session, names: Sequence[str], request: Request) -> AsyncIterator[tuple[str, Request]]:
    """The runs that these mappings come to: each, followed by those that go along with it and were not named.

    Where records are chosen, those go along that refer to them; which these are is asked once their mapping was run.
    """
    for name in wholes(session.mappings, names):
        yield name, request
        for mapping in session.mappings.values():
            if mapping.enabled and mapping.goes_with == name and mapping.name not in names:
                along = request if request.records is None else await _along(session, mapping, request)
                if along.records != ():
                    yield mapping.name, along


async def plans(
    session: Session, names: Sequence[str], request: Request
) -> AsyncIterator[tuple[str, AsyncIterator[Action]]]:
    """What these runs would do, mapping by mapping; what one mapping's records bring along is told once."""
    brought = {name for mapping in session.mappings.values() for name in mapping.brings}
    told: set[tuple[str, str, str]] = set()
    async for name, asked in runs(session, names, request):
        yield name, _once(plan(session, name, asked), brought, told)


async def _once(
    actions: AsyncIterator[Action], brought: Collection[str], told: set[tuple[str, str, str]]
) -> AsyncIterator[Action]:
    async for action in actions:
        key = action.mapping, action.business_central_id, action.dataverse_id
        if key not in told:
            yield action
        if action.mapping in brought:
            told.add(key)


async def _along(session: Session, mapping: TableMapping, request: Request) -> Request:
    """The request for the records that refer to the chosen ones."""
    field = next(f for f in mapping.fields if f.lookup and f.lookup.mapping == mapping.goes_with)
    keys = await _keys(session, mapping.goes_with, request.records or ())
    rows = await session.systems["business_central"].by_keys(
        mapping.business_central.table, (), field.business_central, keys
    )
    return msgspec.structs.replace(request, records=tuple(row.id for row in rows), lenient=True)


async def _keys(session: Session, name: str, records: Sequence[str]) -> list[str]:
    """The keys in Business Central of records that were asked for."""
    scope = await open_scope(session, await ready_mapping(session, name), create=False)
    found, _ = await chosen(session, scope, records)
    keys: list[str] = []
    for incoming in found:
        if incoming.side == "business_central":
            keys += map(scope.ready.business_central.name_of, incoming.records)
        else:
            ids = [record.id for record in incoming.records]
            pairs = await couplings.by_ids(session.connection, name, "dataverse", ids)
            keys += [pair.business_central_key for pair in pairs.values()]
    return keys

"""Which wholes have parts to send: of new records, of those that were looked at, and of parts that are tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from koppel.engine.action import Action
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, parts
from koppel.store.couplings import Coupling
from koppel.store.parts import Whole
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.read import again
from koppel.sync.scope import is_noted_outside, is_pair, open_scope
from koppel.sync.session import Session, exchanged_parts, ready_mapping

Foreseen = dict[Whole, Mapping[str, Scalar] | None]
"""Wholes of which a preview tells what becomes of their parts; with their columns, if they are new in Dataverse."""


def foresee_whole(found: Foreseen, ready: Ready, action: Action) -> None:
    """Add the whole of a planned action, unless it will be outside the filter. One that Business Central will give an
    id goes by that of Dataverse until then."""
    if is_pair(action) and not is_noted_outside(action):
        ours, record = action.business_central_id or action.dataverse_id, action.record("business_central")
        key = str(record.values[ready.business_central.key] or "") if record else ""
        new = action.kind == "create" and action.side == "dataverse"
        found[Whole(ours, action.dataverse_id, key)] = action.to_dataverse if new else None


def foreseen_of(session: Session, ready: Ready, name: str, found: Foreseen) -> list[Whole]:
    """Those of the wholes that have parts of this mapping sent: where they go one way, the new ones only."""
    exchanged = name in exchanged_parts(session, ready)
    return [whole for whole, new in found.items() if exchanged or new is not None]


async def remember_wholes(session: Session, ready: Ready) -> None:
    """Parts that deserve another try are sent with their wholes, where they go both ways. Commits."""
    for name in exchanged_parts(session, ready):
        ids = [whole.business_central_id for whole in await wholes_of_tries(session, ready, name)]
        await parts.add(session.connection, name, ids, session.job)
    await session.connection.commit()


async def wholes_of_tries(session: Session, ready: Ready, name: str) -> list[Whole]:
    """The wholes of parts of this mapping that deserve another try, unless somebody is at work on them."""
    scope = await open_scope(session, await ready_mapping(session, name), create=True)
    found: dict[str, Whole] = {}
    async for incoming in again(session, scope):
        records = [(incoming.side, record) for record in incoming.records]
        found |= {w.business_central_id: w for w in await _wholes_of(session, ready, scope.ready, records)}
    return await _inside(session, ready, list(found.values()))


async def _inside(session: Session, ready: Ready, wholes: Sequence[Whole]) -> list[Whole]:
    """Those that are inside the filters of both sides now."""
    left = list(wholes)
    for side in SIDES if wholes else ():
        end, ids = ready.end(side), {whole: getattr(whole, f"{side}_id") for whole in left}
        there = await session.systems[side].by_ids(end.schema.name, end.columns, list(ids.values()))
        read = [(whole, there[id]) for whole, id in ids.items() if id in there]
        left = [whole for whole, record in read if end.passes is None or end.passes(record)]
    return left


async def remember_wholes_of(session: Session, ready: Ready, name: str, actions: Iterable[Action]) -> None:
    """The parts that these actions are about are sent with their wholes. Commits."""
    records = [(side, record) for action in actions for side in SIDES if (record := action.record(side))]
    found = await _wholes_of(session, ready, await ready_mapping(session, name), records) if records else []
    await parts.add(session.connection, name, [whole.business_central_id for whole in found], session.job)
    await session.connection.commit()


async def _wholes_of(
    session: Session, ready: Ready, part: Ready, records: Sequence[tuple[Side, Record]]
) -> list[Whole]:
    """The coupled wholes of these parts, each once."""
    found: dict[str, Coupling] = {}
    for side in SIDES:
        column = part.end(side).places[getattr(part.mapping.whole, side)]
        values = dict.fromkeys(record.values[column] for where, record in records if where == side)
        found |= await _coupled(session, ready, part, side, [str(value) for value in values if value is not None])
    return [Whole(id, pair.dataverse_id, pair.business_central_key) for id, pair in found.items()]


async def _coupled(
    session: Session, ready: Ready, part: Ready, side: Side, names: Sequence[str]
) -> Mapping[str, Coupling]:
    """Wholes by what their parts on a side call them; by Business Central id."""
    connection, mapping, lookup = session.connection, ready.mapping.name, part.mapping.whole.lookup
    assert lookup is not None
    if side == "business_central" and lookup.by == "key":
        side, names = "dataverse", list((await couplings.resolve_keys(connection, mapping, names)).values())
    pairs = await couplings.by_ids(connection, mapping, side, names)
    return {pair.business_central_id: pair for pair in pairs.values()}

"""The full synchronisation review: what is best for each mapping, in the order of dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from koppel.engine.plan import other
from koppel.mapping.model import TableMapping
from koppel.odata.records import SPOKEN, Side
from koppel.store import overview
from koppel.sync.prepare import SIDES
from koppel.sync.session import Session, ready_mapping
from koppel.systems.dataverse import Dataverse

Recommendation = Literal["full", "couple", "nothing"]


class Count(msgspec.Struct, frozen=True):
    """Records inside a filter; ``more``: there are more than were counted."""

    records: int
    more: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping of the review. ``couple``: match what is there before creating the rest."""

    mapping: str
    caption: str
    depends_on: tuple[str, ...]
    business_central: Count
    dataverse: Count
    couplings: int
    recommendation: Recommendation
    reason: str


async def recommend(session: Session, names: Sequence[str]) -> list[Line]:
    """What to do about each mapping, in the order of dependencies. Reads one page of keys of each table."""
    numbers = {n.mapping: n for n in await overview.numbers(session.connection, names)}
    return [await _line(session, session.mappings[name], numbers[name].couplings) for name in names]


async def _line(session: Session, mapping: TableMapping, couplings: int) -> Line:
    counts = {side: Count(0) if not mapping.enabled else await _count(session, mapping, side) for side in SIDES}
    recommendation, reason = _recommend(mapping, {side: counts[side].records for side in SIDES}, couplings)
    return Line(
        mapping=mapping.name,
        caption=mapping.caption,
        depends_on=mapping.depends_on,
        business_central=counts["business_central"],
        dataverse=counts["dataverse"],
        couplings=couplings,
        recommendation=recommendation,
        reason=reason,
    )


async def _count(session: Session, mapping: TableMapping, side: Side) -> Count:
    """How many records the first page of keys holds, and whether there is a second one."""
    system = session.systems[side]
    end = (await ready_mapping(session, mapping.name)).end(side)
    if isinstance(system, Dataverse) and mapping.kind == "options":
        return Count(len(await system.options(end.schema.name, mapping.dataverse.column)))
    found: Count | None = None
    pages = system.query(end.schema.name, (end.columns[end.key],), filter=end.filter or None)
    async for page in pages:
        if found is not None:
            return Count(found.records, more=True)
        found = Count(len(page.records))
    return found or Count(0)


def _recommend(mapping: TableMapping, records: Mapping[Side, int], couplings: int) -> tuple[Recommendation, str]:
    if not mapping.enabled:
        return "nothing", "off (`enabled: false`)"
    if couplings:
        return "full", "coupled already: everything is compared"
    if not any(records[side] for side in SIDES if mapping.writes_to(other(side))):
        return "nothing", "there is nothing to synchronise"
    if all(records.values()):
        return "couple", "both sides have records: match them first"
    return "full", f"{next(SPOKEN[side] for side in SIDES if not records[side])} has no records yet"

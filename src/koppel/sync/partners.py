"""Creating the partners of records that somebody chose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from koppel.engine.plan import other
from koppel.errors import UsageError
from koppel.odata.literals import is_guid
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store import couplings
from koppel.store.couplings import Coupling
from koppel.sync.couple import records_called
from koppel.sync.full import Finished, run_in_order
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.request import Request
from koppel.sync.session import Session, ready_mapping
from koppel.sync.uncouple import uncouple_pairs

CHUNK = 5000


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """Records that were chosen. ``records``: ids of those that need a partner; ``already``: how many have one;
    ``stale``: couplings of theirs whose other record is gone; ``unknown``: what nobody is called."""

    mapping: str
    records: list[str] = []
    already: int = 0
    stale: list[Coupling] = []
    unknown: list[str] = []


async def without_partner(session: Session, mapping: str, names: Sequence[str]) -> Alone:
    """Which of these records, given by id of either side or Business Central key, need a partner.

    ``UsageError`` when one of them is on a side from which the mapping does not write.
    """
    ready = await ready_mapping(session, mapping)
    if ready.mapping.kind == "options":
        raise UsageError("options are created by a run", place=mapping, remedy=f"koppel sync {mapping!r}")
    found = Alone(mapping=mapping, records=[], stale=[], unknown=[])
    already = 0
    for start in range(0, len(names), CHUNK):
        left = [name.strip() for name in names[start : start + CHUNK]]
        for side in SIDES:
            texts = [name for name in left if side == "business_central" or is_guid(name)]
            called = await records_called(session, ready, side, texts)
            left = [name for name in left if name.lower() not in called]
            already += await _sort(session, ready, side, [one for ones in called.values() for one in ones], found)
        found.unknown.extend(left)
    return msgspec.structs.replace(found, already=already)


async def _sort(session: Session, ready: Ready, side: Side, records: Sequence[Record], into: Alone) -> int:
    """Sort records by what they need; how many need nothing."""
    there = other(side)
    if records and not ready.mapping.writes_to(there):
        raise UsageError(
            f"{ready.end(side).name_of(records[0])} cannot be created in {SPOKEN[there]}",
            place=ready.mapping.name,
            remedy=f"The mapping runs {ready.mapping.direction}.",
        )
    known = await couplings.by_ids(session.connection, ready.mapping.name, side, [record.id for record in records])
    partners = [_id(coupling, there) for coupling in known.values()]
    alive = await session.systems[there].by_ids(ready.end(there).schema.name, (), partners)
    stale = [coupling for coupling in known.values() if _id(coupling, there) not in alive]
    needy = {_id(coupling, side) for coupling in stale}
    into.stale.extend(stale)
    into.records.extend(record.id for record in records if record.id not in known or record.id in needy)
    return len(known) - len(stale)


def _id(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


async def create_partners(session: Session, found: Alone) -> AsyncIterator[Finished]:
    """Create the partners that are missing. What matches a record of the other side is coupled to that one instead."""
    if found.stale:
        await uncouple_pairs(session, found.mapping, found.stale, "its partner is gone")
    for start in range(0, len(found.records), CHUNK):
        chunk = tuple(found.records[start : start + CHUNK])
        request = Request(records=chunk, create=True, create_unmatched=True)
        async for finished in run_in_order(session, [found.mapping], request):
            yield finished

"""Mappings whose records of Business Central take part as long as they are coupled in another one (``coupled_in``)."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.engine.action import Refusal
from koppel.odata.records import Record
from koppel.store import couplings
from koppel.sync.prepare import Ready
from koppel.sync.session import Session


async def not_coupled(session: Session, ready: Ready, records: Sequence[Record]) -> dict[str, Refusal]:
    """By id, why records of Business Central do not take part: they have no partner there, or it is skipped."""
    there = ready.mapping.coupled_in
    if not (there and records):
        return {}
    found = await couplings.by_ids(session.connection, there, "business_central", [record.id for record in records])
    name_of = ready.business_central.name_of
    refusals = {r.id: _refusal(name_of(r), there, "not coupled") for r in records if r.id not in found}
    skipped = [record for record in records if record.id in found and found[record.id].state == "skipped"]
    return refusals | {record.id: _refusal(name_of(record), there, "skipped") for record in skipped}


def _refusal(name: str, there: str, why: str) -> Refusal:
    help = f"koppel retry {there!r}" if why == "skipped" else f"synchronise or couple it in {there!r}"
    return Refusal(
        code=why.replace(" ", "-"),
        message=f"{name} is {why} in {there}",
        remedy=f"{help}; it takes part by itself then",
        value=name,
        skip=True,
        outside=True,
    )


async def has_moved(session: Session, ready: Ready) -> bool:
    """Whether records were coupled or uncoupled there that this mapping does not know of."""
    mapping, there = ready.mapping.name, ready.mapping.coupled_in
    if not there:
        return False
    async for _ in couplings.without(session.connection, mapping, there, chunk=1):
        return True
    async for _ in couplings.missing(session.connection, mapping, there, chunk=1):
        return not ready.mapping.only_coupled
    return False

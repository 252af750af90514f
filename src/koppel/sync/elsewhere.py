"""Mappings whose records of Business Central take part as long as they are coupled in another one (``coupled_in``)."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.engine.action import Refusal
from koppel.odata.records import Record
from koppel.store import couplings
from koppel.sync.prepare import Ready
from koppel.sync.session import Session

APART, SKIPPED = "uncoupled-there", "skipped-there"
"""Codes of the reasons why a record takes no part."""


async def not_coupled(session: Session, ready: Ready, records: Sequence[Record]) -> dict[str, Refusal]:
    """By id, why records of Business Central do not take part: they have no partner there, or it is skipped."""
    there = ready.mapping.coupled_in
    if not (there and records):
        return {}
    found = await couplings.by_ids(session.connection, there, "business_central", [record.id for record in records])
    name_of = ready.business_central.name_of
    refusals = {r.id: _apart(name_of(r), there) for r in records if r.id not in found}
    skipped = [record for record in records if record.id in found and found[record.id].state == "skipped"]
    return refusals | {record.id: _skipped(name_of(record), there) for record in skipped}


def _apart(name: str, there: str) -> Refusal:
    remedy = f"synchronise or couple it in {there!r}; it takes part by itself then"
    return _refusal(APART, name, f"{name} is not coupled in {there}", remedy)


def _skipped(name: str, there: str) -> Refusal:
    remedy = f"koppel retry {there!r}; it takes part by itself then"
    return _refusal(SKIPPED, name, f"{name} is skipped in {there}", remedy)


def _refusal(code: str, name: str, message: str, remedy: str) -> Refusal:
    return Refusal(code=code, message=message, remedy=remedy, value=name, skip=True, outside=True)


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

"""Coupling by matching: what would be coupled, and doing it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar

import msgspec

from koppel.engine.match import Keys, match
from koppel.engine.plan import other
from koppel.errors import UsageError
from koppel.mapping.model import TableMapping
from koppel.odata.records import Record, Side
from koppel.store.couplings import Coupling
from koppel.sync.couple import Initial, require_initial, store_couplings
from koppel.sync.full import Finished, run_in_order
from koppel.sync.match import uncoupled
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.request import Request
from koppel.sync.session import Session, ready_mapping

CHUNK = 5000
T = TypeVar("T")


class Named(msgspec.Struct, frozen=True):
    """A record as people know it."""

    id: str
    name: str


class Match(msgspec.Struct, frozen=True):
    """Two records that are the same, and the columns that say so."""

    business_central: Named
    dataverse: Named
    by: str


class Rivals(msgspec.Struct, frozen=True):
    """A record that matches several of the other side, or shares its match with another one."""

    side: Side
    record: Named
    rivals: tuple[Named, ...]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What matching finds among the uncoupled records inside the filters."""

    mapping: str
    unique: list[Match]
    ambiguous: list[Rivals]
    unmatched: dict[Side, list[Named]]


async def match_preview(session: Session, mapping: str) -> Preview:
    """Match what is uncoupled on both sides; nothing is coupled."""
    ready = await ready_mapping(session, mapping)
    _require_match(ready.mapping)
    keys: dict[Side, dict[str, Keys]] = {side: {} for side in SIDES}
    named: dict[Side, dict[str, Named]] = {side: {} for side in SIDES}
    for side in SIDES:
        async for page in uncoupled(session, ready, side):
            keys[side].update({record.id: found for record, found in page})
            named[side].update({record.id: _named(ready, side, record) for record, _ in page})
    found = match(keys["business_central"], keys["dataverse"])
    ours, theirs = named["business_central"], named["dataverse"]
    ambiguous = {"business_central": found.ambiguous_business_central, "dataverse": found.ambiguous_dataverse}
    taken = {"business_central": set(found.unique), "dataverse": set(found.unique.values())}
    return Preview(
        mapping=mapping,
        unique=[Match(ours[a], theirs[b], _by(ready.mapping, found.group[a])) for a, b in found.unique.items()],
        ambiguous=[
            Rivals(side, named[side][id], tuple(named[other(side)][rival] for rival in rivals))
            for side in SIDES
            for id, rivals in ambiguous[side].items()
        ],
        unmatched={
            side: [each for id, each in named[side].items() if id not in taken[side] and id not in ambiguous[side]]
            for side in SIDES
        },
    )


def _named(ready: Ready, side: Side, record: Record) -> Named:
    return Named(record.id, ready.end(side).name_of(record))


def _require_match(mapping: TableMapping) -> None:
    if not mapping.match:
        remedy = "Option mappings match by themselves, codes by label." if mapping.kind == "options" else ""
        raise UsageError(
            f"{mapping.name} says no fields to match by",
            place=mapping.file,
            remedy=remedy or "Give it `match`, or couple its records by hand.",
        )


def _by(mapping: TableMapping, group: int) -> str:
    return " and ".join(pair.business_central or pair.dataverse for pair in mapping.match[group])


async def match_now(
    session: Session, found: Preview, *, sync: bool = True, initial: Initial = "", create: bool = False
) -> AsyncIterator[Finished]:
    """Couple every unique match, chunk by chunk.

    ``sync``: synchronise the pairs at once; ``initial``: the side that wins there, instead of the mapping's.
    ``create``: afterwards create partners for what nothing matches. Ambiguous records are left alone.
    """
    require_initial(session.mappings[found.mapping], initial)
    for chunk in _in_chunks(found.unique):
        made = [Coupling(m.business_central.id, m.dataverse.id, initial=initial) for m in chunk]
        why = {m.business_central.id: f"match by {m.by}" for m in chunk}
        names = {m.business_central.id: m.business_central.name for m in chunk}
        result = await store_couplings(session, found.mapping, made, names, why)
        if not sync:
            yield Finished(mapping=found.mapping, result=result)
            continue
        async for finished in run_in_order(session, [found.mapping], Request(records=tuple(why))):
            yield finished
    unmatched = _to_create(session.mappings[found.mapping], found) if create else []
    for ids in _in_chunks(unmatched):
        request = Request(records=tuple(ids), create=True, create_unmatched=True)
        async for finished in run_in_order(session, [found.mapping], request):
            yield finished


def _to_create(mapping: TableMapping, found: Preview) -> list[str]:
    return [named.id for side in SIDES if mapping.writes_to(other(side)) for named in found.unmatched[side]]


def _in_chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))

"""Matching before coupling: what nobody coupled yet, compared by the mapping's match groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from koppel.engine.match import Keys, Matches, match, match_key
from koppel.engine.plan import other
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings
from koppel.sync.needs import compute
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.session import Session
from koppel.systems.system import Columns

Places = tuple[tuple[int, ...], ...]
"""For each match group, where its parts stand in a record's values."""


def _places(ready: Ready, side: Side) -> Places:
    end = ready.end(side)

    def place(business_central: str, dataverse: str) -> int:
        name = business_central if side == "business_central" else dataverse
        if name:
            return end.places[name]
        partner = dataverse if side == "business_central" else business_central
        there = other(side)
        return next(field.index for field in ready.table.fields if field.end(there).column == partner)

    return tuple(tuple(place(p.business_central, p.dataverse) for p in group) for group in ready.mapping.match)


def _keys(places: Places, record: Record) -> Keys:
    return tuple(match_key([record.values[place] for place in group]) for group in places)


def keys_on(ready: Ready, side: Side) -> Callable[[Record], Keys]:
    """What tells a record's match keys."""
    places = _places(ready, side)
    return lambda record: _keys(places, record)


async def find_matches(session: Session, ready: Ready) -> Matches:
    """Match everything that is uncoupled on both sides. The smaller side, as a rule Dataverse, is held in memory by
    its keys only;
    of the other one only what shares a key with it."""
    theirs = await uncoupled_keys(session, ready, "dataverse")
    if not theirs:
        return Matches({}, {}, {}, {})
    known = frozenset(key for keys in theirs.values() for key in enumerate(keys) if key[1] is not None)
    ours = await uncoupled_keys(session, ready, "business_central", known)
    return match(ours, theirs)


async def uncoupled_keys(
    session: Session, ready: Ready, side: Side, known: frozenset[tuple[int, object]] | None = None
) -> dict[str, Keys]:
    """The match keys of what is uncoupled on a side, by id; ``known``: of what shares one of these (group, key)."""
    end, keys_of = ready.end(side), keys_on(ready, side)
    found: dict[str, Keys] = {}
    done = 0
    async for page in session.systems[side].query(end.schema.name, _compared(ready, side), filter=end.filter or None):
        records = page.records
        if _computes(ready, side):
            records, _ = await compute(session, ready, side, await _uncoupled(session, ready, side, records))
        keyed = {record.id: keys_of(record) for record in records}
        if known is not None:
            keyed = {id: keys for id, keys in keyed.items() if not known.isdisjoint(enumerate(keys))}
        coupled = await couplings.by_ids(session.connection, ready.mapping.name, side, list(keyed))
        found |= {id: keys for id, keys in keyed.items() if id not in coupled}
        done += len(page.records)
        session.progress(ready.mapping.name, f"matching ({SPOKEN[side]})", done, None)
    return found


def _compared(ready: Ready, side: Side) -> Columns:
    """The columns to read for matching, each at its place: those of the match keys, if no rule computes from others."""
    end = ready.end(side)
    if _computes(ready, side):
        return end.columns
    wanted = {place for group in _places(ready, side) for place in group}
    return tuple(column if place in wanted else "" for place, column in enumerate(end.columns))


def _computes(ready: Ready, side: Side) -> bool:
    return any(rule.side == side for _, rule in ready.computes)


async def _uncoupled(session: Session, ready: Ready, side: Side, records: Sequence[Record]) -> list[Record]:
    coupled = await couplings.by_ids(session.connection, ready.mapping.name, side, [record.id for record in records])
    return [record for record in records if record.id not in coupled]


async def match_chunk(session: Session, ready: Ready, side: Side, records: Sequence[Record]) -> Matches:
    """Match the uncoupled records of a chunk, against all that share a column of a match group with one of them.

    The systems compare more strictly than matching does (blanks), so one equal column is enough to be looked at.
    """
    places = {s: _places(ready, s) for s in SIDES}
    keys: dict[Side, dict[str, Keys]] = {side: {r.id: _keys(places[side], r) for r in records}, other(side): {}}
    for number in range(len(ready.mapping.match)):
        for place in range(len(ready.mapping.match[number])):
            parts = _parts(places[side][number][place], records)
            for there in (other(side), side):
                for record in await _holding(session, ready, there, number, place, parts):
                    keys[there].setdefault(record.id, _keys(places[there], record))
    return match(keys["business_central"], keys["dataverse"])


def _parts(place: int, records: Sequence[Record]) -> list[Scalar]:
    return list(dict.fromkeys(value for r in records if (value := r.values[place]) not in (None, "")))


async def _holding(
    session: Session, ready: Ready, side: Side, group: int, place: int, parts: Sequence[Scalar]
) -> list[Record]:
    """The uncoupled records of a side inside the filter whose column there has one of these values."""
    pair, end = ready.mapping.match[group][place], ready.end(side)
    column = pair.business_central if side == "business_central" else pair.dataverse
    if not column or not parts:
        return []
    found = await session.systems[side].by_keys(end.schema.name, end.columns, column, parts)
    inside = [r for r in await _uncoupled(session, ready, side, found) if end.passes is None or end.passes(r)]
    computed, _ = await compute(session, ready, side, inside)
    return computed

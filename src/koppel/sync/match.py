"""Matching before coupling: what nobody coupled yet, compared by the mapping's match groups."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from koppel.engine.fields import Field
from koppel.engine.match import Form, Keys, Matches, form_of, match, match_key
from koppel.engine.plan import other
from koppel.engine.translate import AllReferences, through, translate
from koppel.mapping.model import MatchPair
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings
from koppel.sync.needs import compute
from koppel.sync.prepare import Ready
from koppel.sync.references import references
from koppel.sync.session import Session
from koppel.systems.system import Columns

Groups = tuple[tuple[tuple[int, ...], tuple[Form, ...]], ...]
"""For each match group, where its parts stand in a record's values, and how they are compared."""
Known = frozenset[tuple[int, object]]
"""Match keys with the number of their group."""
Free = Mapping[Side, Collection[str]]
"""Records that are coupled and will not be, by side."""


class Uncoupled(msgspec.Struct, frozen=True):
    """What nobody had coupled on a side when all of it was read: match keys by id, and ids by match key (those by which
    the system cannot search). ``free``: how many of them were coupled and were not to be."""

    keys: dict[str, Keys]
    ids: dict[tuple[int, object], list[str]]
    free: int


def _groups(ready: Ready, side: Side) -> Groups:
    return tuple(
        (tuple(_place(ready, side, pair) for pair in group), tuple(_form(ready, side, pair) for pair in group))
        for group in ready.mapping.match
    )


def _form(ready: Ready, side: Side, pair: MatchPair) -> Form:
    """How a part is compared: where the fields' values are transformed, as the other side would get it."""
    form, field = form_of(pair), _transformed(ready, pair)
    towards: Side = "business_central" if field is None or field.to_dataverse else "dataverse"
    if field is None or side != towards:
        return form
    stages = field.stages(side)

    def led(value: Scalar) -> str:
        try:
            return form(through(stages, value, {}))
        except ValueError:
            return ""

    return led


def _transformed(ready: Ready, pair: MatchPair) -> Field | None:
    return next((field for field in _fields_of(ready, pair) if field.transformed), None)


def _reference(ready: Ready, pair: MatchPair) -> Field | None:
    """The lookup whose two columns are compared: by the record of Dataverse that each stands for."""
    return next((field for field in _fields_of(ready, pair) if field.mapping.lookup), None)


def _fields_of(ready: Ready, pair: MatchPair) -> list[Field]:
    columns = pair.business_central, pair.dataverse
    return [f for f in ready.table.fields if (f.mapping.business_central, f.mapping.dataverse) == columns]


def _place(ready: Ready, side: Side, pair: MatchPair) -> int:
    if field := _reference(ready, pair):
        return field.index
    if column := _column(pair, side):
        return ready.end(side).places[column]
    there = other(side)
    return next(field.index for field in ready.table.fields if field.end(there).column == _column(pair, there))


def _column(pair: MatchPair, side: Side) -> str:
    return pair.business_central if side == "business_central" else pair.dataverse


def keys_on(ready: Ready, side: Side) -> Callable[[Record], Keys]:
    """What tells the match keys of a record whose references are resolved."""
    groups = _groups(ready, side)

    def keys(record: Record) -> Keys:
        return tuple([match_key([record.values[place] for place in places], forms) for places, forms in groups])

    return keys


async def _keyed(session: Session, ready: Ready, side: Side, records: Sequence[Record]) -> list[Keys]:
    """The match keys of records."""
    pairs = (pair for group in ready.mapping.match for pair in group)
    fields = [field for pair in pairs if (field := _reference(ready, pair))]
    if fields and records and side == "business_central":
        known = await references(session, ready, records, ())
        records = [_resolved(record, fields, known) for record in records]
    return [*map(keys_on(ready, side), records)]


def _resolved(record: Record, fields: Iterable[Field], known: AllReferences) -> Record:
    values = list(record.values)
    for field in fields:
        found = translate(field, values[field.index], "business_central", known)
        values[field.index] = found if isinstance(found, str) else None
    return msgspec.structs.replace(record, values=tuple(values))


async def find_matches(session: Session, ready: Ready) -> Matches:
    """Match everything that is uncoupled on both sides. The smaller side, as a rule Dataverse, is held in memory by
    its keys only;
    of the other one only what shares a key with it."""
    theirs = await uncoupled_keys(session, ready, "dataverse")
    if not theirs:
        return Matches({}, {}, {}, {})
    return match(await uncoupled_keys(session, ready, "business_central", _known(theirs.values())), theirs)


def _known(found: Iterable[Keys]) -> Known:
    return frozenset(key for keys in found for key in enumerate(keys) if key[1] is not None)


async def uncoupled_keys(
    session: Session, ready: Ready, side: Side, known: Known | None = None, free: Mapping[Side, Collection[str]] = {}
) -> dict[str, Keys]:
    """The match keys of what is uncoupled on a side, by id; ``known``: of what shares one of these."""
    pages = uncoupled(session, ready, side, known, free)
    return {record.id: keys async for page in pages for record, keys in page}


async def uncoupled(
    session: Session, ready: Ready, side: Side, known: Known | None = None, free: Mapping[Side, Collection[str]] = {}
) -> AsyncIterator[list[tuple[Record, Keys]]]:
    """What is uncoupled on a side, page by page, with its match keys; ``known``: only what shares one of these."""
    end = ready.end(side)
    done = 0
    async for page in session.systems[side].query(end.schema.name, _compared(ready, side), filter=end.filter or None):
        records: Sequence[Record] = page.records
        if _computes(ready, side):
            records = await _computed(session, ready, side, await _uncoupled(session, ready, side, records, free))
        keyed = list(zip(records, await _keyed(session, ready, side, records), strict=True))
        if known is not None:
            keyed = [(record, keys) for record, keys in keyed if not known.isdisjoint(enumerate(keys))]
        alone = {r.id for r in await _uncoupled(session, ready, side, [record for record, _ in keyed], free)}
        yield [(record, keys) for record, keys in keyed if record.id in alone]
        done += len(page.records)
        session.progress(ready.mapping.name, f"matching ({SPOKEN[side]})", done, None)


def _compared(ready: Ready, side: Side) -> Columns:
    """The columns to read for matching, each at its place: the name and those of the match keys, if no rule computes
    from others."""
    end = ready.end(side)
    if _computes(ready, side):
        return end.columns
    wanted = {end.key, *(place for places, _ in _groups(ready, side) for place in places)}
    return tuple(column if place in wanted else "" for place, column in enumerate(end.columns))


def _computes(ready: Ready, side: Side) -> bool:
    return any(rule.side == side for _, rule in ready.computes)


async def _computed(session: Session, ready: Ready, side: Side, records: Sequence[Record]) -> list[Record]:
    """Records with their computed values, without those that a rule says to be outside."""
    computed, refusals = await compute(session, ready, side, records)
    return [r for r in computed if r.id not in refusals or not refusals[r.id].outside]


async def _uncoupled(session: Session, ready: Ready, side: Side, records: Sequence[Record], free: Free) -> list[Record]:
    coupled = await couplings.by_ids(session.connection, ready.mapping.name, side, [record.id for record in records])
    return [record for record in records if record.id not in coupled or record.id in free.get(side, ())]


async def match_chunk(
    session: Session,
    ready: Ready,
    side: Side,
    records: Sequence[Record],
    free: Free,
    read: dict[Side, Uncoupled],
) -> Matches:
    """Match the uncoupled records of a chunk, against all that share a match key with one of them.

    Rivals on their own side are only looked for where the other one has something to offer. ``read`` keeps what was
    read of whole sides for the next chunk.
    """
    keys = await _keyed(session, ready, side, records)
    ours = {record.id: found for record, found in zip(records, keys, strict=True)}
    theirs = await _sharing(session, ready, other(side), records, _known(ours.values()), side, free, read)
    if not theirs:
        return Matches({}, {}, {}, {})
    offered = _known(theirs.values())
    wanted = [record for record in records if not offered.isdisjoint(enumerate(ours[record.id]))]
    ours = await _sharing(session, ready, side, wanted, offered, side, free, read) | ours
    return match(ours, theirs) if side == "business_central" else match(theirs, ours)


async def _sharing(
    session: Session,
    ready: Ready,
    side: Side,
    records: Sequence[Record],
    known: Known,
    of: Side,
    free: Free,
    read: dict[Side, Uncoupled],
) -> dict[str, Keys]:
    """The keys of the uncoupled records on ``side`` that share one with these records of side ``of``."""
    found: dict[str, Keys] = {}
    unsearched: set[int] = set()
    for number, group in enumerate(ready.mapping.match):
        pair = _searched(ready, side, group)
        if pair is None:
            unsearched.add(number)
            continue
        parts = await _parts(session, ready, pair, records, of, side)
        held = await _holding(session, ready, side, pair, parts, free)
        found |= {r.id: keys for r, keys in zip(held, await _keyed(session, ready, side, held), strict=True)}
    if rest := frozenset(key for key in known if key[0] in unsearched):
        found |= await _among_all(session, ready, side, rest, unsearched, free, read)
    return {id: keys for id, keys in found.items() if not known.isdisjoint(enumerate(keys))}


async def _among_all(
    session: Session,
    ready: Ready,
    side: Side,
    known: Known,
    groups: Collection[int],
    free: Free,
    read: dict[Side, Uncoupled],
) -> dict[str, Keys]:
    """The keys of what is uncoupled on a side and shares one of these, of groups by which it cannot be searched."""
    freed = free.get(side, ())
    there = read.get(side)
    if there is None or there.free != len(freed):
        keys = await uncoupled_keys(session, ready, side, free=free)
        there = read[side] = Uncoupled(keys, _by_key(keys, groups), len(freed))
    found = sorted({id for key in known for id in there.ids.get(key, ())})
    coupled = await couplings.by_ids(session.connection, ready.mapping.name, side, found)
    return {id: there.keys[id] for id in found if id not in coupled or id in freed}


def _by_key(found: Mapping[str, Keys], groups: Collection[int]) -> dict[tuple[int, object], list[str]]:
    ids: dict[tuple[int, object], list[str]] = defaultdict(list)
    for id, keys in found.items():
        for group in groups:
            if keys[group] is not None:
                ids[group, keys[group]].append(id)
    return dict(ids)


def _searched(ready: Ready, side: Side, group: Sequence[MatchPair]) -> MatchPair | None:
    """The pair of a group by which a system finds all that matching would take for the same.

    A text in other capitals, or with blanks around it, is another one to a system: only codes and references are
    searched for, as they are. Neither system knows normalised or transformed values. Without a code everything
    uncoupled has to be looked at.
    """
    codes = {field.business_central for field in ready.mapping.fields if field.code}
    codes.add(ready.mapping.business_central.key)
    found = (p for p in group if _column(p, side) and not p.normalise and _transformed(ready, p) is None)
    return next((pair for pair in found if pair.business_central in codes), None)


async def _parts(
    session: Session, ready: Ready, pair: MatchPair, records: Sequence[Record], of: Side, side: Side
) -> list[Scalar]:
    """What to search for in the column of ``side``, to find what these records of side ``of`` match."""
    place, field = _place(ready, of, pair), _reference(ready, pair)
    values: Iterable[Scalar] = (record.values[place] for record in records)
    if field and of != side:
        ours, theirs = (records, ()) if of == "business_central" else ((), records)
        known = await references(session, ready, ours, theirs)
        found = [translate(field, value, of, known) for value in values]
        values = [value for value in found if isinstance(value, str)]
    spelled = [each for v in values for each in ((v.strip(), v.strip().upper()) if isinstance(v, str) else (v,))]
    return [part for part in dict.fromkeys(spelled) if part not in (None, "")]


async def _holding(
    session: Session, ready: Ready, side: Side, pair: MatchPair, parts: Sequence[Scalar], free: Free
) -> list[Record]:
    """The uncoupled records of a side inside the filter whose column there has one of these values."""
    end, column = ready.end(side), _column(pair, side)
    known = end.schema.columns.get(column)
    # Business Central refuses to look for what is longer than its column, and so holds nothing like it.
    room = known.max_length if known and known.max_length else sys.maxsize
    fitting = [part for part in parts if len(str(part)) <= room]
    if not fitting:
        return []
    found = await session.systems[side].by_keys(end.schema.name, end.columns, column, fitting)
    inside = [r for r in await _uncoupled(session, ready, side, found, free) if end.passes is None or end.passes(r)]
    return await _computed(session, ready, side, inside)

"""Records that count as changed because a row of another table did, which their mapping watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice

import msgspec

from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings
from koppel.sync.position import Position, instant
from koppel.sync.prepare import End, Ready
from koppel.sync.reading import Reading, pages_of, window
from koppel.sync.session import Session
from koppel.sync.watched import WatchedTable

KEYS_AT_ONCE = 1_000


class Stirred(msgspec.Struct, kw_only=True):
    """What the watched tables of a side came to. ``positions``: where the next reading of each goes on. ``keys``: by
    column of the records, the values of those concerned. ``every``: all are, and ``notice`` says why it is worth a
    line."""

    positions: dict[str, Position] = {}
    keys: dict[str, set[Scalar]] = {}
    every: bool = False
    notice: str = ""


async def read_watched(session: Session, ready: Ready, side: Side, known: Mapping[str, Position]) -> Stirred:
    """Read what changed in the tables that a side watches. A table that was never read concerns every record."""
    found, end = Stirred(), ready.end(side)
    for watched in end.watched:
        name = watched.schema.name
        before = known.get(name)
        reading = Reading(
            side=end.side,
            schema=watched.schema,
            columns=watched.columns,
            tracked=watched.schema.tracks_changes,
            position=before or Position(),
            vanishing=bool(watched.keys),
            complete=before is None,
        )
        found.every = found.every or before is None
        if before is None and not reading.tracked:  # only its latest rows tell where to go on
            reading.position, reading.complete = Position(at=await session.systems[end.side].latest(name)), False
        found.positions[name] = await _read(session, ready, watched, reading, found)
    return found


async def _read(session: Session, ready: Ready, watched: WatchedTable, reading: Reading, found: Stirred) -> Position:
    """Note whom the changed rows concern; where the next reading goes on.

    What is read again because it is recent concerns nobody a second time: it is known by the ``seen`` marks.
    """
    known = frozenset(reading.position.seen)  # after much was written at once, as many as that
    marks: list[tuple[str, str]] = []
    async for page in pages_of(session, reading):
        fresh = [record for record in page.records if reading.tracked or _mark(record) not in known]
        if not found.every:
            _note(watched, fresh, found)
            await _note_deleted(session, ready, watched, page.deleted, found)
        if not reading.tracked:
            marks += ((instant(record.modified_at), _mark(record)) for record in page.records)
            since = window(max(marks)[0]) if marks else ""
            marks = [mark for mark in marks if mark[0] >= since]
    return msgspec.structs.replace(reading.position, seen=tuple(mark for _, mark in marks))


def _note(watched: WatchedTable, rows: Iterable[Record], found: Stirred) -> None:
    for row in rows:
        if not watched.keys:
            found.every = True
        for key, value in zip(watched.keys, row.values, strict=True):
            if value not in (None, ""):
                found.keys.setdefault(key, set()).add(value)


async def _note_deleted(
    session: Session, ready: Ready, watched: WatchedTable, deleted: Sequence[str], found: Stirred
) -> None:
    """What is left of a row is its id, which does not tell whose it was, unless it is a part whose coupling does; a
    part that was not coupled concerns nobody."""
    if not deleted:
        return
    id_column = ready.dataverse.schema.id_column
    parts = [n for n in ready.parts if session.mappings[n].dataverse.table == watched.schema.name]
    pairs = [
        pair
        for name in parts
        for pair in (await couplings.by_ids(session.connection, name, "dataverse", deleted)).values()
    ]
    if parts and id_column in watched.keys and all(pair.whole for pair in pairs):
        found.keys.setdefault(id_column, set()).update(pair.whole for pair in pairs)
    else:
        found.every = True
        found.notice = f"rows of {watched.schema.name} were deleted, so everything is compared"


def _mark(row: Record) -> str:
    """A row as it is now, in few characters."""
    return blake2b(f"{row.id} {row.version}".encode(), digest_size=8).hexdigest()


async def concerned(
    session: Session, ready: Ready, side: Side, keys: Mapping[str, set[Scalar]]
) -> AsyncIterator[tuple[list[Record], list[str]]]:
    """The records of these values of their columns, each once, and the ids of those that are gone: values of the id
    that no record has, and records that were coupled under a key that none has."""
    told: set[str] = set()
    end = ready.end(side)
    for key, values in keys.items():
        rest = iter(values)
        while part := list(islice(rest, KEYS_AT_ONCE)):
            found = await session.systems[end.side].by_keys(end.schema.name, end.columns, key, part)
            gone = await _gone(session, ready, end, key, part, found)
            yield [record for record in found if record.id not in told], gone
            told |= {record.id for record in found}


async def _gone(
    session: Session, ready: Ready, end: End, key: str, asked: Sequence[Scalar], found: Sequence[Record]
) -> list[str]:
    if key == end.schema.id_column:
        there = {record.id for record in found}
        return [str(id) for id in asked if id not in there]
    if key != ready.mapping.business_central.key or end.side != "business_central":
        return []
    known = {record.values[end.key] for record in found}
    missing = [str(value) for value in asked if value not in known]
    ids = await couplings.ids_of_keys(session.connection, ready.mapping.name, missing) if missing else []
    left = await session.systems[end.side].by_ids(end.schema.name, (), ids) if ids else {}
    return [id for id in ids if id not in left]

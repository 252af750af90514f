"""Records that count as changed because a row of another table did, which their mapping watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from hashlib import blake2b
from itertools import islice

import msgspec

from koppel.odata.records import Record, Scalar
from koppel.sync.position import Position, instant
from koppel.sync.prepare import End
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


async def read_watched(session: Session, end: End, known: Mapping[str, Position]) -> Stirred:
    """Read what changed in the tables that a side watches. A table that was never read concerns every record."""
    found = Stirred()
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
        found.positions[name] = await _read(session, watched, reading, found)
    return found


async def _read(session: Session, watched: WatchedTable, reading: Reading, found: Stirred) -> Position:
    """Note whom the changed rows concern; where the next reading goes on.

    What is read again because it is recent concerns nobody a second time: it is known by the ``seen`` marks.
    """
    before = reading.position
    marks: list[tuple[str, str]] = []
    async for page in pages_of(session, reading):
        fresh = [record for record in page.records if reading.tracked or _mark(record) not in before.seen]
        if not found.every:
            _note(watched, fresh, page.deleted, found)
        if not reading.tracked:
            marks += ((instant(record.modified_at), _mark(record)) for record in page.records)
            since = window(max(marks)[0]) if marks else ""
            marks = [mark for mark in marks if mark[0] >= since]
    return msgspec.structs.replace(reading.position, seen=tuple(mark for _, mark in marks))


def _note(watched: WatchedTable, rows: Iterable[Record], deleted: Iterable[str], found: Stirred) -> None:
    for row in rows:
        if not watched.keys:
            found.every = True
        for key, value in zip(watched.keys, row.values, strict=True):
            if value not in (None, ""):
                found.keys.setdefault(key, set()).add(value)
    if deleted:  # what is left of a row is its id, which does not tell whose it was
        found.every = True
        found.notice = f"rows of {watched.schema.name} were deleted, so everything is compared"


def _mark(row: Record) -> str:
    """A row as it is now, in few characters."""
    return blake2b(f"{row.id} {row.version}".encode(), digest_size=8).hexdigest()


async def concerned(
    session: Session, end: End, keys: Mapping[str, set[Scalar]]
) -> AsyncIterator[tuple[list[Record], list[str]]]:
    """The records of these values of their columns, each once, and the ids among the values that no record has."""
    told: set[str] = set()
    for key, values in keys.items():
        rest = iter(values)
        while part := list(islice(rest, KEYS_AT_ONCE)):
            found = await session.systems[end.side].by_keys(end.schema.name, end.columns, key, part)
            there = {record.id for record in found}
            gone = [str(id) for id in part if id not in there] if key == end.schema.id_column else []
            yield [record for record in found if record.id not in told], gone
            told |= there

"""History: every write of every job, field by field, with what was there before and why it was made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
import orjson

from koppel.odata.records import Scalar, Side
from koppel.store.database import TEXTS, Connection, as_json, copy_rows

Action = Literal["create", "update", "delete", "couple", "uncouple"]
Value = Scalar | Mapping[str, Scalar | Sequence[Mapping[str, Scalar]]]
"""A value, a record by column, or one with the rows that were made below it."""

GIVEN = "job, mapping, side, record_id, action, field, old, new, why, record_name, base, table_name"
COPY = f"COPY history ({GIVEN}) FROM STDIN"
SELECT = f"SELECT {GIVEN}, at, id FROM history"
FIND = f"""
{SELECT}
WHERE (%(mapping)s::text IS NULL OR mapping = %(mapping)s)
    AND (%(ids)s::text[] IS NULL OR record_id = ANY (%(ids)s))
    AND (%(name)s::text IS NULL OR record_name = %(name)s)
    AND (%(job)s::bigint IS NULL OR job = %(job)s)
    AND (%(field)s::text IS NULL OR field = %(field)s)
    AND (%(side)s::text IS NULL OR side = %(side)s)
    AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY id DESC
LIMIT %(limit)s"""
OF_JOB = f"{SELECT} WHERE job = %s AND id < %s ORDER BY id DESC LIMIT %s"
# What others wrote to records since: by record and field the job that did it last.
SINCE = f"""
SELECT DISTINCT ON (side, record_id, field) side, record_id, field, job
FROM history
WHERE id > %s AND record_id = ANY {TEXTS} AND NOT job = ANY (%s)
ORDER BY side, record_id, field, id DESC"""
# A record that was deleted since is known no more, nor is the pair that was taken apart with it.
KNOWN = f"""
SELECT DISTINCT record_id
FROM history known
WHERE record_id = ANY {TEXTS} AND NOT job = ANY (%(but_by)s)
    AND (side = %(side)s OR (action = 'uncouple' AND old #>> '{{}}' = record_id))
    AND NOT EXISTS (
        SELECT FROM history deleted
        WHERE deleted.record_id = known.record_id AND deleted.side = %(side)s AND deleted.action = 'delete'
            AND (deleted.id > known.id OR deleted.job = known.job)
    )""".replace("%s", "%(ids)s")
CREATED = f"""
SELECT DISTINCT ON (record_id) record_id, new
FROM history
WHERE mapping = %s AND side = %s AND action = 'create' AND record_id = ANY {TEXTS}
ORDER BY record_id, id DESC"""
LAST = 2**63 - 1


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One field of one write to ``side``; ``field`` is empty where the whole record is meant (a deletion, a coupling).

    ``base``: of an uncoupled pair, what it had agreed on. ``table_name``: where a rule wrote beside the mapping's own
    records; ``field`` is a column then. ``at`` and ``id`` are the database's own, ignored on adding.
    """

    job: int
    mapping: str
    side: Side
    record_id: str
    action: Action
    field: str = ""
    old: Value = None
    new: Value = None
    why: str = ""
    record_name: str = ""
    base: bytes | None = None
    table_name: str = ""
    at: datetime | None = None
    id: int = 0


async def add(connection: Connection, entries: Iterable[Entry]) -> None:
    """Append to the history."""
    await copy_rows(connection, COPY, map(_row, entries))


def _row(entry: Entry) -> tuple[object, ...]:
    e = entry
    old, new = _json(e.old), _json(e.new)
    return (
        e.job,
        e.mapping,
        e.side,
        e.record_id,
        e.action,
        e.field,
        old,
        new,
        e.why,
        e.record_name,
        e.base,
        e.table_name,
    )


def _json(value: Value) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


async def find(
    connection: Connection,
    *,
    mapping: str | None = None,
    record_ids: Collection[str] | None = None,
    record_name: str | None = None,
    job: int | None = None,
    field: str | None = None,
    side: Side | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> list[Entry]:
    """The entries that fit, latest first. A pair's history is that of both its ids."""
    values = {
        "mapping": mapping,
        "ids": None if record_ids is None else list(record_ids),
        "name": record_name,
        "job": job,
        "field": field,
        "side": side,
        "since": since,
        "until": until,
        "limit": limit,
    }
    return [Entry(*row) for row in await (await connection.execute(FIND, values)).fetchall()]


async def of_job(connection: Connection, job: int, chunk: int = 5000) -> AsyncIterator[list[Entry]]:
    """Everything that a job wrote, the last first, in chunks. The caller may commit and write between chunks."""
    last = LAST
    while entries := [Entry(*row) for row in await (await connection.execute(OF_JOB, [job, last, chunk])).fetchall()]:
        yield entries
        last = entries[-1].id


async def written_since(
    connection: Connection, entry: int, record_ids: Collection[str], but_by: Collection[int]
) -> dict[tuple[Side, str], dict[str, int]]:
    """By side and record, and by field, the job that wrote there last after an entry, other than those ``but_by``."""
    found: dict[tuple[Side, str], dict[str, int]] = {}
    rows = await connection.execute(SINCE, [entry, as_json(record_ids), list(but_by)])
    for side, record_id, field, job in await rows.fetchall():
        found.setdefault((side, record_id), {})[field] = job
    return found


async def known_before(
    connection: Connection, side: Side, record_ids: Collection[str], but_by: Collection[int]
) -> set[str]:
    """Those of these records of ``side`` that other jobs than those ``but_by`` had to do with, and did not delete."""
    values = {"side": side, "ids": as_json(record_ids), "but_by": list(but_by)}
    return {row[0] for row in await (await connection.execute(KNOWN, values)).fetchall()}


async def created_with(
    connection: Connection, mapping: str, side: Side, record_ids: Collection[str]
) -> dict[str, dict[str, Scalar]]:
    """By record, the columns with which it was created."""
    rows = await connection.execute(CREATED, [mapping, side, as_json(record_ids)])
    return dict(await rows.fetchall())

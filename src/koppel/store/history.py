"""History: every write of every job, field by field, with what was there before and why it was made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec
import orjson

from koppel.odata.records import Scalar, Side
from koppel.store.database import Connection, copy_rows

Action = Literal["create", "update", "delete", "couple", "uncouple"]
Value = Scalar | Mapping[str, Scalar]

GIVEN = "job, mapping, side, record_id, action, field, old, new, why, record_name"
COPY = f"COPY history ({GIVEN}) FROM STDIN"
SELECT = f"SELECT {GIVEN}, at, id FROM history"
FIND = f"""
{SELECT}
WHERE (%(mapping)s::text IS NULL OR mapping = %(mapping)s)
    AND (%(ids)s::text[] IS NULL OR record_id = ANY (%(ids)s))
    AND (%(job)s::bigint IS NULL OR job = %(job)s)
    AND (%(field)s::text IS NULL OR field = %(field)s)
    AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY id DESC
LIMIT %(limit)s"""
OF_JOB = f"{SELECT} WHERE job = %s AND id < %s ORDER BY id DESC LIMIT %s"
LAST = 2**63 - 1


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One field of one write to ``side``; ``field`` is empty where the whole record is meant (a deletion, a coupling).

    ``at`` and ``id`` are the database's own, ignored on adding.
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
    at: datetime | None = None
    id: int = 0


async def add(connection: Connection, entries: Iterable[Entry]) -> None:
    """Append to the history."""
    await copy_rows(connection, COPY, map(_row, entries))


def _row(entry: Entry) -> tuple[object, ...]:
    e = entry
    old, new = _json(e.old), _json(e.new)
    return e.job, e.mapping, e.side, e.record_id, e.action, e.field, old, new, e.why, e.record_name


def _json(value: Value) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


async def find(
    connection: Connection,
    *,
    mapping: str | None = None,
    record_ids: Collection[str] | None = None,
    job: int | None = None,
    field: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> list[Entry]:
    """The entries that fit, latest first. A pair's history is that of both its ids."""
    values = {
        "mapping": mapping,
        "ids": None if record_ids is None else list(record_ids),
        "job": job,
        "field": field,
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

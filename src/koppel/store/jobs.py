"""Jobs: what ran when, on which mappings, and what came of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from psycopg.types.json import Jsonb

from koppel.errors import LockedError
from koppel.mapping.model import Direction
from koppel.store.database import Connection, copy_rows
from koppel.store.locks import JOB

Status = Literal["running", "done", "failed", "interrupted", "stopped"]
Type = Literal[
    "modified", "records", "full", "unconditional", "parts", "apply", "couple", "uncouple", "undo", "recover"
]
"""What a job is to do (ENG-206, ENG-211 to ENG-217): look at what changed, at chosen records, or at everything; merge
every pair anew; send lines of documents; carry out a saved plan; couple; uncouple; take a job back; find out what
became of writes that nobody answered."""
Level = Literal["info", "warning", "error"]

# The lock is held by the connection that runs the job: a job without it lost its process.
START = f"""
WITH started AS (
    INSERT INTO job (type, direction, mappings, queue, host, process, workers, undoes)
    VALUES (%s, %s, %s, %s, %s, %s, ARRAY[%s], %s) RETURNING id
)
SELECT id, pg_advisory_lock({JOB}, id::integer) FROM started"""
UNDOING = "SELECT id FROM job WHERE undoes = %s ORDER BY id"
LET_GO = f"SELECT pg_advisory_unlock({JOB}, %s)"
COUNT = """
UPDATE job
SET requests = requests + %(requests)s,
    workers = CASE WHEN %(worker)s = ANY (workers) THEN workers ELSE workers || %(worker)s::text END,
    counters = (
        SELECT coalesce(jsonb_object_agg(name, total), '{}')
        FROM (
            SELECT key AS name, sum(value::bigint) AS total
            FROM (SELECT * FROM jsonb_each_text(counters) UNION ALL SELECT * FROM jsonb_each_text(%(counters)s)) each
            GROUP BY key
        ) summed
    )
WHERE id = %(job)s AND status = 'running'
RETURNING id"""
FINISH = """
UPDATE job SET status = %s, message = %s, finished = clock_timestamp() WHERE id = %s AND status = 'running'"""
COLUMNS = """
SELECT id, type, direction, mappings, queue, started, finished, status, counters, requests, message, host, process,
    workers, extract(epoch FROM coalesce(finished, clock_timestamp()) - started)::float8, undoes
FROM job"""
GET = f"{COLUMNS} WHERE id = %s"
RECENT = f"""
{COLUMNS}
WHERE (%(mapping)s::text IS NULL OR %(mapping)s = ANY (mappings))
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(type)s::text IS NULL OR type = %(type)s)
ORDER BY id DESC
LIMIT %(limit)s"""
# What a record that failed and rests refers to stays, with the job that says why (ENG-210).
FORGET = """
DELETE FROM job
WHERE status <> 'running' AND started < clock_timestamp() - make_interval(days => %(days)s)
    AND NOT EXISTS (SELECT FROM failure WHERE failure.job = job.id)
    AND NOT EXISTS (SELECT FROM review_line WHERE review_line.job = job.id)
RETURNING id"""
ADD_MESSAGES = "COPY job_message (job, level, mapping, text) FROM STDIN"
MESSAGES = "SELECT level, text, mapping, at FROM job_message WHERE job = %s ORDER BY number"
INTERRUPT = f"""
UPDATE job
SET status = 'interrupted', finished = clock_timestamp(), message = 'the process that ran it is gone'
WHERE status = 'running' AND NOT EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.classid = {JOB} AND l.objid = job.id::oid AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
RETURNING id"""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``direction``: towards which side it may write, as its mapping and whoever started it say. ``queue``:
    from which a worker took it, empty for what a person or a program started.
    ``seconds`` is how long it took, up to now where it still runs. ``workers``: the processes that took part, each as
    its host and number; ``host`` and ``process`` are those of the one that leads it. ``requests``: those of all.
    ``undoes``: the job that it takes back. Times in UTC."""

    id: int
    type: Type
    direction: Direction
    mappings: tuple[str, ...]
    queue: str
    started: datetime
    finished: datetime | None
    status: Status
    counters: dict[str, int]
    requests: int
    message: str
    host: str
    process: int
    workers: tuple[str, ...]
    seconds: float
    undoes: int | None = None


class Message(msgspec.Struct, frozen=True):
    """A line of a job's log."""

    level: Level
    text: str
    mapping: str = ""
    at: datetime | None = None


async def start(
    connection: Connection,
    type: Type,
    mappings: Sequence[str],
    *,
    direction: Direction = "both",
    queue: str = "",
    undoes: int | None = None,
) -> int:
    """A new running job; its number. It counts as running while ``connection`` is open. Commits."""
    values = [type, direction, list(mappings), queue, platform.node(), os.getpid(), _worker(), undoes]
    row = await (await connection.execute(START, values)).fetchone()
    assert row is not None
    await connection.commit()
    return int(row[0])


def _worker() -> str:
    """This process, as people find it."""
    return f"{platform.node()} {os.getpid()}"


async def count(connection: Connection, job: int, counters: Mapping[str, int], requests: int = 0) -> None:
    """Add to a job's counters, in the transaction of the chunk that they count; this process took part in it.

    ``LockedError`` when the job does not run any more, because it was taken for dead: nothing may be committed for it.
    """
    values = {"job": job, "counters": Jsonb(dict(counters)), "requests": requests, "worker": _worker()}
    row = await (await connection.execute(COUNT, values)).fetchone()
    if row is None:
        raise LockedError(
            f"job {job} was ended by somebody else", remedy="Its last chunk is not recorded; start it again."
        )


async def finish(connection: Connection, job: int, status: Status, message: str = "") -> None:
    """End a job that still runs. Commits."""
    await connection.execute(FINISH, [status, message.replace("\0", ""), job])
    await connection.execute(LET_GO, [job])  # who takes it for lost now waits for the commit, and finds it ended
    await connection.commit()


async def get(connection: Connection, job: int) -> Job | None:
    """The job of this number."""
    row = await (await connection.execute(GET, [job])).fetchone()
    return _job(row) if row else None


async def undoing(connection: Connection, job: int) -> list[int]:
    """The jobs that took this one back, or parts of it."""
    return [row[0] async for row in await connection.execute(UNDOING, [job])]


async def recent(
    connection: Connection,
    *,
    mapping: str | None = None,
    status: Status | None = None,
    type: Type | None = None,
    limit: int = 50,
) -> list[Job]:
    """The latest jobs, newest first; of a mapping, a status, a type."""
    values = {"mapping": mapping, "status": status, "type": type, "limit": limit}
    return [_job(row) async for row in await connection.execute(RECENT, values)]


def _job(row: Sequence[object]) -> Job:
    return msgspec.convert(dict(zip(Job.__struct_fields__, row, strict=True)), Job)


async def add_messages(connection: Connection, job: int, messages: Sequence[Message]) -> None:
    """Append to a job's log."""
    await copy_rows(connection, ADD_MESSAGES, ((job, m.level, m.mapping, m.text) for m in messages))


async def messages(connection: Connection, job: int) -> list[Message]:
    """A job's log, in order."""
    return [Message(*row) async for row in await connection.execute(MESSAGES, [job])]


async def forget(connection: Connection, days: int) -> int:
    """Delete jobs that began longer ago, with their logs; how many. What they changed stays in the history. Commits.

    Those that run stay, and those that a record's failure refers to (ENG-210).
    """
    rows = await (await connection.execute(FORGET, {"days": days})).fetchall()
    await connection.commit()
    return len(rows)


async def interrupt_orphans(connection: Connection) -> list[int]:
    """Mark the running jobs whose process is gone as interrupted; their numbers. Commits."""
    rows = await (await connection.execute(INTERRUPT)).fetchall()
    await connection.commit()
    return sorted(row[0] for row in rows)

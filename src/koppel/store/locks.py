"""One job at a time for each mapping, by advisory locks that the server gives back when their holder is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from koppel.errors import LockedError
from koppel.store.database import Connection

# The first of an advisory lock's two numbers says what the second one stands for.
MAPPING = 5_655_601
JOB = 5_655_602

TAKE = f"SELECT pg_try_advisory_lock({MAPPING}, hashtext(%s))"
RELEASE = f"SELECT pg_advisory_unlock({MAPPING}, hashtext(%s))"
HOLDER = f"""
SELECT a.application_name, a.backend_start, j.id, j.kind, j.started
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN LATERAL (
    SELECT id, kind, started
    FROM job
    JOIN pg_locks own ON own.locktype = 'advisory' AND own.classid = {JOB} AND own.objid = job.id::oid
    WHERE status = 'running' AND %(mapping)s = ANY (mappings) AND own.database = l.database
    ORDER BY id DESC
    LIMIT 1
) j ON true
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {MAPPING} AND l.objid = hashtext(%(mapping)s)::oid
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@asynccontextmanager
async def mapping_lock(connection: Connection, mapping: str) -> AsyncIterator[None]:
    """Hold ``mapping`` for this connection; ``LockedError`` at once, naming the holder, when another one has it.

    Commits when the lock is taken. What is not committed at the end is rolled back before the lock is given back.
    """
    row = await (await connection.execute(TAKE, [mapping])).fetchone()
    await connection.commit()
    if not (row and row[0]):
        raise await _locked(connection, mapping)
    try:
        yield
    finally:
        if not connection.broken and not connection.closed:
            await connection.rollback()
            await connection.execute(RELEASE, [mapping])
            await connection.commit()


async def _locked(connection: Connection, mapping: str) -> LockedError:
    row = await (await connection.execute(HOLDER, {"mapping": mapping})).fetchone()
    await connection.commit()
    if row is None:
        holder = "another process"
    else:
        process, since, job, kind, started = row
        name = f"job {job} ({kind})" if job is not None else "a command"
        holder = f"{name} since {(started or since):%Y-%m-%d %H:%M:%S} UTC ({process})"
    return LockedError(
        f"{mapping} is held by {holder}", place=mapping, remedy="Wait until it is done, or stop that process."
    )

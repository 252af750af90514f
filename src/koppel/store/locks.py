"""One job at a time for each mapping, by advisory locks that the server gives back when their holder is gone."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from koppel.errors import LockedError
from koppel.store.database import Connection

# The first of an advisory lock's two numbers says what the second one stands for.
MAPPING = 5_655_601
JOB = 5_655_602
MAPPING_HANDS = 5_655_603
HAND = 5_655_604
PORTION = 5_655_605
SENDER = 5_655_606

PROCESS = secrets.randbelow(2**31)
"""What tells this process from others, on any machine."""

TAKE = f"SELECT pg_try_advisory_lock({MAPPING}, hashtext(%s))"
# Whoever has a hand in a run shares this one: as long as anybody does, nobody begins another run.
ALONE = f"SELECT pg_try_advisory_lock({MAPPING_HANDS}, hashtext(%s))"
NOT_ALONE = f"SELECT pg_advisory_unlock({MAPPING_HANDS}, hashtext(%s))"
SEND = f"SELECT pg_advisory_lock_shared({SENDER}, {PROCESS})"
SENDERS = f"""
SELECT count(DISTINCT objid) FROM pg_locks
WHERE locktype = 'advisory' AND classid = {SENDER} AND objid <> {PROCESS}::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
RELEASE = f"SELECT pg_advisory_unlock({MAPPING}, hashtext(%s))"
HOLDER = f"""
SELECT a.application_name, a.backend_start, j.id, j.type, j.started
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN LATERAL (
    SELECT id, type, started
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
    if not await _taken(connection, TAKE, mapping):
        raise await _locked(connection, mapping)
    try:
        if not await _taken(connection, ALONE, mapping):
            raise LockedError(
                f"{mapping} is still in the hands of workers of a run that is gone",
                place=mapping,
                remedy="They end their chunks within seconds; try again then.",
            )
        await connection.execute(NOT_ALONE, [mapping])
        await connection.commit()
        yield
    finally:
        if not connection.broken and not connection.closed:
            await connection.rollback()
            await connection.execute(RELEASE, [mapping])
            await connection.commit()


async def _taken(connection: Connection, lock: str, mapping: str) -> bool:
    row = await (await connection.execute(lock, [mapping])).fetchone()
    return bool(row and row[0])


async def send(connection: Connection) -> None:
    """This process may send to the systems as long as ``connection`` is open. Commits."""
    await connection.execute(SEND)
    await connection.commit()


async def senders(connection: Connection) -> int:
    """How many processes may send to the systems at the moment, this one included."""
    row = await (await connection.execute(SENDERS)).fetchone()
    return 1 + (int(row[0]) if row else 0)


async def _locked(connection: Connection, mapping: str) -> LockedError:
    row = await (await connection.execute(HOLDER, {"mapping": mapping})).fetchone()
    await connection.commit()
    if row is None:
        holder = "another process"
    else:
        process, since, job, type, started = row
        name = f"job {job} ({type})" if job is not None else "a command"
        holder = f"{name} since {(started or since):%Y-%m-%d %H:%M:%S} UTC ({process})"
    return LockedError(
        f"{mapping} is held by {holder}", place=mapping, remedy="Wait until it is done, or stop that process."
    )

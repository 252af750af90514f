"""Portions: chunks of a run that its leader lays out, and that other workers take.

A taker holds a lock as long as it is at a portion; the server gives it back when the taker is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from koppel.store.database import TEXTS, Connection, as_json
from koppel.store.locks import HAND, JOB, MAPPING_HANDS, PORTION, PROCESS

_HERE = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
_AT_IT = f"""EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {PORTION} AND objid = portion.id::oid AND {_HERE}
)"""
_LED = f"""EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {JOB} AND objid = split.job::oid AND {_HERE}
)"""

READY = f"SELECT pg_advisory_lock_shared({HAND}, {PROCESS})"
HANDS = f"""
SELECT count(DISTINCT objid) FROM pg_locks LEFT JOIN worker ON process::oid = objid
WHERE locktype = 'advisory' AND classid = {HAND} AND objid <> {PROCESS}::oid AND {_HERE}
    AND (queues IS NULL OR %s = ANY (queues))"""
BEGIN = "INSERT INTO split (job, leader, mapping, identity, run) VALUES (%s, %s, %s, %s, %s)"
END = "DELETE FROM split WHERE job = %s"
WAITING = "SELECT count(*) FROM portion WHERE job = %s AND NOT taken"
LAY_OUT = "INSERT INTO portion (job, work) VALUES (%s, %s)"
TAKE_BACK = f"""
DELETE FROM portion WHERE id = (
    SELECT id FROM portion
    WHERE job = %s AND (NOT taken OR refused OR outcome IS NULL AND NOT {_AT_IT})
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, work, taken"""
COLLECT = "DELETE FROM portion WHERE job = %s AND outcome IS NOT NULL RETURNING outcome"
LEFT = "SELECT count(*) FROM portion WHERE job = %s"
OFFERED = f"""
SELECT split.mapping, split.job, split.run FROM split
WHERE split.leader <> {PROCESS} AND {_LED}
    AND EXISTS (SELECT FROM portion WHERE job = split.job AND NOT taken)
    AND split.mapping || ' ' || split.identity = ANY {TEXTS}
ORDER BY job LIMIT 1"""
WITH = f"SELECT pg_try_advisory_lock_shared({MAPPING_HANDS}, hashtext(%s))"
WITHOUT = f"SELECT pg_advisory_unlock_shared({MAPPING_HANDS}, hashtext(%s))"
IS_LED = f"SELECT FROM split WHERE job = %s AND {_LED}"
TAKE = f"""
WITH next AS (
    SELECT id FROM portion WHERE job = %s AND NOT taken ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE portion SET taken = true FROM next WHERE portion.id = next.id
RETURNING portion.id, work, pg_try_advisory_lock({PORTION}, portion.id::integer)"""
LET_GO = f"SELECT pg_advisory_unlock({PORTION}, %s::integer)"
DONE = "UPDATE portion SET outcome = %s, work = '' WHERE id = %s"
REFUSE = "UPDATE portion SET refused = true WHERE id = %s"


class Offer(msgspec.Struct, frozen=True):
    """A run with portions that wait for somebody. ``run``: what its leader tells of it."""

    mapping: str
    job: int
    run: bytes


class Portion(msgspec.Struct, frozen=True):
    """A portion that was taken; ``begun``: by somebody else before, who could not end it."""

    id: int
    work: bytes
    begun: bool = False


async def be_ready(connection: Connection) -> None:
    """This process takes portions as long as ``connection`` is open. Commits."""
    await connection.execute(READY)
    await connection.commit()


async def hands(connection: Connection, queue: str) -> int:
    """How many other processes take portions of mappings of this queue."""
    row = await (await connection.execute(HANDS, [queue])).fetchone()
    return int(row[0]) if row else 0


async def begin(connection: Connection, job: int, mapping: str, identity: str, run: bytes) -> None:
    """Portions of this job may be laid out from now on, until it ends or ``end``. Commits."""
    await connection.execute(BEGIN, [job, PROCESS, mapping, identity, run])
    await connection.commit()


async def end(connection: Connection, job: int) -> None:
    """Forget the portions of a job. Commits."""
    await connection.execute(END, [job])
    await connection.commit()


async def waiting(connection: Connection, job: int) -> int:
    """How many portions of a job nobody has taken yet."""
    row = await (await connection.execute(WAITING, [job])).fetchone()
    return int(row[0]) if row else 0


async def lay_out(connection: Connection, job: int, work: bytes) -> None:
    """Offer a portion to others. Commits."""
    await connection.execute(LAY_OUT, [job, work])
    await connection.commit()


async def take_back(connection: Connection, job: int) -> Portion | None:
    """A portion that the leader does itself: nobody took it, or who did could not do it or is gone. Commits."""
    row = await (await connection.execute(TAKE_BACK, [job])).fetchone()
    await connection.commit()
    return Portion(row[0], bytes(row[1]), row[2]) if row else None


async def collect(connection: Connection, job: int) -> list[bytes]:
    """What came of the portions that were done since. Commits."""
    rows = await (await connection.execute(COLLECT, [job])).fetchall()
    await connection.commit()
    return [bytes(row[0]) for row in rows]


async def left(connection: Connection, job: int) -> int:
    """How many portions of a job are not collected yet."""
    row = await (await connection.execute(LEFT, [job])).fetchone()
    return int(row[0]) if row else 0


async def offered(connection: Connection, known: Mapping[str, str]) -> Offer | None:
    """A run of another process that has portions for somebody who knows these mappings (identities by name)."""
    pairs = as_json([f"{name} {identity}" for name, identity in known.items()])
    row = await (await connection.execute(OFFERED, [pairs])).fetchone()
    await connection.commit()
    return Offer(row[0], row[1], bytes(row[2])) if row else None


@asynccontextmanager
async def taking_part(connection: Connection, offer: Offer) -> AsyncIterator[bool]:
    """Keep everybody else from starting another run of the mapping meanwhile; whether the run goes on. Commits."""
    row = await (await connection.execute(WITH, [offer.mapping])).fetchone()
    if not (row and row[0]):
        await connection.commit()
        yield False
        return
    try:
        led = await (await connection.execute(IS_LED, [offer.job])).fetchone() is not None
        await connection.commit()
        yield led
    finally:
        if not (connection.broken or connection.closed):
            await connection.rollback()
            await connection.execute(WITHOUT, [offer.mapping])
            await connection.commit()


async def take(connection: Connection, job: int) -> Portion | None:
    """The next portion of a job, held until ``done`` or ``refuse``. Commits."""
    row = await (await connection.execute(TAKE, [job])).fetchone()
    await connection.commit()
    return Portion(row[0], bytes(row[1])) if row else None


async def done(connection: Connection, portion: int, outcome: bytes) -> None:
    """What came of a portion, in the transaction that ends it. Commits."""
    await connection.execute(DONE, [outcome, portion])
    await _let_go(connection, portion)


async def refuse(connection: Connection, portion: int) -> None:
    """It could not be done here: its leader does it, and tells what is wrong. Commits."""
    await connection.execute(REFUSE, [portion])
    await _let_go(connection, portion)


async def _let_go(connection: Connection, portion: int) -> None:
    await connection.commit()
    await connection.execute(LET_GO, [portion])
    await connection.commit()

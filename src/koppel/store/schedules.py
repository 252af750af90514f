"""When mappings run by themselves: an entry each, as ``koppel schedule`` shows it. Times are the database's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from koppel.mapping.model import TableMapping
from koppel.store.database import Connection

State = Literal["ready", "on hold", "inactive", "error"]

FIELDS = (
    "mapping, state, every, inactivity, queue, next_run, attempts, job, last_run, looked, message,"
    " clock_timestamp() AS now"
)
ENSURE = """
INSERT INTO schedule (mapping, state) SELECT name, CASE WHEN hold THEN 'on hold' ELSE 'ready' END
FROM unnest(%s::text[], %s::boolean[]) AS given (name, hold) ON CONFLICT DO NOTHING"""
ALL = f"SELECT {FIELDS} FROM schedule ORDER BY mapping"
GET = f"SELECT {FIELDS} FROM schedule WHERE mapping = %s"
LOOKED = "UPDATE schedule SET looked = clock_timestamp() WHERE mapping = %s"
SET = "UPDATE schedule SET every = %s, inactivity = %s, queue = %s WHERE mapping = %s"
HOLD = "UPDATE schedule SET state = 'on hold' WHERE mapping = ANY (%s)"
RESUME = """
UPDATE schedule SET state = 'ready', attempts = 0, message = '', next_run = clock_timestamp()
WHERE mapping = ANY (%s)"""
# Somebody may have put it on hold while it ran: that stays.
ENDED = """
UPDATE schedule
SET state = CASE state WHEN 'on hold' THEN state ELSE %(state)s END, next_run = %(next_run)s,
    attempts = %(attempts)s, job = coalesce(%(job)s, job), message = %(message)s,
    last_run = clock_timestamp(), looked = clock_timestamp()
WHERE mapping = %(mapping)s"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One mapping's entry. ``every``, ``inactivity``, ``queue``: what a person set instead of what the mapping's file
    says.

    ``attempts`` that failed since the last run that went through; ``message`` says why. ``looked``: when it ran, or was
    asked for changes while on hold. ``now``: the database's clock.
    """

    mapping: str
    state: State
    every: str | None
    inactivity: int | None
    queue: str | None
    next_run: datetime
    attempts: int
    job: int | None
    last_run: datetime | None
    looked: datetime | None
    message: str
    now: datetime


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an entry after a run."""

    state: State
    next_run: datetime
    attempts: int = 0
    message: str = ""


def queue_of(mapping: TableMapping, entry: Entry | None) -> str:
    """The queue in which a mapping waits for a worker."""
    return entry.queue if entry and entry.queue is not None else mapping.schedule.queue


async def ensure(connection: Connection, holds: Mapping[str, bool]) -> None:
    """Make entries for those of these mappings that have none, some of them on hold. Commits."""
    await connection.execute(ENSURE, [list(holds), list(holds.values())])
    await connection.commit()


async def entries(connection: Connection) -> dict[str, Entry]:
    """Every entry, by mapping."""
    return {row[0]: _entry(row) async for row in await connection.execute(ALL)}


async def get(connection: Connection, mapping: str) -> Entry | None:
    """The entry of this mapping."""
    row = await (await connection.execute(GET, [mapping])).fetchone()
    return _entry(row) if row else None


def _entry(row: Sequence[object]) -> Entry:
    return msgspec.convert(dict(zip(Entry.__struct_fields__, row, strict=True)), Entry)


async def looked(connection: Connection, mapping: str) -> None:
    """Note that a mapping on hold was asked for changes, and had none."""
    await connection.execute(LOOKED, [mapping])


async def change(connection: Connection, entry: Entry) -> None:
    """What a person set from now on: how often, how long on hold, which queue."""
    await connection.execute(SET, [entry.every, entry.inactivity, entry.queue, entry.mapping])


async def hold(connection: Connection, mappings: Sequence[str]) -> None:
    """Let them run no more by themselves."""
    await connection.execute(HOLD, [list(mappings)])


async def resume(connection: Connection, mappings: Sequence[str]) -> None:
    """Let them run by themselves, at once for the first time."""
    await connection.execute(RESUME, [list(mappings)])


async def ended(connection: Connection, mapping: str, what: Ended, job: int | None) -> None:
    """Note what became of a run."""
    await connection.execute(ENDED, {"mapping": mapping, "job": job, **msgspec.structs.asdict(what)})


async def clock(connection: Connection) -> datetime:
    """What time it is, by the database's clock: those of workers may differ."""
    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment

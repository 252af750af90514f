"""Workers that are alive, and which queues they serve. A worker gives a sign of life each second."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from koppel.store.database import Connection
from koppel.store.locks import PROCESS

SILENT_SECONDS = 30
"""Without a sign of life for so long, a worker is not counted any more. It may come back."""

SIGN = """
INSERT INTO worker (process, host, number, queues, concurrency) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (process) DO UPDATE SET seen = clock_timestamp()"""
GONE = "DELETE FROM worker WHERE process = %s OR seen < clock_timestamp() - interval '1 day'"
ALIVE = f"""
SELECT host, number, queues, concurrency, since, extract(epoch FROM clock_timestamp() - seen)::float8, process
FROM worker WHERE seen > clock_timestamp() - make_interval(secs => {SILENT_SECONDS})
ORDER BY since, process"""


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker: its host, the number of its process there, which queues it serves (``None``: all), how many mappings
    it runs at once, since when, and for how many seconds it has been silent. ``process`` tells it from all others."""

    host: str
    number: int
    queues: tuple[str, ...] | None
    concurrency: int
    since: datetime
    silent: float
    process: int

    def serves(self, queue: str) -> bool:
        """Whether it takes what waits in this queue."""
        return self.queues is None or queue in self.queues

    @property
    def is_here(self) -> bool:
        """Whether it is part of this process."""
        return self.process == PROCESS


async def sign(connection: Connection, queues: Collection[str] | None, concurrency: int) -> None:
    """The worker of this process is alive."""
    served = None if queues is None else sorted(queues)
    await connection.execute(SIGN, [PROCESS, platform.node(), os.getpid(), served, concurrency])


async def gone(connection: Connection) -> None:
    """The worker of this process ends; those that ended without a word long ago are forgotten. Commits."""
    await connection.execute(GONE, [PROCESS])
    await connection.commit()


async def alive(connection: Connection) -> list[Worker]:
    """All that gave a sign of life of late."""
    return [_worker(row) async for row in await connection.execute(ALIVE)]


def _worker(row: Sequence[object]) -> Worker:
    return msgspec.convert(dict(zip(Worker.__struct_fields__, row, strict=True)), Worker)

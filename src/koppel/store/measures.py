"""Numbers for monitoring: what jobs did, how far each mapping is behind, what waits."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from koppel.store.database import Connection

JOBS = """
SELECT mapping, status, count(*), sum(requests), sum(extract(epoch FROM coalesce(finished, now()) - started))::float8
FROM job, unnest(mappings) AS named (mapping) GROUP BY 1, 2 ORDER BY 1, 2"""
RECORDS = """
SELECT mapping, key, sum(value::bigint)
FROM job, unnest(mappings) AS named (mapping), jsonb_each_text(counters) GROUP BY 1, 2 ORDER BY 1, 2"""
LAG = """
SELECT mapping, extract(epoch FROM now() - max(started))::float8
FROM job, unnest(mappings) AS named (mapping) WHERE status = 'done' GROUP BY 1 ORDER BY 1"""
WAITING = "SELECT mapping, count(*) FROM notice GROUP BY 1 ORDER BY 1"


class Jobs(msgspec.Struct, frozen=True):
    """Jobs of one mapping that ended alike, or run."""

    mapping: str
    status: str
    jobs: int
    requests: int
    seconds: float


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """``records``: mapping, what was done, how many. ``lag``: seconds since the last job that went through began.
    ``notices``: records that a system told of and no run has looked at yet."""

    jobs: Sequence[Jobs]
    records: Sequence[tuple[str, str, int]]
    lag: Sequence[tuple[str, float]]
    notices: Sequence[tuple[str, int]]


async def measure(connection: Connection) -> Measures:
    """All of it, as it is now."""
    return Measures(
        jobs=[Jobs(row[0], row[1], row[2], int(row[3]), row[4]) async for row in await connection.execute(JOBS)],
        records=[(row[0], row[1], int(row[2])) async for row in await connection.execute(RECORDS)],
        lag=[(row[0], row[1]) async for row in await connection.execute(LAG)],
        notices=[(row[0], row[1]) async for row in await connection.execute(WAITING)],
    )

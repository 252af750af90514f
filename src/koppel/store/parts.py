"""Records whose parts are still to be sent: written down before the whole is created, forgotten once all are there."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from koppel.store.database import Connection, array

ADD = """
INSERT INTO part_due (mapping, business_central_id, job) SELECT %s, unnest(%s::uuid[]), %s
ON CONFLICT (mapping, business_central_id) DO UPDATE SET job = EXCLUDED.job"""
DUE = """
SELECT part_due.business_central_id, coupling.dataverse_id, business_central_key
FROM part_due
JOIN coupling ON coupling.mapping = %(whole)s AND coupling.business_central_id = part_due.business_central_id
WHERE part_due.mapping = %(mapping)s AND (%(job)s::bigint IS NULL OR part_due.job = %(job)s)
ORDER BY part_due.business_central_id"""
AMONG = """
SELECT business_central_id FROM part_due WHERE mapping = ANY (%s) AND business_central_id = ANY (%s::uuid[])"""
DONE = "DELETE FROM part_due WHERE mapping = %s AND business_central_id = ANY (%s::uuid[])"


class Whole(msgspec.Struct, frozen=True):
    """A coupled record whose parts are due."""

    business_central_id: str
    dataverse_id: str
    business_central_key: str


async def add(connection: Connection, mapping: str, wholes: Collection[str], job: int) -> None:
    """The parts (of ``mapping``) of these records, by Business Central id, are to be sent once they are coupled."""
    await connection.execute(ADD, [mapping, array(wholes), job or None])


async def due(connection: Connection, mapping: str, whole: str, *, job: int | None = None) -> list[Whole]:
    """The coupled records of mapping ``whole`` whose parts are due; ``job``: only those that this job created."""
    found = await connection.execute(DUE, {"mapping": mapping, "whole": whole, "job": job})
    return [Whole(str(id), str(partner), key or "") for id, partner, key in await found.fetchall()]


async def among(connection: Connection, mappings: Collection[str], wholes: Collection[str]) -> frozenset[str]:
    """Which of these records, by Business Central id, wait for parts of any of these mappings."""
    found = await connection.execute(AMONG, [list(mappings), array(wholes)])
    return frozenset(str(id) for (id,) in await found.fetchall())


async def done(connection: Connection, mapping: str, wholes: Collection[str]) -> None:
    """All parts of these records are there."""
    await connection.execute(DONE, [mapping, array(wholes)])

"""Records that a system told of by webhook, until a run has looked at them. Each once, however often it was told of."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from koppel.odata.records import Side
from koppel.store.database import Connection, as_json

# Who is told of anew while a run is at it gets a new number, and stays.
ADD = """
INSERT INTO notice (mapping, side, record, deleted)
SELECT mapping, side, record, bool_or(deleted)
FROM json_to_recordset(%s) AS told (mapping text, side text, record text, deleted boolean)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
ON CONFLICT (mapping, side, record) DO UPDATE
SET number = DEFAULT, at = clock_timestamp(), deleted = notice.deleted OR EXCLUDED.deleted"""
FIND = "SELECT mapping, side, record, number, deleted FROM notice WHERE mapping = %s ORDER BY number"
TOLD = "SELECT mapping, count(*) FROM notice GROUP BY mapping"
# In the order in which ``ADD`` takes them: neither shall wait for the other one for ever.
DONE = """
WITH seen AS (
    SELECT mapping, side, record, number FROM notice
    JOIN json_to_recordset(%s) AS seen (mapping text, side text, record text, number bigint)
        USING (mapping, side, record, number)
    ORDER BY 1, 2, 3 FOR UPDATE OF notice)
DELETE FROM notice USING seen
WHERE (notice.mapping, notice.side, notice.record) = (seen.mapping, seen.side, seen.record)"""

ANY = ""
"""Instead of a record: some record, the system does not say which."""


class Notice(msgspec.Struct, frozen=True):
    """A record that changed; ``record`` empty: the system does not say which. ``number`` grows. ``deleted``: it may be
    gone, and nothing else will tell."""

    mapping: str
    side: Side
    record: str
    number: int = 0
    deleted: bool = False


async def add(connection: Connection, told: Iterable[Notice]) -> None:
    """Note what was told. Commits."""
    await connection.execute(ADD, [as_json(told)])
    await connection.commit()


async def find(connection: Connection, mapping: str) -> list[Notice]:
    """The notices of a mapping, the oldest first."""
    return [Notice(*row) async for row in await connection.execute(FIND, [mapping])]


async def told(connection: Connection) -> dict[str, int]:
    """How many notices there are, by mapping; none that has none."""
    return {mapping: number async for mapping, number in await connection.execute(TOLD)}


async def done(connection: Connection, seen: Iterable[Notice]) -> None:
    """Forget these, unless they were told anew since: a run has looked at them."""
    await connection.execute(DONE, [as_json(seen)])

"""What is wrong with mappings that run by themselves and their queues, and what people were told of it already."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from koppel.store.database import Connection, as_json

Kind = Literal["late", "failing", "conflicts", "unserved"]

WRONG = """
SELECT mapping, 'late', 'has not run since ' || to_char(at, 'YYYY-MM-DD HH24:MI') || ' UTC'
FROM (
    SELECT mapping, greatest(last_run, looked, next_run) AS at FROM schedule WHERE state IN ('ready', 'inactive')
) seen
WHERE at < clock_timestamp() - make_interval(hours => %(hours)s)
UNION ALL
SELECT mapping, 'failing', format('failed %%s times: %%s', attempts, split_part(message, E'\\n', 1))
FROM schedule WHERE attempts >= %(attempts)s
UNION ALL
SELECT mapping, 'conflicts', format('has conflicts that wait for a person: %%s', count(*))
FROM conflict GROUP BY mapping
ORDER BY 1, 2"""
TOLD = "SELECT mapping, kind, message, queue FROM alert ORDER BY 1, 4, 2"
TELL = """
INSERT INTO alert (mapping, queue, kind, message)
SELECT mapping, queue, kind, message
FROM json_to_recordset(%s) AS told (mapping text, queue text, kind text, message text)
ON CONFLICT DO NOTHING"""
RIGHT = """
DELETE FROM alert USING json_to_recordset(%s) AS gone (mapping text, queue text, kind text)
WHERE (alert.mapping, alert.queue, alert.kind) = (gone.mapping, gone.queue, gone.kind)"""


class Alert(msgspec.Struct, frozen=True):
    """One thing that is wrong with a mapping, or else with a queue."""

    mapping: str
    kind: Kind
    message: str
    queue: str = ""

    @property
    def about(self) -> tuple[str, str, Kind]:
        """What tells it from others, however it is worded."""
        return self.mapping, self.queue, self.kind


async def wrong(connection: Connection, *, hours: int, attempts: int) -> list[Alert]:
    """What is wrong now: no run for so many hours, so many failed runs in a row, conflicts."""
    values = {"hours": hours, "attempts": attempts}
    return [Alert(*row) async for row in await connection.execute(WRONG, values)]


async def told(connection: Connection) -> list[Alert]:
    """What people were told and is not right again."""
    return [Alert(*row) async for row in await connection.execute(TOLD)]


async def note(connection: Connection, new: Collection[Alert], gone: Collection[Alert]) -> None:
    """People were told of what is new, and of what is right again."""
    await connection.execute(TELL, [as_json(new)])
    await connection.execute(RIGHT, [as_json(gone)])

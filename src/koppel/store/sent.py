"""What processes send to the systems, told to each other: a system limits what a user sends, wherever from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koppel.odata.records import Side
from koppel.store.database import Connection
from koppel.store.locks import PROCESS

WINDOW_SECONDS = 300
"""The systems' own (service protection limits; operational limits)."""

TELL = "INSERT INTO sent (process, side, who, requests, seconds) VALUES (%s, %s, %s, %s, %s)"
# Others forget at the same time: no one waits for anybody.
FORGET = f"""
DELETE FROM sent WHERE ctid IN (
    SELECT ctid FROM sent WHERE at < clock_timestamp() - make_interval(secs => {WINDOW_SECONDS}) FOR UPDATE SKIP LOCKED
)"""
OTHERS = f"""
SELECT side, who, sum(requests)::integer, sum(seconds) FROM sent
WHERE process <> %s AND at > clock_timestamp() - make_interval(secs => {WINDOW_SECONDS})
GROUP BY side, who"""


async def exchange(
    connection: Connection, spent: Mapping[Side, Sequence[tuple[int, float]]], process: int = PROCESS
) -> dict[tuple[Side, int], tuple[int, float]]:
    """Tell what this process has sent since it told last (requests and seconds, by side and user), and learn what all
    the others have in the window of the moment."""
    told = [(process, side, who, *one) for side, users in spent.items() for who, one in enumerate(users) if one[0]]
    if told:
        async with connection.cursor() as cursor:
            await cursor.executemany(TELL, told)
        await connection.execute(FORGET)
    rows = await (await connection.execute(OTHERS, [process])).fetchall()
    return {(side, who): (requests, seconds) for side, who, requests, seconds in rows}

"""What processes send to the systems, told to each other: a system limits what a user sends, wherever from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koppel.odata.records import Side
from koppel.store.database import Connection, as_json
from koppel.store.locks import PROCESS

WINDOW_SECONDS = 300
"""The systems' own (service protection limits; operational limits)."""

OTHERS = f"""
SELECT side, who, sum(requests)::integer, sum(seconds) FROM sent
WHERE process <> %(process)s AND at > clock_timestamp() - make_interval(secs => {WINDOW_SECONDS})
GROUP BY side, who"""
# Others forget at the same time: no one waits for anybody.
TELL = f"""
WITH told AS (
    INSERT INTO sent (process, side, who, requests, seconds)
    SELECT %(process)s, side, who, requests, seconds
    FROM json_to_recordset(%(told)s) AS told (side text, who integer, requests integer, seconds float8)
), forgotten AS (
    DELETE FROM sent WHERE ctid IN (
        SELECT ctid FROM sent
        WHERE at < clock_timestamp() - make_interval(secs => {WINDOW_SECONDS})
        FOR UPDATE SKIP LOCKED
    )
)
{OTHERS}"""


async def exchange(
    connection: Connection, spent: Mapping[Side, Sequence[tuple[int, float]]], process: int = PROCESS
) -> dict[tuple[Side, int], tuple[int, float]]:
    """Tell what this process has sent since it told last (requests and seconds, by side and user), and learn what all
    the others have in the window of the moment."""
    told = [
        {"side": side, "who": who, "requests": requests, "seconds": seconds}
        for side, users in spent.items()
        for who, (requests, seconds) in enumerate(users)
        if requests
    ]
    values = {"process": process, "told": as_json(told)}
    rows = await (await connection.execute(TELL if told else OTHERS, values)).fetchall()
    return {(side, who): (requests, seconds) for side, who, requests, seconds in rows}

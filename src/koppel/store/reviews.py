"""The full synchronisation review: what was decided for each mapping, how far it has got, and who goes on creating."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from koppel.store.database import Connection, as_json

Choice = Literal["full", "couple", "nothing"]
State = Literal["waiting", "running", "done", "failed"]

FIELDS = "mapping, action, insisted, state, job, message, started, finished"
ALL = f"SELECT {FIELDS} FROM review_line ORDER BY place"
FORGET = "DELETE FROM review_line"
BEGIN = """
INSERT INTO review_line (mapping, place, action, insisted, state)
SELECT mapping, place, action, insisted, CASE WHEN action = 'nothing' THEN 'done' ELSE 'waiting' END
FROM json_to_recordset(%s) AS given (mapping text, place integer, action text, insisted boolean)"""
START = """
INSERT INTO review_line (mapping, place, action, state, started)
VALUES (%s, (SELECT coalesce(max(place), 0) + 1 FROM review_line), 'full', 'running', now())
ON CONFLICT (mapping) DO UPDATE
SET state = 'running', started = now(), finished = NULL, job = NULL, message = '',
    action = CASE review_line.action WHEN 'nothing' THEN 'full' ELSE review_line.action END"""
END = "UPDATE review_line SET state = %s, job = %s, message = %s, finished = now() WHERE mapping = %s"
CREATING = "SELECT mapping FROM creating"
KEEP = "INSERT INTO creating (mapping) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
STOP = "DELETE FROM creating WHERE mapping = ANY (%s)"


class ReviewLine(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided for a mapping. ``insisted``: a person chose ``full`` where that was not recommended.

    A line that is ``running`` while nobody holds the review was interrupted.
    """

    mapping: str
    action: Choice
    insisted: bool = False
    state: State = "waiting"
    job: int | None = None
    message: str = ""
    started: datetime | None = None
    finished: datetime | None = None


async def lines(connection: Connection) -> list[ReviewLine]:
    """The latest review, in its order."""
    rows = await (await connection.execute(ALL)).fetchall()
    return [ReviewLine(**dict(zip(ReviewLine.__struct_fields__, row, strict=True))) for row in rows]


async def begin(connection: Connection, planned: Sequence[ReviewLine]) -> None:
    """A new review; the one before is forgotten."""
    given = [
        {"mapping": line.mapping, "place": place, "action": line.action, "insisted": line.insisted}
        for place, line in enumerate(planned)
    ]
    await connection.execute(FORGET)
    await connection.execute(BEGIN, [as_json(given)])


async def start(connection: Connection, mapping: str) -> None:
    """A line is being worked on."""
    await connection.execute(START, [mapping])


async def end(connection: Connection, mapping: str, state: State, job: int | None, message: str) -> None:
    """A line is done, or ended with an error."""
    await connection.execute(END, [state, job, message.replace("\0", ""), mapping])


async def creating(connection: Connection) -> set[str]:
    """The mappings that go on creating what is new."""
    return {row[0] for row in await (await connection.execute(CREATING)).fetchall()}


async def keep_creating(connection: Connection, mappings: Collection[str], keep: bool) -> None:
    """Let mappings go on creating what is new, or no longer."""
    await connection.execute(KEEP if keep else STOP, [list(mappings)])

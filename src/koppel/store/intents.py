"""Intents: creations written down before they are sent, so that a crash in between makes no duplicate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from koppel.odata.records import Scalar, Side
from koppel.store.database import TEXTS, Connection, as_json

# An intent that is still open keeps the time of the first try: the record may have been made any time after it.
SAVE = """
INSERT INTO intent (mapping, side, source_id, intended_id, identity, job)
SELECT %s, side, source_id, intended_id, identity, job
FROM json_to_recordset(%s) AS made (side text, source_id text, intended_id text, identity json, job bigint)
ON CONFLICT (mapping, side, source_id) DO UPDATE
SET intended_id = EXCLUDED.intended_id, identity = EXCLUDED.identity, job = EXCLUDED.job"""
UNSETTLED = """
SELECT side, source_id, intended_id, identity, job, made_at
FROM intent
WHERE mapping = %s
ORDER BY made_at, side, source_id"""
SETTLE = f"DELETE FROM intent WHERE mapping = %s AND side = %s AND source_id = ANY {TEXTS}"


class Intent(msgspec.Struct, frozen=True):
    """A record to be created on ``side`` as partner of the other side's ``source_id``.

    ``intended_id`` is empty where the system chooses ids; ``identity`` holds the values by which the record is looked
    for then. ``made_at`` is the database's own, ignored on saving.
    """

    side: Side
    source_id: str
    intended_id: str = ""
    identity: Mapping[str, Scalar] = {}
    job: int | None = None
    made_at: datetime | None = None


async def save(connection: Connection, mapping: str, intents: Sequence[Intent]) -> None:
    """Write intents down. They protect from duplicates once committed, so commit before the creations are sent."""
    await connection.execute(SAVE, [mapping, as_json(intents)])


async def unsettled(connection: Connection, mapping: str) -> list[Intent]:
    """The intents of which nobody has found out yet what became of them, oldest first."""
    return [Intent(*row) for row in await (await connection.execute(UNSETTLED, [mapping])).fetchall()]


async def settle(connection: Connection, mapping: str, side: Side, source_ids: Collection[str]) -> None:
    """Forget intents whose outcome is known, in the transaction that records it."""
    if source_ids:
        await connection.execute(SETTLE, [mapping, side, as_json(source_ids)])

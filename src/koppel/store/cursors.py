"""Cursors: where the reading of one side's changes goes on."""

from __future__ import annotations

from datetime import datetime

import msgspec

from koppel.odata.records import Side
from koppel.store.database import Connection

GET = "SELECT position, digest, moved_at FROM cursor WHERE mapping = %s AND side = %s"
SAVE = """
INSERT INTO cursor (mapping, side, position, digest) VALUES (%s, %s, %s, %s)
ON CONFLICT (mapping, side) DO UPDATE
SET position = EXCLUDED.position, digest = EXCLUDED.digest, moved_at = now()"""
SPOIL = "UPDATE cursor SET digest = %s WHERE mapping = %s"
UNDONE = "a job was taken back"
"""Stands as the digest from ``koppel undo`` to the next run."""
REMOVE = "DELETE FROM cursor WHERE mapping = %s"


class Cursor(msgspec.Struct, frozen=True):
    """``position``: what reading makes of it, see ``sync.position``. ``digest``: of the mapping and filter for
    which it is true."""

    position: str
    digest: str
    moved_at: datetime | None = None


async def get(connection: Connection, mapping: str, side: Side) -> Cursor | None:
    """Where reading goes on; none when the side was never read to its end."""
    row = await (await connection.execute(GET, [mapping, side])).fetchone()
    return Cursor(*row) if row else None


async def save(connection: Connection, mapping: str, side: Side, cursor: Cursor) -> None:
    """Move the cursor of one side."""
    await connection.execute(SAVE, [mapping, side, cursor.position, cursor.digest])


async def spoil(connection: Connection, mapping: str, digest: str) -> None:
    """Make both cursors true for nothing, so that the next run compares everything; ``digest`` says why."""
    await connection.execute(SPOIL, [digest, mapping])


async def remove(connection: Connection, mapping: str) -> None:
    """Forget both cursors: the next run reads everything."""
    await connection.execute(REMOVE, [mapping])

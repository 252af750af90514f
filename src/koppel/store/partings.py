"""Pairs that were taken apart because one record was deleted or left the filter, for the case that it comes back."""

from __future__ import annotations

from collections.abc import Collection

from koppel.odata.records import Side
from koppel.store.database import Connection, array, as_asked

NOTE = """
INSERT INTO parting (mapping, side, gone_id, survivor_id) VALUES (%s, %s, %s, %s)
ON CONFLICT (mapping, side, gone_id) DO UPDATE SET survivor_id = EXCLUDED.survivor_id, at = now()"""
SURVIVORS = "SELECT gone_id, survivor_id FROM parting WHERE mapping = %s AND side = %s AND gone_id = ANY (%s::uuid[])"
LEFT = "SELECT survivor_id, gone_id FROM parting WHERE mapping = %s AND side = %s AND survivor_id = ANY (%s::uuid[])"
FORGET = """
DELETE FROM parting
WHERE mapping = %(mapping)s AND (gone_id = ANY (%(ids)s::uuid[]) OR survivor_id = ANY (%(ids)s::uuid[]))"""


async def note(connection: Connection, mapping: str, side: Side, gone_id: str, survivor_id: str) -> None:
    """Remember whose partner the record was that is gone on ``side``."""
    await connection.execute(NOTE, [mapping, side, gone_id, survivor_id])


async def survivors(connection: Connection, mapping: str, side: Side, ids: Collection[str]) -> dict[str, str]:
    """By the id that it had on ``side``, the former partner of each of these records that once was deleted."""
    rows = await connection.execute(SURVIVORS, [mapping, side, array(ids)])
    return as_asked(ids, dict(await rows.fetchall()))


async def left(connection: Connection, mapping: str, gone: Side, ids: Collection[str]) -> dict[str, str]:
    """By id, the former partners of these records that they lost on the side ``gone``."""
    rows = await connection.execute(LEFT, [mapping, gone, array(ids)])
    return as_asked(ids, dict(await rows.fetchall()))


async def forget(connection: Connection, mapping: str, ids: Collection[str]) -> None:
    """These records, of either side, have no former partners any more."""
    if ids:
        await connection.execute(FORGET, {"mapping": mapping, "ids": array(ids)})

"""Bringing the tables up to date: plain SQL files, numbered, each applied once."""

from __future__ import annotations

import re
from pathlib import Path

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from koppel.errors import StoreError

FOLDER = Path(__file__).parent / "migrations"

# Any number will do, as long as every Koppel uses the same one: it keeps two of them from migrating at once.
ADVISORY_LOCK = 5_655_677_350

LOCK = "SELECT pg_advisory_xact_lock(%s)"
CREATE = """
CREATE TABLE IF NOT EXISTS migration (
    number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)"""
APPLIED = "SELECT coalesce(max(number), 0) FROM migration"
EXISTS = "SELECT to_regclass('migration') IS NOT NULL"
RECORD = "INSERT INTO migration (number, name) VALUES (%s, %s)"


async def migrate(connection: AsyncConnection[TupleRow], place: str, folder: Path = FOLDER) -> int:
    """Apply what is missing, all or nothing, and commit; how many files were applied.

    ``StoreError`` when the database was written by a newer Koppel.
    """
    files = _files(folder)
    newest = max(files, default=0)
    if await _applied(connection) == newest:
        await connection.commit()
        return 0
    await connection.execute(LOCK, [ADVISORY_LOCK])
    await connection.execute(CREATE)
    applied = await _applied(connection)
    if applied > newest:
        raise StoreError(
            f"the database is of a newer Koppel (its tables are at {applied}, this one knows {newest})",
            place=place,
            remedy="Install the newer Koppel again; tables are not taken back.",
        )
    missing = [number for number in sorted(files) if number > applied]
    for number in missing:
        await connection.execute(files[number].read_text())
        await connection.execute(RECORD, [number, files[number].stem])
    await connection.commit()
    return len(missing)


def _files(folder: Path) -> dict[int, Path]:
    return {int(path.name[:4]): path for path in folder.glob("*.sql") if re.match(r"\d{4}_", path.name)}


async def _applied(connection: AsyncConnection[TupleRow]) -> int:
    row = await (await connection.execute(EXISTS)).fetchone()
    if row is None or not row[0]:
        return 0
    row = await (await connection.execute(APPLIED)).fetchone()
    return int(row[0]) if row else 0

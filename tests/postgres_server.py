"""Plain words with the PostgreSQL server that the tests share."""

from __future__ import annotations

from typing import Any

import psycopg


def administer(url: str, statement: str) -> Any:
    """Run one statement and commit; the first value of its answer."""
    with psycopg.connect(url, autocommit=True, options="-c lock_timeout=20s") as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def other_database(url: str, name: str) -> str:
    """The address of another database of the same server."""
    return url.replace("/postgres?", f"/{name}?")

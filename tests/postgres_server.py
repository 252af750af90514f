"""The PostgreSQL server that tests share, and plain words with it.

Run as a program it is the process that has the server, for as long as its input lasts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from koppel.store.embedded import embedded_server

EMPTY = """
DO $$
DECLARE
    name text;
BEGIN
    SET LOCAL search_path = public, queue; -- triggers of the queue look for its tables
    FOR name IN
        SELECT format('%I.%I', schemaname, tablename)
        FROM pg_tables
        WHERE schemaname IN ('public', 'queue') AND tablename NOT IN ('migration', 'installed')
        ORDER BY tablename <> 'job_message'
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    PERFORM setval(format('%I.%I', schemaname, sequencename), 1, false)
    FROM pg_sequences WHERE schemaname IN ('public', 'queue');
END $$"""
"""Takes every row out of the tables and numbers them anew; a hundred times faster than TRUNCATE on so few rows."""


def administer(url: str, statement: str) -> Any:
    """Run one statement and commit; the first value of its answer."""
    with psycopg.connect(url, autocommit=True, options="-c lock_timeout=20s") as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def other_database(url: str, name: str) -> str:
    """The address of another database of the same server."""
    return url.replace("/postgres?", f"/{name}?")


@contextmanager
def own_server() -> Iterator[str]:
    """The address of a running server with nothing of Koppel in it. It is gone when this process is, even if killed."""
    command = [sys.executable, __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().rstrip()
        assert url, "PostgreSQL did not start"
        yield url


def _own() -> None:
    # Not below pytest's own folder, which root keeps to itself and the server's account could not enter.
    folder = Path(tempfile.mkdtemp(prefix="koppel-test-"))
    try:
        with embedded_server(folder) as url:
            # Tests kill processes, never the machine: no need to wait for the disk.
            administer(url, "ALTER SYSTEM SET fsync = off")
            administer(url, "SELECT pg_reload_conf()")
            print(url, flush=True)
            sys.stdin.read()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    _own()

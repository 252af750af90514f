from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from koppel.errors import StoreError
from koppel.store.database import Connection, Database, Kept, address, as_json, open_database
from koppel.store.migrate import FOLDER, migrate
from postgres_server import administer, other_database

TABLES = "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"


async def test_opening_makes_the_tables_once(empty_database: str) -> None:
    async with open_database(empty_database, Path()):
        first = administer(empty_database, TABLES)
    async with open_database(empty_database, Path()):
        assert administer(empty_database, TABLES) == first
    assert {"coupling", "cursor", "intent", "job", "job_message", "history", "failure", "conflict"} <= set(first)
    assert administer(empty_database, "SELECT count(*) FROM migration") == len(list(FOLDER.glob("*.sql")))


async def test_several_that_open_at_once_migrate_once(empty_database: str) -> None:
    async def use() -> None:
        async with open_database(empty_database, Path()):
            pass

    await asyncio.gather(*(use() for _ in range(5)))
    assert administer(empty_database, "SELECT count(*) FROM migration") == len(list(FOLDER.glob("*.sql")))


async def test_the_tables_of_a_newer_koppel_are_left_alone(empty_database: str) -> None:
    async with open_database(empty_database, Path()):
        administer(empty_database, "INSERT INTO migration (number, name) VALUES (9999, 'future')")
    with pytest.raises(StoreError, match="newer Koppel") as refused:
        async with open_database(empty_database, Path()):
            pass
    assert "Install the newer Koppel" in refused.value.remedy


async def test_a_migration_that_fails_changes_nothing(empty_database: str, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (a integer); CREATE TABLE other (b integer);")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (a integer); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await apply(empty_database, tmp_path)
    assert administer(empty_database, TABLES) is None
    (tmp_path / "0002_second.sql").write_text("ALTER TABLE first ADD COLUMN b integer;")
    assert await apply(empty_database, tmp_path) == 2
    (tmp_path / "0003_third.sql").write_text("DROP TABLE other;")
    assert await apply(empty_database, tmp_path) == 1
    assert administer(empty_database, TABLES) == ["first", "migration"]


async def apply(url: str, folder: Path) -> int:
    async with Database(url).connect() as connection:
        return await migrate(connection, "here", folder)


@pytest.fixture
def guarded(postgres: str) -> Iterator[str]:
    """A role that needs its password, on a server that trusts all others."""
    role = f"guarded_{uuid4().hex[:8]}"
    rules = Path(str(administer(postgres, "SHOW hba_file")))
    before = rules.read_text()
    administer(postgres, f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    administer(postgres, "SELECT pg_reload_conf()")
    yield role
    rules.write_text(before)
    administer(postgres, "SELECT pg_reload_conf()")


async def failure(url: str) -> StoreError:
    with pytest.raises(StoreError) as refused:
        async with open_database(url, Path()):
            pass
    return refused.value


async def test_a_wrong_password_is_named_and_not_shown(postgres: str, guarded: str) -> None:
    error = await failure(postgres.replace("koppel@", f"{guarded}:hunter2@"))
    assert "password authentication failed" in error.message
    assert "Check user and password" in error.remedy
    assert "hunter2" not in str(error)


async def test_a_server_that_is_not_there() -> None:
    error = await failure("postgresql://koppel:hunter2@127.0.0.1:1/koppel")
    assert error.place == "koppel@127.0.0.1:1/koppel"
    assert "Check that PostgreSQL runs" in error.remedy
    assert "hunter2" not in str(error)


async def test_a_database_that_is_not_there(postgres: str) -> None:
    error = await failure(other_database(postgres, "nowhere"))
    assert '"nowhere" does not exist' in error.message
    assert "Create the database" in error.remedy


async def test_an_address_that_is_none() -> None:
    error = await failure("postgresql://[nonsense")
    assert "cannot be understood" in error.message


def test_an_address_shows_no_secret() -> None:
    assert address("postgresql://me:secret@db.example.com:5433/state?sslmode=require") == (
        "me@db.example.com:5433/state"
    )


async def test_what_was_not_committed_is_rolled_back(database: Database) -> None:
    async with database.connect() as connection:
        await connection.execute("INSERT INTO cursor (mapping, side, position, digest) VALUES ('A', 'b', 'c', 'd')")
    async with database.connect() as connection:
        assert await (await connection.execute("SELECT * FROM cursor")).fetchall() == []


async def test_a_connection_is_kept_until_nobody_used_it_for_long(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, found = Kept(database), []
    for idle in (60, 60, -1):
        monkeypatch.setattr("koppel.store.database.IDLE_SECONDS", idle)
        async with kept.use() as connection:
            found.append(connection.pgconn.backend_pid)
    await kept.close()
    assert found[0] == found[1] != found[2]


async def test_rows_come_in_utc_and_with_ids_as_text(connection: Connection) -> None:
    answer = await connection.execute(
        "SELECT '2024-01-01T12:00:00+02'::timestamptz, 'ABCDEF00-0000-0000-0000-000000000000'::uuid"
    )
    row = await answer.fetchone()
    assert row is not None
    assert row[0].isoformat() == "2024-01-01T10:00:00+00:00"
    assert row[1] == "abcdef00-0000-0000-0000-000000000000"


@pytest.mark.parametrize("text", ["a\0b", "\0", "a\\u0000b", "\\\\\0", "\\\0\\u0000", "ünï\0code"])
async def test_only_a_real_nul_is_left_out_of_rows(connection: Connection, text: str) -> None:
    query = "SELECT text FROM json_to_recordset(%s) AS given (text text)"
    row = await (await connection.execute(query, [as_json([{"text": text}])])).fetchone()
    assert row == (text.replace("\0", ""),)

"""The embedded PostgreSQL from the outside: who starts it, who stops it, and what it survives."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from koppel.errors import StoreError
from koppel.store.database import Database, open_database
from koppel.store.embedded import embedded_server

USER = """
import asyncio, sys
from pathlib import Path
from koppel.store.database import Database, open_database

async def main():
    async with open_database(None, Path(sys.argv[1])) as database:
        async with database.connect() as connection:
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="koppel-test-"))
    yield folder
    assert not runs(folder)
    shutil.rmtree(folder)


def runs(folder: Path) -> bool:
    """Whether any process of the server lives: each of them holds the lock that it inherited."""
    with (folder / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while runs(folder):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_user(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the folder until its input ends."""
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert user.stdout is not None
    assert user.stdout.readline() == "ready\n"
    return user


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def test_it_stops_with_its_only_user_and_keeps_what_was_committed(folder: Path) -> None:
    with embedded_server(folder) as url:
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert runs(folder)
    assert not runs(folder)
    assert not list((folder / "postgres").glob(".s.PGSQL*"))
    with embedded_server(folder) as url:
        assert ask(url, "SELECT answer FROM kept") == 42
    assert not runs(folder)


def test_nobody_else_can_enter_it(folder: Path) -> None:
    with embedded_server(folder) as url:
        assert ask(url, "SHOW listen_addresses") == ""
        assert (folder / "postgres").stat().st_mode & 0o077 == 0


def test_the_last_of_several_users_stops_it(folder: Path) -> None:
    with embedded_server(folder):
        with embedded_server(folder) as url:
            first = postmaster(folder)
            other = start_user(folder)
        assert ask(url, "SELECT 1") == 1
        assert postmaster(folder) == first
    assert runs(folder)
    other.communicate(timeout=30)
    assert other.returncode == 0
    assert not runs(folder)


def test_a_killed_user_does_not_count(folder: Path) -> None:
    user = start_user(folder)
    user.kill()
    user.communicate(timeout=30)
    assert runs(folder)
    with embedded_server(folder) as url:
        assert ask(url, "SELECT 1") == 1
    assert not runs(folder)


def test_ctrl_c_ends_it_cleanly(folder: Path) -> None:
    user = start_user(folder)
    os.killpg(user.pid, signal.SIGINT)
    _, errors = user.communicate(timeout=30)
    assert user.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert "StoreError" not in errors
    assert not runs(folder)


def test_a_folder_left_by_a_crashed_machine_starts_again(folder: Path) -> None:
    with embedded_server(folder) as url:
        ask(url, "CREATE TABLE survivor AS SELECT 7 AS answer")
        info = (folder / "postgres" / "postmaster.pid").read_text().split("\n")
        os.kill(int(info[0]), signal.SIGKILL)
        wait_until_gone(folder)
    # By now the number of the dead server belongs to another process: this one.
    pid_file = folder / "postgres" / "postmaster.pid"
    pid_file.write_text("\n".join([str(os.getpid()), *info[1:]]))
    socket_lock = folder / "postgres" / ".s.PGSQL.5432.lock"
    socket_lock.write_text("\n".join([str(os.getpid()), *info[1:]]))
    with embedded_server(folder) as url:
        assert ask(url, "SELECT answer FROM survivor") == 7
    assert not runs(folder)


def test_a_creation_cut_short_is_done_again() -> None:
    folder = Path(tempfile.mkdtemp(prefix="koppel-test-"))
    half = folder / "postgres.new-half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with embedded_server(folder) as url:
        assert ask(url, "SELECT 1") == 1
    assert not half.exists()
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["x" * 120, "comma, 'quote' \"$HOME\""])
def test_a_path_that_no_socket_can_have(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="koppel-test-"))
    with embedded_server(folder / name) as url:
        assert ask(url, "SELECT 1") == 1
        sockets = Path(str(ask(url, "SHOW unix_socket_directories")))
        assert sockets.stat().st_mode & 0o077 == 0
    assert not sockets.exists()
    assert not runs(folder / name)
    shutil.rmtree(folder)


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "file").write_text("")
    with (
        pytest.raises(StoreError, match="cannot write to the data folder") as refused,
        embedded_server(folder / "file"),
    ):
        pass
    assert "database: postgresql://" in refused.value.remedy


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    settings = folder / "postgres" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("max_connections = nonsense\n")
    with pytest.raises(StoreError, match="max_connections"), embedded_server(folder):
        pass
    settings.write_text(before)
    with embedded_server(folder) as url:
        assert ask(url, "SELECT 1") == 1


def test_data_of_a_version_that_the_wheel_lacks(folder: Path) -> None:
    version = folder / "postgres" / "PG_VERSION"
    before = version.read_text()
    version.write_text("11\n")
    with pytest.raises(StoreError, match="PostgreSQL 11"), embedded_server(folder):
        pass
    version.write_text(before)


def test_nothing_is_left_of_a_start_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(tempfile.mkdtemp(prefix="koppel-test-"))
    temporary, folder = place / "tmp", place / ("x" * 120)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with embedded_server(folder):
        assert list(temporary.iterdir())
    (folder / "postgres" / "postgresql.auto.conf").write_text("max_connections = nonsense\n")
    with pytest.raises(StoreError, match="max_connections"), embedded_server(folder):
        pass
    assert not list(temporary.iterdir())
    shutil.rmtree(place)


async def lose(database: Database, folder: Path) -> None:
    async with database.connect() as connection:
        os.kill(postmaster(folder), signal.SIGKILL)
        wait_until_gone(folder)
        await connection.execute("SELECT 1")


async def test_a_server_lost_under_way_is_a_store_error(folder: Path) -> None:
    async with open_database(None, folder) as database:
        with pytest.raises(StoreError, match="the database failed"):
            await lose(database, folder)
    assert not runs(folder)

"""What tests share: one embedded PostgreSQL for each process that runs them, and empty tables for each test."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import Phase, settings
from uvloop import new_event_loop

from koppel.sandbox.business_central import work
from koppel.sandbox.dataverse import service
from koppel.store.database import Connection, Database, open_database
from postgres_server import EMPTY, administer, other_database, own_server
from receiver import Receiver, receiving

# How long an example takes is no property of the code: tests never measure time. What is tried is the same every time;
# --hypothesis-profile=explore looks further.
settings.register_profile("koppel", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
# A mutant is noticed or not, the same every time; nobody asks for its smallest example.
settings.register_profile("mutants", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("koppel")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that commands run on."""
    return {"uvloop": new_event_loop}


@pytest.fixture(autouse=True)
def _same_lots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids that the simulated systems draw are the same every time: their order is a part of what a test does."""
    lots = random.Random(request.node.nodeid)
    monkeypatch.setattr(service, "uuid4", lambda: UUID(bytes=lots.randbytes(16), version=4))
    monkeypatch.setattr(work, "urandom", lots.randbytes)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a running server with nothing of Koppel in it."""
    with own_server() as url:
        yield url


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The address of a database without any table."""
    name = f"test_{uuid4().hex}"
    administer(postgres, f"CREATE DATABASE {name}")
    yield other_database(postgres, name)
    administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """The address of the database with all tables, shared by the tests."""
    return asyncio.run(_with_tables(postgres, "shared"))


@pytest.fixture(scope="session")
def migrated_aside(postgres: str) -> str:
    """The address of another one."""
    return asyncio.run(_with_tables(postgres, "aside"))


async def _with_tables(postgres: str, name: str) -> str:
    administer(postgres, f"CREATE DATABASE {name}")
    url = other_database(postgres, name)
    async with open_database(url, Path()):
        return url


@pytest.fixture(scope="session")
def cleaner(migrated: str) -> Iterator[psycopg.Connection]:
    """A connection that knows all tables: a new one takes ten times as long to empty them."""
    with psycopg.connect(migrated, autocommit=True, options="-c lock_timeout=20s") as connection:
        yield connection


@pytest.fixture
def database(migrated: str, cleaner: psycopg.Connection) -> Iterator[Database]:
    """An open database with all tables and no rows."""
    yield Database(migrated)
    cleaner.execute(EMPTY)


@pytest.fixture
def database_aside(migrated_aside: str) -> Iterator[Database]:
    """Another open database with no rows: for a second Koppel, or for one that has a queue or is to lose it."""
    yield Database(migrated_aside)
    administer(migrated_aside, EMPTY)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """A connection to the test's own database."""
    async with database.connect() as connection:
        yield connection


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who takes posts."""
    async with receiving() as found:
        yield found

"""Everything that is left to chance elsewhere goes by the seed here: time, the order of tasks, ids.

Same seed, same story, on any machine and however busy it is. Time passes only when somebody looks at a clock or sleeps,
and there is one clock: both systems, Koppel and its database go by it. The database answers before anything else
happens.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import select
import selectors
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from unittest import mock
from uuid import UUID

from psycopg import AsyncConnection, generators, waiting
from psycopg.abc import PQGen, PQGenConn
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from koppel.sandbox.business_central import limits, work
from koppel.sandbox.clock import Clock
from koppel.sandbox.dataverse import service
from koppel.store import database as store
from koppel.store.database import Connection, Database, open_database
from koppel.sync import record
from koppel.systems import sending
from postgres_server import administer, other_database

log = logging.getLogger(__name__)
_T = TypeVar("_T")

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
BLOCKED = 2.0
"""Seconds (real ones) after which a statement without an answer waits for a lock of somebody else here."""

NOW = """
CREATE FUNCTION {name}() RETURNS timestamptz STABLE LANGUAGE sql AS $$
    SELECT coalesce(nullif(current_setting('simulation.now', true), '')::timestamptz, pg_catalog.{name}())
$$"""


class SteadyClock(Clock):
    """The time of everything: it begins at the same moment for every seed, and moves when it is looked at, or told."""

    def __init__(self) -> None:
        super().__init__()
        self._now = BEGINNING

    def __call__(self) -> datetime:
        """The time now."""
        self._now += timedelta(milliseconds=1)
        return self._now + self._ahead


class _Instant(selectors.DefaultSelector):
    """Nobody waits for time to pass: it is told that it did."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; where nothing is, the time until the next task wakes up has passed."""
        found = super().select(0 if timeout is not None else None)
        if not found and timeout:
            self.passed += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    """Tasks take turns and wake up in the order of their own time, whatever the real one does meanwhile."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)
        self.set_exception_handler(lambda loop, context: log.info("%s", context["message"]))

    def time(self) -> float:
        """Seconds since the loop began."""
        return self._instant.passed


def run(clock: Clock, seed: int, work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end, with nothing left to chance."""
    with _kept(), _by_the_seed(seed), _by_the_clock(clock), asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(work)


def _new_loop() -> AbstractEventLoop:
    return _Loop()


@contextmanager
def _kept() -> Iterator[None]:
    """What was left half-way, as a generator of pages after a crash, ends when ``clean_up`` says so."""
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def clean_up() -> None:
    """What nobody holds any more ends now."""
    gc.collect()


@contextmanager
def _by_the_seed(seed: int) -> Iterator[None]:
    ids, others, state = Random(seed), Random(f"others {seed}"), random.getstate()
    random.seed(seed)

    def new_id() -> UUID:
        return UUID(bytes=ids.randbytes(16), version=4)

    with (
        mock.patch.object(work, "urandom", ids.randbytes),
        mock.patch.object(service, "uuid4", new_id),
        mock.patch.object(os, "urandom", others.randbytes),
    ):
        try:
            yield
        finally:
            random.setstate(state)


@contextmanager
def _by_the_clock(clock: Clock) -> Iterator[None]:
    class Time(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return clock()

    monotonic = SimpleNamespace(monotonic=lambda: clock().timestamp())

    def start(connection: AsyncConnection[Any]) -> PQGen[None]:
        """Begin a transaction, with the time at which it does."""
        if connection.autocommit or connection.pgconn.transaction_status != TransactionStatus.IDLE:
            return
        connection.pgconn.send_query(f"BEGIN; SET LOCAL simulation.now = '{clock().isoformat()}'".encode())
        for result in (yield from generators.execute(connection.pgconn)):
            if result.status != ExecStatus.COMMAND_OK:
                raise error_from_result(result)

    with (
        mock.patch.object(sending, "datetime", Time),
        mock.patch.object(record, "datetime", Time),
        mock.patch.object(limits, "time", monotonic),
        mock.patch.object(AsyncConnection, "_start_query", start),
        mock.patch.object(waiting, "wait_async", _wait),
        mock.patch.object(waiting, "wait_conn_async", _wait_to_connect),
    ):
        yield


async def _wait(gen: PQGen[_T], fileno: int, interval: float = 0.0, timeout: float | None = None) -> _T:
    """Wait for the database alone, unless it waits for a lock that somebody else in this process holds."""
    patience = BLOCKED
    try:
        wanted = next(gen)
        while True:
            ready = _ready(fileno, wanted, patience)
            if ready:
                wanted = gen.send(cast(waiting.Ready, ready))
            else:
                log.info("waits for a lock")
                patience = 0.02
                await asyncio.sleep(0)
    except StopIteration as end:
        return cast(_T, end.value)


def _ready(fileno: int, wanted: int, seconds: float) -> int:
    reads, writes = wanted & waiting.WAIT_R, wanted & waiting.WAIT_W
    readable, writable, _ = select.select([fileno] if reads else [], [fileno] if writes else [], [], seconds)
    return (waiting.READY_R if readable else 0) | (waiting.READY_W if writable else 0)


async def _wait_to_connect(gen: PQGenConn[_T], interval: float = 0.0, timeout: float | None = None) -> _T:
    return waiting.wait_conn(gen, interval, timeout)


_IDLE: dict[str, list[Connection]] = {}
"""By database, connections that nobody uses any more."""


class Lasting(Database, frozen=True):
    """A database whose connections serve one world after the other: a new one first has to learn what there is."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection of one's own, as good as new."""
        idle = _IDLE.setdefault(self.url, [])
        connection = idle.pop() if idle else await store._connect(self.url)
        connection.lock = asyncio.Lock()
        try:
            yield connection
        finally:
            if not connection.closed:
                await connection.rollback()
                await connection.execute("SELECT pg_advisory_unlock_all()")
                await connection.commit()
                idle.append(connection)


async def new_database(url: str, name: str) -> Database:
    """A database of its own on a server, with all tables, that goes by the clock of ``run``."""
    administer(url, f"CREATE DATABASE {name}")
    administer(url, f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
    database = Lasting(other_database(url, name))
    for function in ("now", "clock_timestamp"):
        administer(database.url, NOW.format(name=function))
    async with open_database(database.url, Path()):
        return database


def own_database(url: str) -> Database:
    """This process's own database on a server, made when it is asked for first."""
    name = f"simulation_{os.getpid()}"
    if administer(url, f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        return Lasting(other_database(url, name))
    return asyncio.run(new_database(url, name))

"""A worker: offers what is due, and runs what it is offered. Any number work on one database, on any machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import cast

import psycopg
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from koppel.engine.brakes import Brakes
from koppel.errors import LockedError, StoreError
from koppel.jobs import queue, schedule
from koppel.jobs.run import run_by_itself
from koppel.mapping.model import TableMapping
from koppel.store import jobs, notices, portions, schedules, workers
from koppel.store.database import Connection
from koppel.sync.hand import lend_a_hand
from koppel.sync.open import Opened, session_on
from koppel.sync.session import Session, share_limits
from koppel.sync.spread import identities

log = logging.getLogger("koppel.jobs")

TICK_SECONDS = 1.0
LOOK_SECONDS = 60.0
AGAIN_SECONDS = 2.0
"""Until a database that is out of reach is tried again."""
GRACE_SECONDS = 60.0
"""How long a run has to end its chunk when the worker is told to stop; then it is cut off, as by a crash."""
LOST = (psycopg.OperationalError, ConnectorException, StoreError)


class Worker:
    """One process's share of the work. ``work`` returns once ``stop`` was called and what runs has ended its chunk.

    ``queues``: those it takes runs from; ``None``: from all. What is due it offers to everybody.
    """

    def __init__(
        self,
        opened: Opened,
        mappings: Mapping[str, TableMapping],
        *,
        brakes: Brakes = Brakes(),
        keep_jobs: int = 0,
        queues: Collection[str] | None = None,
        concurrency: int = 4,
    ) -> None:
        self._opened = opened
        self._brakes = brakes
        self._keep_jobs = keep_jobs
        self._mappings = mappings
        self._queues = None if queues is None else sorted(queues)
        self._concurrency = concurrency
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after the chunks that are under way; what is left of them is for other workers."""
        self._stopping.set()

    async def work(self) -> None:
        """Work until told to stop. A database that is lost meanwhile is waited for."""
        while not self._stopping.is_set():
            try:
                await self._on_one_connection()
            except LOST as error:
                reason = error.__cause__ or error
                log.warning("the database is out of reach, trying again: %s", str(reason).strip().partition("\n")[0])
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), AGAIN_SECONDS)

    async def _on_one_connection(self) -> None:
        """Until told to stop, or the database is lost. Each time anew a worker of its own, so that others take what the
        former one left."""
        connect = self._opened.database.connect
        async with connect() as connection, connect() as another, connect() as third:
            await queue.install(connection)
            await schedules.ensure(connection, schedule.scheduled(self._mappings))
            async with queue.queue_on(self._opened.database).open_async() as app:
                self._add_task(app)
                await self._until_one_ends(app, connection, another, third)
            await connection.rollback()
            await workers.gone(connection)

    def _add_task(self, app: App) -> None:
        @app.task(name=queue.TASK)
        async def run_mapping(mapping: str) -> None:
            if mapping in self._mappings and not self._stopping.is_set():
                await self._run(mapping)

    async def _run(self, mapping: str) -> None:
        async with self._session() as session:
            await run_by_itself(session, mapping)

    async def _until_one_ends(self, app: App, *connections: Connection) -> None:
        """A run that loses the database leaves its job to be found by others, as this worker's heart stops."""
        worker: asyncio.Task[object] = asyncio.create_task(
            app.run_worker_async(
                queues=cast("list[str]", self._queues),  # None: all
                concurrency=self._concurrency,
                install_signal_handlers=False,
                delete_jobs="always",
                fetch_job_polling_interval=TICK_SECONDS,
                update_heartbeat_interval=queue.HEARTBEAT_SECONDS,
                stalled_worker_timeout=queue.STALLED_SECONDS,
                shutdown_graceful_timeout=GRACE_SECONDS,
            )
        )
        first, second, third = connections
        ticking: asyncio.Task[object] = asyncio.create_task(self._tick_on(app, first))
        looking: asyncio.Task[object] = asyncio.create_task(self._look_after(second))
        helping: asyncio.Task[object] = asyncio.create_task(self._help(third))
        stopping: asyncio.Task[object] = asyncio.create_task(self._stopping.wait())
        tasks = (stopping, looking, ticking, helping, worker)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                worker.cancel()
                await asyncio.wait([helping], timeout=GRACE_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done - {stopping}:
            task.result()

    async def _tick_on(self, app: App, connection: Connection) -> None:
        while True:
            await tick(app, connection, self._mappings)
            await workers.sign(connection, self._queues, self._concurrency)
            await share_limits(connection, self._opened.systems)
            await connection.commit()
            await asyncio.sleep(TICK_SECONDS)

    async def _help(self, connection: Connection) -> None:
        """Have a hand in runs that other processes lead."""
        await portions.be_ready(connection)
        known = identities(self._mappings)
        while not self._stopping.is_set():
            mine = await self._served(connection, known)
            if await portions.offered(connection, mine):
                await self._lend_a_hand(mine)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)

    async def _served(self, connection: Connection, known: Mapping[str, str]) -> Mapping[str, str]:
        """Those of these mappings that wait in queues of this worker."""
        if self._queues is None:
            return known
        entries = await schedules.entries(connection)
        return {
            name: identity
            for name, identity in known.items()
            if schedules.queue_of(self._mappings[name], entries.get(name)) in self._queues
        }

    async def _lend_a_hand(self, known: Mapping[str, str]) -> None:
        try:
            async with self._session() as session:
                await lend_a_hand(session, known)
        except (StoreError, psycopg.Error):
            raise
        except LockedError as error:
            log.info("the run in which this worker had a hand is gone: %s", error.message)
        except Exception as error:  # the run's leader does what is left, and tells what is wrong
            log.warning("this worker could not have a hand in another one's run: %r", error)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with session_on(self._opened, self._mappings, self._brakes) as session:
            session.may_go_on = lambda: not self._stopping.is_set()
            yield session

    async def _look_after(self, connection: Connection) -> None:
        """What is not so urgent: delete old jobs."""
        while True:
            if self._keep_jobs:
                await jobs.forget(connection, self._keep_jobs)
            await asyncio.sleep(LOOK_SECONDS)


async def tick(app: App, connection: Connection, mappings: Mapping[str, TableMapping]) -> list[str]:
    """Take jobs from workers that are dead, and offer what is due; which mappings were offered."""
    await queue.drop_stalled(app)
    entries = await schedules.entries(connection)
    numbers = await notices.told(connection)
    told = {name for name, entry in entries.items() if schedule.is_told(entry, numbers.get(name, 0))}
    in_hand = await queue.in_hand(connection)
    queues = {name: schedules.queue_of(mapping, entries.get(name)) for name, mapping in mappings.items()}
    await queue.move(connection, queues)
    await connection.commit()
    due = {
        name
        for name, entry in entries.items()
        if name in mappings and schedule.is_due(entry, schedule.times_of(mappings[name], entry), told=name in told)
    }
    offered = schedule.offered(mappings, due, told, in_hand)
    for name in offered:
        await queue.offer(app, name, queues[name])
    return offered

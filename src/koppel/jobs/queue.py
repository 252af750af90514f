"""The queue of jobs: Procrastinate, in a schema of its own of Koppel's database.

What is due stands in the schedule; the queue hands it to one worker. A job that is lost here is due still.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from koppel.store.database import Connection, Database

log = logging.getLogger("koppel.jobs")

SCHEMA = "queue"
TASK = "run mapping"
HEARTBEAT_SECONDS = 2.0
STALLED_SECONDS = 6.0
"""A worker that was silent for so long is taken for dead: its jobs are another one's."""

# Any number will do, as long as every Koppel uses the same one.
ADVISORY_LOCK = 5_655_677_351
LOCK = "SELECT pg_advisory_xact_lock(%s)"
HERE = f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}; SET LOCAL search_path = {SCHEMA}"
INSTALLED = """
CREATE TABLE IF NOT EXISTS installed (migration text NOT NULL);
SELECT max(migration), to_regclass('procrastinate_jobs') IS NOT NULL FROM installed"""
NOTE = "INSERT INTO installed (migration) VALUES (%s)"
IN_HAND = f"""
SELECT DISTINCT args ->> 'mapping' FROM {SCHEMA}.procrastinate_jobs
WHERE task_name = '{TASK}' AND status IN ('todo', 'doing')"""
MOVE = f"""
UPDATE {SCHEMA}.procrastinate_jobs AS job SET queue_name = wanted.queue
FROM unnest(%s::text[], %s::text[]) AS wanted (mapping, queue)
WHERE job.task_name = '{TASK}' AND job.status = 'todo' AND job.args ->> 'mapping' = wanted.mapping
    AND job.queue_name <> wanted.queue"""


async def install(connection: Connection) -> None:
    """Make the tables of the queue, or bring them up to date with the library that is installed. Commits."""
    migrations = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    await connection.execute(LOCK, [ADVISORY_LOCK])
    await connection.execute(HERE)
    found = await connection.execute(INSTALLED)
    while found.nextset():
        pass
    row = await found.fetchone()
    newest, is_there = row or (None, False)
    if not is_there:
        await connection.execute(SchemaManager.get_schema())
    for path in migrations if is_there else ():
        if newest is None or path.name > newest:
            await connection.execute(path.read_bytes())
    if newest != migrations[-1].name:
        await connection.execute(NOTE, [migrations[-1].name])
    await connection.commit()


def queue_on(database: Database) -> App:
    """The queue of this database, to be opened."""
    given = conninfo_to_dict(database.url).get("options") or ""
    place = make_conninfo(
        database.url,
        options=f"{given} -c search_path={SCHEMA} -c timezone=UTC".strip(),
        application_name=f"koppel queue on {platform.node()[:30]}, process {os.getpid()}",
    )
    return App(connector=PsycopgConnector(conninfo=place, min_size=1, max_size=4))


async def offer(app: App, mapping: str, queue: str) -> None:
    """Let some worker of this queue run a mapping, unless it waits for one already. Never two run it at once."""
    with suppress(AlreadyEnqueued):
        await app.configure_task(TASK, queue=queue, lock=mapping, queueing_lock=mapping).defer_async(mapping=mapping)


async def move(connection: Connection, queues: Mapping[str, str]) -> None:
    """What waits for a worker waits in its mapping's queue, though that may have been another one before."""
    await connection.execute(MOVE, [list(queues), list(queues.values())])


async def in_hand(connection: Connection) -> set[str]:
    """The mappings that wait for a worker, or that one is at."""
    return {row[0] async for row in await connection.execute(IN_HAND)}


async def drop_stalled(app: App) -> Sequence[str]:
    """Take jobs away from workers that are silent; the mappings, which are due still."""
    stalled = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS)
    taken: list[str] = []
    for job in stalled:
        await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
        taken.append(str(job.task_kwargs.get("mapping", "")))
    if taken:
        log.warning("a worker is silent, its runs are started anew: %s", ", ".join(taken))
    return taken

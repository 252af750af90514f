from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress

import pytest

from koppel.errors import LockedError
from koppel.store import couplings, history, jobs
from koppel.store.couplings import Coupling
from koppel.store.database import Connection, Database
from koppel.store.locks import mapping_lock

HOLDER = """
import asyncio, sys
from koppel.store import jobs
from koppel.store.database import Database
from koppel.store.locks import mapping_lock

async def main():
    async with Database(sys.argv[1]).connect() as connection, mapping_lock(connection, "CUSTOMER"):
        print(await jobs.start(connection, "modified", ["CUSTOMER"]), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""

WRITER = """
import asyncio, sys
from uuid import UUID
from koppel.store import couplings, history, jobs
from koppel.store.database import Database

async def main():
    async with Database(sys.argv[1]).connect() as connection:
        job = await jobs.start(connection, "modified", ["CUSTOMER"])
        for chunk in (1, 2):
            ids = [str(UUID(int=chunk * 1000 + number)) for number in range(100)]
            await couplings.save(connection, "CUSTOMER", [couplings.Coupling(id, id) for id in ids])
            await history.add(connection, [history.Entry(job, "CUSTOMER", "dataverse", id, "create") for id in ids])
            await jobs.count(connection, job, {"created": 100})
            if chunk == 1:
                await connection.commit()
        print(job, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


def start(program: str, database: Database) -> tuple[subprocess.Popen[str], int]:
    """Another process, and the number of its job once it is under way."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, database.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


async def wait_until_interrupted(connection: Connection) -> list[int]:
    """The server takes a moment to notice that a client is gone."""
    for _ in range(500):
        if orphans := await jobs.interrupt_orphans(connection):
            return orphans
        await asyncio.sleep(0.01)
    return []


async def test_another_process_is_refused_and_told_by_whom(database: Database, connection: Connection) -> None:
    holder, job = start(HOLDER, database)
    with pytest.raises(LockedError) as refused:
        async with mapping_lock(connection, "CUSTOMER"):
            pass
    for part in (f"job {job} (modified)", "since 2", f"process {holder.pid}"):
        assert part in refused.value.message
    async with mapping_lock(connection, "CONTACT"):
        pass
    assert await jobs.interrupt_orphans(connection) == []
    holder.communicate(timeout=30)
    async with mapping_lock(connection, "CUSTOMER"):
        pass


async def test_a_killed_process_gives_its_locks_back(database: Database, connection: Connection) -> None:
    holder, job = start(HOLDER, database)
    holder.kill()
    holder.communicate(timeout=30)
    assert await wait_until_interrupted(connection) == [job]
    found = await jobs.get(connection, job)
    assert found is not None
    assert (found.status, found.process) == ("interrupted", holder.pid)
    async with mapping_lock(connection, "CUSTOMER"):
        pass


async def test_a_killed_process_leaves_no_half_chunk(database: Database, connection: Connection) -> None:
    writer, job = start(WRITER, database)
    writer.kill()
    writer.communicate(timeout=30)
    assert await wait_until_interrupted(connection) == [job]
    found = await jobs.get(connection, job)
    assert found is not None
    assert found.counters == {"created": 100}
    assert await couplings.count(connection, "CUSTOMER") == 100
    assert len(await history.find(connection, job=job)) == 100


async def test_a_lock_without_a_job_names_the_process(database: Database, connection: Connection) -> None:
    async with database.connect() as other, mapping_lock(other, "CUSTOMER"):
        with pytest.raises(LockedError, match=r"held by a command since .* process \d+"):
            async with mapping_lock(connection, "CUSTOMER"):
                pass


async def test_the_lock_is_given_back_after_an_error(database: Database, connection: Connection) -> None:
    with suppress(KeyError):
        async with mapping_lock(connection, "CUSTOMER"):
            await couplings.save(connection, "CUSTOMER", [Coupling("0" * 32, "1" * 32)])
            raise KeyError
    async with database.connect() as other, mapping_lock(other, "CUSTOMER"):
        assert await couplings.count(other, "CUSTOMER") == 0

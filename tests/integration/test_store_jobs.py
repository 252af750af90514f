from __future__ import annotations

from uuid import uuid4

import pytest

from koppel.errors import LockedError
from koppel.store import cursors, failures, jobs
from koppel.store.cursors import Cursor
from koppel.store.database import Connection, Database
from koppel.store.jobs import Job, Message


async def found(connection: Connection, number: int) -> Job:
    job = await jobs.get(connection, number)
    assert job is not None
    return job


async def test_a_job_from_start_to_end(connection: Connection) -> None:
    number = await jobs.start(connection, "modified", ["CUSTOMER", "CONTACT"])
    running = await found(connection, number)
    assert (running.type, running.mappings, running.status) == ("modified", ("CUSTOMER", "CONTACT"), "running")
    assert running.finished is None
    await jobs.count(connection, number, {"created": 3, "updated": 1}, requests=2)
    await jobs.count(connection, number, {"created": 4}, requests=1)
    await jobs.finish(connection, number, "done", "all well")
    done = await found(connection, number)
    assert (done.status, done.message, done.counters) == ("done", "all well", {"created": 7, "updated": 1})
    assert done.requests == 3
    assert done.finished is not None
    assert done.seconds == pytest.approx((done.finished - done.started).total_seconds(), abs=1e-6)


async def test_who_took_part_is_written_down_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await jobs.start(connection, "full", ["CUSTOMER"], direction="to_dataverse")
    leader = await found(connection, number)
    assert leader.workers == (f"{leader.host} {leader.process}",)
    assert leader.direction == "to_dataverse"
    monkeypatch.setattr("koppel.store.jobs.os.getpid", lambda: 4711)
    for _ in range(2):
        await jobs.count(connection, number, {"created": 1})
    assert (await found(connection, number)).workers == (*leader.workers, f"{leader.host} 4711")


async def test_counters_count_with_their_chunk(connection: Connection) -> None:
    number = await jobs.start(connection, "modified", ["CUSTOMER"])
    await jobs.count(connection, number, {"created": 3})
    await connection.rollback()
    assert (await found(connection, number)).counters == {}


async def test_a_job_that_was_ended_by_others_records_nothing_more(database: Database, connection: Connection) -> None:
    number = await jobs.start(connection, "modified", ["CUSTOMER"])
    async with database.connect() as other:
        await jobs.finish(other, number, "stopped")
    with pytest.raises(LockedError, match=f"job {number}"):
        await jobs.count(connection, number, {"created": 1})
    await jobs.finish(connection, number, "done")
    assert (await found(connection, number)).status == "stopped"


async def test_only_jobs_without_a_holder_are_orphans(database: Database, connection: Connection) -> None:
    async with database.connect() as lost:
        orphan = await jobs.start(lost, "modified", ["CUSTOMER"])
    alive = await jobs.start(connection, "full", ["CONTACT"])
    done = await jobs.start(connection, "modified", ["ITEM"])
    await jobs.finish(connection, done, "failed")
    assert await jobs.interrupt_orphans(connection) == [orphan]
    assert await jobs.interrupt_orphans(connection) == []
    statuses = {job.id: job.status for job in await jobs.recent(connection)}
    assert statuses == {orphan: "interrupted", alive: "running", done: "failed"}


async def test_recent_jobs_newest_first(connection: Connection) -> None:
    numbers = [await jobs.start(connection, "modified", [name]) for name in ("CUSTOMER", "CONTACT")]
    numbers.append(await jobs.start(connection, "full", ["CUSTOMER"]))
    await jobs.finish(connection, numbers[0], "done")
    assert [job.id for job in await jobs.recent(connection)] == numbers[::-1]
    assert [job.id for job in await jobs.recent(connection, limit=1)] == numbers[2:]
    assert [job.id for job in await jobs.recent(connection, mapping="CUSTOMER")] == [numbers[2], numbers[0]]
    assert [job.id for job in await jobs.recent(connection, mapping="CUSTOMER", status="done")] == numbers[:1]
    assert [job.id for job in await jobs.recent(connection, type="full")] == numbers[2:]
    assert await jobs.get(connection, 999) is None


async def test_messages_stay_in_order(connection: Connection) -> None:
    number = await jobs.start(connection, "modified", ["CUSTOMER"])
    await jobs.add_messages(connection, number, [Message("info", "one\n\ttwo\0", "CUSTOMER"), Message("error", "b")])
    await jobs.add_messages(connection, number, [Message("warning", "c")])
    log = await jobs.messages(connection, number)
    assert [(m.level, m.text, m.mapping) for m in log] == [
        ("info", "one\n\ttwo", "CUSTOMER"),
        ("error", "b", ""),
        ("warning", "c", ""),
    ]
    assert all(message.at is not None for message in log)


async def test_cursors_of_both_sides(connection: Connection) -> None:
    assert await cursors.get(connection, "CUSTOMER", "dataverse") is None
    await cursors.save(connection, "CUSTOMER", "dataverse", Cursor("https://crm/delta?1", "a"))
    await cursors.save(connection, "CUSTOMER", "business_central", Cursor("2024-01-01T00:00:00Z", "a"))
    await cursors.save(connection, "CUSTOMER", "dataverse", Cursor("https://crm/delta?2", "b"))
    moved = await cursors.get(connection, "CUSTOMER", "dataverse")
    assert moved is not None
    assert (moved.position, moved.digest) == ("https://crm/delta?2", "b")
    assert moved.moved_at is not None
    await cursors.remove(connection, "CUSTOMER")
    assert await cursors.get(connection, "CUSTOMER", "business_central") is None


async def test_old_jobs_are_forgotten_unless_something_refers_to_them(connection: Connection) -> None:
    old, needed, recent = [await jobs.start(connection, "modified", ["CUSTOMER"]) for _ in range(3)]
    for job in (old, needed, recent):
        await jobs.finish(connection, job, "done")
    running = await jobs.start(connection, "modified", ["CONTACT"])
    await connection.execute("UPDATE job SET started = started - interval '8 days' WHERE id <> %s", [recent])
    failure = failures.Failure(
        mapping="CUSTOMER",
        side="dataverse",
        record_id=str(uuid4()),
        direction="both",
        kind="data",
        message="",
        job=needed,
    )
    await failures.record(connection, [failure])
    assert await jobs.forget(connection, 7) == 1
    assert [job.id for job in await jobs.recent(connection)] == [running, recent, needed]

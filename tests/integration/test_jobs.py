"""Runs by themselves: what the schedule, notices and several workers come to on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import msgspec
import psycopg
import pytest
from world import World, new_world

from koppel.errors import LockedError, StoppedError
from koppel.jobs import queue, schedule, webhooks
from koppel.jobs.run import run_by_itself
from koppel.jobs.worker import Worker, tick
from koppel.mapping.model import QUEUE
from koppel.store import locks, notices, schedules
from koppel.store.database import Connection, Database
from koppel.store.locks import mapping_lock
from koppel.store.notices import Notice
from koppel.store.schedules import Entry
from koppel.sync.open import Opened
from koppel.systems.governor import Spent
from koppel.systems.transport import Request as HttpRequest
from koppel.systems.transport import no_answer
from postgres_server import administer

KILL_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()"""


@pytest.fixture
async def world(database_aside: Database) -> AsyncIterator[World]:
    async with new_world(database_aside) as world:
        await queue.install(world.session.connection)
        await schedules.ensure(world.session.connection, {"CUSTOMER": False, "CONTACT": False})
        for name in ("SALESPEOPLE", "CURRENCY", "CUSTOMER"):
            await world.sync(name, full=True)
        yield world


async def entry(world: World, name: str = "CUSTOMER") -> Entry:
    found = await schedules.get(world.session.connection, name)
    await world.session.connection.commit()
    assert found is not None
    return found


async def told(world: World, *records: str, name: str = "CUSTOMER") -> None:
    await notices.add(world.session.connection, [Notice(name, "business_central", record) for record in records])


async def later(world: World) -> None:
    """Nothing is due by itself."""
    await world.session.connection.execute("UPDATE schedule SET next_run = clock_timestamp() + interval '1 hour'")
    await world.session.connection.commit()


async def left(world: World) -> list[str]:
    found = await notices.find(world.session.connection, "CUSTOMER")
    await world.session.connection.commit()
    return [one.record for one in found]


async def test_what_is_due_runs_once_and_is_on_hold_when_nothing_changed(world: World) -> None:
    ran = await run_by_itself(world.session, "CUSTOMER")
    assert [one.mapping for one in ran] == ["CUSTOMER"]
    now = await entry(world)
    assert now.state == "inactive"
    assert now.next_run - now.now > timedelta(hours=11)
    assert ran[0].result is not None
    assert now.job == ran[0].result.job
    assert await run_by_itself(world.session, "CUSTOMER") == []


async def test_a_record_that_was_told_of_runs_alone(world: World) -> None:
    one, other = [await world.bob.create("customers", displayName=name) for name in ("Adatum", "Contoso")]
    await world.sync(create=True)
    await later(world)
    for customer in (one, other):
        await world.bob.update("customers", customer["id"], phoneNumber="5")
    await told(world, one["id"])
    await run_by_itself(world.session, "CUSTOMER")
    assert [(await world.account_of(customer)).get("telephone1") for customer in (one, other)] == ["5", None]
    assert await left(world) == []


async def test_a_deletion_that_was_told_of_is_carried_over(world: World) -> None:
    world.change(deletions="delete")
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    await later(world)
    await world.bob.delete("customers", customer["id"])
    await told(world, customer["id"])
    await run_by_itself(world.session, "CUSTOMER")
    assert await world.alice.rows("accounts") == []


async def test_a_deletion_is_carried_over_where_the_changes_are_read(world: World) -> None:
    """Business Central reports it in its notification alone: it must not be lost among others that say less."""
    world.change(deletions="delete")
    customer, other = [await world.bob.create("customers", displayName=name) for name in ("Adatum", "Contoso")]
    await world.sync(create=True)
    await later(world)
    await world.bob.delete("customers", customer["id"])
    await world.bob.update("customers", other["id"], phoneNumber="5")
    where = "api/v2.0/companies(1)/customers"
    changes = [
        {"resource": f"{where}({customer['id']})", "changeType": "updated", "clientState": "secret"},
        {"resource": f"{where}({customer['id']})", "changeType": "deleted", "clientState": "secret"},
        {"resource": where, "changeType": "collection", "clientState": "secret"},
    ]
    post = msgspec.json.encode({"value": changes})
    tables = webhooks.concerned(world.mappings)
    found = webhooks.told_by_business_central(post, "secret", tables)
    await notices.add(world.session.connection, [one for one in found if one.mapping == "CUSTOMER"])
    await told(world, customer["id"])
    await run_by_itself(world.session, "CUSTOMER")
    (account,) = await world.alice.rows("accounts")
    assert (account["name"], account["telephone1"]) == ("Contoso", "5")
    assert await left(world) == []


async def test_of_many_records_the_changes_are_read(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    await later(world)
    await world.bob.update("customers", customer["id"], phoneNumber="5")
    await told(world, notices.ANY)
    await run_by_itself(world.session, "CUSTOMER")
    assert (await world.account_of(customer))["telephone1"] == "5"
    assert await left(world) == []


async def test_what_is_told_anew_meanwhile_stays(world: World) -> None:
    await later(world)
    await told(world, "one", "two")
    seen = await notices.find(world.session.connection, "CUSTOMER")
    await told(world, "two", "three")
    await notices.done(world.session.connection, seen)
    assert await left(world) == ["three", "two"]


async def forget(connection: Connection) -> None:
    """As a run does at its end."""
    seen = await notices.find(connection, "CUSTOMER")
    await notices.done(connection, seen[::-1])
    await connection.commit()


async def test_who_tells_and_who_has_looked_do_not_wait_for_each_other_for_ever(world: World) -> None:
    records = [f"{number:03}" for number in range(300)]
    async with world.database.connect() as other:
        for _ in range(20):
            await told(world, *records)
            await asyncio.gather(told(world, *records), forget(other))


@pytest.mark.parametrize("side", ["business_central", "dataverse"])
async def test_a_change_wakes_what_is_on_hold_without_being_told(world: World, side: str) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    await world.sync()
    await run_by_itself(world.session, "CUSTOMER")

    async def half_an_hour_goes_by() -> None:
        await world.session.connection.execute("UPDATE schedule SET looked = looked - interval '31 minutes'")
        await world.session.connection.commit()

    await half_an_hour_goes_by()
    assert await run_by_itself(world.session, "CUSTOMER") == []
    assert (await entry(world)).state == "inactive"
    if side == "business_central":
        await world.bob.update("customers", customer["id"], phoneNumber="5")
    else:
        await world.alice.update("accounts", (await world.account_of(customer))["accountid"], telephone1="5")
    await half_an_hour_goes_by()
    assert len(await run_by_itself(world.session, "CUSTOMER")) == 1
    assert (await entry(world)).state == "ready"
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "5"
    assert (await world.account_of(customer))["telephone1"] == "5"


async def test_a_system_that_does_not_answer_leads_to_another_try(world: World) -> None:
    async def lose(number: int, request: HttpRequest) -> None:
        raise no_answer(request, "lost by a test")

    await told(world, "somebody")
    world.line.before = lose
    await run_by_itself(world.session, "CUSTOMER")
    failed = await entry(world)
    assert (failed.state, failed.attempts) == ("ready", 1)
    assert "lost by a test" in failed.message
    assert await run_by_itself(world.session, "CUSTOMER") == []
    assert await left(world) == ["somebody"]
    world.line.before = None
    await schedules.resume(world.session.connection, ["CUSTOMER"])
    await run_by_itself(world.session, "CUSTOMER")
    assert (await entry(world)).attempts == 0
    assert await left(world) == []


async def test_a_bug_stops_one_mapping_for_a_while_and_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stumble(*args: object, **more: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("koppel.sync.run.recover", stumble)
        await run_by_itself(world.session, "CUSTOMER")
    failed = await entry(world)
    assert failed.attempts == 1
    assert "ZeroDivisionError" in failed.message
    await run_by_itself(world.session, "CONTACT")
    assert (await entry(world, "CONTACT")).attempts == 0


async def on_hold_and_to_be_asked(world: World) -> None:
    await world.session.connection.execute(
        "UPDATE schedule SET state = 'inactive', looked = NULL, next_run = clock_timestamp() + interval '1 hour'"
    )
    await world.session.connection.commit()


async def test_a_statement_that_fails_outside_of_a_job_is_noted(world: World) -> None:
    await on_hold_and_to_be_asked(world)
    await world.session.connection.execute("ALTER TABLE cursor RENAME TO elsewhere")
    await run_by_itself(world.session, "CUSTOMER")
    failed = await entry(world)
    assert failed.attempts == 1
    assert 'relation "cursor" does not exist' in failed.message
    assert failed.next_run - failed.now > timedelta(seconds=20)
    assert await run_by_itself(world.session, "CUSTOMER") == []
    await world.session.connection.execute("ALTER TABLE elsewhere RENAME TO cursor")
    await schedules.resume(world.session.connection, ["CUSTOMER"])
    await run_by_itself(world.session, "CUSTOMER")
    assert (await entry(world)).attempts == 0


async def test_a_bug_that_leaves_a_transaction_in_ruins_is_noted(world: World) -> None:
    async def stumble(number: int, request: HttpRequest) -> None:
        with suppress(psycopg.errors.DivisionByZero):
            await world.session.connection.execute("SELECT 1 / 0")
        raise ZeroDivisionError

    await on_hold_and_to_be_asked(world)
    world.line.before = stumble
    await run_by_itself(world.session, "CUSTOMER")
    failed = await entry(world)
    assert (failed.state, failed.attempts) == ("ready", 1)
    assert "ZeroDivisionError" in failed.message


async def test_a_database_that_is_lost_in_mid_run_is_no_failure_of_the_mapping(world: World) -> None:
    async def lose(number: int, request: HttpRequest) -> None:
        administer(world.database.url, f"SELECT pg_terminate_backend({backend}, 5000)")

    backend = world.session.connection.pgconn.backend_pid
    world.line.before = lose
    with pytest.raises(psycopg.OperationalError):
        await run_by_itself(world.session, "CUSTOMER")
    world.line.before = None
    await world.reopen()
    assert (await entry(world)).attempts == 0
    assert len(await run_by_itself(world.session, "CUSTOMER")) == 1


async def test_a_mapping_that_somebody_is_at_is_tried_again_soon(world: World) -> None:
    await told(world, "somebody")
    async with world.database.connect() as other, mapping_lock(other, "CUSTOMER"):
        ran = await run_by_itself(world.session, "CUSTOMER")
    assert isinstance(ran[0].error, LockedError)
    now = await entry(world)
    assert (now.state, now.attempts) == ("ready", 0)
    assert now.next_run - now.now <= timedelta(seconds=10)
    assert await left(world) == ["somebody"]


async def test_a_run_that_is_told_to_stop_ends_its_chunk_and_is_due_still(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], phoneNumber="5")
    world.session.may_go_on = lambda: False
    with pytest.raises(StoppedError):
        await world.sync()
    assert await run_by_itself(world.session, "CUSTOMER") == []
    assert (await entry(world)).last_run is None
    world.session.may_go_on = lambda: True
    await run_by_itself(world.session, "CUSTOMER")
    assert (await world.account_of(customer))["telephone1"] == "5"


# workers


def worker_of(world: World, *queues: str) -> Worker:
    opened = Opened(systems=world.session.systems, database=world.database)
    mappings = {name: world.mappings[name] for name in ("CUSTOMER", "CONTACT")}
    return Worker(opened, mappings, queues=queues or None)


@asynccontextmanager
async def at_work(*workers: Worker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.work()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 (of the database nobody tells)
            await asyncio.sleep(0.05)


async def test_two_workers_carry_over_what_was_told(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    async with at_work(worker_of(world), worker_of(world)):
        await world.bob.update("customers", customer["id"], phoneNumber="5")
        await told(world, customer["id"])

        async def arrived() -> bool:
            return (await world.account_of(customer)).get("telephone1") == "5" and await left(world) == []

        await until(arrived)


async def test_a_job_of_a_dead_worker_is_another_ones(world: World) -> None:
    """Its heart stopped; the mapping is due still, and offered once more."""
    connection = world.session.connection
    async with queue.queue_on(world.database).open_async() as app:
        assert await tick(app, connection, world.mappings) == ["CUSTOMER"]
        dead = await app.job_manager.register_worker()
        job = await app.job_manager.fetch_job([QUEUE], dead)
        assert job is not None
        assert await tick(app, connection, world.mappings) == []
        silence = "UPDATE queue.procrastinate_workers SET last_heartbeat = last_heartbeat - interval '7 seconds'"
        await connection.execute(silence)
        await connection.commit()
        assert await tick(app, connection, world.mappings) == ["CUSTOMER"]
        assert await tick(app, connection, world.mappings) == []


async def test_of_many_records_that_are_told_of_in_a_storm_few_runs_are_made(world: World) -> None:
    connection = world.session.connection
    await later(world)
    await told(world, "one")
    await run_by_itself(world.session, "CUSTOMER")
    async with queue.queue_on(world.database).open_async() as app:
        await told(world, *(str(number) for number in range(schedule.MANY)))
        assert await tick(app, connection, world.mappings) == []
        await connection.execute("UPDATE schedule SET last_run = last_run - interval '5 seconds'")
        await connection.commit()
        assert await tick(app, connection, world.mappings) == ["CUSTOMER"]


async def test_a_database_that_is_lost_is_waited_for(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(create=True)
    async with at_work(worker_of(world)):

        async def idle() -> bool:
            return (await entry(world)).last_run is not None

        await until(idle)
        await world.session.connection.execute(KILL_OTHERS)
        await world.session.connection.commit()
        await world.bob.update("customers", customer["id"], phoneNumber="5")
        await told(world, customer["id"])

        async def arrived() -> bool:
            return (await world.account_of(customer)).get("telephone1") == "5"

        await until(arrived)


async def test_the_queue_is_installed_once(world: World) -> None:
    for _ in range(2):
        await queue.install(world.session.connection)
    rows = await (await world.session.connection.execute("SELECT migration FROM queue.installed")).fetchall()
    assert len(rows) == 1


async def test_processes_that_send_share_the_limits_of_the_systems(world: World) -> None:
    told: list[int] = []

    def share(workers: int, others: Sequence[Spent] = ()) -> None:
        told.append(workers)

    world.session.systems["dataverse"].share = share  # type: ignore[method-assign]

    async def alone() -> bool:
        return told[-1:] == [1]

    async def both() -> bool:
        return told[-1:] == [2]

    async with at_work(worker_of(world)):
        await until(alone)
        async with world.database.connect() as another:
            await another.execute(locks.SEND.replace(str(locks.PROCESS), "1"))
            await until(both)
        await until(alone)

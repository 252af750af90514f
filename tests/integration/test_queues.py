"""Queues: who takes what waits in which, and what nobody takes is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_jobs import at_work, entry, until, worker_of
from world import World, new_world

from koppel.jobs import queue
from koppel.jobs.queues import Queue, queues, unserved
from koppel.jobs.schedule import scheduled
from koppel.jobs.worker import tick
from koppel.mapping.model import QUEUE, Schedule
from koppel.store import jobs, portions, schedules, workers
from koppel.store.database import open_database
from koppel.store.workers import SILENT_SECONDS


@pytest.fixture
async def world(empty_database: str) -> AsyncIterator[World]:
    async with open_database(empty_database, Path()) as database, new_world(database) as world:
        await queue.install(world.session.connection)
        await schedules.ensure(world.session.connection, {"CUSTOMER": False, "CONTACT": False})
        for name in ("SALESPEOPLE", "CURRENCY", "CUSTOMER"):
            await world.sync(name, full=True)
        yield world


async def put(world: World, name: str, place: str | None) -> None:
    """A person says in which queue a mapping waits."""
    await schedules.change(world.session.connection, msgspec.structs.replace(await entry(world, name), queue=place))
    await world.session.connection.commit()


async def found(world: World) -> dict[str, Queue]:
    some = await queues(world.session.connection, world.mappings)
    await world.session.connection.commit()
    return {one.queue: one for one in some}


async def test_a_worker_takes_only_what_waits_in_its_queues(world: World) -> None:
    await put(world, "CUSTOMER", "large")

    async def ran(name: str) -> bool:
        return (await entry(world, name)).last_run is not None

    async with at_work(worker_of(world, "other", QUEUE)):
        await until(lambda: served(world, QUEUE))
        assert not await ran("CUSTOMER")
        assert not await ran("CONTACT"), "it waits for the mapping that it depends on"
        [lonely] = await unserved(world.session.connection, world.mappings)
        assert (lonely.queue, lonely.mappings) == ("large", ("CUSTOMER",))
        await world.session.connection.commit()
        async with at_work(worker_of(world, "large")):
            await until(lambda: ran("CONTACT"))
    taken = {job.mappings[0]: job.queue for job in await jobs.recent(world.session.connection) if job.queue}
    assert taken == {"CUSTOMER": "large", "CONTACT": QUEUE}


async def served(world: World, name: str) -> bool:
    return name in (some := await found(world)) and some[name].workers > 0


async def test_what_waits_moves_with_its_mapping(world: World) -> None:
    """A run that was offered to a queue which nobody serves is not lost there."""
    connection = world.session.connection
    async with queue.queue_on(world.database).open_async() as app:
        await put(world, "CUSTOMER", "nobody")
        assert await tick(app, connection, world.mappings) == ["CUSTOMER"]
        await put(world, "CUSTOMER", None)
        assert await tick(app, connection, world.mappings) == []
        taker = await app.job_manager.register_worker()
        assert await app.job_manager.fetch_job(["nobody"], taker) is None
        assert await app.job_manager.fetch_job([QUEUE], taker) is not None


async def test_the_file_names_a_queue_and_a_person_another_one(world: World) -> None:
    world.change(schedule=Schedule(queue="of the file"))
    assert (await found(world))["of the file"].mappings == ("CUSTOMER",)
    await put(world, "CUSTOMER", "by hand")
    assert {name: one.mappings for name, one in (await found(world)).items()} == {
        "by hand": ("CUSTOMER",),
        QUEUE: ("CONTACT",),
    }


async def test_a_worker_that_is_silent_does_not_count(world: World) -> None:
    connection = world.session.connection
    await workers.sign(connection, None, 4)
    assert (await found(world))[QUEUE].workers == 1
    await connection.execute("UPDATE worker SET seen = seen - make_interval(secs => %s)", [SILENT_SECONDS])
    assert (await found(world))[QUEUE].workers == 0
    await workers.sign(connection, None, 4)
    [worker] = await workers.alive(connection)
    assert worker.is_here
    await workers.gone(connection)
    assert await workers.alive(connection) == []


@pytest.mark.parametrize(("place", "hands"), [(None, 1), ([QUEUE, "large"], 1), (["large"], 0)])
async def test_portions_are_for_those_who_serve_the_queue(
    world: World, monkeypatch: pytest.MonkeyPatch, place: Any, hands: int
) -> None:
    monkeypatch.setattr(portions, "HANDS", portions.HANDS.replace("objid <> ", "0 <> "))
    async with world.database.connect() as connection:
        await workers.sign(connection, place, 4)
        await portions.be_ready(connection)
        assert await portions.hands(world.session.connection, QUEUE) == hands


def test_every_standard_mapping_waits_in_the_same_queue(world: World) -> None:
    assert {world.mappings[name].schedule.queue for name in scheduled(world.mappings)} == {QUEUE}

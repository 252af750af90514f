"""What a job tells of itself: what it was to do, towards which side, what it sent, who took part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import World, new_world

from koppel.store import jobs
from koppel.store.database import Database
from koppel.store.jobs import Job
from koppel.sync.couple import couple
from koppel.sync.uncouple import uncouple
from koppel.systems.transport import Request as HttpRequest


@pytest.fixture
async def world(database_aside: Database) -> AsyncIterator[World]:
    async with new_world(database_aside) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def latest(world: World) -> Job:
    [job] = await jobs.recent(world.session.connection, limit=1)
    await world.session.connection.commit()
    return job


@pytest.mark.parametrize(
    ("asked", "type", "direction"),
    [
        ({}, "modified", "both"),
        ({"direction": "to_dataverse"}, "modified", "to_dataverse"),
        ({"full": True}, "full", "both"),
        ({"full": True, "unconditional": True, "direction": "from_dataverse"}, "unconditional", "from_dataverse"),
        ({"records": ()}, "records", "both"),
    ],
)
async def test_eng_206_what_a_run_was_to_do(world: World, asked: dict[str, Any], type: str, direction: str) -> None:
    await world.sync(**asked)
    job = await latest(world)
    assert (job.type, job.direction, job.status) == (type, direction, "done")


async def test_a_mapping_of_one_direction_limits_its_jobs(world: World) -> None:
    world.change(direction="to_dataverse")
    await world.sync()
    assert (await latest(world)).direction == "to_dataverse"


async def test_coupling_is_a_job_of_its_own(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    account = await world.alice.create("accounts", name="Contoso", customertypecode=3)
    await couple(world.session, "CUSTOMER", customer["id"], account["accountid"], sync=False)
    assert (await latest(world)).type == "couple"
    assert await uncouple(world.session, "CUSTOMER", [customer["id"]]) == 1
    job = await latest(world)
    assert (job.type, job.counters) == ("uncouple", {"uncoupled": 1})


async def test_a_job_counts_its_own_requests_and_tells_them_as_it_goes(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")
    begun, told = asyncio.Event(), set[int]()

    async def another_job() -> None:
        await begun.wait()
        for _ in range(20):
            await world.session.systems["dataverse"].latest("account")

    async def look(number: int, request: HttpRequest) -> None:
        begun.set()
        await asyncio.sleep(0.01)
        async with world.database.connect() as connection:
            [job] = await jobs.recent(connection, limit=1)
            told.add(job.requests)

    sent, meanwhile = len(world.line.requests), asyncio.create_task(another_job())
    world.line.after = look
    result = await world.sync(create=True)
    world.line.after = None
    await meanwhile
    job = await latest(world)
    assert job.requests == sum(result.requests.values()) == len(world.line.requests) - sent - 20
    assert any(0 < number < job.requests for number in told)
    assert len(job.workers) == 1

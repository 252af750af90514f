"""Workers on either PostgreSQL, while it goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from clusters import Cluster, programs, running
from test_jobs import at_work, until, worker_of
from world import World, new_world

from koppel.store import notices
from koppel.store.database import open_database
from koppel.store.notices import Notice

AWAY_SECONDS = 10


@pytest.fixture(params=programs(), ids=lambda path: str(path).split("/")[-4] + path.parent.name)
async def place(request: pytest.FixtureRequest, postgres: str) -> AsyncIterator[tuple[Cluster, World]]:
    """``postgres`` comes first: for root it makes the programs of the wheel reachable to other accounts."""
    with running(request.param) as cluster:
        async with open_database(cluster.url, Path()) as database, new_world(database) as world:
            for name in ("SALESPEOPLE", "CURRENCY"):
                await world.sync(name, full=True)
            yield cluster, world


async def test_a_database_that_is_away_for_a_while(place: tuple[Cluster, World]) -> None:
    """Edits before, meanwhile and after arrive on the other side, without anybody doing anything."""
    cluster, world = place
    customers = [await world.bob.create("customers", displayName=f"Customer {n}") for n in range(30)]
    await world.sync(create=True)
    accounts = {customer["id"]: await world.account_of(customer) for customer in customers}

    async def edit(phone: str) -> None:
        for customer in customers:
            await world.bob.update("customers", customer["id"], phoneNumber=phone)

    async def tell() -> None:
        async with world.database.connect() as connection:
            told = [Notice("CUSTOMER", "business_central", customer["id"]) for customer in customers]
            await notices.add(connection, told)

    async def arrived(phone: str) -> bool:
        rows = await world.alice.rows("accounts")
        return [row["telephone1"] for row in rows] == [phone] * len(accounts)

    async with at_work(worker_of(world), worker_of(world)):
        await edit("1")
        await tell()
        await until(lambda: arrived("1"))
        await edit("2")
        await tell()
        cluster.stop()
        await asyncio.sleep(AWAY_SECONDS)
        cluster.start()
        await until(lambda: arrived("2"))
        cluster.stop()
        cluster.start()
        await edit("3")
        await tell()
        await until(lambda: arrived("3"))
    await world.reopen()
    await world.quiet("CUSTOMER")
    assert len(await world.alice.rows("accounts")) == len(customers)

"""Two people edit one customer: what goes where, and what is held."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import Row, World, new_world

from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def pair(world: World, **values: object) -> tuple[Row, Row]:
    """A customer and its account, in step."""
    customer = await world.bob.create(
        "customers", {"displayName": "Adatum", "phoneNumber": "1", "city": "Utrecht", **values}
    )
    await world.sync_all(full=True)
    return await world.bob.row("customers", customer["id"]), await world.account_of(customer)


async def test_different_fields_of_one_record_go_both_ways(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], name="Adatum Corporation")
    result = await world.sync()
    assert result.counts["updated"] == 1
    assert (await world.alice.row("accounts", account["accountid"]))["telephone1"] == "2"
    assert (await world.bob.row("customers", customer["id"]))["displayName"] == "Adatum Corporation"
    await world.quiet()

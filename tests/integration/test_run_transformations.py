"""Values that are transformed on their way: what arrives, what comes back, and that a second run writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import World, new_world
from world_data import Row

from koppel.mapping.model import FieldMapping
from koppel.store.database import Database
from koppel.sync.verify import verify


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def map_field(world: World, **said: Any) -> None:
    """Add a field to CUSTOMER, in place of those that use its columns."""
    field = FieldMapping(**said)
    taken = {field.business_central, field.dataverse}
    others = [f for f in world.mappings["CUSTOMER"].fields if not taken & {f.business_central, f.dataverse}]
    world.change(fields=(*others, field))


async def pair(world: World, **values: Any) -> tuple[Row, Row]:
    """A customer and its account, in step."""
    customer = await world.bob.create("customers", {"displayName": "Adatum", **values})
    await world.sync(full=True)
    return await world.bob.row("customers", customer["id"]), await world.account_of(customer)


async def test_a_lossy_step_on_a_two_way_field_writes_once(world: World) -> None:
    map_field(world, business_central="website", dataverse="websiteurl", to_dataverse=("lower",), lossy=True)
    customer, account = await pair(world, website="Adatum.Example")
    assert account["websiteurl"] == "adatum.example"
    await world.quiet("CUSTOMER")
    await world.bob.update("customers", customer["id"], website="ADATUM.example")
    assert (await world.sync()).write_requests == 0
    await world.alice.update("accounts", account["accountid"], websiteurl="adatum.com")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["website"] == "adatum.com"
    await world.quiet("CUSTOMER")
    assert (await verify(world.session, ["CUSTOMER"])).sound

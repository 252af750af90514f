"""Records that were deleted and come back with their id."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import COMPANION, World, new_world
from world_data import Row

from koppel.mapping.model import DeletionPolicy
from koppel.store.database import Database
from koppel.sync.uncouple import uncouple


@pytest.fixture(params=[COMPANION, "v2.0"])
async def world(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[World]:
    async with new_world(database, route=request.param) as world:
        world.change_field("salespersonCode", enabled=False)
        world.change(only_coupled=False, match=())
        yield world


async def pair(world: World, policy: DeletionPolicy) -> tuple[Row, Row]:
    """A customer of an account, coupled; on the standard route they have different ids."""
    world.change(deletions=policy)
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3, telephone1="1")
    await world.sync(full=True)
    return await world.customer_of(account), account


async def restore(world: World, account: Row, **values: str) -> None:
    """Bring a deleted account back, as it was."""
    row = {"accountid": account["accountid"], "name": "Adatum", "customertypecode": 3, "telephone1": "1", **values}
    await world.alice.create("accounts", row)


async def test_a_held_pair_goes_on(world: World) -> None:
    customer, account = await pair(world, "none")
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    assert len(await world.failures()) == 1
    await restore(world, account, telephone1="3")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "3"
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("full", [False, True])
async def test_what_was_uncoupled_is_coupled_again(world: World, full: bool) -> None:
    customer, account = await pair(world, "uncouple")
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    assert await world.couplings() == []
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    assert (await world.sync()).write_requests == 0
    await restore(world, account)
    result = await world.sync(full=full)
    assert result.counts["coupled"] == 1
    assert len(await world.bob.rows("customers")) == 1
    assert len(await world.alice.rows("accounts")) == 1
    assert (await world.account_of(customer))["telephone1"] == "2"
    await world.quiet("CUSTOMER")


async def test_a_full_synchronisation_makes_a_new_partner(world: World) -> None:
    customer, account = await pair(world, "uncouple")
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    assert (await world.sync(full=True)).counts["created"] == 1
    assert (await world.account_of(customer))["name"] == "Adatum"
    await world.quiet("CUSTOMER")


async def test_a_person_who_uncouples_means_it(world: World) -> None:
    customer, account = await pair(world, "uncouple")
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    await restore(world, account)
    await world.sync()
    await uncouple(world.session, "CUSTOMER", [customer["id"]])
    world.change(only_coupled=True)
    await world.alice.update("accounts", account["accountid"], telephone1="4")
    await world.sync()
    assert await world.couplings() == []


async def test_what_was_replaced_meanwhile_is_told_of_and_makes_no_double(world: World) -> None:
    customer, account = await pair(world, "restore")
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    replaced = await world.account_of(customer)
    if replaced["accountid"] == account["accountid"]:
        return  # it came back under its own id
    await restore(world, account)
    result = await world.sync()
    assert result.counts["created"] == 0
    assert len(await world.bob.rows("customers")) == 1
    [failure] = await world.failures()
    assert "it was deleted and is back" in failure.message
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


async def test_a_conflict_ends_with_its_pair(world: World) -> None:
    customer, account = await pair(world, "uncouple")
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    await world.sync()
    assert len(await world.conflicts()) == 1
    await world.alice.delete("accounts", account["accountid"])
    await world.sync()
    assert await world.conflicts() == []


async def test_so_is_a_customer_that_comes_back(database: Database) -> None:
    async with new_world(database) as world:
        world.change(deletions="uncouple", match=())
        customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
        await world.sync(full=True)
        await world.bob.delete("customers", customer["id"])
        await world.sync(full=True)
        await world.alice.update("accounts", customer["id"], telephone1="2")
        again = {"id": customer["id"], "number": customer["number"], "displayName": "Adatum", "phoneNumber": "1"}
        await world.bob.create("customers", again)
        assert (await world.sync()).counts["coupled"] == 1
        assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"
        assert len(await world.alice.rows("accounts")) == 1
        await world.quiet("CUSTOMER")

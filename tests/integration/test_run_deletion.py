"""Records that are deleted, or that leave a mapping's filter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.mapping.model import DeletionPolicy
from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def customer_in_step(world: World, policy: DeletionPolicy) -> Row:
    world.change(deletions=policy)
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(full=True)
    return customer


async def delete_customer(world: World, customer: Row) -> None:
    """Business Central does not tell of deletions: an edit of the account, or a full read, brings them up."""
    await world.bob.delete("customers", customer["id"])
    await world.alice.update("accounts", (await world.account_of(customer))["accountid"], telephone1="2")


async def test_an_account_that_was_deleted_holds_its_customer(world: World) -> None:
    customer = await customer_in_step(world, "none")
    await world.alice.delete("accounts", customer["id"])
    result = await world.sync()
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    [failure] = await world.failures()
    assert (failure.code, failure.kind, failure.record_name) == ("deleted", "conflict", customer["number"])
    assert "deleted in Dataverse" in failure.message
    assert len(await world.couplings()) == 1
    await world.bob.update("customers", customer["id"], phoneNumber="3")
    assert (await world.sync()).write_requests == 0
    assert len(await world.failures()) == 1


async def test_or_uncouples_it(world: World) -> None:
    customer = await customer_in_step(world, "uncouple")
    await world.alice.delete("accounts", customer["id"])
    result = await world.sync()
    assert (result.counts["uncoupled"], result.write_requests) == (1, 0)
    assert (await world.couplings(), await world.failures()) == ([], [])
    assert (await world.bob.row("customers", customer["id"]))["displayName"] == "Adatum"
    await world.quiet("CUSTOMER")


async def test_or_is_created_again(world: World) -> None:
    customer = await customer_in_step(world, "restore")
    await world.alice.delete("accounts", customer["id"])
    result = await world.sync()
    assert result.counts["created"] == 1
    account = await world.account_of(customer)
    assert (account["name"], account["telephone1"], account["customertypecode"]) == ("Adatum", "1", 3)
    await world.quiet("CUSTOMER")


async def test_a_customer_that_was_deleted_holds_its_account(world: World) -> None:
    customer = await customer_in_step(world, "none")
    await delete_customer(world, customer)
    result = await world.sync()
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    [failure] = await world.failures()
    assert "deleted in Business Central" in failure.message
    assert (failure.side, failure.record_id) == ("dataverse", customer["id"])


async def test_or_uncouples_the_account(world: World) -> None:
    customer = await customer_in_step(world, "uncouple")
    await delete_customer(world, customer)
    await world.sync()
    assert (await world.couplings(), await world.failures()) == ([], [])
    assert (await world.alice.row("accounts", customer["id"]))["telephone1"] == "2"


async def test_or_is_created_again_from_the_account(world: World) -> None:
    customer = await customer_in_step(world, "restore")
    await delete_customer(world, customer)
    await world.sync()
    [again] = await world.bob.rows("customers")
    assert (again["displayName"], again["phoneNumber"]) == ("Adatum", "2")
    assert [c.dataverse_id for c in await world.couplings()] == [customer["id"]]
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("policy", ["none", "uncouple", "restore"])
async def test_what_is_deleted_on_both_sides_is_uncoupled(world: World, policy: DeletionPolicy) -> None:
    customer = await customer_in_step(world, policy)
    await world.alice.delete("accounts", customer["id"])
    await world.bob.delete("customers", customer["id"])
    result = await world.sync()
    assert (result.counts["uncoupled"], result.write_requests) == (1, 0)
    assert (await world.couplings(), await world.failures()) == ([], [])
    await world.quiet("CUSTOMER")


async def test_a_full_run_finds_a_deletion_that_nobody_told_of(world: World) -> None:
    customer = await customer_in_step(world, "uncouple")
    await world.bob.create("customers", displayName="Fabrikam")
    await world.bob.delete("customers", customer["id"])
    assert (await world.sync()).counts["uncoupled"] == 0
    result = await world.sync(full=True)
    assert result.counts["uncoupled"] == 1
    assert [c.business_central_key for c in await world.couplings()] == ["C00002"]


async def test_a_full_run_does_not_take_a_record_outside_the_filter_for_a_deleted_one(world: World) -> None:
    customer = await customer_in_step(world, "uncouple")
    await world.bob.update("customers", customer["id"], blocked="All")
    result = await world.sync(full=True)
    assert result.counts["uncoupled"] == 0
    assert len(await world.couplings()) == 1


async def test_a_new_account_of_that_name_has_nothing_to_do_with_the_deleted_one(world: World) -> None:
    customer = await customer_in_step(world, "uncouple")
    await world.alice.delete("accounts", customer["id"])
    await world.sync()
    account = await world.alice.create("accounts", name="Adatum B", customertypecode=3)
    await world.sync(full=True)
    assert len(await world.bob.rows("customers")) == 2
    assert (await world.customer_of(account))["displayName"] == "Adatum B"
    assert (await world.account_of(customer))["name"] == "Adatum"
    await world.quiet("CUSTOMER")


@pytest.mark.rule("CUST-01")
async def test_a_customer_that_leaves_the_filter_stays_coupled_and_as_it_is(world: World) -> None:
    customer = await customer_in_step(world, "none")
    await world.bob.update("customers", customer["id"], blocked="All", phoneNumber="2")
    await world.alice.update("accounts", customer["id"], websiteurl="adatum.example")
    result = await world.sync()
    assert result.write_requests == 0
    assert (await world.account_of(customer))["telephone1"] == "1"
    assert (await world.bob.row("customers", customer["id"]))["website"] == ""
    await world.bob.update("customers", customer["id"], blocked="_x0020_")
    await world.sync()
    assert (await world.account_of(customer))["telephone1"] == "2"
    assert (await world.bob.row("customers", customer["id"]))["website"] == "adatum.example"
    await world.quiet("CUSTOMER")


@pytest.mark.rule("CUST-01")
@pytest.mark.parametrize("values", [{"customertypecode": 8}, {"statecode": 1, "statuscode": 2}])
async def test_so_does_an_account(world: World, values: Row) -> None:
    customer = await customer_in_step(world, "none")
    await world.alice.update("accounts", customer["id"], {**values, "telephone1": "2"})
    await world.bob.update("customers", customer["id"], website="adatum.example")
    result = await world.sync()
    assert result.write_requests == 0
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "1"


@pytest.mark.rule("CUST-01")
async def test_what_is_outside_the_filter_is_not_created(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum", blocked="All")
    await world.alice.create("accounts", name="Fabrikam", customertypecode=8)
    inactive = await world.alice.create("accounts", name="Litware", customertypecode=3)
    await world.alice.update("accounts", inactive["accountid"], statecode=1, statuscode=2)
    result = await world.sync(full=True)
    assert (result.write_requests, await world.couplings()) == (0, [])

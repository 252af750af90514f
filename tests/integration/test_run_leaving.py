"""Coupled records that leave the mapping's filter: kept, uncoupled or deactivated, and told in any case."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from world import COMPANION, World, new_world
from world_data import Row

from koppel.mapping.model import LeftFilter
from koppel.store import history
from koppel.store.database import Database
from koppel.sync.explain import explain


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def policy(world: World, left_filter: LeftFilter) -> None:
    customer = world.mappings["CUSTOMER"]
    deactivate = left_filter == "deactivate"
    world.change(
        left_filter=left_filter,
        business_central=msgspec.structs.replace(
            customer.business_central, deactivate={"blocked": "All"} if deactivate else {}
        ),
        dataverse=msgspec.structs.replace(
            customer.dataverse, deactivate={"statecode": 1, "statuscode": 2} if deactivate else {}
        ),
    )


async def customer_in_step(world: World, left_filter: LeftFilter, name: str = "Adatum") -> Row:
    policy(world, left_filter)
    customer = await world.bob.create("customers", displayName=name, phoneNumber="1")
    await world.sync(full=True)
    return customer


async def block(world: World, customer: Row) -> None:
    await world.bob.update("customers", customer["id"], blocked="All")


async def unblock(world: World, customer: Row) -> None:
    await world.bob.update("customers", customer["id"], blocked="_x0020_")


@pytest.mark.parametrize("full", [False, True])
async def test_what_is_kept_is_told(world: World, full: bool) -> None:
    customer = await customer_in_step(world, "keep")
    await block(world, customer)
    result = await world.sync(full=full)
    assert result.write_requests == 0
    assert f"{customer['number']}: outside the filter of Business Central; stays coupled and as it is" in result.notices
    assert len(await world.couplings()) == 1


async def test_so_is_an_account_that_left(world: World) -> None:
    customer = await customer_in_step(world, "keep")
    await world.alice.update("accounts", customer["id"], customertypecode=8)
    result = await world.sync()
    assert any("outside the filter of Dataverse" in line for line in result.notices)


async def test_explain_tells_it_too(world: World) -> None:
    customer = await customer_in_step(world, "keep")
    await block(world, customer)
    found = await explain(world.session, "CUSTOMER", customer["number"])
    assert [action.reason for action in found.next] == ["outside the filter of Business Central"]
    assert found.business_central is not None
    assert found.business_central.outside == ("blocked is 'All'",)


@pytest.mark.parametrize("full", [False, True])
async def test_what_left_may_be_uncoupled(world: World, full: bool) -> None:
    customer = await customer_in_step(world, "uncouple")
    await block(world, customer)
    result = await world.sync(full=full)
    assert (result.counts["uncoupled"], result.write_requests) == (1, 0)
    assert await world.couplings() == []
    [entry] = await history.find(world.session.connection, job=result.job)
    assert (entry.action, entry.why) == ("uncouple", "left the filter of Business Central")


@pytest.mark.parametrize("route", [COMPANION, "v2.0"])
async def test_what_was_uncoupled_is_not_made_anew_from_the_partner(database: Database, route: str) -> None:
    async with new_world(database, route=route) as world:
        world.change_field("salespersonCode", enabled=False)
        world.change(only_coupled=False, match=())
        account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
        policy(world, "uncouple")
        await world.sync(full=True)
        customer = await world.customer_of(account)
        await block(world, customer)
        assert (await world.sync()).counts["uncoupled"] == 1
        await world.alice.update("accounts", account["accountid"], telephone1="2")
        for full in (False, True):
            assert (await world.sync(full=full)).write_requests == 0
        assert len(await world.bob.rows("customers")) == 1
        assert (await world.couplings(), await world.failures()) == ([], [])
        await unblock(world, customer)
        assert (await world.sync()).counts["coupled"] == 1
        assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"
        await world.quiet("CUSTOMER")


async def test_a_record_that_would_be_made_with_the_id_of_one_outside_is_held(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", blocked="All")
    await world.alice.create("accounts", accountid=customer["id"], name="Adatum", customertypecode=3)
    await world.sync(full=True)
    [failure] = await world.failures()
    assert "is there already, outside the filter of Business Central" in failure.message
    assert await world.couplings() == []


async def test_an_account_is_deactivated_when_its_customer_leaves(world: World) -> None:
    customer = await customer_in_step(world, "deactivate")
    await block(world, customer)
    result = await world.sync()
    account = await world.account_of(customer)
    assert (account["statecode"], account["statuscode"]) == (1, 2)
    assert result.counts["updated"] == 1
    assert any("deactivated in Dataverse" in line for line in result.notices)
    entries = await history.find(world.session.connection, job=result.job)
    told = {(e.field, e.old, e.new, e.why) for e in entries}
    assert told == {
        ("statecode", 0, 1, "left the filter of Business Central"),
        ("statuscode", 1, 2, "left the filter of Business Central"),
    }
    await world.quiet("CUSTOMER")
    assert (await world.sync(full=True)).write_requests == 0


async def test_a_customer_is_blocked_when_its_account_leaves(world: World) -> None:
    customer = await customer_in_step(world, "deactivate")
    await world.alice.update("accounts", customer["id"], customertypecode=8)
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["blocked"] == "All"
    await world.quiet("CUSTOMER")


async def test_one_that_comes_back_is_told_of_and_not_sent_away_again(world: World) -> None:
    customer = await customer_in_step(world, "deactivate")
    await block(world, customer)
    await world.sync()
    await unblock(world, customer)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    result = await world.sync()
    assert result.write_requests == 0
    assert any("bring it back by hand" in line for line in result.notices)
    assert (await world.bob.row("customers", customer["id"]))["blocked"] == "_x0020_"
    await world.alice.update("accounts", customer["id"], statecode=0, statuscode=1)
    await world.sync()
    assert (await world.account_of(customer))["telephone1"] == "2"
    await world.quiet("CUSTOMER")


async def test_a_person_may_bring_the_partner_back(world: World) -> None:
    customer = await customer_in_step(world, "deactivate")
    await block(world, customer)
    await world.sync()
    await world.alice.update("accounts", customer["id"], statecode=0, statuscode=1)
    result = await world.sync()
    assert result.write_requests == 0
    assert any("active again" in line for line in result.notices)
    assert (await world.account_of(customer))["statecode"] == 0


async def test_nothing_is_deactivated_where_the_mapping_does_not_write(world: World) -> None:
    policy(world, "deactivate")
    end = msgspec.structs.replace(world.mappings["CUSTOMER"].business_central, deactivate={})
    world.change(direction="to_dataverse", business_central=end)
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    await world.alice.update("accounts", customer["id"], customertypecode=8)
    result = await world.sync()
    assert result.write_requests == 0
    assert any("stays coupled and as it is" in line for line in result.notices)


async def test_a_narrowed_filter_is_followed_after_a_full_compare(world: World) -> None:
    await customer_in_step(world, "uncouple")
    end = world.mappings["CUSTOMER"].business_central
    world.change(business_central=msgspec.structs.replace(end, filter=f"{end.filter} and displayName ne 'Adatum'"))
    result = await world.sync()
    assert result.counts["uncoupled"] == 1
    assert "the mapping changed since the last run, so everything is compared" in result.notices


async def test_an_edit_that_races_with_leaving_goes_nowhere(world: World) -> None:
    """The customer is blocked between reading and writing: the second look sees that it left."""
    customer = await customer_in_step(world, "keep")
    await world.alice.update("accounts", customer["id"], telephone1="2")

    async def block_first(number: int, request: object) -> None:
        if b"PATCH" in getattr(request, "body", b""):
            world.line.before = None
            await block(world, customer)

    world.line.before = block_first
    result = await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "1"
    assert any("outside the filter of Business Central" in line for line in result.notices)
    await unblock(world, customer)
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"


@pytest.mark.parametrize("deletions", ["restore", "delete"])
async def test_a_survivor_outside_the_filter_is_left_alone(world: World, deletions: str) -> None:
    customer = await customer_in_step(world, "keep")
    world.change(deletions=deletions)
    await block(world, customer)
    await world.alice.delete("accounts", customer["id"])
    result = await world.sync()
    assert (result.write_requests, result.counts["failed"]) == (0, 0)
    assert any("outside the filter of Business Central, and so left alone" in line for line in result.notices)
    assert len(await world.bob.rows("customers")) == 1

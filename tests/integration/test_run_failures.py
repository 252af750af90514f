"""Records that do not go through: what is told, what is tried again, and that nothing else is stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import JO, Row

from koppel.odata.records import Side
from koppel.store import failures
from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.retry import retry

LONG = "A very long name " * 7


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def too_long(world: World) -> Row:
    """An account whose name has no room in Business Central, tried once."""
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await world.sync(create=True)
    await world.alice.update("accounts", account["accountid"], name=LONG)
    return account


async def tried(world: World) -> tuple[int, str]:
    """How often the only failure was met, and its state."""
    [failure] = await world.failures()
    return failure.attempts, failure.state


async def test_a_value_that_is_too_long_is_never_cut(world: World) -> None:
    account = await too_long(world)
    other = await world.alice.create("accounts", name="Fabrikam", customertypecode=3)
    result = await world.sync(create=True)
    assert (result.counts["failed"], result.counts["created"]) == (1, 1)
    [failure] = await world.failures()
    assert (failure.kind, failure.code, failure.field, failure.value) == ("data", "too-long", "displayName", LONG)
    assert failure.message == "displayName has 118 characters, Business Central takes 100"
    assert (failure.side, failure.record_id) == ("dataverse", account["accountid"])
    assert any("displayName has 118 characters" in line for line in result.notices)
    assert (await world.customer_of(account))["displayName"] == "Adatum"
    assert (await world.customer_of(other))["displayName"] == "Fabrikam"


async def test_a_new_record_with_such_a_value_is_not_created(world: World) -> None:
    account = await world.alice.create("accounts", name=LONG, customertypecode=3)
    result = await world.sync(full=True)
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    await world.alice.update("accounts", account["accountid"], name="Adatum")
    await world.sync()
    assert (await world.customer_of(account))["displayName"] == "Adatum"
    assert await world.failures() == []


async def test_the_same_failure_twice_makes_a_record_skipped(world: World) -> None:
    account = await too_long(world)
    await world.sync()
    assert await tried(world) == (1, "active")
    await world.sync()
    assert await tried(world) == (2, "skipped")
    assert (await world.couplings())[0].state == "skipped"
    result = await world.sync()
    assert result.counts["failed"] == 0
    assert await tried(world) == (2, "skipped")
    await world.sync(full=True)
    assert await tried(world) == (2, "skipped")
    assert (await world.customer_of(account))["displayName"] == "Adatum"


async def test_an_edit_takes_a_skipped_record_up_again(world: World) -> None:
    account = await too_long(world)
    await world.sync()
    await world.sync()
    await world.alice.update("accounts", account["accountid"], name="Adatum Corporation")
    result = await world.sync()
    assert (result.counts["updated"], await world.failures()) == (1, [])
    assert (await world.customer_of(account))["displayName"] == "Adatum Corporation"
    assert (await world.couplings())[0].state == "active"
    await world.quiet("CUSTOMER")


async def test_an_edit_on_the_other_side_may_mend_it_too(world: World) -> None:
    account = await too_long(world)
    await world.sync()
    await world.sync()
    customer = await world.customer_of(account)
    await world.bob.update("customers", customer["id"], phoneNumber="5")
    await world.sync()
    assert await tried(world) == (3, "skipped")
    assert (await world.sync()).counts["failed"] == 0
    assert (await world.alice.row("accounts", account["accountid"]))["telephone1"] is None
    world.change(conflicts="business_central")
    await world.bob.update("customers", customer["id"], displayName="Adatum B")
    await world.sync()
    account = await world.alice.row("accounts", account["accountid"])
    assert (account["name"], account["telephone1"]) == ("Adatum B", "5")
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


async def test_a_change_of_the_mapping_takes_a_skipped_record_up_again(world: World) -> None:
    account = await too_long(world)
    await world.alice.update("accounts", account["accountid"], telephone1="5")
    await world.sync()
    await world.sync()
    world.change_field("displayName", enabled=False)
    await world.reopen()
    result = await world.sync()
    assert any("the mapping changed" in line for line in result.notices)
    assert (await world.customer_of(account))["phoneNumber"] == "5"
    assert await world.failures() == []


async def test_a_person_may_have_it_tried_again(world: World) -> None:
    await too_long(world)
    await world.sync()
    await world.sync()
    assert await failures.retry(world.session.connection, mapping="CUSTOMER") == 1
    await world.session.connection.commit()
    assert (await world.sync()).counts["failed"] == 1
    assert await tried(world) == (1, "active")


async def test_asking_for_the_record_tries_it_again(world: World) -> None:
    account = await too_long(world)
    await world.sync()
    await world.sync()
    assert (await world.sync(records=(account["accountid"],))).counts["failed"] == 1


@pytest.mark.rule("CUST-02")
@pytest.mark.rule("GEN-03")
@pytest.mark.rule("GEN-09")
async def test_a_salesperson_that_is_not_coupled_holds_the_customer_and_nothing_else(world: World) -> None:
    held = await world.bob.create("customers", displayName="Adatum", salespersonCode="EXT")
    other = await world.bob.create("customers", displayName="Fabrikam", salespersonCode="JO")
    result = await world.sync(create=True)
    assert (result.counts["failed"], result.counts["created"]) == (1, 1)
    assert (await world.account_of(other))["_ownerid_value"] == JO
    [failure] = await world.failures()
    assert (failure.kind, failure.record_id, failure.field, failure.value) == (
        "dependency",
        held["id"],
        "salespersonCode",
        "EXT",
    )
    assert failure.message == "salespersonCode EXT is not coupled in SALESPEOPLE"
    assert len(await world.alice.rows("accounts")) == 1


@pytest.mark.rule("CUST-02")
async def test_it_goes_through_by_itself_once_the_salesperson_is_coupled(world: World) -> None:
    held = await world.bob.create("customers", displayName="Adatum", salespersonCode="EXT")
    for _ in range(3):
        await world.sync(create=True)
    assert (await world.failures())[0].state == "active"
    world.sandbox.dataverse.load(
        "systemuser",
        [{"fullname": "Agency", "internalemailaddress": "agency@example.com", "isdisabled": False, "islicensed": True}],
    )
    await world.sync("SALESPEOPLE", full=True)
    await world.sync()
    owner = (await world.account_of(held))["_ownerid_value"]
    assert (await world.alice.row("systemusers", owner))["internalemailaddress"] == "agency@example.com"
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-03")
async def test_a_changed_salesperson_that_is_not_coupled_holds_the_update(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="JO", phoneNumber="1")
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], salespersonCode="EXT", phoneNumber="2")
    result = await world.sync()
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    await world.bob.update("customers", customer["id"], salespersonCode="PAM")
    await world.sync()
    account = await world.account_of(customer)
    assert account["telephone1"] == "2"
    assert account["_ownerid_value"] != JO


@pytest.mark.parametrize("number", [1, 5])
async def test_one_row_that_dataverse_refuses_stops_no_other(world: World, number: int) -> None:
    for place in range(number):
        await world.bob.create("customers", displayName=f"Customer {place}")
    bad = await world.bob.create("customers", displayName="Bad", phoneNumber="1")
    refuse(world, "account", "Bad")
    result = await world.sync(create=True)
    assert (result.counts["created"], result.counts["failed"]) == (number, 1)
    [failure] = await world.failures()
    assert (failure.record_id, failure.record_name, failure.side) == (bad["id"], bad["number"], "business_central")
    assert {c.business_central_key for c in await world.couplings()} == {f"C{n + 1:05d}" for n in range(number)}
    await world.sync()
    await world.sync()
    assert (await world.failures())[0].state == "skipped"


async def test_one_row_that_business_central_refuses_stops_no_other(world: World) -> None:
    for place in range(4):
        await world.alice.create("accounts", name=f"Account {place}", customertypecode=3)
    bad = await world.alice.create("accounts", customertypecode=3, telephone1="1")
    result = await world.sync(create=True)
    assert (result.counts["created"], result.counts["failed"]) == (4, 1)
    [failure] = await world.failures()
    assert (failure.record_id, failure.side, failure.kind) == (bad["accountid"], "dataverse", "data")
    await world.alice.update("accounts", bad["accountid"], name="Good")
    await world.sync()
    assert (await world.customer_of(bad))["displayName"] == "Good"
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


async def test_a_refused_write_keeps_what_the_other_side_took(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await world.sync(create=True)
    refuse(world, "account", "Bad")
    await world.bob.update("customers", customer["id"], displayName="Bad")
    await world.alice.update("accounts", customer["id"], telephone1="2")
    result = await world.sync()
    assert result.counts["failed"] == 1
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"
    assert (await world.account_of(customer))["name"] == "Adatum"
    await world.bob.update("customers", customer["id"], displayName="Good")
    await world.sync()
    account = await world.account_of(customer)
    assert (account["name"], account["telephone1"]) == ("Good", "2")
    assert (await world.failures(), await world.conflicts()) == ([], [])
    await world.quiet("CUSTOMER")


def refuse(world: World, table: str, name: str) -> None:
    """Let Dataverse refuse rows of this name, as an alternate key or a plug-in of the organisation would."""
    world.sandbox.dataverse.load(table, [{"name": name, "customertypecode": 8}])
    world.sandbox.dataverse.define_key(table, "unique_name", "name")
    world.sandbox.clock.advance(60)


async def test_a_retry_passes_over_what_was_deleted_since(world: World) -> None:
    made = [await world.alice.create("accounts", name=f"{LONG}{n}", customertypecode=3) for n in range(2)]
    await world.sync(create=True)
    assert len(await world.failures()) == 2
    await world.alice.delete("accounts", made[0]["accountid"])
    [tried] = [one async for one in retry(world.session, None)]
    assert (tried.error, tried.result and tried.result.counts["failed"]) == (None, 1)
    assert [failure.record_id for failure in await world.failures()] == [made[1]["accountid"]]


async def test_both_records_of_a_pair_deserve_another_try(world: World) -> None:
    """What is written for one is known when the other one's turn comes: an edit is not taken back."""
    world.change(conflicts="dataverse", initial="dataverse")
    customer = await world.bob.create("customers", displayName="Adatum", website="a.example")
    await world.sync(create=True)
    account = await world.account_of(customer)
    ids: dict[Side, str] = {"business_central": customer["id"], "dataverse": account["accountid"]}
    for side, id in ids.items():
        failure = failures.Failure(
            mapping="CUSTOMER", side=side, record_id=id, direction="both", kind="transient", message="busy"
        )
        await failures.record(world.session.connection, [failure])
    await world.session.connection.commit()
    await world.bob.update("customers", customer["id"], displayName="Adatum Ltd.")
    await world.alice.update("accounts", account["accountid"], telephone1="5")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["displayName"] == "Adatum Ltd."
    assert (await world.account_of(customer))["name"] == "Adatum Ltd."
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "5"


async def test_both_records_of_a_pair_are_asked_for(world: World) -> None:
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    customer = await world.bob.create("customers", displayName="Adatum")
    await couple(world.session, "CUSTOMER", customer["number"], account["accountid"])
    await world.bob.update("customers", customer["id"], displayName="Adatum Ltd.")
    await world.sync(records=(customer["id"], account["accountid"]))
    assert (await world.bob.row("customers", customer["id"]))["displayName"] == "Adatum Ltd."
    assert (await world.alice.row("accounts", account["accountid"]))["name"] == "Adatum Ltd."


async def test_a_new_record_that_failed_and_left_the_filter_is_no_failure_any_more(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="EXT")
    await world.sync(full=True)
    assert len(await world.failures()) == 1
    await world.bob.update("customers", customer["id"], blocked="All")
    await world.sync()
    assert await world.failures() == []

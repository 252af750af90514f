"""Two people edit one customer: what goes where, and what is held."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from world import World, new_world
from world_data import Row

from koppel.mapping.model import Policy
from koppel.odata.records import Side
from koppel.store import conflicts, history
from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def pair(world: World, **values: object) -> tuple[Row, Row]:
    """A customer and its account, in step."""
    customer = await world.bob.create("customers", {"displayName": "Adatum", "phoneNumber": "1", **values})
    await world.sync(full=True)
    return await world.bob.row("customers", customer["id"]), await world.account_of(customer)


async def both(world: World, customer: Row, account: Row) -> tuple[Row, Row]:
    """The pair as it is now."""
    return await world.bob.row("customers", customer["id"]), await world.alice.row("accounts", account["accountid"])


async def decide(world: World, winner: Side) -> None:
    assert await conflicts.decide(world.session.connection, winner) == 1
    await world.session.connection.commit()


async def test_different_fields_of_one_record_go_both_ways(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], name="Adatum Corporation")
    result = await world.sync()
    assert result.counts["updated"] == 1
    customer, account = await both(world, customer, account)
    assert (customer["displayName"], account["name"]) == ("Adatum Corporation", "Adatum Corporation")
    assert (customer["phoneNumber"], account["telephone1"]) == ("2", "2")
    await world.quiet("CUSTOMER")


async def test_the_same_edit_on_both_sides_is_no_write(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="2")
    result = await world.sync()
    assert (result.write_requests, result.counts["conflicts"]) == (0, 0)
    await world.bob.update("customers", customer["id"], phoneNumber="3")
    assert (await world.sync()).counts["conflicts"] == 0
    assert (await both(world, customer, account))[1]["telephone1"] == "3"


async def test_different_edits_of_one_field_are_held_and_the_rest_goes_through(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2", website="adatum.example")
    await world.alice.update("accounts", account["accountid"], telephone1="3", emailaddress1="info@adatum.example")
    result = await world.sync()
    assert result.counts["conflicts"] == 1
    assert any("phoneNumber" in line for line in result.notices)
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == ("2", "3")
    assert now[0]["email"] == "info@adatum.example"
    assert now[1]["websiteurl"] == "adatum.example"
    [conflict] = await world.conflicts()
    assert (conflict.field, conflict.record_name) == ("phoneNumber", customer["number"])
    shown = msgspec.structs.asdict(conflict)
    assert shown["base"] == {"business_central": {"phoneNumber": "1"}, "dataverse": {"phoneNumber": "1"}}
    assert (shown["business_central"], shown["dataverse"]) == ({"phoneNumber": "2"}, {"phoneNumber": "3"})
    await world.quiet("CUSTOMER")
    assert [one.id for one in await world.conflicts()] == [conflict.id]


@pytest.mark.parametrize(("winner", "number"), [("business_central", "2"), ("dataverse", "3")])
async def test_a_person_decides_a_conflict(world: World, winner: Side, number: str) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    await world.sync()
    await decide(world, winner)
    result = await world.sync()
    assert result.counts["updated"] == 1
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == (number, number)
    assert await world.conflicts() == []
    [entry] = await history.find(world.session.connection, job=result.job)
    assert {entry.old, entry.new} == {"2", "3"}
    assert entry.new == number
    assert winner in entry.why
    await world.session.connection.commit()
    await world.quiet("CUSTOMER")


async def test_a_decision_does_not_hold_for_other_values_than_those_that_were_shown(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    await world.sync()
    await decide(world, "business_central")
    await world.alice.update("accounts", account["accountid"], telephone1="4")
    assert (await world.sync()).counts["conflicts"] == 1
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == ("2", "4")
    [conflict] = await world.conflicts()
    assert conflict.decision is None
    assert msgspec.structs.asdict(conflict)["dataverse"] == {"phoneNumber": "4"}


async def test_a_conflict_is_over_when_somebody_types_the_other_value(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    await world.sync()
    await world.alice.update("accounts", account["accountid"], telephone1="2")
    await world.sync()
    assert await world.conflicts() == []
    await world.quiet("CUSTOMER")


async def test_other_fields_go_on_while_a_conflict_is_held(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    await world.sync()
    await world.alice.update("accounts", account["accountid"], name="Adatum Corporation")
    await world.sync()
    now = await both(world, customer, account)
    assert now[0]["displayName"] == "Adatum Corporation"
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == ("2", "3")
    assert len(await world.conflicts()) == 1


async def test_halves_of_an_address_never_mix(world: World) -> None:
    customer, account = await pair(world, addressLine1="Main Street 1", city="Utrecht", postalCode="1000 AA")
    await world.bob.update("customers", customer["id"], addressLine1="Station Road 2")
    await world.alice.update("accounts", account["accountid"], address1_city="Leiden", address1_postalcode="2300 AA")
    result = await world.sync()
    assert result.counts["conflicts"] == 1
    now = await both(world, customer, account)
    assert (now[0]["addressLine1"], now[0]["city"], now[0]["postalCode"]) == ("Station Road 2", "Utrecht", "1000 AA")
    assert (now[1]["address1_line1"], now[1]["address1_city"]) == ("Main Street 1", "Leiden")
    assert [conflict.field for conflict in await world.conflicts()] == ["address"]
    await decide(world, "dataverse")
    await world.sync()
    now = await both(world, customer, account)
    assert (now[0]["addressLine1"], now[0]["city"], now[0]["postalCode"]) == ("Main Street 1", "Leiden", "2300 AA")
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize(
    ("policy", "expected"), [("business_central", "2"), ("dataverse", "3"), ("newest", "3"), ("ask", None)]
)
async def test_the_policy_of_a_mapping_decides(world: World, policy: Policy, expected: str | None) -> None:
    customer, account = await pair(world)
    world.change(conflicts=policy)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    world.sandbox.clock.advance(10)
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    result = await world.sync()
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == ((expected, expected) if expected else ("2", "3"))
    assert result.counts["conflicts"] == (0 if expected else 1)
    if expected:
        [entry] = await history.find(world.session.connection, job=result.job)
        assert {entry.old, entry.new} == {"2", "3"}
        await world.session.connection.commit()
    await world.quiet("CUSTOMER")


async def test_newest_is_the_other_side_when_that_was_edited_last(world: World) -> None:
    customer, account = await pair(world)
    world.change(conflicts="newest")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    world.sandbox.clock.advance(10)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.sync()
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == ("2", "2")


async def test_a_field_may_have_a_policy_of_its_own(world: World) -> None:
    customer, account = await pair(world)
    world.change_field("phoneNumber", policy="dataverse")
    await world.bob.update("customers", customer["id"], phoneNumber="2", displayName="A")
    await world.alice.update("accounts", account["accountid"], telephone1="3", name="B")
    await world.sync()
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["telephone1"]) == ("3", "3")
    assert (now[0]["displayName"], now[1]["name"]) == ("A", "B")
    assert [conflict.field for conflict in await world.conflicts()] == ["displayName"]


async def test_a_mapping_of_the_user_replaces_the_standard_one(database: Database, tmp_path: Path) -> None:
    (tmp_path / "customer.yaml").write_text(
        """
mapping: CUSTOMER
overrides: standard
conflicts: dataverse
only_coupled: false
business_central: {table: customers, key: number}
dataverse: {table: account, key: name, create: {customertypecode: 3}}
fields:
  - {business_central: displayName, dataverse: name}
""",
        "utf-8",
    )
    async with new_world(database, folders=[tmp_path]) as world:
        customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
        await world.sync()
        account = await world.account_of(customer)
        assert (account["name"], account["telephone1"]) == ("Adatum", None)
        await world.bob.update("customers", customer["id"], displayName="A")
        await world.alice.update("accounts", account["accountid"], name="B")
        await world.sync()
        assert (await world.bob.row("customers", customer["id"]))["displayName"] == "B"


async def test_what_only_receives_drifts(world: World) -> None:
    customer, account = await pair(world, creditLimit=100)
    await world.alice.update("accounts", account["accountid"], creditlimit=500)
    result = await world.sync()
    assert result.write_requests == 0
    assert any("creditLimit" in line for line in result.notices)
    assert (await both(world, customer, account))[1]["creditlimit"] == 500
    await world.bob.update("customers", customer["id"], creditLimit=200)
    await world.sync()
    assert (await both(world, customer, account))[1]["creditlimit"] == 200
    await world.quiet("CUSTOMER")


async def test_drift_is_set_back_where_the_mapping_says_so(world: World) -> None:
    customer, account = await pair(world, creditLimit=100)
    world.change(drift="overwrite")
    await world.alice.update("accounts", account["accountid"], creditlimit=500)
    await world.sync()
    assert (await both(world, customer, account))[1]["creditlimit"] == 100
    await world.quiet("CUSTOMER")


async def test_a_blank_where_nothing_comes_from_is_drift_too(world: World) -> None:
    customer, account = await pair(world, creditLimit=100)
    world.change(drift="overwrite")
    world.change_field("creditLimit", keep_blank=True)
    await world.alice.update("accounts", account["accountid"], creditlimit=None)
    await world.sync()
    assert (await both(world, customer, account))[1]["creditlimit"] == 100
    await world.quiet("CUSTOMER")


async def test_so_it_is_where_a_new_record_brings_it_along(world: World) -> None:
    world.change(drift="overwrite")
    world.change_field("salespersonCode", enabled=False)
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3, creditlimit=500)
    await world.sync(full=True)
    assert not (await world.alice.row("accounts", account["accountid"]))["creditlimit"]
    await world.quiet("CUSTOMER")


async def test_a_value_that_is_cleared_is_cleared_on_the_other_side(world: World) -> None:
    customer, account = await pair(world, website="adatum.example", currencyCode="")
    await world.bob.update("customers", customer["id"], website="")
    await world.alice.update("accounts", account["accountid"], telephone1=None)
    await world.sync()
    now = await both(world, customer, account)
    assert (now[0]["phoneNumber"], now[1]["websiteurl"]) == ("", None)
    await world.quiet("CUSTOMER")


async def test_how_a_value_is_spelt_is_no_change(world: World) -> None:
    customer, account = await pair(world, postalCode="1000 AA", creditLimit=100)
    await world.alice.update("accounts", account["accountid"], address1_postalcode="1000 aa ", creditlimit=100.004)
    result = await world.sync()
    assert result.write_requests == 0
    assert (await both(world, customer, account))[0]["postalCode"] == "1000 AA"


async def test_a_run_in_one_direction_leaves_the_other_to_the_next_one(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    await world.alice.update("accounts", customer["id"], telephone1="9")
    await world.bob.update("customers", customer["id"], website="adatum.example")
    await world.sync(direction="to_dataverse")
    assert (await world.account_of(customer))["websiteurl"] == "adatum.example"
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "1"
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "9"
    await world.quiet("CUSTOMER")

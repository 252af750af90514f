"""Environments that were restored from a backup, and other reasons not to rely on what a system reports as changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from world import World, new_world
from world_data import Row

from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import history
from koppel.store.database import Database
from koppel.sync.request import Result


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


Restore = Callable[[], None]


def back_up_business_central(world: World) -> Restore:
    """Remember the customers as they are; what it returns puts them back."""
    store = world.sandbox.business_central.companies[COMPANY].stores["customers"]
    kept: dict[str, Any] = {key: (row, store.table.stamp(key)) for key, row in store.rows.items()}
    return lambda: store.revert({**dict.fromkeys(store.rows, (None, None)), **kept})


def back_up_dataverse(world: World) -> Restore:
    """Remember the accounts as they are; what it returns puts them back, and the organisation's version too."""
    store = world.sandbox.dataverse.store
    table, version = store.tables["account"], store.version
    kept: dict[str, Any] = {key: (row, table.stamp(key)) for key, row in table.rows.items()}

    def restore() -> None:
        earlier = {**dict.fromkeys(table.rows, (None, None)), **kept}
        table.revert((key, row, stamp) for key, (row, stamp) in earlier.items())
        store.version = version

    return restore


def told(result: Result, what: str) -> bool:
    return any(what in line and "so everything is compared" in line for line in result.notices)


async def three_in_step(world: World) -> list[Row]:
    made = [await world.bob.create("customers", displayName=f"Customer {n}", phoneNumber="1") for n in range(3)]
    await world.sync(full=True)
    world.sandbox.clock.advance(600)
    return made


async def test_business_central_shows_that_it_was_restored(world: World) -> None:
    made = await three_in_step(world)
    restore = back_up_business_central(world)
    await world.bob.update("customers", made[0]["id"], phoneNumber="2")
    await world.sync()
    world.sandbox.clock.advance(600)
    restore()
    result = await world.sync()
    assert told(result, "Business Central went back behind what it had reported")
    assert (await world.bob.row("customers", made[0]["id"]))["phoneNumber"] == "2"
    [entry] = await history.find(world.session.connection, job=result.job)
    assert (entry.old, entry.new, entry.why) == ("1", "2", "Business Central was restored, Dataverse leads")
    await world.quiet("CUSTOMER")
    assert (await world.sync()).notices == []


async def test_also_if_it_was_edited_since(world: World) -> None:
    made = await three_in_step(world)
    restore = back_up_business_central(world)
    await world.bob.update("customers", made[0]["id"], phoneNumber="2")
    await world.sync()
    world.sandbox.clock.advance(600)
    restore()
    world.sandbox.clock.advance(600)
    await world.bob.update("customers", made[1]["id"], website="adatum.example")
    assert told(await world.sync(), "Business Central went back")
    assert (await world.bob.row("customers", made[0]["id"]))["phoneNumber"] == "2"
    assert (await world.account_of(made[1]))["websiteurl"] == "adatum.example"


async def test_or_if_all_that_was_new_is_gone(world: World) -> None:
    made = await three_in_step(world)
    restore = back_up_business_central(world)
    await world.bob.create("customers", displayName="Fourth")
    await world.bob.create("customers", displayName="Fifth")
    await world.sync(full=True)
    await world.bob.update("customers", made[0]["id"], phoneNumber="2")
    world.sandbox.clock.advance(600)
    restore()
    assert told(await world.sync(), "Business Central went back")


async def test_a_deleted_record_is_no_restored_backup(world: World) -> None:
    made = await three_in_step(world)
    await world.bob.update("customers", made[0]["id"], phoneNumber="2")
    await world.bob.update("customers", made[1]["id"], phoneNumber="2")
    await world.sync()
    await world.bob.delete("customers", made[1]["id"])
    assert (await world.sync()).notices == []


async def test_dataverse_shows_that_it_was_restored(world: World) -> None:
    made = await three_in_step(world)
    restore = back_up_dataverse(world)
    await world.alice.update("accounts", made[0]["id"], telephone1="2")
    await world.sync()
    restore()
    result = await world.sync()
    assert any("so everything is compared" in line for line in result.notices)
    assert (await world.account_of(made[0]))["telephone1"] == "2"
    await world.quiet("CUSTOMER")


async def test_also_if_it_has_overtaken_its_old_versions_since(world: World) -> None:
    """The token looks sound again; a record with a lower version than before gives it away."""
    made = await three_in_step(world)
    restore = back_up_dataverse(world)
    await world.alice.update("accounts", made[0]["id"], telephone1="2")
    await world.alice.update("accounts", made[1]["id"], telephone1="2")
    await world.sync()
    restore()
    for n in range(20):
        await world.alice.create("contacts", lastname=f"Somebody {n}")
    await world.bob.update("customers", made[0]["id"], website="adatum.example")
    assert told(await world.sync(), "Dataverse went back behind what it had reported")
    for customer in made[:2]:
        assert (await world.account_of(customer))["telephone1"] == "2"
    assert (await world.account_of(made[0]))["websiteurl"] == "adatum.example"
    await world.quiet("CUSTOMER")
    assert (await world.sync()).notices == []


async def test_another_organisation_under_the_same_address(world: World) -> None:
    made = await three_in_step(world)
    organisations = world.sandbox.dataverse.tables["organization"]
    [(key, row)] = organisations.rows.items()
    other = "11111111-2222-3333-4444-555555555555"
    world.sandbox.dataverse.store.remove("organization", key)
    world.sandbox.dataverse.store.put("organization", other, {**row, "organizationid": other})
    await world.reopen()
    await world.alice.update("accounts", made[0]["id"], telephone1="2")
    result = await world.sync()
    assert told(result, "another environment of Dataverse answers than before")
    assert (await world.bob.row("customers", made[0]["id"]))["phoneNumber"] == "2"
    assert (await world.sync()).notices == []


CHANGED = "the mapping changed since the last run, so everything is compared"


async def test_a_widened_filter_brings_in_what_was_there_all_along(world: World) -> None:
    await three_in_step(world)
    blocked = await world.bob.create("customers", displayName="Blocked", blocked="Invoice")
    world.change(only_coupled=False)
    await world.sync()
    world.sandbox.clock.advance(600)
    assert len(await world.couplings()) == 3
    end = world.mappings["CUSTOMER"].business_central
    wide = f"{end.filter} or blocked eq 'Invoice'"
    world.change(business_central=msgspec.structs.replace(end, filter=wide))
    result = await world.sync()
    assert CHANGED in result.notices
    assert (await world.account_of(blocked))["name"] == "Blocked"
    await world.quiet("CUSTOMER")


async def test_a_changed_rule_parameter_and_an_added_field_too(world: World) -> None:
    await three_in_step(world)
    world.change(parameters={"days": 3})
    assert CHANGED in (await world.sync()).notices
    world.change_field("mobilePhoneNo", enabled=True)
    assert CHANGED in (await world.sync()).notices


@pytest.mark.parametrize("changed", [{"caption": "Buyers"}, {"conflicts": "newest"}, {"deletions": "uncouple"}])
async def test_what_says_nothing_of_values_does_not(world: World, changed: dict[str, Any]) -> None:
    await three_in_step(world)
    world.change(**changed)
    result = await world.sync()
    assert (result.notices, sum(result.requests.values())) == ([], 2)

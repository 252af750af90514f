"""Verification finds what does not agree, and explains what may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.store.database import Database
from koppel.sync.verify import Verification, verify
from koppel.systems.dataverse import Dataverse

ADATUM = {"displayName": "Adatum", "postalCode": "1000", "salespersonCode": "JO"}
LATER = (
    "UPDATE job SET started = now() + interval '1 hour'",
    "UPDATE cursor SET moved_at = now() + interval '2 hours'",
)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def pair(world: World, **values: object) -> tuple[Row, Row]:
    """A customer and its account, in step."""
    customer = await world.bob.create("customers", {**ADATUM, **values})
    await world.sync_all(full=True)
    return customer, await world.account_of(customer)


async def verified(world: World, *names: str) -> Verification:
    return await verify(world.session, names or ("CUSTOMER",))


async def pretend_everything_was_read(world: World) -> None:
    """As if a run had come by later and not seen what was edited until then."""
    for statement in LATER:
        await world.session.connection.execute(statement.encode())
    await world.session.connection.commit()


async def test_systems_in_step_are_sound(world: World) -> None:
    await pair(world, paymentTermsCode="COD", currencyCode="EUR", creditLimit=12.5)
    found = await verified(world, *world.mappings)
    assert (found.sound, found.differences, found.explained) == (True, [], [])
    assert found.compared >= 1 + 2 + 1
    assert found.values > found.compared


async def test_an_edit_that_no_run_carried_over_is_a_difference(world: World) -> None:
    customer, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], telephone1="555-1")
    assert [d.explained for d in (await verified(world)).explained] == ["changed since the last run"]
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert not found.sound
    (difference,) = found.differences
    assert (difference.name, difference.field) == (customer["number"], "phoneNumber")
    assert (difference.business_central, difference.dataverse) == ("", "555-1")


async def test_a_held_conflict_is_explained(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="1")
    await world.alice.update("accounts", account["accountid"], telephone1="2")
    await world.sync()
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert (found.sound, [d.explained for d in found.explained]) == (True, ["a conflict that waits for a decision"])


async def test_a_field_that_waits_is_explained(world: World) -> None:
    customer, _ = await pair(world)
    await world.bob.create("paymentTerms", {"code": "NET 99"})
    await world.bob.update("customers", customer["id"], paymentTermsCode="NET 99")
    await world.sync()
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert (found.sound, [d.explained for d in found.explained]) == (True, ["waits until its reference is coupled"])


async def test_a_failed_record_is_explained_by_its_failure(world: World) -> None:
    _, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], name="N" * 120)
    await world.sync()
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert found.sound
    assert found.explained[0].explained.startswith("failed: displayName has 120 characters")


async def test_the_connections_own_edit_is_explained(world: World) -> None:
    _, account = await pair(world)
    await world.robot.update("accounts", account["accountid"], telephone1="555-9")
    await world.sync()
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert (found.sound, [d.explained for d in found.explained]) == (True, ["changed by the connection's own user"])


async def test_drift_on_a_side_that_only_receives_is_explained(world: World) -> None:
    _, account = await pair(world, creditLimit=100)
    await world.alice.update("accounts", account["accountid"], creditlimit=5)
    await world.sync()
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert (found.sound, [d.explained for d in found.explained]) == (
        True,
        ["changed on the side that only receives it"],
    )
    world.change(drift="overwrite")
    found = await verified(world)
    assert [(d.field, d.business_central, d.dataverse) for d in found.differences] == [("creditLimit", 100, 5)]


async def test_a_blank_that_does_not_overwrite_is_explained(world: World) -> None:
    customer, _ = await pair(world, phoneNumber="1")
    world.change_field("phoneNumber", keep_blank=True)
    await world.bob.update("customers", customer["id"], phoneNumber="")
    await world.sync()
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert (found.sound, [d.explained for d in found.explained]) == (True, ["a blank does not overwrite"])


async def test_so_is_what_a_new_record_held_there(world: World) -> None:
    await world.alice.create("accounts", name="Adatum", customertypecode=3, creditlimit=5)
    await world.sync(full=True)
    await pretend_everything_was_read(world)
    found = await verified(world)
    assert (found.sound, [d.field for d in found.explained]) == (True, ["salespersonCode", "creditLimit"])


async def test_a_coupling_without_one_of_its_records_is_an_orphan(world: World) -> None:
    customer, account = await pair(world)
    await world.alice.delete("accounts", account["accountid"])
    found = await verified(world)
    assert not found.sound
    assert [(orphan.name, orphan.missing) for orphan in found.orphans] == [(customer["number"], ("dataverse",))]


async def test_a_second_account_for_a_coupled_customer_is_a_duplicate(world: World) -> None:
    _, account = await pair(world)
    twin = await world.alice.create("accounts", name="ADATUM", address1_postalcode="1000", customertypecode=3)
    await world.alice.create("accounts", name="Somebody else", address1_postalcode="1000", customertypecode=3)
    found = await verified(world)
    assert [(d.id, d.twin) for d in found.duplicates] == [(twin["accountid"], account["accountid"])]


async def test_an_option_whose_label_was_changed_is_a_difference(world: World) -> None:
    await pair(world)
    (option, *_) = await options_of(world)
    dataverse = world.session.systems["dataverse"]
    assert isinstance(dataverse, Dataverse)
    await dataverse.update_option("account", "paymenttermscode", option[1], "Changed")
    await dataverse.publish("account")
    found = await verified(world, "PAYMENT TERMS")
    assert [(d.business_central, d.dataverse) for d in found.differences] == [(option[0], "Changed")]


async def options_of(world: World) -> list[tuple[str, int]]:
    rows = await world.session.connection.execute(
        "SELECT code, value FROM option_coupling WHERE mapping = 'PAYMENT TERMS'"
    )
    return await rows.fetchall()

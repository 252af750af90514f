"""Weaknesses of the connector inside Business Central that Koppel must not have: changes, conflicts, values.

Each test bears the id under which ``docs/weaknesses.md`` tells of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from test_run_failures import LONG, refuse
from test_run_merge import both, pair
from test_run_pending import with_person
from test_run_trouble import lose_answers
from world import World, new_world

from koppel.errors import TransientError
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import conflicts, history, options
from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.systems.dataverse import Dataverse


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY", "PAYMENT TERMS", "SHIPMENT METHOD", "SHIPPING AGENT"):
            await world.sync(name, full=True)
        yield world


async def test_eng_313_edits_of_different_fields_are_no_conflict(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], websiteurl="adatum.example")
    assert (await world.sync()).counts["conflicts"] == 0
    customer, account = await both(world, customer, account)
    assert (customer["website"], account["telephone1"]) == ("adatum.example", "2")


async def test_eng_314_a_touch_that_concerns_no_mapped_field_is_no_change(world: World) -> None:
    customer, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], description="A note that is not mapped")
    assert (await world.sync()).write_requests == 0
    await world.alice.update("accounts", account["accountid"], description="Another one")
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    assert (await world.sync()).counts["conflicts"] == 0
    assert (await world.account_of(customer))["telephone1"] == "2"


async def test_eng_315_a_pair_that_was_coupled_and_not_yet_synchronised_is_no_conflict(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    account = await world.alice.create("accounts", name="Adatum", telephone1="2", customertypecode=3)
    result = await couple(world.session, "CUSTOMER", customer["id"], account["accountid"])
    assert result.counts["conflicts"] == 0
    assert (await world.account_of(customer))["telephone1"] == "1"
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    assert (await world.sync()).counts["conflicts"] == 0
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "3"


async def test_eng_316_a_failed_pull_makes_no_conflict_of_a_later_push(world: World) -> None:
    customer, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], name=LONG)
    assert (await world.sync()).counts["failed"] == 1
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.sync()
    await world.alice.update("accounts", account["accountid"], name="Adatum Ltd")
    assert (await world.sync()).counts["conflicts"] == 0
    customer, account = await both(world, customer, account)
    assert (customer["displayName"], account["telephone1"]) == ("Adatum Ltd", "2")
    assert await world.conflicts() == []


async def test_eng_325_an_edit_of_the_shared_account_is_late_and_never_lost(world: World) -> None:
    customer, account = await pair(world)
    await world.robot.update("accounts", account["accountid"], telephone1="7")
    assert (await world.sync()).write_requests == 0
    await world.alice.update("accounts", account["accountid"], websiteurl="adatum.example")
    await world.sync()
    customer = await world.bob.row("customers", customer["id"])
    assert (customer["phoneNumber"], customer["website"]) == ("7", "adatum.example")


async def test_eng_332_no_value_is_cut_or_lost_in_silence(world: World) -> None:
    customer, account = await pair(world)
    for name in (LONG, f"{LONG[:100]} and an ending that has no room"):
        await world.alice.update("accounts", account["accountid"], name=name)
        assert (await world.sync()).counts["failed"] == 1
        assert (await world.failures())[0].field == "displayName"
        assert (await world.bob.row("customers", customer["id"]))["displayName"] == "Adatum"
        assert (await world.account_of(customer))["name"] == name


async def test_eng_336_a_reference_that_is_not_coupled_costs_one_field_and_comes_later(world: World) -> None:
    customer, person = await with_person(world)
    assert (await world.sync(create=True)).counts["created"] == 1
    assert (await world.account_of(customer))["_primarycontactid_value"] is None
    await world.sync("CONTACT", create=True)
    await world.sync()
    assert (await world.account_of(customer))["_primarycontactid_value"] == person["id"]


async def test_eng_339_a_reference_that_nobody_touched_for_long_is_found(world: World) -> None:
    customer, person = await with_person(world)
    await world.sync(create=True)
    await world.sync("CONTACT")
    world.sandbox.clock.advance(90 * 24 * 3600)
    other = await world.bob.create("customers", displayName="Newer")
    await world.sync(create=True)
    await world.sync("CONTACT", create=True, records=(person["number"],))
    await world.sync()
    assert (await world.account_of(customer))["_primarycontactid_value"] == person["id"]
    assert await world.account_of(other)


async def test_eng_340_a_caption_that_was_edited_renames_no_code(world: World) -> None:
    dataverse = world.session.systems["dataverse"]
    assert isinstance(dataverse, Dataverse)
    coupled = {option.code: option.value for option in await options.every(world.session.connection, "PAYMENT TERMS")}
    await dataverse.update_option("account", "paymenttermscode", coupled["COD"], "Cash, and a caption of some length")
    await dataverse.publish("account")
    await world.sync("PAYMENT TERMS", full=True)
    assert {row["code"] for row in await world.bob.rows("paymentTerms")} == {"COD", "NET 30"}
    now = {option.code: option.value for option in await options.every(world.session.connection, "PAYMENT TERMS")}
    assert now == coupled


async def test_eng_348_a_field_may_have_its_own_policy_and_what_lost_is_kept(world: World) -> None:
    world.change_field("phoneNumber", policy="dataverse")
    await world.reopen()
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2", website="ours.example")
    await world.alice.update("accounts", account["accountid"], telephone1="3", websiteurl="theirs.example")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "3"
    assert [conflict.field for conflict in await world.conflicts()] == ["website"]
    entries = await history.find(world.session.connection, record_ids=[customer["id"]])
    assert [(e.field, e.old, e.new) for e in entries if e.action == "update"] == [("phoneNumber", "2", "3")]
    assert await conflicts.decide(world.session.connection, "business_central") == 1
    await world.session.connection.commit()
    await world.sync()
    assert (await world.account_of(customer))["websiteurl"] == "ours.example"


async def test_eng_323_a_change_that_was_committed_late_is_not_missed(world: World) -> None:
    late, _ = await pair(world)
    await world.bob.update("customers", late["id"], phoneNumber="2")
    world.sandbox.clock.advance(200)
    store = world.sandbox.business_central.companies[COMPANY].stores["customers"]
    hidden, stamp = store.rows[late["id"]], store.table.stamp(late["id"])
    store.remove(late["id"], stamp)
    await world.bob.create("customers", displayName="Earlier committed, later stamped")
    await world.sync()
    store.put(hidden, stamp)
    await world.sync()
    assert (await world.account_of(late))["telephone1"] == "2"


async def test_eng_318_an_insert_that_nobody_heard_of_is_found_and_not_repeated(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")
    lost = lose_answers(world, "dataverse")
    await world.sync(full=True)
    await world.sync(full=True, force=True)
    assert (len(lost), len(await world.alice.rows("accounts")), len(await world.couplings())) == (1, 1, 1)


async def test_eng_317_a_creation_that_failed_is_tried_again_without_any_edit(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Bad")
    refuse(world, "account", "Bad")
    assert (await world.sync(full=True)).counts["failed"] == 1
    blocking = await world.alice.one("accounts", "name eq 'Bad'")
    await world.alice.delete("accounts", blocking["accountid"])
    await world.sync()
    assert (await world.account_of(customer))["name"] == "Bad"


async def test_eng_341_a_mapping_that_failed_for_days_goes_on_by_itself(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    down = SystemFaults(unavailable=1.0, retry_after=0)
    world.sandbox.faults.set(Faults(dataverse=down))
    for _ in range(11):
        with pytest.raises(TransientError, match="Dataverse answers HTTP status 503"):
            await world.sync()
    world.sandbox.faults.set(Faults())
    await world.sync()
    assert (await world.alice.row("accounts", account["accountid"]))["telephone1"] == "2"

"""Weaknesses of the connector inside Business Central that Koppel must not have: runs, failures, couplings.

Each test bears the id under which ``docs/weaknesses.md`` tells of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from test_run_deletion import customer_in_step
from test_run_failures import LONG, refuse
from test_run_merge import pair
from test_run_trouble import lose_answers, writes_to
from world import CrashError, World, new_world
from world_data import Row

from koppel.engine.action import Action
from koppel.errors import LockedError, StoreError, UsageError
from koppel.mapping.model import MatchPair
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.tokens import KOPPEL
from koppel.store import jobs
from koppel.store.database import Database
from koppel.sync import passes, write
from koppel.sync.couple import couple
from koppel.sync.run import synchronise
from koppel.sync.uncouple import uncouple
from koppel.sync.verify import verify
from koppel.systems.transport import Request

SECOND = "DEALER"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


def second_mapping(world: World, filter: str = "") -> None:
    """Another mapping of the same two tables, for accounts of another kind."""
    mapping = world.mappings["CUSTOMER"]
    here = msgspec.structs.replace(mapping.business_central, filter=filter)
    there = msgspec.structs.replace(mapping.dataverse, filter="customertypecode eq 10", create={"customertypecode": 10})
    world.mappings[SECOND] = msgspec.structs.replace(
        mapping, name=SECOND, business_central=here, dataverse=there, digest=SECOND
    )


# runs of chosen records, deletions, filters


async def test_eng_319_a_run_of_chosen_records_honours_conflicts(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", account["accountid"], telephone1="3")
    result = await world.sync(records=(customer["number"],), force=True)
    assert (result.counts["conflicts"], result.write_requests) == (1, 0)
    result = await world.sync(full=True, force=True)
    assert result.write_requests == 0


async def test_eng_319_and_what_was_deleted(world: World) -> None:
    customer = await customer_in_step(world, "none")
    await world.alice.delete("accounts", customer["id"])
    result = await world.sync(records=(customer["number"],), force=True)
    assert (result.counts["failed"], result.write_requests) == (1, 0)
    assert "deleted in Dataverse" in (await world.failures())[0].message


async def test_eng_320_a_deletion_is_noticed_without_any_edit(world: World) -> None:
    customer = await customer_in_step(world, "uncouple")
    await world.alice.delete("accounts", customer["id"])
    assert (await world.sync()).counts["uncoupled"] == 1
    assert await world.couplings() == []


async def test_eng_322_a_wider_filter_brings_what_it_lets_in(world: World) -> None:
    narrow = msgspec.structs.replace(world.mappings["CUSTOMER"].business_central, filter="displayName eq 'Adatum'")
    wide = world.mappings["CUSTOMER"].business_central
    world.change(business_central=narrow, only_coupled=False)
    await world.reopen()
    await world.bob.create("customers", displayName="Adatum")
    other = await world.bob.create("customers", displayName="Fabrikam", mobilePhoneNo="6")
    await world.sync(full=True)
    assert len(await world.couplings()) == 1
    world.sandbox.clock.advance(3600)
    world.change(business_central=wide)
    world.change_field("mobilePhoneNo", enabled=True)
    result = await world.sync()
    assert any("everything is compared" in line for line in result.notices)
    assert (await world.account_of(other))["telephone2"] == "6"


# effort


async def test_eng_326_requests_grow_with_pages_and_batches_not_with_records(world: World) -> None:
    for number in range(150):
        await world.bob.create("customers", displayName=f"Customer {number}", salespersonCode="JO")
    created = await world.sync(full=True)
    assert (created.counts["created"], sum(created.requests.values()) < 20) == (150, True)
    for customer in await world.bob.rows("customers"):
        await world.bob.update("customers", customer["id"], phoneNumber="2")
    updated = await world.sync(force=True)
    assert (updated.counts["updated"], sum(updated.requests.values()) < 20) == (150, True)


async def test_eng_327_no_more_than_a_chunk_is_held_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    async def counted(session: Any, scope: Any, actions: Sequence[Action]) -> Any:
        held.append(len(actions))
        return await write.send(session, scope, actions)

    monkeypatch.setattr(passes, "CHUNK", 7)
    monkeypatch.setattr("koppel.sync.carry.send", counted)
    for number in range(30):
        await world.bob.create("customers", displayName=f"Customer {number}")
    await world.sync(full=True)
    assert (sum(held), max(held)) == (30, 7)


# failures


async def test_eng_328_what_repeats_is_told_by_code_and_field_not_by_words(world: World) -> None:
    _, account = await pair(world)
    for name in (LONG, LONG + "!"):
        await world.alice.update("accounts", account["accountid"], name=name)
        await world.sync()
    [failure] = await world.failures()
    assert (failure.attempts, failure.state) == (2, "skipped")
    assert f"{len(LONG) + 1} characters" in failure.message


async def test_eng_328_an_outage_makes_nothing_skipped(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    world.sandbox.faults.set(Faults(dataverse=SystemFaults(unavailable=1.0, retry_after=0)))
    for _ in range(3):
        with pytest.raises(Exception, match="503"):
            await world.sync()
    world.sandbox.faults.set(Faults())
    assert await world.failures() == []
    assert (await world.sync()).counts["updated"] == 1
    assert (await world.alice.row("accounts", account["accountid"]))["telephone1"] == "2"


async def test_eng_329_a_skipped_record_keeps_its_reason_where_it_can_be_seen(world: World) -> None:
    _, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], name=LONG)
    for _ in range(4):
        await world.sync()
    [failure] = await world.failures()
    assert (failure.state, failure.direction, failure.field) == ("skipped", "from_dataverse", "displayName")
    assert failure.message == "displayName has 118 characters, Business Central takes 100"


async def test_eng_330_a_failure_belongs_to_its_mapping(world: World) -> None:
    second_mapping(world)
    await world.bob.create("customers", displayName="Adatum", salespersonCode="EXT")
    world.change_field("salespersonCode", name=SECOND, enabled=False)
    await world.sync(full=True)
    result = await world.sync(SECOND, full=True)
    assert result.counts["created"] == 1
    assert (len(await world.failures()), len(await world.failures(SECOND))) == (1, 0)
    assert (len(await world.couplings()), len(await world.couplings(SECOND))) == (0, 1)


async def test_eng_338_a_filter_on_the_key_hinders_no_second_try(world: World) -> None:
    end = msgspec.structs.replace(world.mappings["CUSTOMER"].business_central, filter="number ge 'C00001'")
    world.change(business_central=end)
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Bad")
    refuse(world, "account", "Bad")
    assert (await world.sync(full=True)).counts["failed"] == 1
    await world.alice.delete("accounts", (await world.alice.one("accounts", "name eq 'Bad'"))["accountid"])
    await world.sync()
    assert (await world.account_of(customer))["name"] == "Bad"


async def test_eng_346_a_missing_privilege_is_told_as_one_and_nothing_is_switched_off(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    users = world.sandbox.dataverse.missing_privileges
    users[KOPPEL.id] = {"prvCreateAccount"}
    await world.sync(full=True)
    [failure] = await world.failures()
    assert (failure.kind, failure.state) == ("permission", "active")
    users.clear()
    await world.sync()
    assert (await world.account_of(customer))["name"] == "Adatum"


# runs that meet, runs that die


async def test_eng_343_two_runs_of_one_mapping_never_overlap(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            reached.set()
            await go_on.wait()

    world.line.before = wait
    first = asyncio.create_task(world.sync(full=True))
    await reached.wait()
    async with world.database.connect() as connection:
        with pytest.raises(LockedError):
            await synchronise(world.new_session(connection), "CUSTOMER")
    go_on.set()
    assert (await first).counts["created"] == 1


async def test_eng_344_a_run_that_died_is_not_in_process_for_ever(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")

    async def die(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            world.crash()

    world.line.before = die
    with pytest.raises(CrashError):
        await world.sync(full=True)
    await world.revive()
    [job, *_] = await jobs.recent(world.session.connection, mapping="CUSTOMER")
    assert (job.status, job.finished is not None) == ("interrupted", True)


# matching and names


async def test_eng_331_the_next_group_is_tried_where_the_first_finds_nothing(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", postalCode="1000")
    there = await world.alice.create("accounts", name="Adatum", address1_postalcode="1000", customertypecode=3)
    assert there["accountnumber"] is None
    await world.sync(full=True)
    assert (await world.account_of(customer))["accountid"] == there["accountid"]


async def test_eng_349_a_beginning_of_a_name_is_no_name(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")
    await world.alice.create("accounts", name="Adatum Corporation", customertypecode=3)
    with pytest.raises(UsageError, match="no record is called 'Adatum' in Dataverse"):
        await couple(world.session, "CUSTOMER", "C00001", "Adatum")
    assert await world.couplings() == []


# defects that others found


async def side_by_side(world: World) -> tuple[Row, Row]:
    """A customer in step by CUSTOMER, and one by another mapping of the same tables."""
    second_mapping(world, "country eq 'NL'")
    customer = await world.bob.create("customers", displayName="Adatum")
    dealer = await world.bob.create("customers", displayName="Fabrikam", country="NL")
    await world.sync("CUSTOMER", create=True, records=(customer["number"],))
    await world.sync(SECOND, full=True)
    return customer, dealer


async def test_def_01_uncoupling_a_mapping_leaves_the_couplings_of_others(world: World) -> None:
    await side_by_side(world)
    assert await uncouple(world.session, "CUSTOMER", everything=True) == 1
    assert (len(await world.couplings()), len(await world.couplings(SECOND))) == (0, 1)


async def test_def_02_a_coupling_whose_records_are_both_gone_is_found_and_removed(world: World) -> None:
    customer, account = await pair(world)
    await world.bob.delete("customers", customer["id"])
    await world.alice.delete("accounts", account["accountid"])
    assert len((await verify(world.session, ["CUSTOMER"])).orphans) == 1
    await world.sync()
    assert (await world.couplings(), await world.failures()) == ([], [])


async def test_def_04_two_mappings_on_the_same_tables_work_side_by_side(world: World) -> None:
    _, dealer = await side_by_side(world)
    accounts = {row["name"]: row for row in await world.alice.rows("accounts")}
    assert {name: row["customertypecode"] for name, row in accounts.items()} == {"Adatum": 3, "Fabrikam": 10}
    await world.alice.update("accounts", accounts["Fabrikam"]["accountid"], telephone1="5")
    await world.sync("CUSTOMER")
    assert (await world.bob.row("customers", dealer["id"]))["phoneNumber"] == ""
    await world.sync(SECOND)
    assert (await world.bob.row("customers", dealer["id"]))["phoneNumber"] == "5"


async def test_def_05_a_rule_is_handed_the_parameters_of_its_own_mapping(world: World) -> None:
    world.change("UNIT OF MEASURE", parameters={**world.mappings["UNIT OF MEASURE"].parameters, "prefix": "ERP"})
    await world.reopen()
    await world.sync("UNIT OF MEASURE", full=True)
    assert {row["name"] for row in await world.alice.rows("uomschedules")} >= {"ERP BOX", "ERP PCS"}


async def test_def_08_whether_unmatched_records_are_created_is_said_by_the_mapping(world: World) -> None:
    world.change(match=((MatchPair("displayName", "name"),),), create_unmatched=False)
    await world.reopen()
    await world.bob.create("customers", displayName="Adatum")
    assert (await world.sync(full=True)).counts["created"] == 0
    world.change(create_unmatched=True)
    assert (await world.sync(full=True)).counts["created"] == 1


async def test_def_10_an_empty_selection_selects_nothing(world: World) -> None:
    customer, _ = await pair(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    assert not (await world.sync(records=())).counts
    assert await uncouple(world.session, "CUSTOMER", []) == 0
    systems = world.session.systems
    assert await systems["business_central"].by_ids("customers", ("number",), []) == {}
    assert await systems["dataverse"].by_keys("account", ("name",), "name", []) == []
    assert len(await world.couplings()) == 1


async def test_def_11_nothing_follows_a_write_that_failed(world: World) -> None:
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await world.sync(create=True)
    customer = await world.customer_of(account)
    company = await world.company_contact(customer)
    await world.alice.update("accounts", account["accountid"], name=LONG)
    assert (await world.sync()).counts["failed"] == 1
    assert (await world.company_contact(customer))["displayName"] == company["displayName"] == "Adatum"


async def test_def_15_a_record_that_exists_already_is_adopted(world: World) -> None:
    customer: Row = await world.bob.create("customers", displayName="Adatum")
    lose_answers(world, "dataverse")
    result = await world.sync(full=True)
    assert (result.counts["failed"], len(await world.alice.rows("accounts"))) == (0, 1)
    assert (await world.account_of(customer))["name"] == "Adatum"
    for _ in range(2):
        assert (await world.sync()).counts["failed"] == 0


async def test_a_record_has_one_partner_in_a_mapping_always(world: World) -> None:
    customer, _ = await pair(world)
    other = await world.alice.create("accounts", name="Other", customertypecode=3)
    with pytest.raises(StoreError, match="is coupled to"):
        await couple(world.session, "CUSTOMER", customer["id"], other["accountid"])

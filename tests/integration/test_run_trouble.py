"""Answers that do not come, systems that are busy, people who are faster, runs that meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from test_run_crash import people, people_runs
from world import COMPANION, World, new_world
from world_data import Row
from world_state import bookkeeping_of, differences, state_of

from koppel.errors import LockedError, TransientError
from koppel.sandbox.business_central import Limits
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import failures, jobs
from koppel.store.database import Database
from koppel.sync.run import synchronise
from koppel.systems.transport import Request, no_answer


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def writes_to(world: World, request: Request, system: str) -> bool:
    """Whether a request creates or changes something in a system (``bc`` or ``dataverse``)."""
    body = request.body
    return (
        f"/{system}/" in request.url
        and request.method == "POST"
        and (b"POST " in body or b'"POST"' in body or b"PATCH" in body or b"Targets" in body)
    )


def lose_answers(world: World, system: str, times: int = 1) -> list[str]:
    """Lose the answers to the next writes to a system; the list fills with what was lost."""
    lost: list[str] = []

    async def lose(number: int, request: Request) -> None:
        if len(lost) < times and writes_to(world, request, system):
            lost.append(request.url)
            raise no_answer(request, "lost by a test")

    world.line.after = lose
    return lost


# answers that do not come


async def test_accounts_whose_creation_was_not_answered_are_not_created_twice(world: World) -> None:
    customers = [await world.bob.create("customers", displayName=f"Customer {n}") for n in range(3)]
    lost = lose_answers(world, "dataverse")
    result = await world.sync(full=True)
    assert len(lost) == 1
    assert result.counts["failed"] == 0
    assert {row["name"] for row in await world.alice.rows("accounts")} == {c["displayName"] for c in customers}
    assert len(await world.alice.rows("accounts")) == len(await world.couplings()) == 3
    await world.quiet("CUSTOMER")


async def test_nor_are_customers_with_ids_of_their_own(world: World) -> None:
    for number in range(3):
        await world.alice.create("accounts", name=f"Account {number}", customertypecode=3)
    lost = lose_answers(world, "bc")
    result = await world.sync(full=True)
    assert (len(lost), result.counts["failed"]) == (1, 0)
    assert len(await world.bob.rows("customers")) == len(await world.couplings()) == 3
    assert len(await world.bob.rows("contacts")) == 3
    await world.quiet("CUSTOMER")


async def test_references_lead_to_customers_whose_creation_was_not_answered(world: World) -> None:
    world.change(fields=tuple(f for f in world.mappings["CUSTOMER"].fields if f.name == "displayName"))
    await world.reopen()
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    lost = lose_answers(world, "bc")
    await world.sync(full=True)
    assert len(lost) == 1
    bind = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
    await world.alice.create("contacts", {"firstname": "Ann", "lastname": "Lee", **bind})
    await world.sync("CONTACT", full=True)
    [customer] = await world.bob.rows("customers")
    person = await world.bob.one("contacts", "type eq 'Person'")
    assert (await world.coupling(customer["number"])).dataverse_id == account["accountid"]
    assert person["companyNumber"] == (await world.company_contact(customer))["number"]


async def test_where_the_system_chooses_ids_they_are_looked_for(database: Database) -> None:
    async with new_world(database, route="v2.0") as world:
        for number in range(3):
            await world.alice.create("accounts", name=f"Account {number}", customertypecode=3)
        lost = lose_answers(world, "bc")
        await world.sync(full=True)
        assert len(lost) == 1
        assert len(await world.bob.rows("customers")) == len(await world.couplings()) == 3
        assert len(await world.alice.rows("accounts")) == 3
        assert await world.failures() == []
        await world.quiet("CUSTOMER")


async def with_a_look_alike(world: World) -> Row:
    """An account whose customer was made without an answer, while Bob typed one that looks the same."""
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)

    async def lose(number: int, request: Request) -> None:
        if writes_to(world, request, "bc"):
            world.line.after = None
            await world.bob.create("customers", displayName="Adatum")
            raise no_answer(request, "lost by a test")

    world.line.after = lose
    result = await world.sync(full=True)
    assert len(await world.bob.rows("customers")) == 2
    assert result.counts["created"] == 0
    return account


async def test_where_it_cannot_be_told_which_one_was_made_nothing_is_guessed(database: Database) -> None:
    async with new_world(database, route="v2.0") as world:
        account = await with_a_look_alike(world)
        for _ in range(2):
            assert (await world.sync(full=True)).write_requests == 0
        found = {failure.side: failure for failure in await world.failures()}
        assert found["dataverse"].record_id == account["accountid"]
        assert "what came of that cannot be told" in found["dataverse"].message
        assert (found["business_central"].code, found["business_central"].state) == ("outcome-unknown", "active")
        [mine, _] = await world.bob.rows("customers")
        await world.bob.delete("customers", mine["id"])
        await world.sync(full=True)
        assert len(await world.bob.rows("customers")) == len(await world.couplings()) == 1
        assert (await world.customer_of(account))["displayName"] == "Adatum"
        assert await world.failures() == []
        await world.quiet("CUSTOMER")


async def test_until_a_person_says_that_none_of_them_is_it(database: Database) -> None:
    async with new_world(database, route="v2.0") as world:
        account = await with_a_look_alike(world)
        await failures.retry(world.session.connection, mapping="CUSTOMER", record_ids=[account["accountid"]])
        await world.session.connection.commit()
        await world.sync(full=True)
        assert len(await world.bob.rows("customers")) == len(await world.alice.rows("accounts")) == 3
        assert len(await world.couplings()) == 3
        await world.quiet("CUSTOMER")


@pytest.mark.parametrize("system", ["dataverse", "bc"])
async def test_an_update_that_was_not_answered_is_found_to_be_done(world: World, system: str) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(full=True)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", customer["id"], websiteurl="adatum.example")
    lost = lose_answers(world, system)
    result = await world.sync()
    assert (len(lost), result.counts["failed"]) == (1, 0)
    assert (await world.account_of(customer))["telephone1"] == "2"
    assert (await world.bob.row("customers", customer["id"]))["website"] == "adatum.example"
    await world.quiet("CUSTOMER")
    await world.alice.update("accounts", customer["id"], telephone1="3")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "3"


async def test_a_system_that_is_down_stops_the_run_and_costs_nothing(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(full=True)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    world.sandbox.faults.set(Faults(dataverse=SystemFaults(unavailable=1.0)))
    with pytest.raises(TransientError):
        await world.sync()
    [job] = await jobs.recent(world.session.connection, limit=1)
    assert job.status == "failed"
    assert "503" in job.message
    await world.session.connection.commit()
    world.sandbox.faults.set(Faults())
    await world.sync()
    assert (await world.account_of(customer))["telephone1"] == "2"
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("seed", range(4))
async def test_a_bad_day_ends_like_a_good_one(database: Database, seed: int) -> None:
    """One answer in twenty is a 503, one in fifty never comes, and both systems allow few requests."""
    states = []
    for trouble in (False, True):
        async with new_world(database, route=COMPANION) as world:
            await people(world)
            if trouble:
                faults = SystemFaults(unavailable=0.05, lost=0.02)
                world.sandbox.faults.set(Faults(seed=seed, dataverse=faults, business_central=faults))
                world.sandbox.dataverse.limits.enforced = True
                world.sandbox.dataverse.limits.requests = 8
                world.sandbox.dataverse.limits.window = 10
                world.sandbox.business_central.settings.limits = Limits(requests=6, window=0.01)
            for _ in range(2):
                await until_through(world)
            states.append((state_of(world), await bookkeeping_of(world)))
            await world.forget()
    assert differences(states[0][0], states[1][0]) == {}
    assert differences(states[0][1], states[1][1]) == {}


async def until_through(world: World) -> None:
    """The runs, begun again when a system did not answer at all."""
    for _ in range(10):
        with suppress(TransientError):
            return await people_runs(world)
    raise AssertionError("no run came through")


# people who are faster


async def in_step(world: World) -> Row:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await world.sync(full=True)
    return customer


async def test_an_edit_between_reading_and_writing_is_kept(world: World) -> None:
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")

    async def edit(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            world.line.before = None
            await world.alice.update("accounts", customer["id"], name="Renamed", telephone1="1")

    world.line.before = edit
    result = await world.sync()
    assert result.counts["failed"] == 0
    account, now = await world.account_of(customer), await world.bob.row("customers", customer["id"])
    assert (account["telephone1"], account["name"]) == ("2", "Renamed")
    assert (now["phoneNumber"], now["displayName"]) == ("2", "Renamed")
    await world.quiet("CUSTOMER")


async def test_an_edit_of_the_same_field_meanwhile_is_a_conflict(world: World) -> None:
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")

    async def edit(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            world.line.before = None
            await world.alice.update("accounts", customer["id"], telephone1="3")

    world.line.before = edit
    result = await world.sync()
    assert result.counts["conflicts"] == 1
    assert (await world.account_of(customer))["telephone1"] == "3"
    assert [conflict.field for conflict in await world.conflicts()] == ["phoneNumber"]


async def test_somebody_who_never_stops_is_told_of_after_five_times(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="2")
    edits = 0

    async def edit(number: int, request: Request) -> None:
        nonlocal edits
        if writes_to(world, request, "bc"):
            edits += 1
            await world.bob.update("customers", customer["id"], website=f"edit-{edits}.example")

    world.line.before = edit
    result = await world.sync()
    assert (edits, result.counts["failed"]) == (5, 1)
    [failure] = await world.failures()
    assert (failure.kind, failure.side, failure.state) == ("conflict", "dataverse", "active")
    world.line.before = None
    await world.sync()
    account, now = await world.account_of(customer), await world.bob.row("customers", customer["id"])
    assert (now["phoneNumber"], now["website"]) == ("2", "edit-5.example")
    assert account["websiteurl"] == "edit-5.example"
    assert await world.failures() == []
    await world.quiet("CUSTOMER")


async def test_a_record_that_is_deleted_between_reading_and_writing(world: World) -> None:
    world.change(deletions="uncouple")
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2")

    async def delete(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            world.line.before = None
            await world.alice.delete("accounts", customer["id"])

    world.line.before = delete
    await world.sync()
    await world.sync()
    assert (await world.couplings(), await world.failures()) == ([], [])
    assert len(await world.bob.rows("customers")) == 1


# runs that meet


async def test_a_mapping_runs_once_at_a_time(world: World) -> None:
    for number in range(3):
        await world.bob.create("customers", displayName=f"Customer {number}")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            reached.set()
            await go_on.wait()

    world.line.before = wait
    first = asyncio.create_task(world.sync(full=True))
    await reached.wait()
    before = len(world.line.requests)
    async with world.database.connect() as connection:
        other = world.new_session(connection)
        with pytest.raises(LockedError, match=f"CUSTOMER is held by job {world.session.job}"):
            await synchronise(other, "CUSTOMER")
        assert len(world.line.requests) == before
        assert (await synchronise(other, "PAYMENT TERMS")).counts["failed"] == 0
        go_on.set()
        assert (await first).counts["created"] == 3
        assert (await synchronise(other, "CUSTOMER")).write_requests == 0


# cursors


async def test_an_expired_cursor_leads_to_a_full_compare_with_a_notice(world: World) -> None:
    world.change(deletions="uncouple")
    customers = [await world.bob.create("customers", displayName=f"Customer {n}") for n in range(3)]
    await world.sync(full=True)
    await world.alice.update("accounts", customers[0]["id"], telephone1="2")
    await world.alice.delete("accounts", customers[1]["id"])
    world.sandbox.clock.advance(8 * 24 * 3600)
    result = await world.sync()
    assert any("cursor expired" in line for line in result.notices)
    assert (await world.bob.row("customers", customers[0]["id"]))["phoneNumber"] == "2"
    assert {c.dataverse_id for c in await world.couplings()} == {customers[0]["id"], customers[2]["id"]}
    result = await world.sync()
    assert (result.notices, result.write_requests) == ([], 0)


async def test_a_changed_mapping_leads_to_a_full_compare_with_a_notice(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", mobilePhoneNo="6")
    await world.sync(full=True)
    assert (await world.account_of(customer))["telephone2"] is None
    world.change_field("mobilePhoneNo", enabled=True)
    result = await world.sync()
    assert any("the mapping changed" in line for line in result.notices)
    assert (await world.account_of(customer))["telephone2"] == "6"
    assert (await world.sync()).notices == []


async def test_a_transaction_that_was_long_under_way_is_not_missed(world: World) -> None:
    """Business Central stamps a change when it begins; it may show up after a later one was read."""
    late = await world.bob.create("customers", displayName="Late")
    await world.bob.create("customers", displayName="Early")
    await world.sync(full=True)
    await world.bob.update("customers", late["id"], phoneNumber="2")
    world.sandbox.clock.advance(120)
    await world.bob.create("customers", displayName="Other")
    store = world.sandbox.business_central.companies[COMPANY].stores["customers"]
    hidden, stamp = store.rows[late["id"]], store.table.stamp(late["id"])
    store.remove(late["id"], stamp)
    await world.sync()
    store.put(hidden, stamp)
    await world.sync()
    assert (await world.account_of(late))["telephone1"] == "2"

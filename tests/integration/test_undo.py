"""Jobs that are taken back: values, creations, deletions, couplings; and what stays because somebody went on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import CrashError, World, new_world
from world_data import Row
from world_state import differences, state_of

from koppel.errors import BrakeError, UsageError
from koppel.store import jobs
from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.request import Result
from koppel.sync.reverse import Left
from koppel.sync.uncouple import uncouple
from koppel.sync.undo import job_to_undo, preview_undo, undo


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


async def take_back(world: World, job: int, *, force: bool = False) -> tuple[Result, list[str]]:
    """Take a job back: the result and what stays."""
    result, left = await undo(world.session, await job_to_undo(world.session, job), force=force)
    return result, [told(one) for one in left]


def told(left: Left) -> str:
    return f"{left.field or 'record'}: {left.reason}"


async def previewed(world: World, job: int) -> list[str]:
    """The kinds of what would be done."""
    parts = [part async for part in preview_undo(world.session, await job_to_undo(world.session, job))]
    return [action.kind for part in parts for action in part.actions]


async def in_step(world: World, **values: object) -> Row:
    """A customer with its account."""
    customer = await world.bob.create("customers", {"displayName": "Adatum", "phoneNumber": "1", **values})
    await world.sync(create=True)
    return customer


async def phones(world: World, customer: Row) -> tuple[str, str]:
    """(Business Central, Dataverse)"""
    here = await world.bob.row("customers", customer["id"])
    there = await world.alice.row("accounts", customer["id"])
    return here["phoneNumber"], there["telephone1"]


async def test_values_come_back_and_the_next_run_brings_them_again(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="9")
    job = (await world.sync()).job
    assert await phones(world, customer) == ("9", "9")
    assert await previewed(world, job) == ["update"]
    assert await phones(world, customer) == ("9", "9")
    result, left = await take_back(world, job)
    assert (result.counts["updated"], left) == (1, [])
    assert await phones(world, customer) == ("1", "9")
    assert await previewed(world, job) == []
    result = await world.sync()
    assert any("a job was taken back, so everything is compared" in line for line in result.notices)
    assert await phones(world, customer) == ("9", "9")
    await world.quiet("CUSTOMER")


async def test_what_came_from_business_central_comes_back_too(world: World) -> None:
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2", website="adatum.example")
    job = (await world.sync()).job
    await take_back(world, job)
    assert await phones(world, customer) == ("2", "1")
    assert (await world.account_of(customer))["websiteurl"] is None
    await world.bob.update("customers", customer["id"], phoneNumber="1", website="")
    await world.quiet("CUSTOMER")
    assert await phones(world, customer) == ("1", "1")


async def test_an_undo_is_taken_back_like_any_job(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="9")
    job = (await world.sync()).job
    undone, _ = await take_back(world, job)
    again, left = await take_back(world, undone.job)
    assert (again.counts["updated"], left) == (1, [])
    assert await phones(world, customer) == ("9", "9")
    await world.quiet("CUSTOMER")
    found = await jobs.get(world.session.connection, undone.job)
    assert found is not None
    assert (found.type, found.undoes) == ("undo", job)


async def test_a_field_that_a_person_changed_since_is_left(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="9", websiteurl="adatum.example")
    job = (await world.sync()).job
    await world.bob.update("customers", customer["id"], phoneNumber="5")
    result, left = await take_back(world, job)
    assert left == ["phoneNumber: somebody changed it since"]
    now = await world.bob.row("customers", customer["id"])
    assert (now["phoneNumber"], now["website"]) == ("5", "")
    assert any("phoneNumber in Business Central stays as it is" in line for line in result.notices)


async def test_a_field_that_a_later_job_wrote_is_left(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="9")
    first = (await world.sync()).job
    await world.alice.update("accounts", customer["id"], telephone1="8")
    second = (await world.sync()).job
    assert (await take_back(world, first))[1] == [f"phoneNumber: job {second} wrote it since"]
    assert await phones(world, customer) == ("8", "8")
    await take_back(world, second)
    assert await phones(world, customer) == ("9", "8")


async def test_fields_that_belong_together_come_back_together_or_not_at_all(world: World) -> None:
    customer = await in_step(world, city="Delft", postalCode="2611")
    await world.alice.update("accounts", customer["id"], address1_city="Leiden", address1_postalcode="2311")
    job = (await world.sync()).job
    await world.bob.update("customers", customer["id"], city="Gouda")
    _, left = await take_back(world, job)
    assert sorted(left) == [
        "city: somebody changed it since",
        "postalCode: it belongs together with another: somebody changed it since",
    ]
    now = await world.bob.row("customers", customer["id"])
    assert (now["city"], now["postalCode"]) == ("Gouda", "2311")


async def test_creations_are_deleted_and_come_back_as_they_were(world: World) -> None:
    customer = await in_step(world, city="Delft")
    job = (await world.couplings())[0].job
    assert job is not None
    account = await world.account_of(customer)
    undone, left = await take_back(world, job)
    assert (undone.counts["deleted"], left) == (1, [])
    assert await world.alice.rows("accounts") == []
    assert await world.couplings() == []
    again, left = await take_back(world, undone.job)
    assert (again.counts["created"], left) == (1, [])
    same = ("accountid", "name", "telephone1", "address1_city", "customertypecode", "_ownerid_value")
    assert [(await world.account_of(customer))[key] for key in same] == [account[key] for key in same]
    await world.quiet("CUSTOMER")


async def test_a_creation_in_business_central_is_taken_back_and_done_again(world: World) -> None:
    account = await world.alice.create("accounts", name="Fabrikam", customertypecode=3, telephone1="4")
    job = (await world.sync(create=True)).job
    customer = await world.customer_of(account)
    undone, left = await take_back(world, job)
    assert (undone.counts["deleted"], left) == (1, [])
    assert await world.bob.rows("customers") == []
    await take_back(world, undone.job)
    now = await world.customer_of(account)
    assert [now[key] for key in ("id", "displayName", "phoneNumber")] == [customer["id"], "Fabrikam", "4"]
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("who", ["alice, a mapped column", "alice, another column", "bob"])
async def test_a_creation_that_somebody_touched_stays(world: World, who: str) -> None:
    customer = await in_step(world)
    job = (await world.couplings())[0].job
    assert job is not None
    if who == "bob":
        await world.bob.update("customers", customer["id"], phoneNumber="5")
    else:
        column = "telephone1" if "mapped" in who else "description"
        await world.alice.update("accounts", customer["id"], {column: "5"})
    undone, left = await take_back(world, job)
    it = "its partner in Business Central" if who == "bob" else "it"
    assert (undone.counts["deleted"], left) == (0, [f"record: somebody changed {it} since"])
    assert len(await world.couplings()) == 1
    await world.sync()
    _, left = await take_back(world, job)
    assert len(left) == 1
    assert len(await world.alice.rows("accounts")) == 1


async def test_a_coupling_that_a_run_made_is_taken_apart(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum", postalCode="1000", phoneNumber="1")
    account = await world.alice.create("accounts", name="Adatum", address1_postalcode="1000", customertypecode=3)
    result = await world.sync(full=True)
    assert (result.counts["coupled"], result.counts["updated"]) == (1, 1)
    undone, left = await take_back(world, result.job)
    assert (undone.counts["updated"], undone.counts["uncoupled"], left) == (1, 1, [])
    assert (await world.alice.row("accounts", account["accountid"]))["telephone1"] is None
    assert await world.couplings() == []
    again, left = await take_back(world, undone.job)
    assert (again.counts["coupled"], left) == (1, [])
    await world.sync()
    assert (await world.alice.row("accounts", account["accountid"]))["telephone1"] == "1"
    await world.quiet("CUSTOMER")


async def test_a_coupling_by_hand_comes_apart_unless_it_was_used(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    account = await world.alice.create("accounts", name="A. Datum", customertypecode=3)
    synced = await couple(world.session, "CUSTOMER", customer["number"], account["accountid"])
    made = synced.job - 1
    assert (await take_back(world, made))[1] == [
        f"record: job {synced.job} wrote to the pair since, and so it stays coupled"
    ]
    await take_back(world, synced.job)
    assert len(await world.couplings()) == 1
    assert (await world.alice.row("accounts", account["accountid"]))["name"] == "A. Datum"


async def test_an_uncoupled_pair_comes_back_with_what_it_had_agreed_on(world: World) -> None:
    customer = await in_step(world, website="adatum.example")
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    job = (await jobs.recent(world.session.connection, limit=1))[0].id
    await world.session.connection.commit()
    await world.alice.update("accounts", customer["id"], telephone1="9")
    await world.bob.update("customers", customer["id"], website="")
    result, left = await take_back(world, job)
    assert (result.counts["coupled"], left) == (1, [])
    await world.sync()
    assert await phones(world, customer) == ("9", "9")
    assert (await world.account_of(customer))["websiteurl"] is None
    assert await world.conflicts() == []
    await world.quiet("CUSTOMER")


async def test_a_pair_that_is_coupled_otherwise_by_now_stays_so(world: World) -> None:
    customer = await in_step(world)
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    job = (await jobs.recent(world.session.connection, limit=1))[0].id
    other = await world.alice.create("accounts", name="Other", customertypecode=3)
    await couple(world.session, "CUSTOMER", customer["number"], other["accountid"])
    _, left = await take_back(world, job)
    assert left == ["record: its record in Business Central has another partner by now"]


async def test_deletions_that_a_job_carried_over_come_back(world: World) -> None:
    world.change(deletions="delete")
    await world.reopen()
    customer = await in_step(world, city="Delft")
    await world.alice.delete("accounts", customer["id"])
    result = await world.sync(force=True)
    assert result.counts["deleted"] == 1
    undone, left = await take_back(world, result.job)
    assert (undone.counts["created"], left) == (1, [])
    back = await world.bob.row("customers", customer["id"])
    assert (back["displayName"], back["phoneNumber"], back["city"]) == ("Adatum", "1", "Delft")


async def test_couplings_of_options_come_apart_and_back(world: World) -> None:
    job = (await world.sync("PAYMENT TERMS")).job
    customer = await in_step(world, paymentTermsCode="COD")
    undone, left = await take_back(world, job)
    assert undone.counts["uncoupled"] == 2
    assert left == ["record: rows may hold the option"]
    await world.bob.update("customers", customer["id"], paymentTermsCode="NET 30")
    assert any("'NET 30' has no counterpart" in line for line in (await world.sync()).notices)
    await take_back(world, undone.job)
    await world.sync()
    account = await world.account_of(customer)
    assert (await world.label("paymenttermscode", account["paymenttermscode"])).upper() == "NET 30"


async def test_an_option_that_was_renamed_gets_its_name_back(world: World) -> None:
    await world.sync("PAYMENT TERMS")
    terms = await world.bob.one("paymentTerms", "code eq 'COD'")
    await world.bob.update("paymentTerms", terms["id"], code="CASH")
    job = (await world.sync("PAYMENT TERMS")).job
    labels = await world.session.systems["dataverse"].options("account", "paymenttermscode")  # type: ignore[attr-defined]
    assert "CASH" in labels.values()
    await take_back(world, job)
    labels = await world.session.systems["dataverse"].options("account", "paymenttermscode")  # type: ignore[attr-defined]
    assert "COD" in labels.values()


async def test_a_crash_in_the_middle_is_gone_on_from(world: World) -> None:
    customers = [await world.bob.create("customers", displayName=f"Customer {n}") for n in range(3)]
    job = (await world.sync(create=True)).job
    customer = await in_step(world)

    async def die(number: int, request: object) -> None:
        if getattr(request, "method", "") == "POST" and b"DELETE" in getattr(request, "body", b""):
            world.crash()

    world.line.after = die
    with pytest.raises(CrashError):
        await take_back(world, job)
    await world.revive()
    _, left = await take_back(world, job)
    assert left == []
    assert [row["accountid"] for row in await world.alice.rows("accounts")] == [customer["id"]]
    for one in customers:
        assert await world.bob.row("customers", one["id"])
    await world.sync()
    assert [c.business_central_id for c in await world.couplings()] == [customer["id"]]


async def test_an_edit_in_the_last_moment_is_not_trampled(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="9", websiteurl="adatum.example")
    job = (await world.sync()).job

    async def edit(number: int, request: object) -> None:
        if getattr(request, "method", "") == "POST":
            world.line.before = None
            await world.bob.update("customers", customer["id"], phoneNumber="5")

    world.line.before = edit
    _, left = await take_back(world, job)
    assert left == ["phoneNumber: somebody changed it since"]
    now = await world.bob.row("customers", customer["id"])
    assert (now["phoneNumber"], now["website"]) == ("5", "")


async def test_a_large_undo_needs_to_be_forced(world: World) -> None:
    for number in range(51):
        await world.bob.create("customers", displayName=f"Customer {number}")
    job = (await world.sync(create=True)).job
    with pytest.raises(BrakeError, match="would delete 51 records"):
        await take_back(world, job)
    assert len(await world.couplings()) == 51
    undone, _ = await take_back(world, job, force=True)
    assert undone.counts["deleted"] == 51


async def test_what_cannot_be_taken_back_is_told(world: World) -> None:
    with pytest.raises(UsageError, match="there is no job 99"):
        await job_to_undo(world.session, 99)
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="9")
    job = (await world.sync()).job
    world.change(enabled=False)
    await world.reopen()
    await take_back(world, job)
    assert await phones(world, customer) == ("1", "9")
    del world.mappings["CUSTOMER"]
    await world.reopen()
    with pytest.raises(UsageError, match="ran mapping CUSTOMER, which is not there any more"):
        await job_to_undo(world.session, job)


async def test_both_systems_are_as_they_were_and_then_as_they_became(database: Database) -> None:
    async with new_world(database, customers=12) as world:
        await world.sync_all(full=True)
        await world.sync("CUSTOMER")
        pairs = await world.couplings()
        for number, pair in enumerate(pairs[:6]):
            await world.bob.update("customers", pair.business_central_id, website=f"b{number}.example", city="Delft")
            await world.alice.update("accounts", pair.dataverse_id, telephone1=f"555-{number}", address1_fax=None)
        await world.alice.create("accounts", name="Fabrikam", customertypecode=3, telephone1="4")
        await world.bob.create("customers", displayName="Contoso", phoneNumber="5")
        before = state_of(world)
        job = (await world.sync(create=True)).job
        after = state_of(world)
        undone, left = await take_back(world, job)
        assert left == []
        gone = differences(before, state_of(world))
        assert gone.keys() <= {"companies"}, "the company contact that Business Central made of a customer stays"
        again, left = await take_back(world, undone.job)
        assert left == []
        assert (again.counts["created"], again.counts["updated"]) == (2, undone.counts["updated"])
        assert differences(after, state_of(world)).keys() <= {"companies"}

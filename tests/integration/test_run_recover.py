"""What becomes of writes that nobody answered, when people do not wait for the next run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from test_run_trouble import lose_answers, writes_to
from world import COMPANION, CrashError, World, new_world
from world_data import Row

from koppel.store import history
from koppel.store.database import Database
from koppel.store.history import Entry
from koppel.systems.transport import Request


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database, route=COMPANION) as world:
        yield world


@pytest.fixture
async def standard(database: Database) -> AsyncIterator[World]:
    """Where Business Central chooses the ids."""
    async with new_world(database, route="v2.0") as world:
        world.change_field("salespersonCode", enabled=False)
        yield world


async def die_after_a_write(world: World, system: str, name: str = "CUSTOMER") -> None:
    """A run that ends when it has written to a system, before it has the answer."""

    async def die(number: int, request: Request) -> None:
        if writes_to(world, request, system):
            world.crash()

    world.line.after = die
    with pytest.raises(CrashError):
        await world.sync(name, full=True)
    await world.revive()


async def entries(world: World, id: str) -> list[Entry]:
    found = await history.find(world.session.connection, record_ids=[id])
    await world.session.connection.commit()
    return found


# what was written is on record


async def overruled(world: World) -> Row:
    """Both edited the same field, and Business Central wins."""
    world.change(conflicts="business_central")
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(full=True)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", customer["id"], telephone1="3")
    return customer


async def assert_on_record(world: World, customer: Row) -> None:
    assert (await world.account_of(customer))["telephone1"] == "2"
    found = [e for e in await entries(world, customer["id"]) if e.action == "update" and e.side == "dataverse"]
    assert [(e.field, e.old, e.new) for e in found] == [("phoneNumber", "3", "2")]
    assert found[0].why.startswith("both changed, policy business_central")
    await world.quiet("CUSTOMER")


async def test_what_an_unanswered_update_overruled_is_on_record(world: World) -> None:
    customer = await overruled(world)
    lose_answers(world, "dataverse")
    await world.sync()
    await assert_on_record(world, customer)


async def test_and_so_it_is_when_the_process_died(world: World) -> None:
    customer = await overruled(world)
    await die_after_a_write(world, "dataverse")
    await world.sync()
    await assert_on_record(world, customer)
    jobs = {entry.job for entry in await entries(world, customer["id"])}
    assert len(jobs) == 2, "the update belongs to the job that sent it"


async def test_what_was_never_carried_out_is_not(world: World) -> None:
    customer = await overruled(world)

    async def die(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            world.crash()

    world.line.before = die
    with pytest.raises(CrashError):
        await world.sync()
    await world.revive()
    await world.sync()
    found = [e for e in await entries(world, customer["id"]) if e.action == "update"]
    assert [(e.field, e.old, e.new, e.why) for e in found] == [
        ("phoneNumber", "3", "2", "both changed, policy business_central")
    ]


async def test_and_so_it_is_in_a_record_that_was_just_found_again(world: World) -> None:
    """Nobody answered its creation, nor the update that merged it."""
    world.change(conflicts="business_central")
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await die_after_a_write(world, "dataverse")
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.alice.update("accounts", customer["id"], telephone1="3")
    await die_after_a_write(world, "dataverse")
    await world.alice.update("accounts", customer["id"], websiteurl="b.example")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["website"] == "b.example"
    await assert_on_record(world, customer)
    assert [e.action for e in await entries(world, customer["id"])].count("create") == 1


async def test_a_creation_belongs_to_the_job_that_sent_it(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await die_after_a_write(world, "dataverse")
    died = world.session.job or 1
    await world.sync(full=True)
    [created] = [e for e in await entries(world, customer["id"]) if e.action == "create"]
    assert (created.job, created.side, created.record_id) == (died, "dataverse", customer["id"])
    assert isinstance(created.new, dict)
    assert (created.new["name"], created.new["telephone1"]) == ("Adatum", "1")


# people who did not wait


async def test_edits_before_a_creation_is_found_are_merged_with_what_was_written(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await die_after_a_write(world, "dataverse")
    await world.alice.update("accounts", customer["id"], telephone1="2")
    await world.bob.update("customers", customer["id"], website="b.example")
    await world.sync(full=True)
    account, now = await world.account_of(customer), await world.bob.row("customers", customer["id"])
    assert (account["telephone1"], now["phoneNumber"]) == ("2", "2")
    assert (account["websiteurl"], now["website"]) == ("b.example", "b.example")
    assert await world.conflicts() == []
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize("system", ["bc", "dataverse"])
async def test_also_where_it_was_made_in_place_of_a_deleted_one(world: World, system: str) -> None:
    """Under the same id: what people type there is an edit, and not what came back with the deleted record."""
    world.change(deletions="uncouple", conflicts="ask", match=())
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await world.sync(full=True)
    if system == "bc":
        await world.bob.delete("customers", customer["id"])
        await world.alice.update("accounts", customer["id"], websiteurl="c.example")
    else:
        await world.alice.delete("accounts", customer["id"])
    await world.sync()
    assert await world.couplings() == []
    await die_after_a_write(world, system)
    await world.alice.update("accounts", customer["id"], telephone1="2", websiteurl="b.example")
    await world.bob.update("customers", customer["id"], phoneNumber="3")
    await world.sync(full=True)
    account, now = await world.alice.row("accounts", customer["id"]), await world.bob.row("customers", customer["id"])
    assert (account["telephone1"], now["phoneNumber"]) == ("2", "3")
    assert (account["websiteurl"], now["website"]) == ("b.example", "b.example")
    assert [conflict.field for conflict in await world.conflicts()] == ["phoneNumber"]
    await world.quiet("CUSTOMER")


async def test_a_record_that_is_found_again_and_held_misses_no_edit(world: World) -> None:
    """Its reference has to wait. It is not sent once more: what is to be agreed on would be what people typed since."""
    world.change(only_coupled=False, match=())
    world.change_field("email", direction="from_dataverse")
    said = next(field.lookup for field in world.mappings["CUSTOMER"].fields if field.name == "salespersonCode")
    assert said is not None
    world.change_field("salespersonCode", lookup=msgspec.structs.replace(said, required=True))
    account = await world.alice.create(
        "accounts", name="Adatum", customertypecode=3, emailaddress1="a@example.com", telephone1="1"
    )
    id = account["accountid"]
    await die_after_a_write(world, "bc")
    await world.bob.update("customers", id, salespersonCode="JO", website="b.example", phoneNumber="3")
    await world.alice.update("accounts", id, emailaddress1="b@example.com")
    assert (await world.sync()).write_requests == 0
    assert len(await world.failures()) == 1
    await world.sync("SALESPEOPLE", full=True)
    await world.sync()
    customer, there = await world.bob.row("customers", id), await world.alice.row("accounts", id)
    assert (customer["email"], customer["phoneNumber"]) == ("b@example.com", "3")
    assert (there["websiteurl"], there["telephone1"]) == ("b.example", "3")
    await world.quiet("CUSTOMER")


async def test_an_edited_record_is_found_by_what_it_still_holds(standard: World) -> None:
    account = await standard.alice.create(
        "accounts", name="Adatum", telephone1="1", websiteurl="a.example", customertypecode=3
    )
    await die_after_a_write(standard, "bc")
    [made] = await standard.bob.rows("customers")
    await standard.bob.update("customers", made["id"], displayName="Adatum Corporation")
    await standard.bob.create("customers", displayName="Somebody else", phoneNumber="9", city="Utrecht")
    await standard.sync(full=True)
    assert (await standard.customer_of(account))["id"] == made["id"]
    assert (await standard.alice.row("accounts", account["accountid"]))["name"] == "Adatum Corporation"
    assert len(await standard.bob.rows("customers")) == len(await standard.alice.rows("accounts")) == 2
    await standard.quiet("CUSTOMER")


async def test_a_record_of_which_nothing_is_left_is_not_made_again(standard: World) -> None:
    account = await standard.alice.create("accounts", name="Adatum", customertypecode=3)
    await die_after_a_write(standard, "bc")
    [made] = await standard.bob.rows("customers")
    await standard.bob.update("customers", made["id"], displayName="Renamed")
    for _ in range(2):
        assert (await standard.sync(full=True)).write_requests == 0
    found = {failure.record_id: failure.code for failure in await standard.failures()}
    assert found == {account["accountid"]: "outcome-unknown", made["id"]: "outcome-unknown"}


async def test_of_two_that_were_made_alike_the_edited_one_is_not_made_again(standard: World) -> None:
    for _ in range(2):
        await standard.alice.create("accounts", name="Adatum", customertypecode=3)
    await die_after_a_write(standard, "bc")
    made = await standard.bob.rows("customers")
    assert len(made) == 2
    await standard.bob.update("customers", made[0]["id"], displayName="Renamed")
    await standard.sync(full=True)
    assert len(await standard.bob.rows("customers")) == len(await standard.alice.rows("accounts")) == 2
    assert [c.business_central_id for c in await standard.couplings()] == [made[1]["id"]]
    assert {failure.code for failure in await standard.failures()} == {"outcome-unknown"}


async def test_a_record_is_known_by_the_key_that_it_was_given(standard: World) -> None:
    """Somebody enters the same salesperson before the next run: only the code tells the two apart."""
    user = {"fullname": "Kim Akers", "internalemailaddress": "kim@example.com", "islicensed": True}
    standard.sandbox.dataverse.load("systemuser", [user])
    await die_after_a_write(standard, "bc", "SALESPEOPLE")
    [made] = await standard.bob.rows("salespeoplePurchasers", "email eq 'kim@example.com'")
    await standard.bob.create("salespeoplePurchasers", code="KIM", email="kim@example.com")
    await standard.sync("SALESPEOPLE")
    assert await standard.failures("SALESPEOPLE") == []
    assert made["id"] in {coupling.business_central_id for coupling in await standard.couplings("SALESPEOPLE")}
    await standard.quiet("SALESPEOPLE")

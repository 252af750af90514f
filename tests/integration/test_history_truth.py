"""History tells what was done, and nothing else: not what was refused, not what people did themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from test_run_trouble import lose_answers, writes_to
from test_undo import take_back
from world import World, new_world
from world_data import Row

from koppel.store import history
from koppel.store.database import Database
from koppel.store.history import Entry
from koppel.sync.uncouple import uncouple
from koppel.systems.transport import Request


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def in_step(world: World) -> Row:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await world.sync(full=True)
    return customer


async def told(world: World, *actions: str) -> list[tuple[str, str, object, object]]:
    """(side, field, old, new) of all entries of these kinds, the first one first."""
    found = await history.find(world.session.connection)
    await world.session.connection.commit()
    return [(e.side, e.field, e.old, e.new) for e in _in_order(found) if e.action in actions]


def _in_order(found: list[Entry]) -> list[Entry]:
    return sorted(found, key=lambda entry: entry.id)


async def alice_is_faster(world: World, customer: Row, phone: str) -> None:
    """Bob gives a customer another phone number, and Alice hers while it is on its way."""
    await world.bob.update("customers", customer["id"], phoneNumber="2")

    async def edit(number: int, request: Request) -> None:
        if writes_to(world, request, "dataverse"):
            world.line.before = None
            await world.alice.update("accounts", customer["id"], telephone1=phone)

    world.line.before = edit
    await world.sync()
    await world.sync()


async def test_an_update_that_was_refused_is_not_told(world: World) -> None:
    customer = await in_step(world)
    await alice_is_faster(world, customer, "3")
    assert (await world.account_of(customer))["telephone1"] == "3"
    assert len(await world.conflicts()) == 1
    assert await told(world, "update") == []


async def test_nor_one_that_a_person_made_as_well(world: World) -> None:
    customer = await in_step(world)
    await alice_is_faster(world, customer, "2")
    assert await world.conflicts() == []
    assert await told(world, "update") == []


async def test_nor_one_that_an_undo_was_refused(world: World) -> None:
    customer = await in_step(world)
    await world.alice.update("accounts", customer["id"], telephone1="2")
    job = (await world.sync()).job

    async def edit(number: int, request: Request) -> None:
        if writes_to(world, request, "bc"):
            world.line.before = None
            await world.bob.update("customers", customer["id"], phoneNumber="5")

    world.line.before = edit
    await take_back(world, job)
    await world.sync()
    assert await told(world, "update") == [
        ("business_central", "phoneNumber", "1", "2"),
        ("dataverse", "phoneNumber", "2", "5"),
    ]


# answers that got lost


@pytest.mark.parametrize("system", ["dataverse", "bc"])
async def test_a_creation_whose_answer_was_lost_is_told_and_taken_back(world: World, system: str) -> None:
    if system == "dataverse":
        await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    else:
        await world.alice.create("accounts", name="Adatum", customertypecode=3, telephone1="1")
    lost = lose_answers(world, system)
    result = await world.sync(create=True)
    assert (len(lost), result.counts["created"], result.counts["failed"]) == (1, 1, 0)
    [(side, _, _, new)] = await told(world, "create", "couple")
    assert side == ("dataverse" if system == "dataverse" else "business_central")
    assert isinstance(new, dict)
    assert new["name" if system == "dataverse" else "displayName"] == "Adatum"
    await world.quiet("CUSTOMER")
    undone, left = await take_back(world, result.job)
    assert (undone.counts["deleted"], left) == (1, [])


async def test_an_existing_record_is_not_taken_for_one_that_was_made(world: World) -> None:
    world.change(match=())
    customer = await in_step(world)
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    before = len(await told(world, "create"))
    result = await world.sync(full=True)
    assert (result.counts["created"], result.counts["coupled"]) == (0, 1)
    assert len(await told(world, "create")) == before
    undone, left = await take_back(world, result.job)
    assert (undone.counts["uncoupled"], undone.counts["deleted"], left) == (1, 0, [])


async def test_what_an_update_overruled_is_told_though_somebody_edited_the_record_before_it_was_sent_again(
    world: World,
) -> None:
    world.change(conflicts="business_central")
    customer = await in_step(world)
    await world.bob.update("customers", customer["id"], phoneNumber="2", website="b.example")
    await world.alice.update("accounts", customer["id"], telephone1="3")
    lost = lose_answers(world, "dataverse")

    async def edit(number: int, request: Request) -> None:
        if lost and writes_to(world, request, "dataverse"):
            world.line.before = None
            await world.alice.update("accounts", customer["id"], websiteurl="c.example")

    world.line.before = edit
    await world.sync()
    account = await world.account_of(customer)
    assert (account["telephone1"], account["websiteurl"]) == ("2", "c.example")
    assert ("dataverse", "phoneNumber", "3", "2") in await told(world, "update")
    assert (await world.bob.row("customers", customer["id"]))["website"] == "c.example"
    await world.quiet("CUSTOMER")

"""Conflicts: listed with both values, who and when; decided one by one, many at once, or by who was last."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.engine.brakes import Brakes
from koppel.errors import UsageError
from koppel.sandbox.tokens import ALICE, BOB, KOPPEL
from koppel.store.database import Database
from koppel.sync.people import with_names
from koppel.sync.retry import Winner, contested, resolve


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def contested_customers(world: World, number: int) -> list[Row]:
    """Customers with a conflict in phone and website; Bob was last in the first one, Alice in the others."""
    made = [await world.bob.create("customers", displayName=f"C{n}", phoneNumber="1") for n in range(number)]
    await world.sync(full=True)
    for place, customer in enumerate(made):
        first, last = ("alice", "bob") if place == 0 else ("bob", "alice")
        await edit(world, first, customer)
        world.sandbox.clock.advance(10)
        await edit(world, last, customer)
    await world.sync()
    return made


async def edit(world: World, who: str, customer: Row) -> None:
    if who == "bob":
        await world.bob.update("customers", customer["id"], phoneNumber="bob", website="bob.example")
    else:
        await world.alice.update("accounts", customer["id"], telephone1="alice", websiteurl="alice.example")


async def decide(world: World, winner: Winner, field: str = "", record: str = "") -> None:
    numbers = [c.id for c in await contested(world.session, "CUSTOMER", field=field, record=record)]
    async for finished in resolve(world.session, numbers, winner):
        assert finished.error is None


async def phones(world: World) -> list[str]:
    return [row["telephone1"] for row in sorted(await world.alice.rows("accounts"), key=lambda row: str(row["name"]))]


async def test_a_conflict_tells_both_values_who_and_when(world: World) -> None:
    await contested_customers(world, 1)
    found = next(c for c in await world.conflicts() if c.field == "phoneNumber")
    assert (found.business_central, found.dataverse) == ({"phoneNumber": "bob"}, {"phoneNumber": "alice"})
    assert (found.business_central_modified_by, found.dataverse_modified_by) == (BOB.id, ALICE.id)
    assert found.business_central_modified_at > found.dataverse_modified_at > ""


async def test_who_edited_is_not_who_wrote_another_field_since(world: World) -> None:
    customer = (await contested_customers(world, 1))[0]
    before = [c.business_central_modified_at for c in await world.conflicts()]
    await world.alice.update("accounts", customer["id"], emailaddress1="c@c.example")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["email"] == "c@c.example"
    found = await world.conflicts()
    assert [(c.business_central_modified_by, c.dataverse_modified_by) for c in found] == [(BOB.id, ALICE.id)] * 2
    assert [c.business_central_modified_at for c in found] == before


async def test_people_are_named_unless_the_connection_may_not_read_them(world: World) -> None:
    await contested_customers(world, 1)
    found, _ = await with_names(world.session, await world.conflicts())
    assert (found.business_central_modified_by_name, found.dataverse_modified_by_name) == (BOB.name, ALICE.name)
    world.sandbox.business_central.settings.missing[KOPPEL.id] = {("users", "read")}
    world.sandbox.dataverse.missing_privileges[KOPPEL.id] = {"prvReadSystemUser"}
    found, _ = await with_names(world.session, await world.conflicts())
    assert (found.business_central_modified_by_name, found.dataverse_modified_by_name) == ("", "")
    assert (found.business_central_modified_by, found.dataverse_modified_by) == (BOB.id, ALICE.id)


async def test_many_are_decided_at_once_and_no_brake_stops_it(world: World) -> None:
    await contested_customers(world, 3)
    world.session.brakes = Brakes(changes_from=0, changes_percent=0)
    await decide(world, "dataverse")
    assert [row["phoneNumber"] for row in await world.bob.rows("customers")] == ["alice"] * 3
    assert await world.conflicts() == []
    world.session.brakes = Brakes()
    await world.quiet("CUSTOMER")


async def test_or_those_of_a_field(world: World) -> None:
    await contested_customers(world, 2)
    await decide(world, "business_central", field="phoneNumber")
    assert await phones(world) == ["bob", "bob"]
    assert {c.field for c in await world.conflicts()} == {"website"}


async def test_or_those_of_a_record(world: World) -> None:
    made = await contested_customers(world, 2)
    await decide(world, "business_central", record=made[1]["number"])
    assert await phones(world) == ["alice", "bob"]
    assert {c.business_central_id for c in await world.conflicts()} == {made[0]["id"]}


@pytest.mark.parametrize("ahead", [0, 300, -300])
async def test_or_by_who_was_last_whatever_the_clocks_say(world: World, ahead: float) -> None:
    world.sandbox.clock.advance(600)
    world.sandbox.clocks["business_central"].ahead = ahead
    await contested_customers(world, 2)
    await world.reopen()
    await decide(world, "newest")
    assert await phones(world) == ["bob", "alice"]
    assert await world.conflicts() == []


async def test_a_number_that_is_none_is_told(world: World) -> None:
    with pytest.raises(UsageError, match="there is no conflict 4711"):
        async for _ in resolve(world.session, [4711], "dataverse"):
            pass

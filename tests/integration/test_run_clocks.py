"""Clocks of the two systems that are 300 seconds apart, or off Koppel's: nothing comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from test_run_crash import people, people_runs
from world import World, new_world
from world_state import State, bookkeeping_of, differences, state_of

from koppel.errors import OutcomeUnknownError
from koppel.store.database import Database
from koppel.sync.verify import verify

SKEWS = [(300, 0), (-300, 0), (0, 300), (0, -300), (300, -300), (-300, 300)]


def skew(world: World, business_central: float, dataverse: float) -> None:
    """Put both clocks wrong, later than anything that happened by the right ones: a server's times only go forward."""
    world.sandbox.clock.advance(600)
    world.sandbox.clocks["business_central"].ahead = business_central
    world.sandbox.clocks["dataverse"].ahead = dataverse


async def a_day(world: World) -> None:
    """Edits on both sides, in one field too, creations, deletions, and runs between them."""
    world.change(deletions="uncouple", conflicts="newest", only_coupled=False)
    await people(world)
    await people_runs(world)
    made = await world.bob.rows("customers")
    for number, customer in enumerate(made):
        account = await world.account_of(customer)
        await world.bob.update("customers", customer["id"], website=f"{number}.example")
        await world.alice.update("accounts", account["accountid"], telephone1=f"0{number}")
        world.sandbox.clock.advance(5)
        await world.bob.update("customers", customer["id"], email=f"{number}@here.example")
        world.sandbox.clock.advance(5)
        await world.alice.update("accounts", account["accountid"], emailaddress1=f"{number}@there.example")
    await world.sync()
    new = await world.alice.create("accounts", name="Late", customertypecode=3)
    await world.sync()
    await world.alice.delete("accounts", new["accountid"])
    await world.alice.delete("accounts", (await world.account_of(made[0]))["accountid"])
    await world.sync()


async def outcome(database: Database, *clocks: float) -> tuple[State, State, list[Any]]:
    async with new_world(database) as world:
        skew(world, *clocks)
        await a_day(world)
        found = await verify(world.session, ["CUSTOMER", "CONTACT"])
        await world.quiet("CUSTOMER", "CONTACT")
        result = state_of(world), await bookkeeping_of(world), [d.explained for d in found.differences]
        await world.forget()
        return result


async def test_eng_324_clocks_that_differ_change_nothing(database: Database) -> None:
    expected = await outcome(database, 0, 0)
    assert expected[2] == []
    for clocks in ((300, 0), (0, 300), (-300, -300)):
        found = await outcome(database, *clocks)
        assert differences(expected[0], found[0]) == {}, clocks
        assert differences(expected[1], found[1]) == {}, clocks
        assert found[2] == [], clocks


@pytest.mark.parametrize("clocks", SKEWS)
async def test_newest_is_who_was_really_last(database: Database, clocks: tuple[float, float]) -> None:
    async with new_world(database) as world:
        skew(world, *clocks)
        world.change(conflicts="newest")
        customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
        await world.sync(full=True)
        await world.alice.update("accounts", customer["id"], telephone1="3")
        world.sandbox.clock.advance(10)
        await world.bob.update("customers", customer["id"], phoneNumber="2")
        await world.sync()
        assert (await world.account_of(customer))["telephone1"] == "2"
        await world.bob.update("customers", customer["id"], phoneNumber="4")
        world.sandbox.clock.advance(10)
        await world.alice.update("accounts", customer["id"], telephone1="5")
        await world.sync()
        assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "5"


async def test_a_clock_that_is_put_right_misses_no_edit(database: Database) -> None:
    """Business Central's clock was ahead and jumps back: edits come with earlier times than the cursor."""
    async with new_world(database) as world:
        skew(world, 300, 0)
        made = [await world.bob.create("customers", displayName=f"Customer {n}") for n in range(2)]
        await world.sync(full=True)
        skew(world, 0, 0)
        await world.bob.update("customers", made[0]["id"], phoneNumber="2")
        await world.sync()
        assert (await world.account_of(made[0]))["telephone1"] == "2"


@pytest.mark.parametrize("clocks", [(-300, 0), (300, 0)])
async def test_a_lost_creation_is_found_by_any_clock(database: Database, clocks: tuple[float, float]) -> None:
    """The standard route chooses ids: what was made is looked for by what it holds and when it was made."""
    async with new_world(database, route="v2.0") as world:
        skew(world, *clocks)
        world.change_field("salespersonCode", enabled=False)
        await world.alice.create("accounts", name="Adatum", customertypecode=3, telephone1="1")

        async def lose_the_answer(number: int, request: Any) -> None:
            if b"POST" in request.body and b"Adatum" in request.body:
                world.line.after = None
                raise OutcomeUnknownError("no answer")

        world.line.after = lose_the_answer
        await world.sync(full=True)
        await world.sync(full=True)
        assert len(await world.bob.rows("customers")) == 1
        assert len(await world.couplings()) == 1

"""Records follow their options: those that were restored, and those that were coupled anew (OPT-03)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from test_options import COLUMN, NAME, add_option, coupled, remove_option
from world import World, new_world
from world_data import Row

from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.uncouple import uncouple


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        world.change_field("salespersonCode", enabled=False)
        await world.sync(NAME)
        yield world


async def customers(world: World, *codes: str) -> list[Row]:
    """Customers with these payment terms, in step with their accounts."""
    made = [await world.bob.create("customers", displayName=f"Adatum {code}", paymentTermsCode=code) for code in codes]
    await world.sync(full=True)
    await world.quiet("CUSTOMER")
    return made


async def terms(world: World, customer: Row) -> tuple[str, int]:
    """The payment terms of a customer and of its account."""
    ours = await world.bob.row("customers", customer["id"])
    return ours["paymentTermsCode"], (await world.account_of(customer))[COLUMN]


@pytest.mark.rule("OPT-03")
@pytest.mark.parametrize("full", [False, True])
async def test_accounts_follow_an_option_that_was_restored(world: World, full: bool) -> None:
    cod, net = await customers(world, "COD", "NET 30")
    before = await coupled(world)
    await add_option(world, "Cash")  # or else the number of the option would be given again
    world.change(NAME, deletions="restore")
    await remove_option(world, "COD")
    await world.sync(NAME)
    now = await coupled(world)
    assert now["COD"] != before["COD"]
    [action] = [
        action async for action in plan(world.session, "CUSTOMER", Request(full=full)) if action.kind == "update"
    ]
    assert action.to_dataverse == {COLUMN: now["COD"]}
    await world.sync(full=full)
    assert await terms(world, cod) == ("COD", now["COD"])
    assert await terms(world, net) == ("NET 30", before["NET 30"])
    await world.quiet("CUSTOMER")


@pytest.mark.rule("OPT-03")
async def test_accounts_follow_a_code_that_was_coupled_with_another_option(world: World) -> None:
    [cod] = await customers(world, "COD")
    other = await add_option(world, "Cash")
    await uncouple(world.session, NAME, ["COD"])
    await couple(world.session, NAME, "COD", "Cash")
    await world.sync()
    assert await terms(world, cod) == ("COD", other)
    await world.quiet("CUSTOMER")


@pytest.mark.rule("OPT-03")
async def test_an_edit_since_then_counts_as_one(world: World) -> None:
    [cod] = await customers(world, "COD")
    await add_option(world, "Cash")
    await uncouple(world.session, NAME, ["COD"])
    await couple(world.session, NAME, "COD", "Cash")
    net = (await coupled(world))["NET 30"]
    await world.alice.update("accounts", (await world.account_of(cod))["accountid"], {COLUMN: net})
    await world.sync()
    assert await terms(world, cod) == ("NET 30", net)


@pytest.mark.rule("OPT-03")
async def test_customers_follow_an_option_that_got_another_code(world: World) -> None:
    [cod] = await customers(world, "COD")
    value = (await coupled(world))["COD"]
    await world.bob.create("paymentTerms", code="CASH")
    await uncouple(world.session, NAME, ["COD"])
    await couple(world.session, NAME, "CASH", str(value))
    await world.sync()
    assert await terms(world, cod) == ("CASH", value)
    await world.quiet("CUSTOMER")

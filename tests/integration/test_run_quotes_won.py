"""Quotes that are won: released, archived, and named by their orders (QUOTE-06 to QUOTE-09)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import ORDER, open_shop, written_in
from quote_scenes import QUOTE, here, ordered, quote, switch_on, won
from world import World, new_world
from world_data import Row

from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    found = await open_shop(world)
    switch_on(world)
    return found


async def failed(world: World) -> tuple[str, str]:
    """Code and message of the only failure."""
    (failure,) = await world.failures(QUOTE)
    return failure.code, failure.message


@pytest.mark.rule("SO-16")
@pytest.mark.rule("QUOTE-09")
async def test_the_order_of_a_won_quote_names_it_and_a_version_is_archived(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting", 1000), discountamount=10)
    await world.sync(QUOTE)
    await won(world, made)
    sold = await ordered(world, made)
    await world.sync(ORDER)
    await world.sync(QUOTE)
    found = await here(world)
    order = await world.bob.one("salesOrders", f"yourReference eq '{sold['ordernumber']}'")
    assert (found["status"], order["quoteNumber"], order["status"]) == ("Released", found["number"], "Open")
    (version,) = await world.bob.rows("archivedSalesQuotes")
    assert (version["number"], version["versionNumber"], version["status"]) == (found["number"], 1, "Released")
    assert version["totalAmountExcludingTax"] == 990
    (line,) = await world.bob.rows("archivedSalesQuoteLines")
    assert (line["documentId"], line["unitPrice"]) == (version["id"], 1000)
    await world.quiet(QUOTE)
    await world.sync(QUOTE, full=True)
    assert len(await world.bob.rows("archivedSalesQuotes")) == 1
    await world.quiet(ORDER)


@pytest.mark.rule("QUOTE-06")
@pytest.mark.rule("QUOTE-09")
async def test_a_quote_that_was_won_before_it_was_seen_is_made_first(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting", 1000), discountamount=10)
    await won(world, made)
    sold = await ordered(world, made)
    await world.sync(ORDER)
    assert (await world.sync(QUOTE)).counts["created"] == 1
    found = await here(world)
    order = await world.bob.one("salesOrders", f"yourReference eq '{sold['ordernumber']}'")
    assert (found["status"], found["discountAmount"], order["quoteNumber"]) == ("Released", 10, found["number"])
    (version,) = await world.bob.rows("archivedSalesQuotes")
    assert version["totalAmountExcludingTax"] == 990
    await world.quiet(QUOTE)


@pytest.mark.rule("QUOTE-07")
async def test_a_won_quote_waits_for_its_order(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting"))
    await world.sync(QUOTE)
    await won(world, made)
    await world.sync(QUOTE)
    assert await failed(world) == ("QUOTE-07", "it was won, and there is no matching order in Dataverse")
    assert (await here(world))["status"] == "Open"
    await ordered(world, made, submit=False)
    await world.sync(QUOTE)
    assert not await world.failures(QUOTE)
    assert (await here(world))["status"] == "Released"


@pytest.mark.rule("QUOTE-08")
async def test_an_order_that_is_not_there_yet(world: World, customer: Row) -> None:
    """Not submitted: the quote is released, and nothing else. Submitted: its order comes first."""
    made = await quote(world, customer, written_in("Painting"))
    await world.sync(QUOTE)
    await won(world, made)
    sold = await ordered(world, made, submit=False)
    await world.sync(QUOTE)
    assert (await here(world))["status"] == "Released"
    assert not await world.bob.rows("archivedSalesQuotes")
    await world.alice.update("salesorders", sold["salesorderid"], statecode=1, statuscode=3)
    await world.sync(QUOTE)
    message = f"its order {sold['ordernumber']} is submitted and not in Business Central"
    assert await failed(world) == ("QUOTE-08", message)
    await world.sync(ORDER)
    await world.sync(QUOTE)
    assert (await world.bob.one("salesOrders", ""))["quoteNumber"] == (await here(world))["number"]
    assert len(await world.bob.rows("archivedSalesQuotes")) == 1
    assert not await world.failures(QUOTE)
    await world.quiet(QUOTE)

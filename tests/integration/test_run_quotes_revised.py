"""Quotes that are revised: archived in Business Central, and updated in place (QUOTE-02)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import open_shop, stock, written_in
from quote_scenes import NOTES, QUOTE, activated, here, lines_here, note, quote, revised, switch_on
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


@pytest.mark.rule("QUOTE-02")
@pytest.mark.rule("QUOTE-03")
async def test_a_revision_takes_the_place_of_the_earlier_quote(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting", 1000), discountamount=10)
    await note(world, made, "First")
    await world.sync(QUOTE)
    await world.sync(NOTES)
    first = await here(world)
    await world.bob.update("salesQuotes", first["id"], status="Released")
    later = await revised(world, made, written_in("Frame", 200), name="With a frame", discountamount=10)
    result = await world.sync(QUOTE)
    assert (result.counts["created"], result.counts["failed"]) == (0, 0), result
    found = await here(world)
    assert (found["id"], found["number"]) == (first["id"], first["number"])
    assert (found["externalDocumentNumber"], found["status"]) == ("WITH A FRAME", "Open")
    assert (found["discountAmount"], found["totalAmountExcludingTax"]) == (10, 1190)
    assert [(line["description"], line["unitPrice"]) for line in await lines_here(world)] == [
        ("Painting", 1000),
        ("Frame", 200),
    ]
    (version,) = await world.bob.rows("archivedSalesQuotes")
    assert (version["externalDocumentNumber"], version["totalAmountExcludingTax"]) == ("BIKES FOR ADATUM", 990)
    (coupling,) = await world.couplings(QUOTE)
    assert (coupling.business_central_id, coupling.dataverse_id) == (first["id"], later["quoteid"])
    assert not await world.bob.rows("recordNotes"), "the notes of the earlier one went"
    await world.quiet(QUOTE)
    await world.sync(QUOTE, full=True)
    assert len(await world.bob.rows("archivedSalesQuotes")) == 1


@pytest.mark.rule("QUOTE-02")
async def test_a_draft_of_a_revision_changes_nothing_yet(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting", 1000))
    await world.sync(QUOTE)
    later = await revised(world, made, written_in("Frame", 200), activate=False)
    await world.sync(QUOTE)
    assert len(await lines_here(world)) == 1
    await activated(world, later)
    await world.sync(QUOTE)
    assert len(await lines_here(world)) == 2
    again = await revised(world, later, written_in("Glass", 50))
    await world.sync(QUOTE)
    assert len(await lines_here(world)) == 3
    assert len(await world.bob.rows("archivedSalesQuotes")) == 2
    assert [one.dataverse_id for one in await world.couplings(QUOTE)] == [again["quoteid"]]


@pytest.mark.rule("QUOTE-02")
async def test_a_revision_of_what_never_came_is_made(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting", 1000))
    await revised(world, made)
    assert (await world.sync(QUOTE)).counts["created"] == 1
    assert not await world.bob.rows("archivedSalesQuotes")
    await world.quiet(QUOTE)


@pytest.mark.rule("QUOTE-02")
async def test_a_revision_that_cannot_be_made_leaves_the_earlier_one_as_it_is(world: World, customer: Row) -> None:
    await stock(world)
    made = await quote(world, customer, written_in("Painting", 1000))
    await world.sync(QUOTE)
    await revised(world, made, discountamount=2000)
    await world.sync(QUOTE)
    (failure,) = await world.failures(QUOTE)
    assert failure.code == "SO-14"
    assert (await lines_here(world))[0]["unitPrice"] == 1000
    assert not await world.bob.rows("archivedSalesQuotes")

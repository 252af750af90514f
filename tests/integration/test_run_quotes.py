"""Quotes: activated in Dataverse, made in Business Central with lines, notes and discount (QUOTE-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import of_product, open_shop, stock, written_in
from quote_scenes import NOTES, QUOTE, here, lines_here, note, quote, switch_on
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


@pytest.mark.rule("QUOTE-01")
async def test_quotes_stay_in_dataverse_until_they_are_switched_on(world: World) -> None:
    customer = await open_shop(world)
    await quote(world, customer, written_in("Painting"))
    await world.sync(QUOTE)
    assert not await world.bob.rows("salesQuotes")


@pytest.mark.rule("QUOTE-01")
@pytest.mark.rule("QUOTE-03")
async def test_an_active_quote_becomes_one_of_business_central(world: World, customer: Row) -> None:
    days: Row = {"effectiveto": "2027-01-31T00:00:00Z", "requestdeliveryby": "2027-02-28T00:00:00Z"}
    await quote(world, customer, written_in("Painting", 100, 2), **days, shipto_city="Utrecht")
    await quote(world, customer, written_in("Painting"), activate=False, quotenumber="QUO-2")
    result = await world.sync(QUOTE)
    assert (result.counts["created"], result.counts["skipped"], result.notices) == (1, 0, [])
    found = await here(world)
    assert (found["customerNumber"], found["status"], found["currencyCode"]) == (customer["number"], "Open", "USD")
    assert (found["externalDocumentNumber"], found["validUntilDate"]) == ("BIKES FOR ADATUM", "2027-01-31")
    assert (found["requestedDeliveryDate"], found["shipToCity"]) == ("2027-02-28", "Utrecht")
    (line,) = await lines_here(world)
    assert (line["lineType"], line["lineObjectNumber"], line["description"]) == ("Resource", "WRITE-IN", "Painting")
    assert (line["sequence"], line["quantity"], line["unitPrice"], line["netAmount"]) == (10000, 2, 100, 200)
    await world.quiet(QUOTE)


@pytest.mark.rule("QUOTE-04")
async def test_prices_and_texts_are_taken_as_they_are(world: World, customer: Row) -> None:
    """121.00 including VAT stays; a text stands below its line even if it is the item's own; freight is a line."""
    await stock(world)
    bell = await of_product(world, "BELL", 4, priceperunit=121, manualdiscountamount=9, description="Bell")
    await quote(world, customer, bell, written_in("Painting"), freightamount=25)
    await world.sync(QUOTE)
    lines = await lines_here(world)
    assert [(line["lineType"], line["lineObjectNumber"], line["description"]) for line in lines] == [
        ("Item", "BELL", "Bell"),
        ("Comment", "", "Bell"),
        ("Resource", "WRITE-IN", "Painting"),
        ("Account", "6110", "Freight"),
    ]
    bell, text, _, freight = lines
    assert (bell["unitPrice"], bell["discountAmount"], bell["netAmount"]) == (121, 9, 475)
    assert (text["attachedToLineNumber"], freight["unitPrice"]) == (10000, 25)


@pytest.mark.rule("QUOTE-04")
@pytest.mark.rule("QUOTE-05")
async def test_both_discounts_become_one_amount_once(world: World, customer: Row) -> None:
    """Lines of 1000, 10 off, then 5 %: 60. What Business Central makes of it later stays."""
    await quote(world, customer, written_in("Painting", 1000), discountamount=10, discountpercentage=5)
    await world.sync(QUOTE)
    found = await here(world)
    assert (found["discountAmount"], found["totalAmountExcludingTax"]) == (60, 940)
    await world.quiet(QUOTE)
    await world.bob.update("salesQuotes", found["id"], discountAmount=100)
    await world.sync(QUOTE, full=True)
    assert (await here(world))["discountAmount"] == 100


@pytest.mark.rule("QUOTE-04")
async def test_notes_come_along_and_attachments_never_do(world: World, customer: Row) -> None:
    made = await quote(world, customer, written_in("Painting"))
    draft = await quote(world, customer, activate=False, quotenumber="QUO-2")
    call = await note(world, made, "<p>Ann &amp; Bob</p><p>at 5</p>")
    await note(world, draft, "Not yet")
    await note(world, made, "A file", filename="a.txt", documentbody="aGVsbG8=", mimetype="text/plain")
    result = await world.sync(NOTES)
    assert (result.counts["failed"], result.counts["skipped"]) == (1, 1), "it waits for its quote; a draft's does not"
    await world.sync(QUOTE)
    result = await world.sync(NOTES)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    [noted] = await world.bob.rows("recordNotes")
    assert (noted["description"], noted["note"], noted["created"]) == ("Call", "Ann & Bob\nat 5", call["createdon"])
    assert noted["documentId"] == (await here(world))["id"]
    await world.bob.create("recordNotes", {"documentId": noted["documentId"], "description": "Here", "note": "One"})
    await world.quiet(NOTES)


@pytest.mark.rule("QUOTE-01")
async def test_what_business_central_has_already(world: World, customer: Row) -> None:
    typed = await world.bob.create("salesQuotes", customerNumber=customer["number"], yourReference="QUO-1")
    await quote(world, customer, written_in("Painting"))
    await world.sync(QUOTE)
    message = f"quote {typed['number']} in Business Central is of this quote already (Your Reference QUO-1)"
    assert await failed(world) == ("QUOTE-01", message)
    await world.bob.update("salesQuotes", typed["id"], yourReference="")
    await world.sync(QUOTE, full=True)
    assert (await here(world))["number"] != typed["number"]


@pytest.mark.rule("QUOTE-01")
async def test_a_quote_that_was_deleted_in_business_central_stays_deleted(world: World, customer: Row) -> None:
    await quote(world, customer, written_in("Painting"))
    await world.sync(QUOTE)
    await world.bob.delete("salesQuotes", (await here(world))["id"])
    await world.sync(QUOTE, full=True)
    await world.sync(QUOTE, full=True)
    assert not await world.bob.rows("salesQuotes")


@pytest.mark.rule("QUOTE-01")
@pytest.mark.rule("QUOTE-05")
async def test_one_quote_that_fails_stops_no_other_one(world: World, customer: Row) -> None:
    account = await world.alice.create("accounts", name="Newcomer", customertypecode=3)
    bound: Row = {"customerid_account@odata.bind": f"/accounts({account['accountid']})"}
    await quote(world, None, written_in("Painting"), **bound)
    await quote(world, customer, written_in("Painting"), quotenumber="QUO-2")
    assert (await world.sync(QUOTE)).counts["created"] == 1
    (failure,) = await world.failures(QUOTE)
    assert (failure.code, failure.message) == ("SO-04", "account Newcomer is not coupled in CUSTOMER")
    assert failure.remedy == "couple or synchronise it in CUSTOMER, then this quote goes through by itself"
    await world.sync("CUSTOMER", full=True)
    assert (await world.sync(QUOTE)).counts["created"] == 1

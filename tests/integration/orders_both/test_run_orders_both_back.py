"""Orders of Dataverse go to Business Central with their lines, where orders go both ways (SO-45 … SO-47)."""

from __future__ import annotations

import pytest
from both_ways_scenes import (
    BOTH,
    LINES,
    NOTES,
    details,
    edited,
    entered,
    lines,
    of_item,
    only_there,
    reopened,
)
from order_scenes import act_on, here, lines_here, of_product, order, submitted, there, written_in
from quote_scenes import QUOTE, ordered, quote, switch_on, won
from world import World
from world_data import Row

from koppel.sync.uncouple import uncouple


async def activated(world: World, made: Row) -> None:
    await world.alice.update("salesorders", made["salesorderid"], statecode=0, statuscode=2)


@pytest.mark.rule("SO-45")
@pytest.mark.rule("SO-46")
async def test_a_submitted_order_is_released_with_its_lines(world: World, customer: Row) -> None:
    goods = [await of_product(world, "BIKE", 2, priceperunit=450, manualdiscountamount=20), written_in("Painting", 80)]
    made = await order(world, customer, *goods, freightamount=25, discountamount=30)
    await world.sync(BOTH)
    assert not await world.failures(BOTH)
    found = await here(world)
    assert (found["status"], found["discountAmount"], found["externalDocumentNumber"]) == (
        "Released",
        30,
        "BIKES FOR ADATUM",
    )
    rows = {row["lineObjectNumber"]: row for row in await lines_here(world)}
    assert {number: (row["lineType"], row["quantity"], row["unitPrice"]) for number, row in rows.items()} == {
        "BIKE": ("Item", 2, 450),
        "WRITE-IN": ("Resource", 1, 80),
        "6110": ("Account", 1, 25),
    }
    assert (rows["BIKE"]["discountAmount"], rows["WRITE-IN"]["description"]) == (20, "Painting")
    back = await there(world, made)
    assert (back["statecode"], back["bcbi_businesscentralordernumber"]) == (1, found["number"])
    assert back["bcbi_businesscentraldocumentoccurrencenumber"] == 1
    numbers = [row["bcbi_businesscentrallinenumber"] for row in await details(world, made)]
    assert numbers == [rows["BIKE"]["sequence"], rows["WRITE-IN"]["sequence"]]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
@pytest.mark.rule("SO-46")
async def test_changes_in_dataverse_arrive_in_a_released_order(world: World, customer: Row) -> None:
    goods = [await of_product(world, "BIKE", 2, priceperunit=450), await of_product(world, "LIFT", 1)]
    made = await order(world, customer, *goods)
    await world.sync(BOTH)
    await activated(world, made)
    bike, lift = await details(world, made)
    await world.alice.update("salesorderdetails", bike["salesorderdetailid"], quantity=3)
    await world.alice.delete("salesorderdetails", lift["salesorderdetailid"])
    bound = {"salesorderid@odata.bind": f"/salesorders({made['salesorderid']})"}
    await world.alice.create("salesorderdetails", {**bound, **await of_product(world, "BELL", 1, priceperunit=90)})
    await world.sync(BOTH)
    assert len(await lines_here(world)) == 2, "it is being worked on"
    await submitted(world, made)
    await world.sync(BOTH)
    found = {row["lineObjectNumber"]: (row["quantity"], row["unitPrice"]) for row in await lines_here(world)}
    assert found == {"BIKE": (3, 450), "BELL": (1, 90)}
    assert ((await here(world))["status"], (await there(world, made))["statecode"]) == ("Released", 1)
    await world.quiet(BOTH)


@pytest.mark.rule("SO-46")
async def test_two_people_edit_two_lines_of_one_order(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1))
    await world.sync(BOTH)
    order = await only_there(world)
    bike, lift = await lines(world, made)
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.update("salesOrderLines", bike["id"], quantity=5)
    await world.bob.update("salesOrders", made["id"], status="Released")
    await activated(world, order)
    _, theirs = await details(world, order)
    await world.alice.update("salesorderdetails", theirs["salesorderdetailid"], quantity=4)
    await submitted(world, order)
    await world.sync(BOTH)
    assert [row["quantity"] for row in await lines(world, made)] == [5, 4]
    assert [row["quantity"] for row in await details(world, order)] == [5, 4]
    assert not await world.conflicts(LINES)
    assert lift
    await world.quiet(BOTH)


@pytest.mark.rule("SO-46")
async def test_a_line_that_both_edited_is_left_to_a_person(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2))
    await world.sync(BOTH)
    order = await only_there(world)
    (bike,), (theirs,) = await lines(world, made), await details(world, order)
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.update("salesOrderLines", bike["id"], quantity=5)
    await world.bob.update("salesOrders", made["id"], status="Released")
    await activated(world, order)
    await world.alice.update("salesorderdetails", theirs["salesorderdetailid"], quantity=4)
    await submitted(world, order)
    await world.sync(BOTH)
    (conflict,) = await world.conflicts(LINES)
    assert conflict.field == "price"
    assert [row["quantity"] for row in await lines(world, made)] == [5]
    assert [row["quantity"] for row in await details(world, order)] == [4]


@pytest.mark.rule("SO-47")
async def test_freight_is_one_line(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"), freightamount=25)
    await world.sync(BOTH)
    await activated(world, made)
    await world.alice.update("salesorders", made["salesorderid"], description="by train")
    await submitted(world, made)
    await world.sync(BOTH)
    freight = [row for row in await lines_here(world) if row["lineType"] == "Account"]
    assert [row["unitPrice"] for row in freight] == [25]
    await activated(world, made)
    await world.alice.update("salesorders", made["salesorderid"], freightamount=40)
    await submitted(world, made)
    await world.sync(BOTH)
    freight = [row for row in await lines_here(world) if row["lineType"] == "Account"]
    assert [row["unitPrice"] for row in freight] == [40]
    assert (await here(world))["status"] == "Released"
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
async def test_a_discount_in_percent_is_an_amount_here(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 1000), discountamount=10, discountpercentage=5)
    await world.sync(BOTH)
    assert (await here(world))["discountAmount"] == 60
    (painting,) = await details(world, made)
    async with edited(world, made):
        await world.alice.update("salesorderdetails", painting["salesorderdetailid"], quantity=2)
    await world.sync(BOTH)
    assert (await here(world))["discountAmount"] == 110, "the percentage holds for what comes later"
    found = await there(world, made)
    assert (found["discountamount"], found["discountpercentage"]) == (10, 5)
    await world.quiet(BOTH)
    ours = await here(world)
    async with reopened(world, ours):
        await world.bob.create("salesOrderLines", documentId=ours["id"], **of_item("BIKE", 1, 500))
    await world.sync(BOTH)
    assert (await here(world))["discountAmount"] == 135, "on either side"
    await world.quiet(BOTH)
    async with reopened(world, await here(world)):
        await world.bob.update("salesOrders", (await here(world))["id"], discountAmount=70)
    await world.sync(BOTH)
    found = await there(world, made)
    assert (found["discountamount"], found["discountpercentage"], found["statecode"]) == (70, None, 1)
    assert found["totalamountlessfreight"] == 2430
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
async def test_a_discount_that_both_changed_is_left_to_a_person(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 1000), discountpercentage=5)
    await world.sync(BOTH)
    async with edited(world, made):
        await world.alice.update("salesorders", made["salesorderid"], discountpercentage=6)
    async with reopened(world, await here(world)):
        await world.bob.update("salesOrders", (await here(world))["id"], discountAmount=70)
    await world.sync(BOTH)
    (conflict,) = await world.conflicts(BOTH)
    assert conflict.field == "discount"
    assert ((await here(world))["discountAmount"], (await there(world, made))["discountpercentage"]) == (70, 6)


@pytest.mark.rule("SO-46")
async def test_a_line_that_was_deleted_takes_its_edited_partner_along(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1), of_item("BELL", 1, 90))
    await world.sync(BOTH)
    order = await only_there(world)
    bike, lift, _ = await lines(world, made)
    theirs = await details(world, order)
    async with reopened(world, made), edited(world, order):
        await world.bob.delete("salesOrderLines", bike["id"])
        await world.bob.update("salesOrderLines", lift["id"], quantity=4)
        await world.alice.update("salesorderdetails", theirs[0]["salesorderdetailid"], quantity=7)
        await world.alice.delete("salesorderdetails", theirs[1]["salesorderdetailid"])
    await world.sync(BOTH)
    assert not await world.failures(LINES)
    assert [row["lineObjectNumber"] for row in await lines(world, made)] == ["BELL"]
    assert [row["productnumber"] for row in await details(world, order)] == ["BELL"]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-46")
async def test_an_order_with_a_line_that_cannot_be_sold_is_not_made(world: World, customer: Row) -> None:
    goods = await of_product(world, "BIKE")
    await order(world, customer, goods)
    await world.session.connection.execute("DELETE FROM coupling WHERE mapping = 'ITEM-PRODUCT'")
    await world.sync(BOTH)
    (failure,) = await world.failures(BOTH)
    assert (failure.code, failure.message) == ("SO-09", "product BIKE on its lines is not coupled in ITEM-PRODUCT")
    assert not await world.bob.rows("salesOrders")


@pytest.mark.rule("SO-45")
async def test_notes_go_with_the_order(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    bound = {"objectid_salesorder@odata.bind": f"/salesorders({made['salesorderid']})"}
    await world.alice.create("annotations", {**bound, "subject": "Colour", "notetext": "<p>Red</p>"})
    await world.sync(BOTH)
    await world.sync(NOTES)
    (note,) = await world.bob.rows("recordNotes")
    assert (note["description"], note["note"], note["documentId"]) == ("Colour", "Red", (await here(world))["id"])
    await world.quiet(BOTH, NOTES)


@pytest.mark.rule("SO-45")
@pytest.mark.rule("SO-16")
async def test_the_quote_of_an_order_is_archived_and_named(world: World, customer: Row) -> None:
    """One that Koppel did not make: it bears the number of Dataverse's quote."""
    values = {"customerNumber": customer["number"], "yourReference": "QUO-1"}
    bike = [{"lineType": "Item", "lineObjectNumber": "BIKE", "quantity": 1}]
    ours = await world.bob.create("salesQuotes", {**values, "salesQuoteLines": bike})
    made = await quote(world, customer, written_in("Painting"))
    await won(world, made)
    await ordered(world, made)
    await world.sync(BOTH)
    assert not await world.failures(BOTH)
    (order,) = await world.bob.rows("salesOrders")
    assert (order["quoteNumber"], order["status"]) == (ours["number"], "Released")
    assert [row["number"] for row in await world.bob.rows("archivedSalesQuotes")] == [ours["number"]]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
@pytest.mark.rule("QUOTE-09")
async def test_a_coupled_quote_is_archived_as_it_was_won(world: World, customer: Row) -> None:
    switch_on(world)
    made = await quote(world, customer, written_in("Painting"))
    await world.sync(QUOTE)
    await won(world, made)
    await ordered(world, made)
    await world.sync(BOTH)
    assert not await world.bob.rows("archivedSalesQuotes"), "it is not released yet"
    await world.sync(QUOTE)
    (order,), (version,) = await world.bob.rows("salesOrders"), await world.bob.rows("archivedSalesQuotes")
    assert (order["quoteNumber"], order["status"], version["status"]) == (version["number"], "Released", "Released")
    await world.quiet(BOTH, QUOTE)


@pytest.mark.rule("SO-46")
async def test_items_that_are_always_reserved_are_so_for_lines_of_dataverse(world: World, customer: Row) -> None:
    values = {"number": "BIKE", "reserve": "Always", "inventory": 5}
    world.sandbox.business_central.load(world.company, "items", [values])
    made = await order(world, customer, await of_product(world, "BIKE", 2), await of_product(world, "LIFT"))
    await world.sync(BOTH)
    assert sorted(row["reservedQuantity"] for row in await lines_here(world)) == [0, 2]
    row = next(row for row in await details(world, made) if row["productnumber"] == "BIKE")
    async with edited(world, made):
        await world.alice.update("salesorderdetails", row["salesorderdetailid"], quantity=7)
    await world.sync(BOTH)
    assert sorted(row["reservedQuantity"] for row in await lines_here(world)) == [0, 5], "there are no more"
    await world.quiet(BOTH)


@pytest.mark.rule("SO-46")
async def test_a_line_that_was_shipped_is_not_deleted(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1))
    await world.sync(BOTH)
    await world.bob.update("salesOrderLines", (await lines(world, made))[1]["id"], shipQuantity=0)
    await act_on(world, made, "ship")
    await world.sync(BOTH)
    order = await only_there(world)
    bike, _ = await details(world, order)
    async with edited(world, order):
        await world.alice.delete("salesorderdetails", bike["salesorderdetailid"])
    await world.sync(BOTH)
    (failure,) = await world.failures(LINES)
    assert "Qty. Shipped Not Invoiced" in failure.message
    assert len(await lines(world, made)) == 2
    await uncouple(world.session, LINES, [(await lines(world, made))[0]["id"]])
    await world.sync(BOTH, full=True)
    assert sorted(row["productnumber"] for row in await details(world, order)) == ["BIKE", "LIFT"]
    await world.quiet(BOTH)

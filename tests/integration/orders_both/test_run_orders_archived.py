"""Orders that go both ways and are posted or deleted in Business Central (SO-48, SO-49)."""

from __future__ import annotations

import pytest
from both_ways_scenes import BOTH, details, entered, lines, of_item, only_there, reopened
from order_scenes import act_on, order, there, written_in
from world import World
from world_data import Row

from koppel.errors import TransientError
from koppel.systems.transport import Request


@pytest.mark.rule("SO-48")
@pytest.mark.rule("SO-49")
async def test_a_posted_order_is_invoiced_with_the_figures_of_its_archive(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1))
    await world.sync(BOTH)
    bike, _ = await lines(world, made)
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.update("salesOrderLines", bike["id"], quantity=3, unitPrice=500, discountAmount=60)
    await world.bob.update("salesOrders", made["id"], discountAmount=40)
    await act_on(world, made, "shipAndInvoice")
    assert not await world.bob.rows("salesOrders")
    result = await world.sync(BOTH)
    assert (result.counts["uncoupled"], result.counts["created"]) == (1, 0)
    row = await only_there(world)
    today = world.sandbox.clock().date().isoformat()
    assert (row["statecode"], row["statuscode"], row["datefulfilled"][:10]) == (4, 100003, today)
    assert row["discountamount"] == 40
    figures = [(d["quantity"], d["quantityshipped"], d["manualdiscountamount"]) for d in await details(world, row)]
    assert figures == [(3, 3, 60), (1, 1, 0)]
    assert not await world.couplings(BOTH)
    await world.quiet(BOTH)


@pytest.mark.rule("SO-49")
async def test_lines_that_came_and_went_before_posting_are_those_of_the_archive(world: World, customer: Row) -> None:
    await world.bob.create("items", number="PUMP", displayName="Pump", unitPrice=20, baseUnitOfMeasureCode="PCS")
    made = await entered(world, customer, of_item("BIKE", 1), of_item("LIFT", 1))
    await world.sync(BOTH)
    bike, lift = await lines(world, made)
    async with reopened(world, made):
        await world.bob.delete("salesOrderLines", lift["id"])
        await world.bob.update("salesOrderLines", bike["id"], unitPrice=480)
        for line in (of_item("BELL", 2, 90), of_item("PUMP", 1), of_item("WRITE-IN", 1, 80, "Painting")):
            await world.bob.create("salesOrderLines", documentId=made["id"], **line)
    await act_on(world, made, "shipAndInvoice")
    await world.sync(BOTH)
    order = await only_there(world)
    found = [
        (r["productnumber"], r["quantityshipped"], r["priceperunit"], r["tax"]) for r in await details(world, order)
    ]
    assert found == [("BIKE", 1, 480, 100.8), ("BELL", 2, 90, 37.8), (None, 1, 80, 16.8)]
    assert (order["statecode"], order["totalamount"]) == (4, 895.4), "but for the pump, which is no product there"
    assert not await world.couplings(BOTH)
    await world.quiet(BOTH)


@pytest.mark.rule("SO-49")
async def test_a_discount_in_percent_ends_as_the_amount_that_was_given(world: World, customer: Row) -> None:
    await order(world, customer, written_in("Painting", 1000), discountpercentage=5)
    await world.sync(BOTH)
    (found,) = await world.bob.rows("salesOrders")
    await act_on(world, found, "shipAndInvoice")
    await world.sync(BOTH)
    row = await only_there(world)
    assert (row["statecode"], row["discountamount"], row["discountpercentage"]) == (4, 50, None)


@pytest.mark.rule("SO-48")
async def test_a_deleted_order_is_left_alone_by_both_sides(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 80))
    await world.sync(BOTH)
    (found,) = await world.bob.rows("salesOrders")
    await world.bob.update("salesOrders", found["id"], status="Open")
    await world.bob.delete("salesOrders", found["id"])
    result = await world.sync(BOTH, full=True)
    assert (result.counts["uncoupled"], result.counts["created"]) == (1, 0)
    left = await there(world, made)
    assert (left["statecode"], left["datefulfilled"], await world.bob.rows("salesOrders")) == (1, None, [])
    await world.alice.update("salesorders", made["salesorderid"], statecode=0, statuscode=2)
    await world.alice.update("salesorders", made["salesorderid"], description="once more")
    await world.alice.update("salesorders", made["salesorderid"], statecode=1, statuscode=3)
    assert (await world.sync(BOTH, full=True)).counts["created"] == 0
    assert not await world.bob.rows("salesOrders")


@pytest.mark.rule("SO-49")
async def test_an_order_stays_coupled_until_dataverse_takes_its_last_figures(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE", 2))
    await world.sync(BOTH)
    row = await only_there(world)
    await act_on(world, made, "shipAndInvoice")

    async def refuse(number: int, request: Request) -> None:
        if b"statecode" in (request.body or b""):
            raise TransientError("Dataverse is away")

    world.line.before = refuse
    await world.sync(BOTH)
    (failure,) = await world.failures(BOTH)
    assert failure.message.startswith("what becomes of it could not be written: ")
    assert len(await world.couplings(BOTH)) == 1
    world.line.before = None
    await world.sync(BOTH)
    assert (await there(world, row))["statecode"] == 4
    assert not await world.couplings(BOTH)
    await world.quiet(BOTH)

"""Prices that include VAT, in orders that go both ways (SO-11, SO-43, SO-46)."""

from __future__ import annotations

import pytest
from both_ways_scenes import BOTH, LINES, details, edited, entered, lines, of_item, only_there
from order_scenes import here, lines_here, of_product, order, there
from world import World
from world_data import Row


@pytest.mark.rule("SO-43")
@pytest.mark.rule("SO-46")
async def test_prices_that_include_vat_go_both_ways_as_they_are(world: World, customer: Row) -> None:
    made = await entered(
        world, customer, of_item("BIKE", 2, 605, discountAmount=10), pricesIncludeTax=True, release=False
    )
    await world.bob.update("salesOrders", made["id"], discountAmount=100)
    made = await world.bob.update("salesOrders", made["id"], status="Released")
    await world.sync(BOTH)
    order = await only_there(world)
    (bike,) = await details(world, order)
    assert (bike["priceperunit"], bike["manualdiscountamount"], bike["tax"]) == (605, 10, 0)
    assert (order["totalamount"], order["totaltax"]) == (made["totalAmountIncludingTax"], 0) == (1100, 0)
    await world.quiet(BOTH)
    async with edited(world, order):
        await world.alice.update("salesorderdetails", bike["salesorderdetailid"], quantity=3, priceperunit=600)
    await world.sync(BOTH)
    (ours,) = await lines(world, made)
    assert (ours["quantity"], ours["unitPrice"], ours["netAmountIncludingTax"]) == (3, 600, 1690)
    assert (await there(world, order))["totalamount"] == 1690
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
@pytest.mark.rule("SO-46")
async def test_an_order_for_a_customer_whose_prices_include_vat(world: World, customer: Row) -> None:
    await world.bob.update("customers", customer["id"], pricesIncludingVAT=True)
    made = await order(world, customer, await of_product(world, "BELL", 2), discountamount=12)
    await world.sync(BOTH)
    assert (await here(world))["pricesIncludeTax"]
    (bell,) = await lines_here(world)
    assert (bell["unitPrice"], bell["netAmountIncludingTax"], bell["netAmount"]) == (121, 230, 190.08)
    found = await there(world, made)
    assert (found["totalamount"], found["totaltax"], found["statecode"]) == (230, 0, 1)
    await world.quiet(BOTH)


@pytest.mark.rule("SO-11")
@pytest.mark.rule("SO-46")
async def test_vat_is_taken_out_of_the_price_of_a_price_list(world: World, customer: Row) -> None:
    goods = [
        await of_product(world, "BELL", 2, manualdiscountamount=20),
        await of_product(world, "BELL", 1, priceperunit=90),
        await of_product(world, "BIKE"),
    ]
    made = await order(world, customer, *goods)
    await world.sync(BOTH)
    assert not await world.failures(BOTH)
    found = [(row["unitPrice"], row["discountAmount"]) for row in await lines_here(world)]
    assert sorted(found) == [(90, 0), (100, 20), (500, 0)]
    bell, *_ = await details(world, made)
    assert (bell["priceperunit"], bell["ispriceoverridden"], bell["tax"]) == (100, True, 37.8)
    assert (await there(world, made))["totalamount"] == (await here(world))["totalAmountIncludingTax"]
    await world.quiet(BOTH)


@pytest.mark.rule("SO-11")
@pytest.mark.rule("SO-46")
async def test_a_line_that_goes_back_to_the_price_of_its_list(world: World, customer: Row) -> None:
    made = await order(world, customer, await of_product(world, "BELL", 2, priceperunit=90))
    await world.sync(BOTH)
    (bell,) = await details(world, made)
    async with edited(world, made):
        await world.alice.update("salesorderdetails", bell["salesorderdetailid"], ispriceoverridden=False)
    await world.sync(BOTH)
    assert not await world.failures(LINES)
    (ours,), (bell,) = await lines_here(world), await details(world, made)
    assert (ours["unitPrice"], bell["priceperunit"], bell["tax"]) == (100, 100, 42)
    assert ((await here(world))["status"], (await there(world, made))["statecode"]) == ("Released", 1)
    await world.quiet(BOTH)

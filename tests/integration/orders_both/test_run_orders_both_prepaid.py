"""Prepayments of orders that go both ways (SO-45)."""

from __future__ import annotations

import pytest
from both_ways_scenes import BOTH, LINES, details, edited
from order_scenes import here, lines_here, of_product, order, there, written_in
from world import World
from world_data import Row

from koppel.sandbox.business_central.invoices import Invoices


@pytest.fixture
async def customer(world: World, customer: Row) -> Row:
    """Who pays half of an order beforehand."""
    return await world.bob.update("customers", customer["id"], prepaymentPercent=50)


async def prepaid(world: World, customer: Row) -> Row:
    """An order of two bikes, whose prepayment is paid, and which is released."""
    made = await order(world, customer, await of_product(world, "BIKE", 2))
    await world.sync(BOTH)
    ours = await here(world)
    prepay(world, ours["number"])
    await world.bob.update("salesOrders", ours["id"], status="Released")
    await world.sync(BOTH)
    return made


def prepay(world: World, number: str) -> None:
    Invoices(world.sandbox.business_central, world.company, "BOB").prepay(number)


@pytest.mark.rule("SO-45")
async def test_an_order_stays_open_until_its_prepayment_is_invoiced(world: World, customer: Row) -> None:
    made = await order(world, customer, await of_product(world, "BIKE", 2))
    await world.sync(BOTH)
    assert not await world.failures(BOTH)
    ours = await here(world)
    assert (ours["status"], [row["prepmtLineAmount"] for row in await lines_here(world)]) == ("Open", [500])
    back = await there(world, made)
    assert (back["statecode"], back["bcbi_businesscentralordernumber"]) == (1, ours["number"])
    await world.quiet(BOTH)
    prepay(world, ours["number"])
    await world.bob.update("salesOrders", ours["id"], status="Released")
    await world.sync(BOTH)
    assert ((await here(world))["status"], (await there(world, made))["statecode"]) == ("Released", 1)
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
async def test_a_change_of_an_order_whose_prepayment_is_paid_ends_released(world: World, customer: Row) -> None:
    made = await prepaid(world, customer)
    async with edited(world, made):
        await world.alice.update("salesorders", made["salesorderid"], description="by train")
    await world.sync(BOTH)
    ours = await here(world)
    assert (ours["status"], ours["workDescription"]) == ("Released", "by train")
    await world.quiet(BOTH)


@pytest.mark.rule("SO-45")
async def test_a_line_that_is_to_be_prepaid_leaves_a_released_order_open(world: World, customer: Row) -> None:
    made = await prepaid(world, customer)
    async with edited(world, made):
        bound = {"salesorderid@odata.bind": f"/salesorders({made['salesorderid']})"}
        await world.alice.create("salesorderdetails", {**bound, **written_in("Painting")})
    await world.sync(BOTH)
    assert [await world.failures(name) for name in (BOTH, LINES)] == [[], []]
    assert ((await here(world))["status"], len(await lines_here(world))) == ("Open", 2)
    assert [row["bcbi_businesscentrallinenumber"] for row in await details(world, made)] == [10000, 20000]
    await world.quiet(BOTH)
    ours = await here(world)
    prepay(world, ours["number"])
    await world.bob.update("salesOrders", ours["id"], status="Released")
    await world.sync(BOTH)
    assert ((await here(world))["status"], (await there(world, made))["statecode"]) == ("Released", 1)
    await world.quiet(BOTH)

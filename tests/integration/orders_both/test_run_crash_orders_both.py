"""A run over orders that go both ways dies at any point: after the next one they are closed on both sides, with each
line once, and every edit is carried over, also those that people made in between (promises 1, 2 and 7).

One shop serves for many deaths, each of orders of their own; every ninth point of a run is enough for the suite.
"""

from __future__ import annotations

import pytest
from both_ways_scenes import BOTH, LINES, details, entered, lines, of_item
from order_scenes import of_product, order, submitted
from test_run_crash import Fate
from world import CrashError, World
from world_data import Row

from koppel.systems.transport import Request

SOME = slice(2, None, 9)


async def points_of_a_run(world: World) -> list[int]:
    """At which events of a run to die."""
    fate = Fate(world)
    await world.sync(BOTH)
    world.line.before = world.line.after = None
    points = fate.points()
    assert len(points) > 40
    return points[SOME]


async def dies(world: World, deadly: int) -> str:
    """A run dies at this event, which it returns."""
    fate = Fate(world, deadly)
    with pytest.raises(CrashError):
        await world.sync(BOTH)
    await world.revive()
    return f"{deadly} {fate.events[-1]}"


async def recovered(world: World) -> None:
    """The next run puts everything right, and the one after it finds nothing to do."""
    await world.sync(BOTH)
    assert not await world.failures(BOTH)
    assert not await world.failures(LINES)
    await world.quiet(BOTH)


async def in_step(world: World, made: Row, theirs: Row) -> list[float]:
    """Both orders are closed, and alike; the quantities of their lines."""
    here = await world.bob.row("salesOrders", made["id"])
    there = await world.alice.row("salesorders", theirs["salesorderid"])
    assert (here["status"], there["statecode"]) == ("Released", 1)
    assert (here["shipToCity"] or None, here["workDescription"] or None) == (there["shipto_city"], there["description"])
    ours, rows = await lines(world, made), await details(world, theirs)
    assert sorted(row["quantity"] for row in ours) == sorted(row["quantity"] for row in rows)
    return sorted(row["quantity"] for row in ours)


async def partner(world: World, made: Row) -> Row:
    """The order of Dataverse that is coupled to one of Business Central."""
    return await world.alice.row("salesorders", (await world.coupling(made["number"], BOTH)).dataverse_id)


async def edit(world: World, made: Row, theirs: Row, number: int, *, add: bool) -> None:
    """Bob edits the header and the first line, Alice the description and the second line; both may ``add`` one."""
    ours, there = await lines(world, made), await details(world, theirs)
    await world.bob.update("salesOrders", made["id"], status="Open", shipToCity=f"Ede {number}")
    await world.bob.update("salesOrderLines", ours[0]["id"], quantity=number)
    await world.alice.update("salesorders", theirs["salesorderid"], statecode=0, statuscode=2)
    await world.alice.update("salesorders", theirs["salesorderid"], description=f"Ring {number} times")
    await world.alice.update("salesorderdetails", there[1]["salesorderdetailid"], quantity=number)
    if add:
        await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("BELL", 8))
        bound = {"salesorderid@odata.bind": f"/salesorders({theirs['salesorderid']})"}
        await world.alice.create("salesorderdetails", {**bound, **await of_product(world, "BIKE", 9)})
    await world.bob.update("salesOrders", made["id"], status="Released")
    await submitted(world, theirs)


@pytest.mark.rule("SO-45")
@pytest.mark.rule("SO-46")
async def test_changes_of_both_sides(world: World) -> None:
    customer = await world.bob.one("customers", "displayName eq 'Adatum'")
    made = [await entered(world, customer, of_item("BIKE", 1), of_item("LIFT", 1)) for _ in range(8)]
    await world.sync(BOTH)
    first = made.pop()
    await edit(world, first, await partner(world, first), 2, add=True)
    for deadly in await points_of_a_run(world):
        one = made.pop()
        theirs = await partner(world, one)
        await edit(world, one, theirs, 2, add=True)
        where = await dies(world, deadly)
        await edit(world, one, theirs, 3, add=False)
        await recovered(world)
        assert await in_step(world, one, theirs) == [3, 3, 8, 9], where


@pytest.mark.rule("SO-46")
async def test_one_side_was_open_and_the_other_one_about_to_be(world: World) -> None:
    customer = await world.bob.one("customers", "displayName eq 'Adatum'")
    made = await entered(world, customer, of_item("BIKE", 1), of_item("LIFT", 1))
    await world.sync(BOTH)
    theirs = await partner(world, made)
    ours, there = await lines(world, made), await details(world, theirs)
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.update("salesOrderLines", ours[0]["id"], quantity=2)
    await world.bob.update("salesOrders", made["id"], status="Released")
    await world.alice.update("salesorders", theirs["salesorderid"], statecode=0, statuscode=2)
    await world.alice.update("salesorderdetails", there[1]["salesorderdetailid"], quantity=3)
    await submitted(world, theirs)

    async def die(number: int, request: Request) -> None:
        if b'"statecode":0' in request.body:
            world.crash()

    world.line.before = die
    with pytest.raises(CrashError):
        await world.sync(BOTH)
    assert (await world.bob.row("salesOrders", made["id"]))["status"] == "Open"
    await world.revive()
    await recovered(world)
    assert await in_step(world, made, theirs) == [2, 3]


@pytest.mark.rule("SO-41")
@pytest.mark.rule("SO-45")
async def test_new_orders_of_both_sides(world: World) -> None:
    customer = await world.bob.one("customers", "displayName eq 'Adatum'")

    async def new(number: int) -> tuple[Row, Row]:
        goods = [await of_product(world, "BIKE", 4), await of_product(world, "BELL", 5)]
        theirs = await order(world, customer, *goods, discountamount=7, ordernumber=f"ORD-{number}")
        return await entered(world, customer, of_item("BIKE", 1), of_item("LIFT", 2), shipToCity="Ede"), theirs

    await new(0)
    for deadly in await points_of_a_run(world):
        made, theirs = await new(deadly)
        where = await dies(world, deadly)
        await recovered(world)
        assert await in_step(world, made, await partner(world, made)) == [1, 2], where
        here = await world.bob.one("salesOrders", f"yourReference eq 'ORD-{deadly}'")
        assert await in_step(world, here, theirs) == [4, 5], where
        assert here["discountAmount"] == 7, where
        assert {row["quantity"]: row["unitPrice"] for row in await lines(world, here)} == {4: 500, 5: 100}, where
        assert len(await world.bob.rows("salesOrders")) == len(await world.alice.rows("salesorders")), where

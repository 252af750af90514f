"""Lines of orders that go both ways are coupled as long as their order is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from both_ways_scenes import BOTH, LINES, details, entered, lines, new_shop, of_item
from order_scenes import of_product, order, submitted, there
from test_undo import take_back
from world import World
from world_data import Row

from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.uncouple import orphans, remove_orphans, uncouple


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_shop(database) as world:
        customer = await world.bob.one("customers", "displayName eq 'Adatum'")
        await entered(world, customer, of_item("BIKE", 2), of_item("LIFT", 1))
        await world.sync(BOTH)
        assert len(await world.couplings(LINES)) == 2
        yield world


async def only_here(world: World) -> Row:
    (found,) = await world.bob.rows("salesOrders")
    return found


async def test_uncoupled_by_hand_and_taken_back(world: World) -> None:
    before = [(c.business_central_id, c.dataverse_id, c.base) for c in await world.couplings(LINES)]
    assert await uncouple(world.session, BOTH, [(await only_here(world))["number"]]) == 1
    assert (await world.couplings(BOTH), await world.couplings(LINES)) == ([], [])
    await take_back(world, world.session.job)
    assert [(c.business_central_id, c.dataverse_id, c.base) for c in await world.couplings(LINES)] == before
    await world.quiet(BOTH)


async def test_coupled_once_more(world: World) -> None:
    """Lines that were one stay one, whoever made them; what was edited meanwhile is merged."""
    customer = await world.bob.one("customers", "displayName eq 'Adatum'")
    theirs = await order(world, customer, await of_product(world, "BELL", 3), ordernumber="ORD-2")
    await world.sync(BOTH)
    pairs = sorted((c.business_central_id, c.dataverse_id) for c in await world.couplings(LINES))
    assert len(pairs) == 3
    for made in await world.bob.rows("salesOrders"):
        pair = await world.coupling(made["number"], BOTH)
        await uncouple(world.session, BOTH, [made["number"]])
        first = (await lines(world, made))[0]
        await world.bob.update("salesOrders", made["id"], status="Open")
        await world.bob.update("salesOrderLines", first["id"], quantity=5)
        await world.bob.update("salesOrders", made["id"], status="Released")
        await couple(world.session, BOTH, made["number"], pair.dataverse_id, initial="business_central")
    await world.sync(BOTH)
    assert sorted((c.business_central_id, c.dataverse_id) for c in await world.couplings(LINES)) == pairs
    assert [row["quantity"] for row in await details(world, theirs)] == [5]
    assert (await there(world, theirs))["statecode"] == 1
    await world.quiet(BOTH)


async def test_deleted_in_either_system(world: World) -> None:
    customer = await world.bob.one("customers", "displayName eq 'Adatum'")
    kept = await entered(world, customer, of_item("BELL", 2))
    await world.sync(BOTH)
    first = await world.bob.one("salesOrders", f"number ne '{kept['number']}'")
    await world.alice.delete("salesorders", (await world.coupling(first["number"], BOTH)).dataverse_id)
    result = await world.sync(BOTH)
    assert result.counts["uncoupled"] == 1
    assert len(await world.couplings(LINES)) == 1
    await world.bob.update("salesOrders", kept["id"], status="Open")
    await world.bob.delete("salesOrders", kept["id"])
    result = await world.sync(BOTH)
    assert result.counts["uncoupled"] == 1, "its archive tells"
    assert (await world.couplings(BOTH), await world.couplings(LINES)) == ([], [])


async def test_a_line_deleted_in_dataverse_concerns_its_order_alone(world: World) -> None:
    made = await only_here(world)
    theirs = await world.alice.row("salesorders", (await world.coupling(made["number"], BOTH)).dataverse_id)
    await world.alice.update("salesorders", theirs["salesorderid"], statecode=0, statuscode=2)
    await world.alice.delete("salesorderdetails", (await details(world, theirs))[0]["salesorderdetailid"])
    await submitted(world, theirs)
    result = await world.sync(BOTH)
    assert (result.notices, result.parts[0].counts["deleted"]) == ([], 1)
    assert [row["lineObjectNumber"] for row in await lines(world, made)] == ["LIFT"]
    assert [row["productnumber"] for row in await details(world, theirs)] == ["LIFT"]
    await world.quiet(BOTH)


async def test_orphans(world: World) -> None:
    made = await only_here(world)
    await world.alice.delete("salesorders", (await world.coupling(made["number"], BOTH)).dataverse_id)
    await world.bob.update("salesOrders", made["id"], status="Open")
    await world.bob.delete("salesOrders", made["id"])
    found = [one async for some in orphans(world.session, BOTH) for one in some]
    assert await remove_orphans(world.session, BOTH, found) == 1
    assert await world.couplings(LINES) == []

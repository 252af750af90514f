"""Orders: submitted in Dataverse, made in Business Central, released, posted, deleted (SO-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import ORDER, act, here, lines_here, of_product, open_shop, order, stock, there, written_in
from world import World, new_world
from world_data import Row

from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    return await open_shop(world)


@pytest.mark.rule("SO-01")
@pytest.mark.rule("SO-05")
@pytest.mark.rule("SO-17")
async def test_a_submitted_order_becomes_one_of_business_central(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 100, 2), requestdeliveryby="2027-01-31")
    draft = await order(world, customer, written_in("Painting"), submit=False, ordernumber="ORD-2")
    result = await world.sync(ORDER)
    assert (result.counts["created"], result.counts["skipped"], result.notices) == (1, 0, [])
    found = await here(world)
    assert (found["customerNumber"], found["status"], found["currencyCode"]) == (customer["number"], "Open", "USD")
    assert (found["externalDocumentNumber"], found["requestedDeliveryDate"]) == ("BIKES FOR ADATUM", "2027-01-31")
    (line,) = await lines_here(world)
    assert (line["lineType"], line["lineObjectNumber"], line["description"]) == ("Resource", "WRITE-IN", "Painting")
    assert (line["sequence"], line["quantity"], line["unitPrice"], line["netAmount"]) == (10000, 2, 100, 200)
    row = await there(world, made)
    assert (row["statecode"], row["statuscode"]) == (1, 3)
    assert row["lastbackofficesubmit"][:10] == world.sandbox.clock().date().isoformat()
    assert (await there(world, draft))["lastbackofficesubmit"] is None
    await world.quiet(ORDER)


@pytest.mark.rule("SO-20")
@pytest.mark.rule("SO-21")
@pytest.mark.rule("SO-22")
async def test_released_orders_go_back_and_open_ones_do_not(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 100, 2))
    await world.sync(ORDER)
    await world.bob.update("salesOrders", (await here(world))["id"], shipToCity="Utrecht", salesperson="PAM")
    result = await world.sync(ORDER)
    assert (result.counts["updated"], result.notices) == (0, [])
    await act(world, made, "release")
    assert (await world.sync(ORDER)).counts["updated"] == 1
    row = await there(world, made)
    assert (row["shipto_city"], row["ordernumber"], row["statecode"], row["statuscode"]) == ("Utrecht", "ORD-1", 1, 3)
    assert (row["totalamountlessfreight"], row["totalamount"]) == (200, 242)
    await world.quiet(ORDER)

    await act(world, made, "reopen")
    await world.bob.update("salesOrders", (await here(world))["id"], shipToCity="Ede")
    result = await world.sync(ORDER)
    assert (result.counts["updated"], result.notices) == (0, [])
    await act(world, made, "release")
    await world.sync(ORDER)
    assert (await there(world, made))["shipto_city"] == "Ede"
    await world.quiet(ORDER)


@pytest.mark.rule("SO-09")
@pytest.mark.rule("PROD-03")
async def test_products_are_sold_as_their_items_and_resources(world: World, customer: Row) -> None:
    await stock(world)
    assert not await world.alice.rows("products", "productnumber eq 'WRITE-IN'")
    await order(world, customer, await of_product(world, "BIKE", 2), await of_product(world, "LIFT", 3))
    await world.sync(ORDER)
    bike, lift = await lines_here(world)
    assert (bike["lineType"], bike["lineObjectNumber"], bike["unitPrice"]) == ("Item", "BIKE", 500)
    assert (lift["lineType"], lift["lineObjectNumber"], lift["unitPrice"]) == ("Resource", "LIFT", 50)


@pytest.mark.rule("SO-30")
async def test_a_posted_order_is_invoiced(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await act(world, made, "release")
    await world.sync(ORDER)
    await act(world, made, "shipAndInvoice")
    result = await world.sync(ORDER)
    assert result.counts["uncoupled"] == 1, result
    row = await there(world, made)
    assert (row["statecode"], row["statuscode"]) == (4, 100003)
    assert not await world.couplings(ORDER)
    await world.quiet(ORDER)

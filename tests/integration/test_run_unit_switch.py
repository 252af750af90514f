"""Unit groups of their own are switched on where products were made, and sold, under the other setup (UOM-13)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from catalogue import ACTIVE, ITEMS, RETIRED, bike, failure, product_of, set_up_catalogue
from order_scenes import ORDER, lines_here, of_product, open_shop, order, stock
from test_run_invoices import INVOICE, LINES, invoice, line, lines, post
from test_run_prices import GROUPS as PRICE_GROUPS
from test_run_prices import PRICES, price
from test_run_unit_groups import catalogue, group, prices
from world import World, new_world
from world_data import Row

from koppel.mapping.load import load_mappings
from koppel.store.database import Database
from koppel.sync.uncouple import uncouple
from switches import UNIT_GROUPS

REMEDY = (
    "koppel uncouple ITEM-PRODUCT {0}, give the product another number in Dataverse and retire it, then koppel sync "
    "ITEM-PRODUCT --full: it is made anew"
)
HELD = "product {0} is in another unit group than that of its item, and Dataverse lets no product change it"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def with_bike(world: World) -> Row:
    """An item and its product, where products share units of measure."""
    await set_up_catalogue(world)
    item = await bike(world)
    await world.sync(ITEMS, full=True)
    return item


async def switch_over(world: World) -> None:
    """The administrator switches unit groups on, and synchronises them."""
    for name, mapping in load_mappings(enabled=UNIT_GROUPS).items():
        world.mappings[name] = mapping
    world.session.mappings = world.mappings
    world.session.ready.clear()
    await catalogue(world)


@pytest.mark.rule("UOM-13")
async def test_a_product_that_nothing_refers_to_may_be_deleted_and_is_made_anew(world: World) -> None:
    await with_bike(world)
    await switch_over(world)
    await world.sync(ITEMS, full=True)
    assert await failure(world) == HELD.format("BK-1")
    [pair] = await world.couplings(ITEMS)
    await uncouple(world.session, ITEMS, [pair.business_central_id])
    await world.alice.update("products", pair.dataverse_id, {"pricelevelid@odata.bind": None})
    for row in await world.alice.rows("productpricelevels"):
        await world.alice.delete("productpricelevels", row["productpricelevelid"])
    await world.alice.delete("products", pair.dataverse_id)
    await world.sync(ITEMS, full=True)
    assert await world.failures(ITEMS) == []
    product = await product_of(world)
    assert product["productid"] == pair.dataverse_id
    assert product["_defaultuomscheduleid_value"] == (await group(world))["uomscheduleid"]
    assert await prices(world, product) == {"PCS": 999.5}


@pytest.mark.rule("UOM-13")
async def test_an_edit_on_either_side_of_a_product_of_the_other_setup_is_held(world: World) -> None:
    item = await with_bike(world)
    await switch_over(world)
    product = await product_of(world)
    await world.alice.update("products", product["productid"], name="Racer")
    await world.sync(ITEMS)
    [found] = await world.failures(ITEMS)
    assert (found.message, found.remedy) == (HELD.format("BK-1"), REMEDY.format("BK-1"))
    await world.bob.update("items", item["id"], unitPrice=1100)
    for _ in range(3):
        result = await world.sync(ITEMS)
        assert result.write_requests == 0
    assert (await world.bob.row("items", item["id"]))["displayName"] == "Road Bike"
    assert await failure(world) == HELD.format("BK-1")


async def retire(world: World, number: str) -> Row:
    """What the message says: the product is uncoupled, gets another number and is retired."""
    product = await product_of(world, number)
    await uncouple(world.session, ITEMS, [number])
    await world.alice.update("products", product["productid"], productnumber=f"{number}-OLD")
    return await world.alice.update("products", product["productid"], statecode=RETIRED, statuscode=2)


@pytest.mark.rule("UOM-13")
async def test_products_that_were_sold_are_made_anew_and_documents_keep_the_old_ones(world: World) -> None:
    customer = await open_shop(world)
    await stock(world)
    await world.bob.create("customerPriceGroups", code="GOLD", description="Gold customers")
    sold = {**line("Bicycle", 900, 2), "lineType": "Item", "lineObjectNumber": "BIKE", "unitOfMeasureCode": "PCS"}
    post(world, "PS-1", customer, sold)
    await order(world, customer, await of_product(world, "BIKE", 2))
    for name in (PRICE_GROUPS, INVOICE, ORDER):
        await world.sync(name, full=True)
    old = await product_of(world, "BIKE")

    await switch_over(world)
    await world.sync(ITEMS, full=True)
    assert {one.message for one in await world.failures(ITEMS)} == {HELD.format("BIKE"), HELD.format("BELL")}
    post(world, "PS-2", customer, sold, line("Freight", 10))
    await price(world, "BIKE", 450)
    for full in (True, False, False):
        await world.sync(INVOICE, full=full)
        await world.sync(PRICES, full=full)
    assert await failure(world, LINES) == HELD.format("BIKE")
    assert await failure(world, PRICES) == HELD.format("BIKE")
    assert [row["priceperunit"] for row in await lines(world, await invoice(world, "PS-2"))] == [10]

    await retire(world, "BIKE")
    await world.sync(ITEMS, full=True)
    assert await failure(world) == HELD.format("BELL")
    new = await product_of(world, "BIKE")
    assert (new["productid"] != old["productid"], new["statecode"]) == (True, ACTIVE)
    assert new["_defaultuomscheduleid_value"] == (await group(world, "BIKE"))["uomscheduleid"]
    await world.sync(INVOICE)
    await world.sync(PRICES)
    assert [await world.failures(name) for name in (LINES, PRICES)] == [[], []]
    for number, product in (("PS-1", old), ("PS-2", new)):
        found = await lines(world, await invoice(world, number))
        assert [row["_productid_value"] for row in found if row["_productid_value"]] == [product["productid"]]
    await order(world, customer, await of_product(world, "BIKE", 3), ordernumber="ORD-2")
    await world.sync(ORDER)
    assert [row["quantity"] for row in await lines_here(world, "ORD-2")] == [3]
    await world.quiet(INVOICE, PRICES, ORDER)


@pytest.mark.rule("UOM-13")
async def test_who_switches_back_makes_products_anew_as_well(database: Database) -> None:
    async with new_world(database, enabled=UNIT_GROUPS) as world:
        await bike(world)
        await catalogue(world)
        await world.sync(ITEMS, full=True)
        world.mappings.update(load_mappings())
        world.session.mappings = world.mappings
        world.session.ready.clear()
        await set_up_catalogue(world)
        await world.sync(ITEMS, full=True)
        [found] = await world.failures(ITEMS)
        assert found.remedy.startswith("uncouple the product, renumber and retire it in Dataverse")
        old = await retire(world, "BK-1")
        await world.sync(ITEMS, full=True)
        assert await world.failures(ITEMS) == []
        new = await product_of(world)
        assert (new["productid"] != old["productid"], new["statecode"], await prices(world, new)) == (
            True,
            ACTIVE,
            {"PCS": 999.5},
        )
        await world.quiet(ITEMS)


@pytest.mark.rule("UOM-13")
async def test_who_switches_back_and_forth_gets_a_new_product_each_time(world: World) -> None:
    await with_bike(world)
    await switch_over(world)
    seen = [(await retire(world, "BK-1"))["productid"]]
    await world.sync(ITEMS, full=True)
    again = await product_of(world)
    await uncouple(world.session, ITEMS, ["BK-1"])
    await world.alice.update("products", again["productid"], productnumber="BK-1-OLDER")
    await world.alice.update("products", again["productid"], statecode=RETIRED, statuscode=2)
    await world.sync(ITEMS, full=True)
    assert len({*seen, again["productid"], (await product_of(world))["productid"]}) == 3


@pytest.mark.rule("PROD-12")
async def test_a_product_that_was_only_uncoupled_and_retired_is_no_reason_for_a_second_one(world: World) -> None:
    await with_bike(world)
    product = await product_of(world)
    await uncouple(world.session, ITEMS, ["BK-1"])
    await world.alice.update("products", product["productid"], statecode=RETIRED, statuscode=2)
    await world.sync(ITEMS, full=True)
    assert "outside the filter" in await failure(world)
    assert len(await world.alice.rows("products")) == 1

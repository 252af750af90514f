"""Prices and documents in the units of items and resources, where each has a unit group of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from both_ways_scenes import BOTH, details, entered, new_shop, of_item, only_there, reopened
from both_ways_scenes import LINES as LINES_BOTH
from both_ways_scenes import lines as lines_both
from catalogue import ITEMS, bike, failure, product_of
from order_scenes import ORDER, act_on, lines_here, of_product, open_shop, order, stock
from quote_scenes import QUOTE, quote, switch_on
from quote_scenes import lines_here as lines_of_quote
from test_run_invoices import INVOICE, LINES, invoice, line, lines, post
from test_run_prices import GROUPS, PRICES, price
from test_run_unit_groups import UNITS, box, catalogue
from world import World, new_world
from world_data import Row

from koppel.store.database import Database
from switches import UNIT_GROUPS


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """A bike by the piece and by the box, and its product."""
    async with new_world(database, enabled=UNIT_GROUPS) as world:
        await bike(world)
        await box(world)
        await catalogue(world)
        await world.sync(ITEMS, full=True)
        yield world


async def unit(world: World, row: Row) -> str:
    """What the unit of a row is called."""
    return str((await world.alice.row("uoms", row["_uomid_value"]))["name"])


async def new_unit(world: World) -> None:
    """The bike comes in sets, too."""
    await world.bob.create("unitsOfMeasure", code="SET")
    await world.bob.create("itemUnitsOfMeasure", itemNo="BK-1", code="SET", qtyPerUnitOfMeasure=3)


async def of_list(world: World) -> dict[str, float]:
    """Amounts by unit in the price list GOLD."""
    gold = await world.alice.one("pricelevels", "name eq 'GOLD'")
    rows = await world.alice.rows("productpricelevels", f"_pricelevelid_value eq {gold['pricelevelid']}")
    product = await product_of(world)
    assert {row["_uomscheduleid_value"] for row in rows} <= {product["_defaultuomscheduleid_value"]}
    return {await unit(world, row): row["amount"] for row in rows}


@pytest.mark.rule("UOM-14")
async def test_prices_of_a_group_are_in_the_units_of_the_item(world: World) -> None:
    await world.bob.create("customerPriceGroups", code="GOLD", description="Gold customers")
    await price(world, "BK-1", 900)
    await price(world, "BK-1", 8000, unitOfMeasureCode="BOX")
    for name in (GROUPS, PRICES):
        await world.sync(name, full=True)
        assert await world.failures(name) == []
    assert await of_list(world) == {"PCS": 900, "BOX": 8000}
    await world.quiet(GROUPS, PRICES)


@pytest.mark.rule("UOM-14")
async def test_a_price_in_a_unit_that_is_not_coupled_waits_for_it(world: World) -> None:
    await world.bob.create("customerPriceGroups", code="GOLD", description="Gold customers")
    await new_unit(world)
    await price(world, "BK-1", 2500, unitOfMeasureCode="SET")
    await world.sync(GROUPS, full=True)
    assert await failure(world, GROUPS) == "unit SET of item BK-1 is not coupled in ITEM UOM"
    await world.sync(UNITS)
    await world.sync(GROUPS)
    await world.sync(PRICES)
    assert await of_list(world) == {"SET": 2500}


def sold(code: str, amount: float, quantity: float) -> Row:
    """A line of the bike."""
    of = {"lineType": "Item", "lineObjectNumber": "BK-1", "unitOfMeasureCode": code}
    return {**line("Road Bike", amount, quantity), **of}


@pytest.mark.rule("UOM-14")
async def test_lines_of_invoices_are_in_their_units(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    post(world, "PS-1", customer, sold("BOX", 9000, 2), sold("PCS", 950, 1), sold("", 940, 1))
    await world.sync(INVOICE, full=True)
    assert await world.failures(LINES) == []
    found = await lines(world, await invoice(world, "PS-1"))
    assert [(await unit(world, row), row["quantity"], row["priceperunit"]) for row in found] == [
        ("BOX", 2, 9000),
        ("PCS", 1, 950),
        ("PCS", 1, 940),
    ]
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-12")
@pytest.mark.rule("UOM-14")
async def test_a_line_in_a_unit_that_is_not_coupled_waits_for_it_and_takes_its_place(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    await new_unit(world)
    post(world, "PS-1", customer, sold("SET", 2500, 1), sold("PCS", 950, 1))
    await world.sync(INVOICE, full=True)
    assert await failure(world, LINES) == "unit SET of item BK-1 is not coupled in ITEM UOM"
    await world.sync(UNITS)
    await world.sync(INVOICE)
    assert await world.failures(LINES) == []
    found = sorted(await lines(world, await invoice(world, "PS-1")), key=lambda row: row["sequencenumber"])
    assert [(await unit(world, row), row["priceperunit"]) for row in found] == [("SET", 2500), ("PCS", 950)]


async def in_unit(world: World, name: str, quantity: float = 1, **values: object) -> Row:
    """A line of an order that sells bicycles in this unit."""
    product = await product_of(world, "BIKE")
    of_group = f"_uomscheduleid_value eq {product['_defaultuomscheduleid_value']}"
    unit = await world.alice.one("uoms", f"{of_group} and name eq '{name}'")
    return await of_product(world, "BIKE", quantity, **{"uomid@odata.bind": f"/uoms({unit['uomid']})", **values})


@pytest.mark.rule("UOM-14")
async def test_lines_of_orders_arrive_in_their_units(world: World) -> None:
    customer = await open_shop(world)
    await stock(world)
    await box(world, 10, "BIKE")
    await world.sync(UNITS)
    lines = [
        await in_unit(world, "BOX", 2),
        await in_unit(world, "PCS", 3),
        await in_unit(world, "BOX", priceperunit=1),
    ]
    await order(world, customer, *lines, await of_product(world, "LIFT", 2))
    await world.sync(ORDER)
    assert await world.failures(ORDER) == []
    found = [(row["unitOfMeasureCode"], row["quantity"], row["unitPrice"]) for row in await lines_here(world)]
    assert found == [("BOX", 2, 5000), ("PCS", 3, 500), ("BOX", 1, 1), ("PCS", 2, 50)]
    await world.quiet(ORDER)


@pytest.mark.rule("UOM-14")
async def test_an_order_in_a_unit_of_dataverse_alone_is_held(world: World) -> None:
    customer = await open_shop(world)
    await stock(world)
    product = await product_of(world, "BIKE")
    of_group = {"uomscheduleid@odata.bind": f"/uomschedules({product['_defaultuomscheduleid_value']})"}
    pair = await world.alice.create("uoms", {"name": "pair", "quantity": 2, **of_group})
    await world.alice.create(
        "productpricelevels",
        {
            "amount": 990,
            "pricelevelid@odata.bind": f"/pricelevels({product['_pricelevelid_value']})",
            "productid@odata.bind": f"/products({product['productid']})",
            "uomid@odata.bind": f"/uoms({pair['uomid']})",
        },
    )
    await order(world, customer, await in_unit(world, "pair"))
    await world.sync(ORDER)
    assert await failure(world, ORDER) == "unit pair on its lines is not coupled in ITEM UOM"
    assert await world.bob.rows("salesOrders") == []


@pytest.mark.rule("UOM-14")
async def test_lines_of_quotes_arrive_in_their_units(world: World) -> None:
    customer = await open_shop(world)
    switch_on(world)
    await stock(world)
    await box(world, 10, "BIKE")
    await world.sync(UNITS)
    await quote(world, customer, await in_unit(world, "BOX", 2))
    await world.sync(QUOTE)
    assert await world.failures(QUOTE) == []
    found = [row for row in await lines_of_quote(world) if row["lineType"] == "Item"]
    assert [(row["unitOfMeasureCode"], row["quantity"], row["unitPrice"]) for row in found] == [("BOX", 2, 5000)]


@asynccontextmanager
async def boxes_sold(database: Database) -> AsyncIterator[tuple[World, Row]]:
    """A shop in which orders go both ways and bikes are sold by the box of ten, too; a customer."""
    async with new_shop(database, UNIT_GROUPS) as world:
        await box(world, 10, "BIKE")
        await world.sync(UNITS)
        yield world, await world.bob.one("customers", "displayName eq 'Adatum'")


@pytest.mark.rule("UOM-14")
async def test_lines_of_orders_that_go_both_ways_keep_their_units(database: Database) -> None:
    async with boxes_sold(database) as (world, customer):
        boxes = of_item("BIKE", unitOfMeasureCode="BOX")
        made = await entered(world, customer, {**boxes, "quantity": 2, "unitPrice": 4800}, of_item("BIKE", 3))
        await world.sync(BOTH)
        assert [await world.failures(name) for name in (BOTH, LINES_BOTH)] == [[], []]
        sold = await only_there(world)
        found = [(await unit(world, row), row["quantity"], row["priceperunit"]) for row in await details(world, sold)]
        assert found == [("BOX", 2, 4800), ("PCS", 3, 500)]
        await world.quiet(BOTH)
        await world.bob.update("salesOrders", made["id"], status="Open")
        await world.bob.update("salesOrderLines", (await lines_both(world, made))[1]["id"], unitOfMeasureCode="BOX")
        await world.bob.update("salesOrders", made["id"], status="Released")
        await world.sync(BOTH)
        assert [await unit(world, row) for row in await details(world, sold)] == ["BOX", "BOX"]
        await world.quiet(BOTH)
        async with reopened(world, made):
            await world.bob.create("salesOrderLines", documentId=made["id"], **of_item("LIFT", 5))
            await world.bob.create("salesOrderLines", documentId=made["id"], **{**boxes, "quantity": 7})
        await act_on(world, made, "shipAndInvoice")
        await world.sync(BOTH)
        assert await world.failures(BOTH) == []
        shipped = [(await unit(world, row), row["quantityshipped"]) for row in await details(world, sold)]
        assert shipped == [("BOX", 2), ("BOX", 3), ("PCS", 5), ("BOX", 7)]


@pytest.mark.rule("SO-43")
@pytest.mark.rule("UOM-14")
async def test_a_line_in_a_unit_that_is_not_coupled_keeps_its_order_open(database: Database) -> None:
    async with boxes_sold(database) as (world, customer):
        await world.session.connection.execute("DELETE FROM coupling WHERE mapping = %s", [UNITS])
        await entered(world, customer, of_item("BIKE", 2, unitOfMeasureCode="BOX"))
        await world.sync(BOTH)
        (failure,) = await world.failures(LINES_BOTH)
        assert "BOX" in failure.message
        assert "is not coupled in ITEM UOM" in failure.message
        assert (await only_there(world))["statecode"] == 0
        await world.sync(UNITS, full=True)
        await world.sync(BOTH)
        assert (await only_there(world))["statecode"] == 1


@pytest.mark.rule("UOM-14")
async def test_lines_of_dataverse_arrive_in_their_units_where_orders_go_both_ways(database: Database) -> None:
    async with boxes_sold(database) as (world, customer):
        await order(world, customer, await in_unit(world, "BOX", 2), await in_unit(world, "PCS", 3))
        await world.sync(BOTH)
        assert [await world.failures(name) for name in (BOTH, LINES_BOTH)] == [[], []]
        [made] = await world.bob.rows("salesOrders")
        found = [(row["unitOfMeasureCode"], row["quantity"], row["unitPrice"]) for row in await lines_both(world, made)]
        assert sorted(found) == [("BOX", 2, 5000), ("PCS", 3, 500)]
        await world.quiet(BOTH)

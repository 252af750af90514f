"""Items and resources, and the products that come of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import World, new_world
from world_data import Row

from koppel.store.database import Database

ACTIVE, RETIRED, DRAFT = 0, 1, 2


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        await world.sync("CURRENCY", full=True)
        await world.sync("UNIT OF MEASURE", full=True)
        yield world


async def bike(world: World, **values: Any) -> Row:
    usual = {"number": "BK-1", "displayName": "Road Bike", "baseUnitOfMeasureCode": "PCS", "unitPrice": 999.5}
    return await world.bob.create("items", {**usual, **values})


async def product_of(world: World, number: str = "BK-1") -> Row:
    return await world.alice.one("products", f"productnumber eq '{number}'")


async def test_an_item_becomes_an_active_product_with_its_price(world: World) -> None:
    await bike(world)
    result = await world.sync("ITEM-PRODUCT", full=True)
    assert await world.failures("ITEM-PRODUCT") == []
    assert result.counts["created"] == 1
    product = await product_of(world)
    assert (product["name"], product["price"], product["statecode"]) == ("Road Bike", 999.5, ACTIVE)
    [line] = await world.alice.rows("productpricelevels")
    assert (line["_productid_value"], line["amount"]) == (product["productid"], 999.5)
    assert product["_pricelevelid_value"] == line["_pricelevelid_value"]
    prices = await world.alice.row("pricelevels", line["_pricelevelid_value"])
    assert prices["name"] == "Business Central Default Price List"
    await world.quiet("ITEM-PRODUCT")


@pytest.mark.rule("PROD-12")
async def test_a_blocked_item_retires_its_product_and_brings_it_back(world: World) -> None:
    item = await bike(world)
    await world.sync("ITEM-PRODUCT", full=True)
    await world.bob.update("items", item["id"], blocked=True, displayName="Old Bike")
    result = await world.sync("ITEM-PRODUCT")
    product = await product_of(world)
    assert (product["statecode"], product["statuscode"], product["name"]) == (RETIRED, 2, "Road Bike")
    assert any("only what the filter asks for is carried over" in line for line in result.notices)
    await world.quiet("ITEM-PRODUCT")
    await world.bob.update("items", item["id"], blocked=False)
    await world.sync("ITEM-PRODUCT")
    product = await product_of(world)
    assert (product["statecode"], product["statuscode"], product["name"]) == (ACTIVE, 1, "Old Bike")
    await world.quiet("ITEM-PRODUCT")

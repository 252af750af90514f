"""A small catalogue: an item, its product, and its price in the default price list."""

from __future__ import annotations

from typing import Any

from world import World
from world_data import Row

ACTIVE, RETIRED, DRAFT, REVISED = 0, 1, 2, 3
LIST = "Business Central Default Price List"
ITEMS = "ITEM-PRODUCT"


async def set_up_catalogue(world: World) -> None:
    """Currencies and units are in Dataverse."""
    for name in ("CURRENCY", "UNIT OF MEASURE"):
        await world.sync(name, full=True)


async def bike(world: World, **values: Any) -> Row:
    """An item."""
    usual = {"number": "BK-1", "displayName": "Road Bike", "baseUnitOfMeasureCode": "PCS", "unitPrice": 999.5}
    return await world.bob.create("items", {**usual, **values})


async def product_of(world: World, number: str = "BK-1") -> Row:
    """The product of a number."""
    return await world.alice.one("products", f"productnumber eq '{number}'")


async def price_of(world: World, product: Row) -> Row:
    """The price of a product in its default price list."""
    found = await world.alice.rows("productpricelevels", f"_productid_value eq {product['productid']}")
    [line] = [line for line in found if line["_pricelevelid_value"] == product["_pricelevelid_value"]]
    return line


async def failure(world: World, name: str = ITEMS) -> str:
    """Why the only record that failed did."""
    [found] = await world.failures(name)
    return found.message

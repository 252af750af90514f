"""What tests of orders that go both ways share: a shop where they are switched on, and orders of either side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from order_scenes import open_shop, stock, submitted
from world import World, new_world
from world_data import Row

from koppel.store.database import Database
from switches import ORDERS_BOTH_WAYS

BOTH, LINES = "SALESORDER-ORDER-TWO-WAY", "SOLINE-ORDERDETAIL"
NOTES = "SALES ORDER NOTES-TWO-WAY"


@asynccontextmanager
async def new_shop(database: Database, enabled: Mapping[str, bool] = MappingProxyType({})) -> AsyncIterator[World]:
    """A shop with a customer and products, in which orders go both ways; what else is on."""
    async with new_world(database, enabled={**ORDERS_BOTH_WAYS, **enabled}) as world:
        (organization,) = await world.alice.rows("organizations")
        await world.alice.update("organizations", organization["organizationid"], issopintegrationenabled=False)
        await open_shop(world)
        await stock(world)
        yield world


def of_item(number: str, quantity: float = 1, price: float | None = None, text: str = "", **values: Any) -> Row:
    """A line of an order of Business Central."""
    kind = "Resource" if number in ("LIFT", "WRITE-IN") else "Item"
    line = {"lineType": kind, "lineObjectNumber": number, "quantity": quantity, "unitPrice": price, "description": text}
    return {**{name: value for name, value in line.items() if value not in (None, "")}, **values}


async def entered(world: World, customer: Row, *rows: Row, release: bool = True, **values: Any) -> Row:
    """An order that Bob enters in Business Central, released unless it is not to be."""
    body = {"customerNumber": customer["number"], "salesOrderLines": list(rows), **values}
    made = await world.bob.create("salesOrders", body)
    return await world.bob.update("salesOrders", made["id"], status="Released") if release else made


async def lines(world: World, made: Row) -> list[Row]:
    """The lines of an order of Business Central."""
    rows = await world.bob.rows("salesOrderLines", f"documentId eq {made['id']}")
    return sorted(rows, key=lambda row: row["sequence"])


async def only_there(world: World) -> Row:
    """The only order of Dataverse."""
    (found,) = await world.alice.rows("salesorders")
    return found


async def details(world: World, order: Row) -> list[Row]:
    """The lines of an order of Dataverse."""
    rows = await world.alice.rows("salesorderdetails", f"_salesorderid_value eq {order['salesorderid']}")
    return sorted(rows, key=lambda row: row["lineitemnumber"])


@asynccontextmanager
async def edited(world: World, order: Row) -> AsyncIterator[None]:
    """An order of Dataverse that Alice opens, and submits again."""
    await world.alice.update("salesorders", order["salesorderid"], statecode=0, statuscode=2)
    yield
    await submitted(world, order)


@asynccontextmanager
async def reopened(world: World, made: Row) -> AsyncIterator[None]:
    """An order of Business Central that Bob opens, and releases again."""
    await world.bob.update("salesOrders", made["id"], status="Open")
    yield
    await world.bob.update("salesOrders", made["id"], status="Released")

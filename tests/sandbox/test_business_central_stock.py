"""What documents and items have to do with each other: shipping takes from stock, numbers are followed."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION
from business_central_sales import Sales, item


@pytest.fixture
def sales() -> Sales:
    return Sales()


async def bicycle(sales: Sales) -> dict[str, Any]:
    (row,) = (await sales.get("items?$filter=number%20eq%20'1000'", COMPANION)).values
    return row


async def entries(sales: Sales) -> list[dict[str, Any]]:
    return (await sales.get("itemLedgerEntries", COMPANION)).values


async def test_what_is_shipped_is_no_longer_in_stock(sales: Sales) -> None:
    before = await bicycle(sales)
    order = await sales.order("10000", item(quantity=3), item(unitOfMeasureCode="BOX"))
    sales.clock.advance(seconds=1)
    assert (await sales.act(order, "shipAndInvoice")).status == 204
    after = await bicycle(sales)
    assert after["inventory"] == -15
    assert after["@odata.etag"] != before["@odata.etag"]
    assert after["lastModifiedDateTime"] == before["lastModifiedDateTime"]
    assert [(row["quantity"], row["entryType"], row["sourceNumber"]) for row in await entries(sales)] == [
        (-3, "Sale", "10000"),
        (-12, "Sale", "10000"),
    ]
    assert {row["documentNumber"] for row in await entries(sales)} == {order["number"]}


async def test_only_what_is_shipped_leaves(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=3))
    await sales.change_line(order["salesOrderLines"][0], shipQuantity=2)
    await sales.act(order, "ship")
    assert (await bicycle(sales))["inventory"] == -2
    await sales.act(order, "invoice")
    await sales.act(order, "ship")
    assert [row["quantity"] for row in await entries(sales)] == [-2, -1]


async def test_services_and_resources_have_no_stock(sales: Sales) -> None:
    sales.system.load("CRONUS", "items", [{"number": "FEE", "type": "Service", "vatProdPostingGroup": "STANDARD"}])
    hour = {"lineType": "Resource", "lineObjectNumber": "LIFT", "quantity": 1}
    order = await sales.order("10000", item("FEE"), hour)
    assert (await sales.act(order, "shipAndInvoice")).status == 204
    assert await entries(sales) == []


@pytest.mark.parametrize(("table", "number"), [("items", "1000"), ("resources", "LIFT")])
async def test_what_is_on_an_order_stays_and_may_be_renamed(sales: Sales, table: str, number: str) -> None:
    kind = {"items": "Item", "resources": "Resource"}[table]
    line = {"lineType": kind, "lineObjectNumber": number, "quantity": 1}
    order = await sales.order("10000", line)
    await sales.act(await sales.order("10000", line), "shipAndInvoice")
    (row,) = (await sales.get(f"{table}?$filter=number%20eq%20'{number}'", COMPANION)).values
    refused = await sales.delete(f"{table}({row['id']})", COMPANION)
    assert (refused.status, refused.code) == (400, "Application_DialogException")
    assert "outstanding Sales Order" in refused.json["error"]["message"]
    assert (await sales.patch(f"{table}({row['id']})", {"number": "NEW"}, COMPANION)).status == 200
    assert (await sales.again(order))["salesOrderLines"][0]["lineObjectNumber"] == "NEW"
    (invoice,) = await sales.invoices()
    assert invoice["postedSalesInvoiceLines"][0]["lineObjectNumber"] == "NEW"

"""What an order waits for, and what is kept for it: prepayments, and items that are always reserved."""

from __future__ import annotations

import pytest
from business_central_company import COMPANION
from business_central_sales import Row, Sales, item

from koppel.sandbox.business_central.invoices import Invoices


@pytest.fixture
def sales() -> Sales:
    return Sales()


async def _half(sales: Sales) -> Row:
    """An order of a customer who pays half of it beforehand."""
    (customer,) = (await sales.get("customers?$filter=number eq '10000'", COMPANION)).values
    await sales.patch(f"customers({customer['id']})", {"prepaymentPercent": 50}, COMPANION)
    return await sales.order("10000", item(quantity=2, discountAmount=20))


async def test_an_order_is_released_once_its_prepayments_are_invoiced(sales: Sales) -> None:
    order = await _half(sales)
    (line,) = order["salesOrderLines"]
    assert (order["prepaymentPercent"], line["prepaymentPercent"], line["prepmtLineAmount"]) == (50, 50, 90)
    refused = await sales.change(order, status="Released")
    assert (refused.status, "unposted prepayment amounts" in refused.json["error"]["message"]) == (400, True)
    assert (await sales.act(order, "ship")).status == 400
    await sales.change_line(line, prepaymentPercent=25)
    Invoices(sales.system, "CRONUS", "BOB").prepay(order["number"])
    (line,) = (await sales.again(order))["salesOrderLines"]
    assert (line["prepmtLineAmount"], line["prepmtAmtInv"]) == (45, 45)
    assert (await sales.change(order, status="Released")).status == 200
    refused = await sales.act(order, "ship")
    assert (refused.status, "orders with prepayments" in refused.json["error"]["message"]) == (501, True)


async def test_what_has_no_prepayment(sales: Sales) -> None:
    order = await _half(sales)
    assert (await sales.change(order, prepaymentPercent=10)).status == 501, "its lines would have to change"
    with pytest.raises(ValueError, match="9999"):
        Invoices(sales.system, "CRONUS", "BOB").prepay("9999")


async def test_items_that_are_always_reserved(sales: Sales) -> None:
    (bike,) = (await sales.get("items?$filter=number eq '1000'", COMPANION)).values
    await sales.patch(f"items({bike['id']})", {"reserve": "Always"}, COMPANION)
    await sales.patch(f"items({bike['id']})", {"inventory": 30})
    lines = item(quantity=1, unitOfMeasureCode="BOX"), item(quantity=7), item("1001", 1)
    order = await sales.order("10000", *lines)
    await sales.change(order, status="Released")
    found = (await sales.again(order))["salesOrderLines"]
    assert [(row["reserve"], row["reservedQuantity"]) for row in found] == [("Always", 1), ("Always", 7), ("Never", 0)]
    other = await sales.order("10000", item(quantity=20))
    await sales.change(other, status="Released")
    (late,) = (await sales.again(other))["salesOrderLines"]
    assert late["reservedQuantity"] == 11, "the rest is taken"
    await sales.act(order, "ship")
    found = (await sales.again(order))["salesOrderLines"]
    assert [row["reservedQuantity"] for row in found] == [0, 0, 0]

"""``customerStatistics``: what customers owe and have ordered, added up from ledger and orders while it is read."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION
from business_central_sales import Sales

from koppel.sandbox.business_central.logic import ledger
from koppel.sandbox.business_central.work import Work

BIKE = {"lineType": "Item", "lineObjectNumber": "1000"}


@pytest.fixture
def sales() -> Sales:
    return Sales()


async def figures(sales: Sales, number: str) -> dict[str, Any]:
    [row] = (await sales.get(f"customerStatistics?$filter=number eq '{number}'", COMPANION)).values
    return row


def pay(sales: Sales, invoice: str, amount: float) -> None:
    ledger.pay(Work(sales.system, sales.company, ""), invoice, amount)


async def test_orders_are_outstanding_then_shipped_then_owed(sales: Sales) -> None:
    """One bicycle of ten is shipped, and then invoiced: 121 with VAT each."""
    order = await sales.order("10000", {**BIKE, "quantity": 10})
    before = await figures(sales, "10000")
    assert (before["outstandingOrdersLCY"], before["totalAmountLCY"]) == (1210, 1210)
    await sales.change_line(order["salesOrderLines"][0], shipQuantity=1, invoiceQuantity=1)
    await sales.act(order, "ship")
    shipped = await figures(sales, "10000")
    assert (shipped["outstandingOrdersLCY"], shipped["shippedNotInvoicedLCY"]) == (1089, 121)
    await sales.act(order, "invoice")
    owed = await figures(sales, "10000")
    assert (owed["outstandingOrdersLCY"], owed["shippedNotInvoicedLCY"], owed["balanceLCY"]) == (1089, 0, 121)
    assert (owed["totalAmountLCY"], owed["salesThisYearLCY"]) == (1210, 100)


async def test_whoever_pays_owes(sales: Sales) -> None:
    """The branch buys, and its parent pays."""
    await sales.order("40000", {**BIKE, "quantity": 1})
    assert (await figures(sales, "10000"))["outstandingOrdersLCY"] == 121
    assert (await figures(sales, "40000"))["outstandingOrdersLCY"] == 0


async def test_sums_are_in_local_currency(sales: Sales) -> None:
    """Eighty euros are a hundred dollars."""
    order = await sales.order("20000", {**BIKE, "quantity": 1, "unitPrice": 80})
    assert (await figures(sales, "20000"))["outstandingOrdersLCY"] == 100
    await sales.act(order, "shipAndInvoice")
    owed = await figures(sales, "20000")
    assert (owed["balanceLCY"], owed["salesThisYearLCY"]) == (100, 100)


async def test_what_is_due_before_today_is_overdue(sales: Sales) -> None:
    order = await sales.order("10000", {**BIKE, "quantity": 1})
    await sales.act(order, "shipAndInvoice")
    [invoice] = await sales.invoices()
    pay(sales, invoice["number"], 21)
    sales.clock.advance(days=31)  # due on the first of April, which is today
    assert (await figures(sales, "10000"))["overdueAmountLCY"] == 0
    sales.clock.advance(days=1)
    found = await figures(sales, "10000")
    assert (found["balanceLCY"], found["overdueAmountLCY"]) == (100, 100)
    sales.clock.advance(days=300)
    assert (await figures(sales, "10000"))["salesThisYearLCY"] == 0


async def test_a_cancelled_invoice_is_no_sale(sales: Sales) -> None:
    await sales.act(await sales.order("10000", {**BIKE, "quantity": 1}), "shipAndInvoice")
    [invoice] = await sales.invoices()
    ledger.cancel(Work(sales.system, sales.company, ""), invoice["number"])
    found = await figures(sales, "10000")
    assert (found["balanceLCY"], found["salesThisYearLCY"], found["totalAmountLCY"]) == (0, 0, 0)


async def test_they_are_read_like_any_rows(sales: Sales) -> None:
    await sales.order("10000", {**BIKE, "quantity": 1})
    every = (await sales.get("customerStatistics", COMPANION)).values
    assert [row["number"] for row in every] == ["10000", "20000", "30000", "40000", "50000"]
    [owing] = (await sales.get("customerStatistics?$filter=totalAmountLCY gt 0", COMPANION)).values
    assert owing["displayName"] == "Adatum"
    one = (await sales.get(f"customerStatistics({owing['id']})?$select=number,totalAmountLCY", COMPANION)).json
    assert (one["number"], one["totalAmountLCY"], "displayName" in one) == ("10000", 121, False)
    assert (await sales.get("customerStatistics/$count", COMPANION)).content == b"5"
    customer = (await sales.get(f"customers({owing['id']})", COMPANION)).json
    assert owing["lastModifiedDateTime"] == customer["lastModifiedDateTime"]
    pages = await sales.get("customerStatistics?$top=2&$skip=3", COMPANION)
    assert [row["number"] for row in pages.values] == ["40000", "50000"]
    refused = await sales.get("customerStatistics?$orderby=balanceLCY", COMPANION)
    assert (refused.status, refused.code) == (501, "BadRequest_MethodNotImplemented")
    assert (await sales.patch(f"customerStatistics({owing['id']})", {"balanceLCY": 1}, COMPANION)).status == 405

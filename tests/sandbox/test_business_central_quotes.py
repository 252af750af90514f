"""Sales quotes: numbers, what the customer brings, lines and amounts, release."""

from __future__ import annotations

import pytest
from business_central_company import COMPANION
from business_central_sales import Row, Sales, item


@pytest.fixture
def sales() -> Sales:
    return Sales()


async def _quote(sales: Sales, *lines: Row, **values: object) -> Row:
    body = {"customerNumber": "10000", **values, "salesQuoteLines": list(lines)}
    return await sales.made("salesQuotes?$expand=salesQuoteLines", body, COMPANION)


async def _again(sales: Sales, quote: Row) -> Row:
    found: Row = (await sales.get(f"salesQuotes({quote['id']})?$expand=salesQuoteLines", COMPANION)).json
    return found


async def _act(sales: Sales, quote: Row, action: str) -> int:
    return (await sales.post(f"salesQuotes({quote['id']})/Microsoft.NAV.{action}", None, COMPANION)).status


async def test_a_quote_with_lines(sales: Sales) -> None:
    quote = await _quote(sales, item(quantity=2), item("1001"), validUntilDate="2026-06-30", yourReference="QUO-1")
    order = await sales.order("10000", item(quantity=2), item("1001"))
    assert (quote["number"], quote["documentType"], quote["status"]) == ("S-QUO1001", "Quote", "Open")
    assert (quote["documentDate"], quote["validUntilDate"]) == ("2026-03-01", "2026-06-30")
    same = ("customerName", "billToCity", "shipToName", "dueDate", "paymentTermsCode", "salesperson", "currencyCode")
    amounts = ("totalAmountExcludingTax", "totalTaxAmount", "totalAmountIncludingTax")
    assert [quote[name] for name in (*same, *amounts)] == [order[name] for name in (*same, *amounts)]
    first, second = quote["salesQuoteLines"]
    assert (first["lineObjectNumber"], first["unitPrice"], first["netAmount"]) == ("1000", 100, 200)
    assert (second["sequence"], second["documentNumber"], second["taxPercent"]) == (20000, "S-QUO1001", 9)


async def test_a_released_quote_takes_no_edits(sales: Sales) -> None:
    quote = await _quote(sales, item())
    assert await _act(sales, quote, "release") == 204
    assert (await _again(sales, quote))["status"] == "Released"
    refused = await sales.patch(f"salesQuotes({quote['id']})", {"discountAmount": 5}, COMPANION)
    assert (refused.status, "Document Type=Quote" in refused.json["error"]["message"]) == (400, True)
    assert await _act(sales, quote, "reopen") == 204
    await sales.patch(f"salesQuotes({quote['id']})", {"discountAmount": 5}, COMPANION)
    assert (await _again(sales, quote))["totalAmountExcludingTax"] == 95


async def test_the_standard_api_tells_whether_a_quote_was_sent(sales: Sales) -> None:
    quote = await _quote(sales, item())
    await _act(sales, quote, "release")
    shown = (await sales.get(f"salesQuotes({quote['id']})")).json
    assert (shown["status"], shown["totalAmountExcludingTax"]) == ("Draft", 100)
    assert (await sales.post(f"salesQuotes({quote['id']})/Microsoft.NAV.makeOrder", None)).status == 501


async def test_quotes_are_archived_and_released_by_writing(sales: Sales) -> None:
    """A higher number of versions archives the quote as it is; the status releases and reopens it."""
    quote = await _quote(sales, item(quantity=2))
    address = f"salesQuotes({quote['id']})"
    await sales.patch(address, {"noOfArchivedVersions": 1}, COMPANION)
    await sales.patch(address, {"noOfArchivedVersions": 1}, COMPANION)
    await sales.patch(address, {"status": "Released"}, COMPANION)
    await sales.patch(address, {"noOfArchivedVersions": 2}, COMPANION)
    found = (await sales.get("archivedSalesQuotes?$expand=archivedSalesQuoteLines", COMPANION)).values
    assert [(row["number"], row["versionNumber"], row["status"]) for row in found] == [
        (quote["number"], 1, "Open"),
        (quote["number"], 2, "Released"),
    ]
    assert [line["netAmount"] for row in found for line in row["archivedSalesQuoteLines"]] == [200, 200]
    await sales.patch(address, {"status": "Open", "discountAmount": 5}, COMPANION)
    again = await _again(sales, quote)
    assert (again["status"], again["noOfArchivedVersions"], again["discountAmount"]) == ("Open", 2, 5)


async def test_orders_and_quotes_stay_apart(sales: Sales) -> None:
    quote, order = await _quote(sales, item()), await sales.order("10000", item())
    assert (await sales.get(f"salesOrders({quote['id']})", COMPANION)).status == 404
    line = {"documentId": order["id"], **item()}
    assert (await sales.post("salesQuoteLines", line, COMPANION)).status == 400
    refused = await sales.post("salesQuotes", {"customerNumber": "10000", "documentType": "Order"}, COMPANION)
    assert refused.status == 501


async def test_lines_go_with_their_quote_and_customers_stay(sales: Sales) -> None:
    quote = await _quote(sales, item())
    customer = (await sales.get("customers?$filter=number eq '10000'")).values[0]
    refused = await sales.delete(f"customers({customer['id']})")
    assert "outstanding Sales Quote" in refused.json["error"]["message"]
    assert (await sales.delete(f"salesQuotes({quote['id']})", COMPANION)).status == 204
    assert (await sales.get("salesQuoteLines", COMPANION)).values == []
    assert (await sales.get("archivedSalesOrders", COMPANION)).values == []

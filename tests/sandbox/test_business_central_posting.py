"""Shipping and invoicing orders, and what becomes of the invoices: paid, unapplied, cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, USER, Answer
from business_central_sales import Sales, item

from koppel.sandbox.business_central.errors import ServiceError
from koppel.sandbox.business_central.logic import ledger
from koppel.sandbox.business_central.work import Work


@pytest.fixture
def sales() -> Sales:
    return Sales()


def _is(row: dict[str, Any], **values: Any) -> None:
    assert {name: row[name] for name in values} == values


def _refused(answer: Answer, *words: str, code: str = "Application_DialogException") -> None:
    assert (answer.status, answer.code) == (400, code)
    for word in words:
        assert word in answer.json["error"]["message"]


def _work(sales: Sales) -> Work:
    return Work(sales.system, sales.company, USER)


async def _posted(sales: Sales, customer: str = "10000", **values: Any) -> dict[str, Any]:
    order = await sales.order(customer, item(quantity=2), **values)
    await sales.act(order, "shipAndInvoice")
    return (await sales.invoices())[-1]


async def test_an_order_posted_at_once_is_an_invoice_and_no_order_any_more(sales: Sales) -> None:
    order = await sales.order(
        "10000",
        item(quantity=2, discountAmount=20),
        {"description": "red", "attachedToLineNumber": 10000},
        yourReference="ORD-1",
        discountAmount=18,
        workDescription="Ring twice",
        externalDocumentNumber="po-7",
    )
    answer = await sales.act(order, "shipAndInvoice")
    assert answer.status == 204
    (invoice,) = await sales.invoices()
    assert answer.headers["location"].endswith(f"/postedSalesInvoices({invoice['id']})")
    _is(invoice, number="PS-INV200001", orderNumber=order["number"], orderId=order["id"], yourReference="ORD-1")
    _is(
        invoice,
        customerNumber="10000",
        shipToCity="Ede",
        salesperson="JO",
        shippingAgentCode="DHL",
        billToName="Adatum",
    )
    _is(invoice, invoiceDate="2026-03-01", dueDate="2026-04-01", workDescription="Ring twice", currencyCode="USD")
    _is(invoice, discountAmount=18, totalAmountExcludingTax=162, totalTaxAmount=34.02, totalAmountIncludingTax=196.02)
    _is(invoice, remainingAmount=196.02, closed=False, cancelled=False, externalDocumentNumber="PO-7")
    line, text = invoice["postedSalesInvoiceLines"]
    _is(line, quantity=2, discountAmount=20, invDiscountAmount=18, netAmount=162, documentNumber="PS-INV200001")
    _is(line, sequence=10000, description="Bicycle", unitOfMeasureCode="PCS", postingDate="2026-03-01")
    _is(text, quantity=0, description="red", lineType="Comment", netAmountIncludingTax=0)
    assert (await sales.get("salesOrders")).values == []
    assert (await sales.get("salesOrderLines", COMPANION)).values == []


async def test_an_invoice_is_in_the_ledger(sales: Sales) -> None:
    invoice = await _posted(sales)
    (entry,) = await sales.entries()
    _is(entry, entryNumber=1, documentType="Invoice", documentNumber=invoice["number"], customerNumber="10000")
    _is(entry, amount=242, remainingAmount=242, amountLCY=242, open=True, dueDate="2026-04-01", salespersonCode="JO")
    assert invoice["custLedgerEntryNumber"] == 1
    foreign = await _posted(sales, "20000")
    assert foreign["totalAmountIncludingTax"] == 160
    _is((await sales.entries())[1], entryNumber=2, amount=160, amountLCY=200, currencyCode="EUR")


async def test_an_order_is_shipped_and_invoiced_in_parts(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=5, discountAmount=10), item("1001", 2))
    bicycle, book = order["salesOrderLines"]
    await sales.change_line(bicycle, shipQuantity=3)
    await sales.change_line(book, shipQuantity=0)
    assert (await sales.act(order, "ship")).status == 204
    shipped = await sales.again(order)
    _is(shipped, status="Released", fullyShipped=False, lastShipmentDate="2026-03-01")
    bicycle, book = shipped["salesOrderLines"]
    _is(bicycle, shippedQuantity=3, outstandingQuantity=2, qtyShippedNotInvoiced=3, shipQuantity=2, invoicedQuantity=0)
    _is(bicycle, shippedNotInvoiced=355.74, outstandingAmount=237.16)
    _is(book, shippedQuantity=0, outstandingQuantity=2, shipQuantity=2, invoiceQuantity=2)
    assert (await sales.act(order, "invoice")).status == 204
    (first,) = await sales.invoices()
    (line,) = first["postedSalesInvoiceLines"]
    _is(line, quantity=3, discountAmount=6, netAmount=294)
    _is((await sales.again(order))["salesOrderLines"][0], invoicedQuantity=3, qtyShippedNotInvoiced=0)
    assert (await sales.act(order, "shipAndInvoice")).status == 204
    _, second = await sales.invoices()
    assert [line["quantity"] for line in second["postedSalesInvoiceLines"]] == [2, 2]
    assert first["orderNumber"] == second["orderNumber"]
    assert (await sales.get("salesOrders")).values == []


async def test_nothing_is_posted_twice(sales: Sales) -> None:
    order = await sales.order("10000", item())
    _refused(await sales.act(order, "invoice"), "There is nothing to post.")
    assert (await sales.again(order))["status"] == "Open"
    await sales.act(order, "ship")
    assert (await sales.again(order))["fullyShipped"]
    _refused(await sales.act(order, "ship"), "There is nothing to post.")
    await sales.act(order, "invoice")
    assert (await sales.act(order, "invoice")).status == 404


async def test_what_was_shipped_must_be_invoiced(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=2), item("1001"))
    bicycle = order["salesOrderLines"][0]
    await sales.change_line(bicycle, shipQuantity=1)
    await sales.act(order, "ship")
    await sales.act(order, "reopen")
    words = ("Qty. Shipped Not Invoiced must be equal to '0'", order["number"])
    for address in (f"salesOrders({order['id']})", f"salesOrderLines({bicycle['id']})"):
        _refused(await sales.delete(address), *words, code="Application_FieldValidationException")
    refused = await sales.change_line(bicycle, quantity=0)
    _refused(refused, "Quantity must not be less than 1")
    assert (await sales.change_line(bicycle, quantity=1)).json["outstandingQuantity"] == 0


async def test_an_order_that_ships_completely_or_not_at_all(sales: Sales) -> None:
    order = await sales.order("10000", item(quantity=2, shipQuantity=1), partialShipping=False)
    _refused(await sales.act(order, "ship"), "This document cannot be shipped completely.")
    await sales.change_line(order["salesOrderLines"][0], shipQuantity=2)
    assert (await sales.act(order, "ship")).status == 204


async def test_who_is_blocked_gets_nothing(sales: Sales) -> None:
    order = await sales.order("10000", item())
    customer = (await sales.get("customers?$filter=number eq '10000'")).values[0]
    await sales.patch(f"customers({customer['id']})", {"blocked": "Ship"})
    _refused(await sales.act(order, "ship"), "You cannot post this type of document when Customer 10000 is blocked")
    await sales.patch(f"customers({customer['id']})", {"blocked": "_x0020_"})
    await sales.act(order, "ship")
    await sales.patch(f"customers({customer['id']})", {"blocked": "Ship"})
    assert (await sales.act(order, "invoice")).status == 204


async def test_blocked_items_are_not_posted(sales: Sales) -> None:
    order = await sales.order("10000", item())
    bicycle = (await sales.get("items?$filter=number eq '1000'")).values[0]
    await sales.patch(f"items({bicycle['id']})", {"blocked": True})
    answer = await sales.act(order, "shipAndInvoice")
    _refused(answer, "Blocked must be equal to 'No' in Item: No.=1000.", code="Application_FieldValidationException")
    assert await sales.invoices() == []


async def test_actions_take_a_tag_and_nothing_else(sales: Sales) -> None:
    order = await sales.order("10000", item())
    path = f"salesOrders({order['id']})/Microsoft.NAV.release"
    stale = await sales.post(path, None, COMPANION, headers={"If-Match": 'W/"AAAA"'})
    assert (stale.status, stale.code) == (409, "Request_EntityChanged")
    assert (await sales.post(path, {"ship": True}, COMPANION)).code == "BadRequest"
    assert (await sales.get(path, COMPANION)).status == 405
    sales.system.settings.missing = {USER: {("salesOrders", "modify")}}
    assert (await sales.post(path, {}, COMPANION)).status == 403
    sales.system.settings.missing = {}
    answer = await sales.post(path, {}, COMPANION, headers={"If-Match": order["@odata.etag"]})
    assert answer.status == 204


async def test_the_standard_api_ships_and_invoices(sales: Sales) -> None:
    order = await sales.order("10000", item())
    answer = await sales.post(f"salesOrders({order['id']})/Microsoft.NAV.shipandinvoice", None)
    assert answer.status == 204
    assert "location" not in answer.headers  # this route does not show posted invoices
    assert len(await sales.invoices()) == 1


async def test_metadata_names_the_actions(sales: Sales) -> None:
    document = (await sales.ask("GET", f"{COMPANION}/$metadata")).content.decode()
    assert '<Action Name="release" IsBound="true">' in document
    assert 'Type="Microsoft.NAV.salesOrder"' in document


async def test_orders_are_archived_when_setup_says_so(sales: Sales) -> None:
    await _posted(sales)
    assert (await sales.get("archivedSalesOrders", COMPANION)).values == []
    sales.system.load("CRONUS", "salesReceivablesSetup", [{"archiveOrders": True}])
    posted, deleted = [await sales.order("10000", item(quantity=2), yourReference="R") for _ in range(2)]
    await sales.act(posted, "shipAndInvoice")
    await sales.delete(f"salesOrders({deleted['id']})")
    path = "archivedSalesOrders?$expand=archivedSalesOrderLines"
    one, other = (await sales.get(path, COMPANION)).values
    _is(one, number=posted["number"], versionNumber=1, docNoOccurrence=1, invoice=True, dateArchived="2026-03-01")
    _is(one, yourReference="R", totalAmountIncludingTax=242, lastShipmentDate="2026-03-01")
    _is(one["archivedSalesOrderLines"][0], quantity=2, shippedQuantity=2, invoicedQuantity=2, netAmount=200)
    _is(other, number=deleted["number"], invoice=False)
    assert other["archivedSalesOrderLines"][0]["invoicedQuantity"] == 0


async def test_notes_of_an_order_are_copied_to_its_invoice(sales: Sales) -> None:
    order = await sales.order("10000", item())
    await sales.made("recordNotes", {"documentId": order["id"], "description": "Call", "note": "x"}, COMPANION)
    await sales.act(order, "shipAndInvoice")
    (note,) = (await sales.get("recordNotes", COMPANION)).values
    (invoice,) = await sales.invoices()
    _is(note, documentId=invoice["id"], tableNumber=112, description="Call", note="x", linkId=2)


async def test_a_posted_invoice_is_paid(sales: Sales) -> None:
    invoice = await _posted(sales)
    sales.clock.advance(days=1)
    ledger.pay(_work(sales), invoice["number"], 100)
    partly = (await sales.invoices())[0]
    _is(partly, remainingAmount=142, closed=False)
    assert partly["lastModifiedDateTime"] == invoice["lastModifiedDateTime"]
    assert partly["@odata.etag"] != invoice["@odata.etag"]
    entry, payment = await sales.entries()
    _is(entry, remainingAmount=142, open=True, closedByEntryNumber=0)
    assert entry["lastModifiedDateTime"] > invoice["lastModifiedDateTime"]
    _is(payment, documentType="Payment", amount=-100, remainingAmount=0, open=False, closedByEntryNumber=1)
    ledger.pay(_work(sales), invoice["number"])
    _is((await sales.invoices())[0], remainingAmount=0, closed=True)
    _is((await sales.entries())[0], remainingAmount=0, open=False, closedAtDate="2026-03-02", closedByEntryNumber=3)
    with pytest.raises(ServiceError, match="0 remains"):
        ledger.pay(_work(sales), invoice["number"])


async def test_payments_are_unapplied(sales: Sales) -> None:
    invoice = await _posted(sales)
    with pytest.raises(ServiceError, match="no application entry"):
        ledger.unapply(_work(sales), invoice["number"])
    ledger.pay(_work(sales), invoice["number"], 42)
    ledger.pay(_work(sales), invoice["number"])
    ledger.unapply(_work(sales), invoice["number"])
    _is((await sales.invoices())[0], remainingAmount=242, closed=False)
    entry, *payments = await sales.entries()
    _is(entry, remainingAmount=242, open=True, closedByEntryNumber=0, closedAtDate="0001-01-01")
    assert [payment["remainingAmount"] for payment in payments] == [-42, -200]
    assert all(payment["open"] for payment in payments)


async def test_an_unpaid_invoice_is_cancelled(sales: Sales) -> None:
    paid, invoice = await _posted(sales), await _posted(sales)
    ledger.pay(_work(sales), paid["number"], 1)
    with pytest.raises(ServiceError, match="fully or partially paid"):
        ledger.cancel(_work(sales), paid["number"])
    ledger.cancel(_work(sales), invoice["number"])
    _is((await sales.invoices())[1], cancelled=True, closed=True, remainingAmount=0)
    _is((await sales.entries())[-1], documentType="Credit_x0020_Memo", documentNumber="PS-CR104001", amount=-242)
    with pytest.raises(ServiceError, match="already been canceled"):
        ledger.cancel(_work(sales), invoice["number"])
    with pytest.raises(ServiceError, match="does not exist"):
        ledger.cancel(_work(sales), "PS-9")


async def test_a_customer_who_owes_something_stays(sales: Sales) -> None:
    invoice = await _posted(sales)
    customer = (await sales.get("customers?$filter=number eq '10000'")).values[0]
    _refused(await sales.delete(f"customers({customer['id']})"), "one or more open ledger entries")
    ledger.pay(_work(sales), invoice["number"])
    assert (await sales.delete(f"customers({customer['id']})")).status == 204


async def test_a_batch_undoes_a_posting(sales: Sales) -> None:
    order = await sales.order("10000", item())
    parts: list[dict[str, Any]] = [
        {"method": "POST", "url": f"salesOrders({order['id']})/Microsoft.NAV.shipAndInvoice"},
        {"method": "POST", "url": "salesOrders", "body": {}},
    ]
    await sales.batch(parts, COMPANION, Isolation="snapshot")
    assert await sales.again(order) == order
    assert await sales.invoices() == []
    assert await sales.entries() == []

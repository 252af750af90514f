"""Posted sales invoices made from the orders of Adventure Works, with their lines and ledger entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter

import msgspec

from koppel.sandbox.adventureworks import Line, line_stream, record_id
from koppel.sandbox.tables import Row

_ADDRESS = {
    "AddressLine1": "addressLine1",
    "AddressLine2": "addressLine2",
    "City": "city",
    "State": "state",
    "Country": "country",
    "PostCode": "postalCode",
}
_SAME = ("paymentTermsCode", "shipmentMethodCode", "shippingAgentCode", "phoneNumber", "email")


Find = Callable[[str], Row | None]
"""The row of a table with a number."""


class InvoiceRows(msgspec.Struct, frozen=True):
    """All rows that one invoice brings."""

    invoice: Row
    lines: list[Row]
    entry: Row


def invoice_rows(customer_of: Find, item_of: Find) -> Iterator[InvoiceRows]:
    """The orders of the customers that are there, as invoices, oldest first."""
    orders = groupby(line_stream("order_lines.csv.gz"), itemgetter("order_number"))
    for index, (order, lines) in enumerate(orders):
        parts = list(lines)
        customer = customer_of(parts[0]["customer_number"])
        if customer is not None:
            yield _invoice(index, order, parts, customer, item_of)


def _invoice(index: int, order: str, parts: list[Line], customer: Row, item_of: Find) -> InvoiceRows:
    number = f"PS-INV{100_001 + index}"
    invoice = _header(number, order, parts[0]["date"], customer)
    lines = [_line(invoice, part, item_of(part["item_number"])) for part in parts]
    total = round(sum(line["netAmount"] for line in lines), 2)
    entry = _entry(index, invoice, total)
    invoice |= {"totalAmountExcludingTax": total, "totalAmountIncludingTax": total, "remainingAmount": total}
    invoice |= {"custLedgerEntryNumber": entry["entryNumber"]}
    return InvoiceRows(invoice, lines, entry)


def _header(number: str, order: str, date: str, customer: Row) -> Row:
    row: Row = {
        "id": record_id("postedSalesInvoices", number),
        "number": number,
        "orderNumber": order,
        "invoiceDate": date,
        "postingDate": date,
        "shipmentDate": date,
        "dueDate": date,
        "customerId": customer["id"],
        "customerNumber": customer["number"],
        "customerName": customer["displayName"],
        "billToCustomerId": customer["id"],
        "billToCustomerNumber": customer["number"],
        "billToName": customer["displayName"],
        "shipToName": customer["displayName"],
        "salesperson": customer.get("salespersonCode", ""),
    }
    row |= {name: customer.get(name, "") for name in _SAME}
    for prefix in ("sellTo", "billTo", "shipTo"):
        row |= {prefix + name: customer.get(own, "") for name, own in _ADDRESS.items()}
    return {name: value for name, value in row.items() if value}


def _line(invoice: Row, part: Line, item: Row | None) -> Row:
    quantity, price = int(part["quantity"]), float(part["unit_price"])
    amount = round(quantity * price, 2)
    amounts = dict.fromkeys(("amountExcludingTax", "amountIncludingTax", "netAmount", "netAmountIncludingTax"), amount)
    return {
        "id": record_id("postedSalesInvoiceLines", f"{invoice['number']}/{part['line']}"),
        "documentId": invoice["id"],
        "documentNumber": invoice["number"],
        "customerNumber": invoice["customerNumber"],
        "postingDate": invoice["postingDate"],
        "shipmentDate": invoice["postingDate"],
        "sequence": int(part["line"]) * 10_000,
        "lineType": "Item",
        "lineObjectNumber": part["item_number"],
        "itemId": item["id"] if item else record_id("items", part["item_number"]),
        "description": item["displayName"] if item else part["item_number"],
        "quantity": quantity,
        "unitPrice": price,
        "lineAmount": amount,
        **amounts,
    }


def _entry(index: int, invoice: Row, total: float) -> Row:
    return {
        "id": record_id("customerLedgerEntries", invoice["number"]),
        "entryNumber": index + 1,
        "customerNumber": invoice["customerNumber"],
        "postingDate": invoice["postingDate"],
        "documentDate": invoice["postingDate"],
        "dueDate": invoice["dueDate"],
        "documentType": "Invoice",
        "documentNumber": invoice["number"],
        "description": f"Order {invoice['orderNumber']}",
        "open": True,
        **dict.fromkeys(("amount", "remainingAmount", "remainingAmtLCY", "amountLCY"), total),
    }

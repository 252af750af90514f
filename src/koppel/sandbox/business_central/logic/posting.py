"""Posting sales orders: shipping, invoicing, both; and what is left of an order afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import ledger, prepayment, release, stock, totals
from koppel.sandbox.business_central.logic.amounts import ZERO, Terms, amounts_of, exact, plain, rounded
from koppel.sandbox.business_central.logic.amounts import totals as sums
from koppel.sandbox.business_central.logic.archive import archive_order
from koppel.sandbox.business_central.logic.documents import (
    LINES,
    ORDERS,
    SOURCES,
    copied,
    has_goods,
    lines_of,
    refuse_blocked,
    refuse_goods,
)
from koppel.sandbox.business_central.logic.note import NOTES, copy_notes
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.business_central.logic.pricing import units_in
from koppel.sandbox.business_central.work import new_id
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

INVOICES = "postedSalesInvoices"
INVOICE_LINES = "postedSalesInvoiceLines"


def ship(work: Work, order: Row) -> str:
    """Ship what the lines say is to be shipped."""
    return _post(work, order, shipping=True, invoicing=False)


def invoice(work: Work, order: Row) -> str:
    """Invoice what was shipped, as far as the lines say so."""
    return _post(work, order, shipping=False, invoicing=True)


def ship_and_invoice(work: Work, order: Row) -> str:
    """Both at once."""
    return _post(work, order, shipping=True, invoicing=True)


def _post(work: Work, order: Row, *, shipping: bool, invoicing: bool) -> str:
    """Post an order, which is released by it. The path of the posted invoice, if one came of it."""
    customers = work.store("customers")
    for number in {order["customerNumber"], order["billToCustomerNumber"]}:
        customer = customers.find(number)
        if customer is not None:
            refuse_blocked(customer, "post", shipping=shipping)
    release.release(work, order)
    order = work.store(ORDERS).rows[order["id"]]
    lines = lines_of(work, order)
    prepayment.refuse_posted(lines)
    shipped = _shipped(order, lines) if shipping else {}
    billed = _billed(lines, shipped) if invoicing else {}
    if not (billed if invoicing else shipped):
        raise errors.dialog("There is nothing to post.")
    _check_goods(work, [line for line in lines if line["id"] in shipped or line["id"] in billed])
    made = _invoice(work, order, lines, billed) if billed else None
    _take_from_stock(work, order, lines, shipped)
    _carry_on(work, order, lines, shipped, billed)
    if made is None:
        return ""
    if all(map(_finished, filter(has_goods, lines_of(work, order)))):
        _finish(work, order, made)
    return f"{INVOICES}({made['id']})"


def _check_goods(work: Work, lines: list[Row]) -> None:
    for line in lines:
        store = work.store(SOURCES[line["lineType"]].table)
        if found := store.find(line["lineObjectNumber"]):
            refuse_goods(store, found)


def _shipped(order: Row, lines: list[Row]) -> dict[str, Any]:
    """Quantities to ship by line id."""
    found = {line["id"]: line["shipQuantity"] for line in lines if line.get("shipQuantity")}
    partly = any(line.get("outstandingQuantity", 0) != line.get("shipQuantity", 0) for line in lines)
    if partly and not order.get("partialShipping"):
        raise errors.dialog(
            "This document cannot be shipped completely. Change the value in the Shipping Advice field to Partial."
        )
    return found


def _take_from_stock(work: Work, order: Row, lines: list[Row], shipped: dict[str, Any]) -> None:
    """What is shipped of items with stock is no longer there."""
    who = {"sourceType": "Customer", "sourceNumber": order["customerNumber"]}
    for line in lines:
        item = work.store("items").find(line.get("lineObjectNumber", "")) if line.get("lineType") == "Item" else None
        if line["id"] in shipped and item is not None and item.get("type", "Inventory") == "Inventory":
            quantity = plain(-exact(shipped[line["id"]]) * units_in(work, line))
            values = {"documentNumber": order["number"], "postingDate": order["postingDate"]}
            stock.move(work, item, quantity, "Sale", **who, **values)


def _billed(lines: list[Row], shipped: dict[str, Any]) -> dict[str, Any]:
    """Quantities to invoice by line id: as asked for, but no more than was shipped by then."""
    found = {}
    for line in lines:
        most = exact(line.get("qtyShippedNotInvoiced", 0)) + exact(shipped.get(line["id"], 0))
        quantity = min(exact(line.get("invoiceQuantity", 0)), most, key=abs)
        if quantity:
            found[line["id"]] = plain(quantity)
    return found


def open_quantities(line: Row) -> Row:
    """What is left of a line's quantity, and what of it the next posting takes."""
    quantity, shipped, invoiced = (
        exact(line.get(name, 0)) for name in ("quantity", "shippedQuantity", "invoicedQuantity")
    )
    return {
        "reservedQuantity": plain(min(exact(line.get("reservedQuantity", 0)), quantity - shipped)),
        "outstandingQuantity": plain(quantity - shipped),
        "qtyShippedNotInvoiced": plain(shipped - invoiced),
        "shipQuantity": plain(quantity - shipped),
        "invoiceQuantity": plain(quantity - invoiced),
    }


def to_invoice(line: Row) -> int | float:
    """The most that may be invoiced when what is to be shipped has been shipped."""
    return plain(exact(line.get("qtyShippedNotInvoiced", 0)) + exact(line.get("shipQuantity", 0)))


def refuse_shipped(line: Row) -> None:
    """``ServiceError`` for a line with something shipped that was not invoiced: it cannot go, or become another."""
    if quantity := line.get("qtyShippedNotInvoiced"):
        record = f"Sales Line: Document Type=Order, Document No.={line['documentNumber']}, Line No.={line['sequence']}"
        raise errors.must_be("Qty. Shipped Not Invoiced", "0", record, str(quantity))


def _carry_on(work: Work, order: Row, lines: list[Row], shipped: dict[str, Any], billed: dict[str, Any]) -> None:
    """Note on the order what was posted; what is left is what the next posting takes, on every line."""
    for line in filter(has_goods, lines):
        done = {
            "shippedQuantity": plain(exact(line.get("shippedQuantity", 0)) + exact(shipped.get(line["id"], 0))),
            "invoicedQuantity": plain(exact(line.get("invoicedQuantity", 0)) + exact(billed.get(line["id"], 0))),
        }
        work.change(LINES, line["id"], done | open_quantities(line | done))
    if shipped:
        work.change(ORDERS, order["id"], {"lastShipmentDate": order["postingDate"]})
    totals.settle(work, order, touch=True)


def _finished(line: Row) -> bool:
    return bool(line.get("invoicedQuantity", 0) == line["quantity"])


def _finish(work: Work, order: Row, made: Row) -> None:
    """An order that is invoiced altogether is no more; its notes are those of the invoice."""
    order, lines = work.store(ORDERS).rows[order["id"]], lines_of(work, order)
    archive_order(work, order, lines, invoiced=True)
    copy_notes(work, order["id"], made["id"])
    for table in (LINES, NOTES):
        for found in work.store(table).having("documentId", order["id"]):
            work.delete(table, found["id"])
    work.delete(ORDERS, order["id"])


def _invoice(work: Work, order: Row, lines: list[Row], billed: dict[str, Any]) -> Row:
    """The posted invoice, with its lines and the entry in the customer's ledger."""
    made = copied(work, order, INVOICES) | {"id": new_id(), "number": "", "orderId": order["id"]}
    made |= {"orderNumber": order["number"], "invoiceDate": order["orderDate"]}
    give_number(work, INVOICES, made, work.store("salesReceivablesSetup").only().get("postedInvoiceNos", ""))
    terms, taken = totals.terms_of(work, order), _with_texts(lines, billed)
    portions = [_portion(line, billed) for line in taken]
    parts = [_part(work, line, portion, terms) for line, portion in zip(taken, portions, strict=True)]
    discounts = [
        rounded(exact(line.get("invDiscountAmount", 0)) * portion, terms.precision)
        for line, portion in zip(taken, portions, strict=True)
    ]
    found = amounts_of(parts, discounts, terms)
    work.store(INVOICES).fill(made, sums(found))
    entry = ledger.post_invoice(work, made)
    shown = {"custLedgerEntryNumber": entry["entryNumber"], "closed": not entry.get("open")}
    work.store(INVOICES).fill(made, shown | {"remainingAmount": entry.get("remainingAmount", 0)})
    work.insert(INVOICES, made)
    for part, values in zip(parts, found, strict=True):
        placed = {"documentId": made["id"], "documentNumber": made["number"], "postingDate": made["postingDate"]}
        work.store(INVOICE_LINES).fill(part, values | placed)
        work.insert(INVOICE_LINES, part)
    return made


def _with_texts(lines: list[Row], billed: dict[str, Any]) -> list[Row]:
    """The lines that are invoiced, and texts, unless they are attached to a line that is not."""
    sequences = {line["sequence"] for line in lines if line["id"] in billed}
    return [
        line
        for line in lines
        if line["id"] in billed or (not has_goods(line) and line.get("attachedToLineNumber", 0) in {0, *sequences})
    ]


def _portion(line: Row, billed: dict[str, Any]) -> Decimal:
    """How much of a line is invoiced."""
    return exact(billed[line["id"]]) / exact(line["quantity"]) if line["id"] in billed else ZERO


def _part(work: Work, line: Row, portion: Decimal, terms: Terms) -> Row:
    """A line of the invoice: that portion of the order's line."""
    part = copied(work, line, INVOICE_LINES)
    given = {
        "quantity": plain(exact(line.get("quantity", 0)) * portion),
        "discountAmount": plain(rounded(exact(line.get("discountAmount", 0)) * portion, terms.precision)),
    }
    work.store(INVOICE_LINES).fill(part, given)
    return part

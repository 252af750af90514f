"""The customers' ledger: what invoices leave to be paid, and what becomes of it.

Payments and credit memos have no pages here; whoever plays Business Central's users pays and cancels by these
functions.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from koppel.catalogue.pages import ZERO_DATE
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.amounts import CENT, ZERO, exact, plain, rounded
from koppel.sandbox.business_central.logic.exchange import precision_of
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.business_central.work import new_id
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

ENTRIES = "customerLedgerEntries"
INVOICES = "postedSalesInvoices"


def post_invoice(work: Work, invoice: Row) -> Row:
    """The entry of an invoice that is being posted: open, unless there is nothing to pay."""
    total = exact(invoice.get("totalAmountIncludingTax", 0))
    row: Row = {"documentType": "Invoice", "documentNumber": invoice["number"], "dueDate": invoice.get("dueDate")}
    row |= {"description": f"Order {invoice['orderNumber']}", "documentDate": invoice["invoiceDate"]}
    sales = exact(invoice.get("totalAmountExcludingTax", 0))
    return _post(work, invoice, row, total, remaining=total, date=invoice["postingDate"], sales=sales)


def _post(
    work: Work, invoice: Row, values: Row, amount: Decimal, *, remaining: Decimal, date: str, sales: Decimal = ZERO
) -> Row:
    store = work.store(ENTRIES)
    local = _local(invoice, amount)
    row: Row = {"id": new_id(), "entryNumber": len(store.rows) + 1}
    values |= {
        "customerNumber": invoice["billToCustomerNumber"],
        "currencyCode": invoice.get("currencyCode", ""),
        "salespersonCode": invoice.get("salesperson", ""),
        "externalDocumentNumber": invoice.get("externalDocumentNumber", ""),
        "postingDate": date,
        "amount": plain(amount),
        "amountLCY": local,
        "salesLCY": _local(invoice, sales),
        **_open(invoice, remaining),
    }
    store.fill(row, {name: value for name, value in values.items() if value is not None})
    return work.insert(ENTRIES, row)


def _open(invoice: Row, remaining: Decimal) -> Row:
    return {
        "remainingAmount": plain(remaining),
        "remainingAmtLCY": _local(invoice, remaining),
        "open": bool(remaining),
    }


def _local(invoice: Row, amount: Decimal) -> int | float:
    factor = exact(invoice.get("currencyFactor", 0))
    return plain(rounded(amount / factor, CENT) if factor else amount)


def pay(work: Work, number: str, amount: float | None = None) -> None:
    """Pay a posted invoice: some of it, or (None) all that is left. The payment is applied to it.

    ``ServiceError`` when there is no such invoice, or less is left.
    """
    invoice, entry = _invoice(work, number)
    left = exact(entry.get("remainingAmount", 0))
    paid = left if amount is None else rounded(exact(amount), precision_of(work, invoice.get("currencyCode", "")))
    if not ZERO < paid <= left:
        raise errors.dialog(f"The payment of {paid} cannot be applied to invoice {number}, of which {left} remains.")
    _apply(work, invoice, entry, "Payment", f"PMT-{number}", paid)


def unapply(work: Work, number: str) -> None:
    """Take the application of all payments to a posted invoice back: both are open again."""
    invoice, entry = _invoice(work, number)
    payments = [payment for payment in _applied(work, entry) if payment["documentType"] == "Payment"]
    if not payments:
        raise errors.dialog(f"Customer Ledger Entry No. {entry['entryNumber']} has no application entry.")
    for payment in payments:
        again = _open(invoice, exact(payment["amount"])) | {"closedByEntryNumber": 0, "closedAtDate": ZERO_DATE}
        work.change(ENTRIES, payment["id"], again)
    _settle(work, invoice, entry, exact(entry["amount"]), 0)


def cancel(work: Work, number: str) -> None:
    """Cancel a posted invoice by a corrective credit memo over all of it. ``ServiceError`` when anything was paid."""
    invoice, entry = _invoice(work, number)
    if invoice.get("cancelled"):
        raise errors.dialog("You cannot cancel this posted sales invoice because it has already been canceled.")
    if entry.get("remainingAmount", 0) != entry.get("amount", 0):
        raise errors.dialog(
            "You cannot cancel this posted sales invoice because it is fully or partially paid. To reverse a paid "
            "sales invoice, you must manually create a sales credit memo."
        )
    memo: Row = {}
    give_number(work, INVOICES, memo, work.store("salesReceivablesSetup").only().get("postedCreditMemoNos", ""))
    sales = -exact(invoice.get("totalAmountExcludingTax", 0))
    _apply(work, invoice, entry, "Credit_x0020_Memo", memo["number"], exact(entry.get("amount", 0)), sales)
    work.flow(INVOICES, invoice["id"], {"cancelled": True})


def _apply(
    work: Work, invoice: Row, entry: Row, kind: str, number: str, amount: Decimal, sales: Decimal = ZERO
) -> None:
    """A new entry against the invoice's, applied to it with all of its amount."""
    today = work.system.today()
    closed = {"closedByEntryNumber": entry["entryNumber"], "closedAtDate": today}
    named = {"documentType": kind, "documentNumber": number, "documentDate": today}
    named["description"] = f"{kind.replace('_x0020_', ' ')} for invoice {invoice['number']}"
    made = _post(work, invoice, named | closed, -amount, remaining=ZERO, date=today, sales=sales)
    _settle(work, invoice, entry, exact(entry.get("remainingAmount", 0)) - amount, made["entryNumber"])


def _settle(work: Work, invoice: Row, entry: Row, remaining: Decimal, closed_by: int) -> None:
    """What is left of an invoice: in its entry, and shown by the invoice, whose time does not move."""
    closed: Row = {"closedByEntryNumber": 0, "closedAtDate": ZERO_DATE}
    if not remaining:
        closed = {"closedByEntryNumber": closed_by, "closedAtDate": work.system.today()}
    work.change(ENTRIES, entry["id"], _open(invoice, remaining) | closed)
    shown = {"remainingAmount": plain(remaining), "closed": not remaining}
    work.flow(INVOICES, invoice["id"], shown)


def _applied(work: Work, entry: Row) -> list[Row]:
    entries = work.store(ENTRIES).having("customerNumber", entry["customerNumber"])
    return [row for row in entries if row.get("closedByEntryNumber") == entry["entryNumber"]]


def _invoice(work: Work, number: str) -> tuple[Row, Row]:
    """A posted invoice and its entry."""
    invoice = work.store(INVOICES).find(number)
    if invoice is None:
        raise errors.not_found("Sales Invoice Header", f"No.='{number}'")
    entry_number = invoice.get("custLedgerEntryNumber", 0)
    entry = work.store(ENTRIES).find(entry_number)
    if entry is None:
        raise errors.not_found("Cust. Ledger Entry", f"Entry No.='{entry_number}'")
    return invoice, entry

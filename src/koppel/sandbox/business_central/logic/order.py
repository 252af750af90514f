"""Sales orders and quotes: what the customer brings with it, and what may be changed when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from koppel.catalogue.pages import ZERO_GUID
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import dates, posting, release, reservation, totals
from koppel.sandbox.business_central.logic.amounts import exact
from koppel.sandbox.business_central.logic.archive import ARCHIVE, archive, archive_order
from koppel.sandbox.business_central.logic.documents import (
    BILL_TO,
    ORDER,
    SELL_TO,
    SHIP_TO,
    kind_of,
    lines_of,
    one_type,
    record_of,
    refuse_blocked,
    refuse_released,
)
from koppel.sandbox.business_central.logic.exchange import currency_factor
from koppel.sandbox.business_central.logic.hooks import Action, Logic
from koppel.sandbox.business_central.logic.note import NOTES
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

_TO_LINES = ("shipmentDate", "requestedDeliveryDate")
"""Dates that the lines take over when they change."""


def _prepare(work: Work, row: Row, body: dict[str, Any]) -> None:
    """A new document is of today."""
    row |= dict.fromkeys((kind_of(row).date, "postingDate", "shipmentDate"), work.system.today())


def _customer_set(work: Work, row: Row, before: str) -> None:
    refuse_released(row)
    customer = work.store("customers").find(row.get("customerNumber", ""))
    if customer is None:
        raise errors.dialog('The blank "customerNumber" is not allowed.')
    if customer["number"] == before:
        return
    _refuse_lines(work, row, "another customer")
    refuse_blocked(customer, "create")
    _take(work, row, customer, SELL_TO)
    _take(work, row, customer, SHIP_TO)
    _refer(work, row, "shipmentMethodCode", customer.get("shipmentMethodCode", ""))
    _refer(work, row, "billToCustomerNumber", customer.get("billToCustomerNo", "") or customer["number"])
    _billed_to(work, row)


def _bill_to_set(work: Work, row: Row, before: str) -> None:
    refuse_released(row)
    if row.get("billToCustomerNumber", "") == before:
        return
    _refuse_lines(work, row, "another bill-to customer")
    if not row.get("billToCustomerNumber"):
        _refer(work, row, "billToCustomerNumber", row.get("customerNumber", ""))
    _billed_to(work, row)


def _billed_to(work: Work, row: Row) -> None:
    """What comes from whoever is to pay."""
    customer = work.store("customers").find(row["billToCustomerNumber"])
    if customer is None:
        raise errors.not_found("Customer", f"No.='{row['billToCustomerNumber']}'", status=400)
    refuse_blocked(customer, "create")
    _take(work, row, customer, BILL_TO)
    _refer(work, row, "currencyCode", customer.get("currencyCode", ""))
    _rate(work, row)
    _refer(work, row, "paymentTermsCode", customer.get("paymentTermsCode", ""))
    _terms_set(work, row, "")


def _take(work: Work, row: Row, customer: Row, names: dict[str, str]) -> None:
    """Fields of a customer."""
    fields = work.store(kind_of(row).headers).info.fields
    work.store(kind_of(row).headers).fill(
        row, {name: customer.get(own, fields[name].empty) for name, own in names.items() if name in fields}
    )


def _refer(work: Work, row: Row, name: str, code: str) -> None:
    """Set a code, and the id of the same reference."""
    store = work.store(kind_of(row).headers)
    found = work.store(store.info.relations[name]).find(code) if code else None
    store.fill(row, {name: code, store.info.code_pairs[name]: found["id"] if found else ZERO_GUID})


def _refuse_lines(work: Work, row: Row, what: str) -> None:
    if row.get("id") and lines_of(work, row):
        raise errors.not_implemented(f"{what} of a document with lines")


def _currency_set(work: Work, row: Row, before: str) -> None:
    refuse_released(row)
    if row.get("currencyCode", "") != before:
        _refuse_lines(work, row, "another currency")
    _rate(work, row)


def _rate(work: Work, row: Row) -> None:
    factor = currency_factor(work, row.get("currencyCode", ""), row["postingDate"])
    work.store(kind_of(row).headers).fill(row, {"currencyFactor": factor})


def _posting_date_set(work: Work, row: Row, before: str) -> None:
    if not row.get("postingDate"):
        raise errors.must_have_value("Posting Date", record_of(row))
    _rate(work, row)


def _terms_set(work: Work, row: Row, before: str) -> None:
    """Payment terms, or the date of the document: when it is due, and what prompt payment saves."""
    terms = work.store("paymentTerms").find(row.get("paymentTermsCode", "")) or {}
    start: str = row.get(kind_of(row).date) or row["postingDate"]
    early = terms.get("discountDateCalculation", "")
    found: Row = {
        "dueDate": dates.after(start, terms.get("dueDateCalculation", "")),
        "pmtDiscountDate": dates.after(start, early) if early else "0001-01-01",
        "paymentDiscountPercent": terms.get("discountPercent", 0),
    }
    work.store(kind_of(row).headers).fill(row, found)


def _prices_set(work: Work, row: Row, before: bool) -> None:
    refuse_released(row)
    if row.get("pricesIncludeTax", False) != before:
        _refuse_lines(work, row, "prices with or without VAT")


def _prepayment_set(work: Work, row: Row, before: Any) -> None:
    refuse_released(row)
    if row.get("prepaymentPercent", 0) != before:
        _refuse_lines(work, row, "another prepayment percentage")


def _discount_set(work: Work, row: Row, before: Any) -> None:
    """An invoice discount as an amount; it is spread over the lines after the order was stored."""
    refuse_released(row)
    wanted = row.get("discountAmount", 0)
    if wanted < 0:
        raise errors.dialog("The invoice discount amount must not be negative.")
    lines = lines_of(work, row) if row.get("id") else []
    if wanted and lines:
        totals.check_discount(work, row, lines, exact(wanted))
    work.store(kind_of(row).headers).fill(row, {"invoiceDiscountValue": wanted})


def _guarded(work: Work, row: Row, before: Any) -> None:
    refuse_released(row)


def _shipped_set(work: Work, row: Row, before: Any) -> None:
    raise errors.not_implemented("setting fullyShipped")


def _status_set(work: Work, row: Row, before: str) -> None:
    """Writing the status releases or reopens an order as it is by then: what comes after meets a released one."""
    store, wanted = work.store(kind_of(row).headers), row.get("status", "Open")
    store.fill(row, {"status": before})
    if wanted == before:
        return
    stored = store.rows.get(row.get("id", ""))
    if stored is None or wanted not in ("Open", "Released"):
        raise errors.dialog(f"Status must not be {wanted} in {record_of(row)}.")
    _modified(work, stored, work.modify(kind_of(row).headers, dict(row)))
    if wanted == "Released" and kind_of(row) is ORDER:
        reservation.reserve(work, row)
    (release.release if wanted == "Released" else release.reopen)(work, store.rows[stored["id"]])
    row.clear()
    row.update(store.rows[stored["id"]])


def _versions_set(work: Work, row: Row, before: int) -> None:
    """Writing a higher number of archived versions archives a quote as it is stored."""
    stored = work.store(kind_of(row).headers).rows.get(row.get("id", ""))
    wanted = row.get("noOfArchivedVersions", 0)
    row["noOfArchivedVersions"] = before
    if stored is not None and wanted > before:
        row["noOfArchivedVersions"] = archive(work, stored, lines_of(work, stored))


def _dimension_set(work: Work, row: Row, before: Any) -> None:
    if row.get("shortcutDimension1Code") or row.get("shortcutDimension2Code"):
        raise errors.not_implemented("dimensions")


def _insert(work: Work, row: Row) -> None:
    if not row.get("customerNumber"):
        raise errors.dialog('A "customerNumber" or a "customerId" must be provided.')
    kind = kind_of(row)
    give_number(work, kind.headers, row, work.store("salesReceivablesSetup").only().get(kind.numbers, ""))
    archived = work.store(ARCHIVE).having("number", row["number"]) if kind is ORDER else []
    row["docNoOccurrence"] = 1 + max((found["docNoOccurrence"] for found in archived), default=0)


def _modified(work: Work, before: Row, after: Row) -> None:
    if before.get("invoiceDiscountValue") != after.get("invoiceDiscountValue"):
        totals.settle(work, after)
    changed = {name: after.get(name, "0001-01-01") for name in _TO_LINES if before.get(name) != after.get(name)}
    if changed:
        for line in lines_of(work, after):
            work.change(kind_of(after).lines, line["id"], changed)


def _delete(work: Work, row: Row) -> None:
    """Lines and notes go with their document; nothing may be shipped that was not invoiced."""
    kind, lines = kind_of(row), lines_of(work, row)
    for line in lines:
        posting.refuse_shipped(line)
    if kind is ORDER:
        archive_order(work, row, lines, invoiced=False)
    for table in (kind.lines, NOTES):
        for found in work.store(table).having("documentId", row["id"]):
            work.delete(table, found["id"])


def _missing(action: str) -> Action:
    def refuse(work: Work, row: Row) -> str:
        raise errors.not_implemented(f"the action {action} of quotes")

    return refuse


QUOTE_LOGIC = Logic(
    prepare=_prepare,
    validate={
        "documentType": one_type,
        "customerNumber": _customer_set,
        "billToCustomerNumber": _bill_to_set,
        "currencyCode": _currency_set,
        "postingDate": _posting_date_set,
        "orderDate": _terms_set,
        "documentDate": _terms_set,
        "paymentTermsCode": _terms_set,
        "pricesIncludeTax": _prices_set,
        "discountAmount": _discount_set,
        "requestedDeliveryDate": _guarded,
        "shipmentMethodCode": _guarded,
        "shippingAgentCode": _guarded,
        "fullyShipped": _shipped_set,
        "status": _status_set,
        "noOfArchivedVersions": _versions_set,
        "shortcutDimension1Code": _dimension_set,
        "shortcutDimension2Code": _dimension_set,
    },
    insert=_insert,
    modified=_modified,
    delete=_delete,
    actions={
        "release": release.release,
        "reopen": release.reopen,
        **{action: _missing(action) for action in ("makeOrder", "makeInvoice", "send")},
    },
)
LOGIC = msgspec.structs.replace(
    QUOTE_LOGIC,
    validate={**QUOTE_LOGIC.validate, "prepaymentPercent": _prepayment_set},
    actions={
        "release": release.release,
        "reopen": release.reopen,
        "ship": posting.ship,
        "invoice": posting.invoice,
        "shipAndInvoice": posting.ship_and_invoice,
    },
)

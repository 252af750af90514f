"""The amounts of an order or quote: computed anew whenever a line, or the invoice discount, changes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import amounts
from koppel.sandbox.business_central.logic.amounts import ZERO, Terms, exact, plain
from koppel.sandbox.business_central.logic.documents import has_goods, kind_of, lines_of
from koppel.sandbox.business_central.logic.exchange import precision_of
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def terms_of(work: Work, document: Row) -> Terms:
    """How amounts of a document are computed."""
    precision = precision_of(work, document.get("currencyCode", ""))
    return Terms(document.get("pricesIncludeTax", False), precision)


def settle(work: Work, document: Row, *, touch: bool = False) -> None:
    """Bring all amounts of a document up to date, as it is stored now. ``touch``: its time moves even when they stay
    (a line came or went)."""
    kind = kind_of(document)
    document = work.store(kind.headers).rows[document["id"]]
    lines = lines_of(work, document)
    terms = terms_of(work, document)
    discounts = amounts.spread_discount(lines, exact(document.get("invoiceDiscountValue", 0)), terms)
    found = amounts.amounts_of(lines, discounts, terms)
    for line, values in zip(lines, found, strict=True):
        work.change(kind.lines, line["id"], _shown(work, kind.lines, values | _further_amounts(line, values, terms)))
    values = _shown(work, kind.headers, amounts.totals(found) | {"fullyShipped": _is_shipped(lines)})
    if work.change(kind.headers, document["id"], values) is document and touch:
        work.touch(kind.headers, document["id"])


def _shown(work: Work, table: str, values: Row) -> Row:
    """Those of the values that a table has: quotes know of nothing that is shipped."""
    fields = work.store(table).info.fields
    return {name: value for name, value in values.items() if name in fields}


def _is_shipped(lines: list[Row]) -> bool:
    goods = [line for line in lines if has_goods(line)]
    return bool(goods) and not any(line.get("outstandingQuantity") for line in goods)


def _further_amounts(line: Row, values: Row, terms: Terms) -> Row:
    """What of a line's amount is still to be shipped, what was shipped but not invoiced, and what is to be prepaid."""
    found, percent = _open_amounts(line, values, terms), line.get("prepaymentPercent", 0)
    prepaid = exact(values["lineAmount"]) * exact(percent) / amounts.HUNDRED if percent else ZERO
    return found | {"prepmtLineAmount": plain(amounts.rounded(prepaid, terms.precision))}


def _open_amounts(line: Row, values: Row, terms: Terms) -> Row:
    quantity, total = exact(line.get("quantity", 0)), exact(values["netAmountIncludingTax"])
    parts = {"outstandingAmount": "outstandingQuantity", "shippedNotInvoiced": "qtyShippedNotInvoiced"}
    return {
        name: plain(amounts.rounded(total * exact(line.get(part, 0)) / quantity, terms.precision)) if quantity else 0
        for name, part in parts.items()
    }


def check_discount(work: Work, document: Row, lines: list[Row], wanted: Decimal) -> None:
    """``ServiceError`` when no line allows an invoice discount, or when it is more than those lines cost."""
    most = sum(amounts.discountable(lines, terms_of(work, document)), ZERO)
    if most <= ZERO:
        raise errors.dialog(
            f"No line of {kind_of(document).name.lower()} {document['number']} allows an invoice discount."
        )
    if wanted > most:
        raise errors.dialog(
            f"The invoice discount amount {wanted} must not be larger than the amount of the lines that allow an "
            f"invoice discount ({most})."
        )

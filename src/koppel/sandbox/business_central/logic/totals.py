"""The amounts of an order: computed anew whenever a line, or the invoice discount, changes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import amounts
from koppel.sandbox.business_central.logic.amounts import ZERO, Terms, exact, plain
from koppel.sandbox.business_central.logic.documents import LINES, ORDERS, has_goods, lines_of
from koppel.sandbox.business_central.logic.exchange import precision_of
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def terms_of(work: Work, document: Row) -> Terms:
    """How amounts of a document are computed."""
    precision = precision_of(work, document.get("currencyCode", ""))
    return Terms(document.get("pricesIncludeTax", False), precision)


def settle(work: Work, order_id: str, *, touch: bool = False) -> None:
    """Bring all amounts of an order up to date. ``touch``: its time moves even when they stay (a line came or went)."""
    order, lines = work.store(ORDERS).rows[order_id], lines_of(work, order_id)
    terms = terms_of(work, order)
    discounts = amounts.spread_discount(lines, exact(order.get("invoiceDiscountValue", 0)), terms)
    found = amounts.amounts_of(lines, discounts, terms)
    for line, values in zip(lines, found, strict=True):
        work.change(LINES, line["id"], values | _open_amounts(line, values, terms))
    shipped = [line for line in lines if has_goods(line)]
    values = amounts.totals(found) | {"fullyShipped": bool(shipped) and not any(map(_outstanding, shipped))}
    if work.change(ORDERS, order_id, values) is order and touch:
        work.touch(ORDERS, order_id)


def _outstanding(line: Row) -> bool:
    return bool(line.get("outstandingQuantity"))


def _open_amounts(line: Row, values: Row, terms: Terms) -> Row:
    """What of a line's amount is still to be shipped, and what was shipped but not invoiced."""
    quantity, total = exact(line.get("quantity", 0)), exact(values["netAmountIncludingTax"])
    parts = {"outstandingAmount": "outstandingQuantity", "shippedNotInvoiced": "qtyShippedNotInvoiced"}
    return {
        name: plain(amounts.rounded(total * exact(line.get(part, 0)) / quantity, terms.precision)) if quantity else 0
        for name, part in parts.items()
    }


def check_discount(work: Work, order: Row, lines: list[Row], wanted: Decimal) -> None:
    """``ServiceError`` when no line allows an invoice discount, or when it is more than those lines cost."""
    most = sum(amounts.discountable(lines, terms_of(work, order)), ZERO)
    if most <= ZERO:
        raise errors.dialog(f"No line of order {order['number']} allows an invoice discount.")
    if wanted > most:
        raise errors.dialog(
            f"The invoice discount amount {wanted} must not be larger than the amount of the lines that allow an "
            f"invoice discount ({most})."
        )

"""Prepayments of sales orders: their invoices are posted outside of the APIs, and an order waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.documents import LINES, ORDERS, kind_of, lines_of
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def refuse_unposted(work: Work, document: Row) -> None:
    """``ServiceError`` for the release of an order whose prepayments are not all invoiced."""
    if any(line.get("prepmtLineAmount", 0) != line.get("prepmtAmtInv", 0) for line in lines_of(work, document)):
        raise errors.dialog(
            f"There are unposted prepayment amounts on the document of type {kind_of(document).name} "
            f"with the number {document['number']}."
        )


def refuse_posted(lines: list[Row]) -> None:
    """``ServiceError`` for the posting of an order with prepayments, which would have to be deducted."""
    if any(line.get("prepmtAmtInv") for line in lines):
        raise errors.not_implemented("posting orders with prepayments")


def invoice(work: Work, number: str) -> None:
    """Post the prepayment invoice of an order, which is paid at once."""
    order = work.store(ORDERS).find(number)
    if order is None:
        raise errors.not_found("Sales Header", f"Document Type='Order',No.='{number}'")
    for line in lines_of(work, order):
        work.change(LINES, line["id"], {"prepmtAmtInv": line.get("prepmtLineAmount", 0)})
    work.touch(ORDERS, order["id"])

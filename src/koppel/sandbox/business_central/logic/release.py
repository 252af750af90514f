"""Releasing and reopening sales orders and quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import prepayment, totals
from koppel.sandbox.business_central.logic.documents import ORDER, has_goods, kind_of, lines_of
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

_ON_ORDERS = {"Released": "Open", "Open": "Draft"}
"""What API v2.0 calls the status of an order; that of a quote tells whether it was sent."""


def release(work: Work, document: Row) -> str:
    """A document with its amounts settled, which may not be changed any more. Nothing happens to a released one."""
    if document.get("status") == "Released":
        return ""
    if not any(map(has_goods, lines_of(work, document))):
        raise errors.dialog(
            f"There is nothing to release for the document of type {kind_of(document).name} "
            f"with the number {document['number']}."
        )
    totals.settle(work, document)
    prepayment.refuse_unposted(work, document)
    _become(work, document, "Released")
    return ""


def reopen(work: Work, document: Row) -> str:
    """A document that may be changed again."""
    _become(work, document, "Open")
    return ""


def _become(work: Work, document: Row, status: str) -> None:
    kind = kind_of(document)
    shown = {"standardStatus": _ON_ORDERS[status]} if kind is ORDER else {}
    work.change(kind.headers, document["id"], {"status": status, **shown})

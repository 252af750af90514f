"""Releasing and reopening sales orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import totals
from koppel.sandbox.business_central.logic.documents import ORDERS, has_goods, lines_of
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

RELEASED = {"status": "Released", "standardStatus": "Open"}
OPEN = {"status": "Open", "standardStatus": "Draft"}


def release(work: Work, order: Row) -> str:
    """An order whose amounts are settled, and which may not be changed any more. Nothing happens to a released one."""
    if order.get("status") == "Released":
        return ""
    if not any(map(has_goods, lines_of(work, order["id"]))):
        raise errors.dialog(
            f"There is nothing to release for the document of type Order with the number {order['number']}."
        )
    totals.settle(work, order["id"])
    work.change(ORDERS, order["id"], RELEASED)
    return ""


def reopen(work: Work, order: Row) -> str:
    """An order that may be changed again."""
    work.change(ORDERS, order["id"], OPEN)
    return ""

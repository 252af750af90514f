"""Lines of sales orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

_STEP = 10_000


def _insert(work: Work, row: Row) -> None:
    order = work.store("salesOrders").rows.get(row.get("documentId", ""))
    if order is None:
        raise errors.dialog("You must specify a document id to get the lines.")
    row |= {name: order[name] for name in ("customerNumber", "currencyCode") if name in order}
    row["documentNumber"] = order["number"]
    if not row.get("sequence"):
        lines = work.store("salesOrderLines").having("documentId", order["id"])
        row["sequence"] = max((line["sequence"] for line in lines), default=0) + _STEP


LOGIC = Logic(insert=_insert)

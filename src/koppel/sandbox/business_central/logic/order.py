"""Sales orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

LINES = "salesOrderLines"


def _insert(work: Work, row: Row) -> None:
    if not row.get("customerNumber"):
        raise errors.dialog('A "customerNumber" or a "customerId" must be provided.')
    give_number(work, "salesOrders", row, work.store("salesReceivablesSetup").only().get("orderNos", ""))
    row["docNoOccurrence"] = 1


def _delete(work: Work, row: Row) -> None:
    """Lines and notes go with their order."""
    for table in (LINES, "recordNotes"):
        for found in work.store(table).having("documentId", row["id"]):
            work.delete(table, found["id"])


LOGIC = Logic(insert=_insert, delete=_delete)

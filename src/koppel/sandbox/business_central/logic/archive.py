"""Archived versions of orders that were deleted, by hand or by posting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central.logic.documents import copied
from koppel.sandbox.business_central.work import new_id
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

ARCHIVE = "archivedSalesOrders"
ARCHIVED_LINES = "archivedSalesOrderLines"


def archive_order(work: Work, order: Row, lines: list[Row], *, invoiced: bool) -> None:
    """Keep an order as it is now, as long as sales setup says so. ``invoiced``: posting brings it to its end."""
    if not work.store("salesReceivablesSetup").only().get("archiveOrders"):
        return
    version = 1 + len(work.store(ARCHIVE).having("number", order["number"]))
    kept = copied(work, order, ARCHIVE) | {
        "id": new_id(),
        "versionNumber": version,
        "dateArchived": work.system.today(),
    }
    kept["archivedBy"] = work.user[:50].upper()
    if invoiced:
        kept["invoice"] = True
    work.insert(ARCHIVE, kept)
    numbers = {"versionNumber": version, "docNoOccurrence": order["docNoOccurrence"], "documentId": kept["id"]}
    for line in lines:
        work.insert(ARCHIVED_LINES, copied(work, line, ARCHIVED_LINES) | numbers | {"id": new_id()})

"""Archived versions: of orders that were deleted, by hand or by posting, and of quotes when somebody says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central.logic.documents import ORDER, copied, kind_of
from koppel.sandbox.business_central.work import new_id
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

ARCHIVE = "archivedSalesOrders"
_TABLES = {True: (ARCHIVE, "archivedSalesOrderLines"), False: ("archivedSalesQuotes", "archivedSalesQuoteLines")}
"""Headers and lines of orders, and of quotes."""


def archive_order(work: Work, order: Row, lines: list[Row], *, invoiced: bool) -> None:
    """Keep an order as it is now, as long as sales setup says so. ``invoiced``: posting brings it to its end."""
    if not work.store("salesReceivablesSetup").only().get("archiveOrders"):
        return
    archive(work, order, lines, invoiced=invoiced)


def archive(work: Work, document: Row, lines: list[Row], *, invoiced: bool = False) -> int:
    """Keep a document as it is now; the number of the version."""
    headers, archived_lines = _TABLES[kind_of(document) is ORDER]
    version = 1 + len(work.store(headers).having("number", document["number"]))
    kept = copied(work, document, headers) | {
        "id": new_id(),
        "versionNumber": version,
        "dateArchived": work.system.today(),
    }
    kept["archivedBy"] = work.user[:50].upper()
    if invoiced:
        kept["invoice"] = True
    work.insert(headers, kept)
    numbers = {"versionNumber": version, "docNoOccurrence": document["docNoOccurrence"], "documentId": kept["id"]}
    for line in lines:
        work.insert(archived_lines, copied(work, line, archived_lines) | numbers | {"id": new_id()})
    return version

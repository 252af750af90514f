"""Notes on documents: record links of type Note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.store import shown_time
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def _insert(work: Work, row: Row) -> None:
    if row.get("documentId", "") not in work.store("salesOrders").rows:
        raise errors.no_related("Record ID", "Record Link", row.get("documentId", ""), "Sales Header")
    if row.get("type") != "Note":
        raise errors.not_implemented("record links of the type Link")
    row["linkId"] = max((link for (link,) in work.store("recordNotes").by_key), default=0) + 1
    row.setdefault("created", shown_time(work.system.stamp()))
    row |= {"userId": work.user, "company": work.company.name}


LOGIC = Logic(insert=_insert)

"""Notes on documents: record links of type Note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.documents import KINDS
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.store import shown_time
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


NOTES = "recordNotes"
_OF_INVOICES = 112
_COPIED = ("description", "note", "type", "created", "userId", "company")


def copy_notes(work: Work, order_id: str, invoice_id: str) -> None:
    """An invoice gets the notes of the order that it came from."""
    for note in work.store(NOTES).having("documentId", order_id):
        kept = {name: note[name] for name in _COPIED if name in note}
        work.insert(NOTES, kept | {"documentId": invoice_id, "tableNumber": _OF_INVOICES, "linkId": _next_link(work)})


def _next_link(work: Work) -> int:
    work.company.last_link += 1
    return work.company.last_link


def _document_set(work: Work, row: Row, before: str) -> None:
    document = row.get("documentId", "")
    if row.get("linkId") and document != before:
        raise errors.dialog('The value for "documentId" cannot be modified.')
    if not any(document in work.store(kind.headers).rows for kind in KINDS):
        raise errors.no_related("Record ID", "Record Link", document, "Sales Header")


def _type_set(work: Work, row: Row, before: str) -> None:
    if row.get("type") != "Note":
        raise errors.not_implemented("record links of the type Link")


def _insert(work: Work, row: Row) -> None:
    if not row.get("documentId"):
        raise errors.must_not_be_blank("documentId")
    row["linkId"] = _next_link(work)
    row.setdefault("created", shown_time(work.system.stamp()))
    row |= {"userId": work.user, "company": work.company.name}


LOGIC = Logic(validate={"documentId": _document_set, "type": _type_set}, insert=_insert)

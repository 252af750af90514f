"""Sales & receivables setup: what stands for write-in products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

_TABLES = {"Item": "items", "Resource": "resources"}


def _type(work: Work, row: Row, before: str) -> None:
    if row.get("writeInProductType", "Item") != before:
        row.pop("writeInProductNo", None)


def _number(work: Work, row: Row, before: str) -> None:
    """A resource, or an item without stock (SO-10)."""
    number = row.get("writeInProductNo", "")
    store = work.store(_TABLES[row.get("writeInProductType", "Item")])
    found = store.find(number) if number else None
    if number and (found is None or (store.info.name == "items" and found.get("type", "Inventory") == "Inventory")):
        raise errors.no_related("Write-in Product No.", "Sales & Receivables Setup", number, store.info.caption)


LOGIC = Logic(validate={"writeInProductType": _type, "writeInProductNo": _number})

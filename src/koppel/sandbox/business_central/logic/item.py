"""Items."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import stock
from koppel.sandbox.business_central.logic.hooks import Logic, Validate
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.business_central.logic.unit import (
    ITEM,
    add_group,
    check_goes,
    follow_number,
    forget,
    keep_base_unit,
)
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

PRICES = "salesPrices"
_GROUPS = {
    "itemCategory": "item categories",
    "taxGroup": "tax groups",
    "generalProductPostingGroup": "posting groups",
    "inventoryPostingGroup": "posting groups",
}


def _unsupported(name: str, feature: str, work: Work, row: Row, before: Any) -> None:
    if row.get(name):
        raise errors.not_implemented(feature)


def _not_with_entries(caption: str, work: Work, row: Row, before: str) -> None:
    """What the movements of an item depend on stays as it is."""
    if before and row.get("number") and stock.has_entries(work, row["number"]):
        raise errors.dialog(f"You cannot change {caption} because there are one or more ledger entries for this item.")


def _inventory(work: Work, row: Row, before: float) -> None:
    """Inventory is what the ledger says: setting it posts an adjustment, once the item is there."""
    if row.get("id") not in work.store("items").rows:
        raise errors.dialog("Inventory cannot be changed during on insert.")
    if row.get("type", "Inventory") != "Inventory":
        raise errors.must_be("Type", "Inventory", f"Item: No.={row['number']}", row["type"])


def _insert(work: Work, row: Row) -> None:
    give_number(work, "items", row, "ITEM")


def _inserted(work: Work, row: Row) -> None:
    keep_base_unit(work, ITEM, row)
    add_group(work, ITEM, row)


def _modified(work: Work, before: Row, after: Row) -> None:
    follow_number(work, ITEM, before, after)
    keep_base_unit(work, ITEM, after)
    if difference := after.get("inventory", 0) - before.get("inventory", 0):
        stock.adjust(work, after, difference)


def _delete(work: Work, row: Row) -> None:
    check_goes(work, ITEM, row)
    if stock.has_entries(work, row["number"]):
        raise errors.dialog(f"You cannot delete Item {row['number']} because there are one or more ledger entries.")


def _deleted(work: Work, row: Row) -> None:
    forget(work, ITEM, row)
    for price in work.store(PRICES).having("itemNo", row["number"]):
        work.delete(PRICES, price["id"])


_UNSUPPORTED: dict[str, Validate] = {
    name + ending: partial(_unsupported, name + ending, feature)
    for name, feature in _GROUPS.items()
    for ending in ("Id", "Code")
}

LOGIC = Logic(
    validate={
        "type": partial(_not_with_entries, "Type"),
        "baseUnitOfMeasureCode": partial(_not_with_entries, "Base Unit of Measure"),
        "inventory": _inventory,
        **_UNSUPPORTED,
    },
    insert=_insert,
    inserted=_inserted,
    modified=_modified,
    delete=_delete,
    deleted=_deleted,
    loaded=_inserted,
)

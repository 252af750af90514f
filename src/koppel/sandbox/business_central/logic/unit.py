"""Units of items and resources: the base unit, the other ones, and the unit group of each item and resource."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

UNITS = "unitsOfMeasure"
GROUPS = "unitGroups"
PRICE_LINES = "priceListLines"
ORDER_LINES = "salesOrderLines"
_LINES = {
    PRICE_LINES: ("assetType", "assetNo"),
    ORDER_LINES: ("lineType", "lineObjectNumber"),
    "salesQuoteLines": ("lineType", "lineObjectNumber"),
    "postedSalesInvoiceLines": ("lineType", "lineObjectNumber"),
}
"""Tables that refer to items and resources alike: by their kind and their number."""


class Owner(msgspec.Struct, frozen=True):
    """What has units of its own. ``number`` is the field of its units that holds its number, ``source`` its name."""

    table: str
    units: str
    number: str
    source: str


ITEM = Owner("items", "itemUnitsOfMeasure", "itemNo", "Item")
RESOURCE = Owner("resources", "resourceUnitsOfMeasure", "resourceNo", "Resource")


def keep_base_unit(work: Work, owner: Owner, row: Row) -> None:
    """The base unit of an item or resource is one of its units, with the quantity 1."""
    code = row.get("baseUnitOfMeasureCode", "")
    unit = work.store(owner.units).find(row["number"], code)
    if unit is not None:
        _check_base(work, owner, unit)
    elif code:
        work.insert(owner.units, work.store(owner.units).info.initial | {owner.number: row["number"], "code": code})


def add_group(work: Work, owner: Owner, row: Row) -> None:
    """Each item and resource has a unit group (UOM-08)."""
    if work.store(GROUPS).find(owner.source, row["id"]) is None:
        work.insert(GROUPS, {"sourceType": owner.source, "sourceId": row["id"], "sourceNo": row["number"]})


def follow_number(work: Work, owner: Owner, before: Row, after: Row) -> None:
    """What refers to an item or resource by its number follows a new one, beside what a relation says."""
    if before["number"] == after["number"]:
        return
    group = work.store(GROUPS).find(owner.source, after["id"])
    if group is not None:
        work.change(GROUPS, group["id"], {"sourceNo": after["number"]})
    for table, (_, number) in _LINES.items():
        for line in _lines_of(work, owner, table, before["number"]):
            work.change(table, line["id"], {number: after["number"]})


def _lines_of(work: Work, owner: Owner, table: str, number: str) -> list[Row]:
    kind, name = _LINES[table]
    return [row for row in work.store(table).having(name, number) if row.get(kind) == owner.source]


def check_goes(work: Work, owner: Owner, row: Row) -> None:
    """What is on an order stays."""
    if _lines_of(work, owner, ORDER_LINES, row["number"]):
        raise errors.dialog(
            f"You cannot delete {owner.source} {row['number']} because there is at least one outstanding Sales Order "
            f"that includes this {owner.source.lower()}."
        )


def forget(work: Work, owner: Owner, row: Row) -> None:
    """Units, group and prices go with what they belong to."""
    for unit in work.store(owner.units).having(owner.number, row["number"]):
        work.delete(owner.units, unit["id"])
    for line in _lines_of(work, owner, PRICE_LINES, row["number"]):
        work.delete(PRICE_LINES, line["id"])
    group = work.store(GROUPS).find(owner.source, row["id"])
    if group is not None:
        work.delete(GROUPS, group["id"])


def _check_base(work: Work, owner: Owner, unit: Row) -> None:
    if not _is_base(work, owner, unit):
        return
    quantity = unit.get("qtyPerUnitOfMeasure", 0)
    if quantity != 1:
        raise errors.dialog(
            f"The quantity per base unit of measure must be 1. {unit['code']} is set up with {quantity} per unit of "
            "measure."
        )


def _is_base(work: Work, owner: Owner, unit: Row) -> bool:
    row = work.store(owner.table).find(unit[owner.number])
    return row is not None and row.get("baseUnitOfMeasureCode", "") == unit["code"]


def _quantity(work: Work, row: Row, before: float) -> None:
    if row.get("qtyPerUnitOfMeasure", 0) <= 0:
        raise errors.field_error("Qty. per Unit of Measure must be greater than 0.")


def _insert(owner: Owner, work: Work, row: Row) -> None:
    if row.get(owner.number) and row.get("code"):
        _check_base(work, owner, row)


def _modified(owner: Owner, work: Work, before: Row, after: Row) -> None:
    if before["code"] != after["code"] or before[owner.number] != after[owner.number]:
        _delete(owner, work, before)
    _check_base(work, owner, after)


def _delete(owner: Owner, work: Work, row: Row) -> None:
    if _is_base(work, owner, row):
        word = owner.source.lower()
        raise errors.dialog(
            f"You cannot modify {word} unit of measure {row['code']} for {word} {row[owner.number]} because it is the "
            f"{word}'s base unit of measure."
        )


def units_logic(owner: Owner) -> Logic:
    """The units of items, or of resources."""
    return Logic(
        validate={"qtyPerUnitOfMeasure": _quantity},
        insert=partial(_insert, owner),
        modified=partial(_modified, owner),
        delete=partial(_delete, owner),
    )


def _delete_unit(work: Work, row: Row) -> None:
    """A unit that anything refers to stays."""
    for store in work.company.stores.values():
        for field, related in store.info.relations.items():
            if related == UNITS and store.having(field, row["code"]):
                raise errors.dialog(
                    f"You cannot delete Unit of Measure {row['code']} because it is used in {store.info.caption}."
                )


LOGIC = Logic(delete=_delete_unit)

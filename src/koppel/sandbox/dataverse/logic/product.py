"""Products: the number is unique, and the default unit is one of the unit group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import ServiceError
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

_GROUP, _UNIT = "_defaultuomscheduleid_value", "_defaultuomid_value"
_SINGLE_PRODUCT, _SALES_INVENTORY = 1, 1


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    row.setdefault("productstructure", _SINGLE_PRODUCT)
    row.setdefault("producttypecode", _SALES_INVENTORY)
    _check_number(dataverse, row)
    _check_unit(dataverse, row)


def _before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    if "productnumber" in changed:
        _check_number(dataverse, row)
    if _GROUP in changed or _UNIT in changed:
        _check_unit(dataverse, row)


def _check_number(dataverse: Dataverse, row: Row) -> None:
    number = row.get("productnumber")
    if number is None:
        raise ServiceError(400, "0x80043b05", "The product number is missing.")
    taken = dataverse.store.index("product", "productnumber").find([number])
    if any(other != row["productid"] for other in taken):
        raise ServiceError(400, "0x80043b06", f"The product number {number} already exists. Enter another one.")


def _check_unit(dataverse: Dataverse, row: Row) -> None:
    if row["productstructure"] != _SINGLE_PRODUCT:
        return
    if row.get(_GROUP) is None:
        raise ServiceError(400, "0x80043b13", "The unit schedule of the product is missing.")
    unit = dataverse.row("uom", row.get(_UNIT))
    if unit is None or unit.get("_uomscheduleid_value") != row[_GROUP]:
        raise ServiceError(400, "0x80043b14", "The default unit is not a unit of the product's unit group.")


PRODUCT = TableLogic(before_create=_before_create, before_update=_before_update)

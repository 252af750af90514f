"""Unit groups and units: a group makes its base unit, and names are unique within the group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import ServiceError, exists, missing_value
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

_GROUP = "_uomscheduleid_value"


def _group_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    if row.get("baseuomname") is None:
        raise ServiceError(400, "0x80043810", "baseuomname not specified")


def _group_after_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    base = {"name": row["baseuomname"], "quantity": 1, _GROUP: row["uomscheduleid"], "isschedulebaseuom": True}
    dataverse.create("uom", base, caller)


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    _check_name(dataverse, row)
    if row.get("isschedulebaseuom"):
        return
    if row.get("quantity") is None:
        raise missing_value("uom", "quantity")
    if row.get("_baseuom_value") is None:
        group = dataverse.children("uom", _GROUP, row.get(_GROUP, ""))
        row["_baseuom_value"] = next((unit["uomid"] for unit in group if unit.get("isschedulebaseuom")), None)


def _before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    if "name" in changed:
        _check_name(dataverse, row)


def _before_delete(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    if row.get("isschedulebaseuom"):
        raise ServiceError(400, "0x80043b03", "The base unit of a schedule cannot be deleted.")


def _check_name(dataverse: Dataverse, row: Row) -> None:
    name = (row.get("name") or "").lower()
    for other in dataverse.children("uom", _GROUP, row.get(_GROUP, "")):
        if other["uomid"] != row["uomid"] and (other.get("name") or "").lower() == name:
            raise exists()


UNIT_GROUP = TableLogic(before_create=_group_before_create, after_create=_group_after_create)
UNIT = TableLogic(before_create=_before_create, before_update=_before_update, before_delete=_before_delete)

"""Products: number, unit and default price list, and the life from draft over active to retired.

Source: Microsoft's page on the product life cycle and its list of error codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import invalid_argument
from koppel.sandbox.dataverse.logic.faults import fault
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

ACTIVE, RETIRED, DRAFT, REVISED = range(4)
PUBLISHED = {"statecode": ACTIVE, "statuscode": 1}

_GROUP, _UNIT, _LIST, _PARENT = (
    "_defaultuomscheduleid_value",
    "_defaultuomid_value",
    "_pricelevelid_value",
    "_parentproductid_value",
)
_SINGLE_PRODUCT, FAMILY, _SALES_INVENTORY = 1, 2, 1

_REFUSED = {
    (DRAFT, DRAFT): "ProductFromDraftToDraftState",
    (DRAFT, RETIRED): "ProductFromDraftToRetiredState",
    (DRAFT, REVISED): "ProductFromDraftToRevisedState",
    (ACTIVE, ACTIVE): "ProductFromActiveToActiveState",
    (ACTIVE, DRAFT): "ProductFromActiveToDraftState",
    (RETIRED, RETIRED): "ProductFromRetiredToRetiredState",
    (RETIRED, DRAFT): "ProductFromRetiredToDraftState",
    (RETIRED, REVISED): "ProductFromDraftToRevisedState",
    (REVISED, REVISED): "RecordCanOnlyBeRevisedFromActiveState",
    (REVISED, DRAFT): "ProductFromActiveToDraftState",
}
"""Moves from state to state that are not possible, and why."""


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    row.setdefault("productstructure", _SINGLE_PRODUCT)
    row.setdefault("producttypecode", _SALES_INVENTORY)
    _check_number(dataverse, row)
    _check_unit(dataverse, row)
    _check_parent(dataverse, row)


def _before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    if before["statecode"] in (ACTIVE, RETIRED):
        for name in dataverse.draft_columns & changed.keys():
            if row.get(name) != before.get(name):
                raise fault("ProductCanOnlyBeUpdatedInDraft")
    if "productnumber" in changed:
        _check_number(dataverse, row)
    if _GROUP in changed and row.get(_GROUP) != before.get(_GROUP):
        raise fault("CannotUpdateProductUnitGroup")
    if _UNIT in changed:
        _check_unit(dataverse, row)
    if changed.get(_LIST) is not None:
        _check_list(dataverse, row)
    if "statecode" in changed or "statuscode" in changed:
        _check_move(dataverse, before, row)


def _after_update(dataverse: Dataverse, before: Row, row: Row, caller: Caller) -> None:
    """Prices show the product's number; a family takes its children along when it is revised or retired."""
    if row["productnumber"] != before["productnumber"]:
        for price in dataverse.children("productpricelevel", "_productid_value", row["productid"]):
            number = {"productnumber": row["productnumber"]}
            dataverse.store.put("productpricelevel", price["productpricelevelid"], {**price, **number})
    state = row["statecode"]
    if row["productstructure"] != FAMILY or state == before["statecode"] or state not in (REVISED, RETIRED):
        return
    for child in dataverse.children("product", _PARENT, row["productid"]):
        if child["statecode"] not in (state, RETIRED):
            move = {"statecode": state, "statuscode": row["statuscode"]}
            dataverse.update("product", child["productid"], move, caller)


def publish_hierarchy(dataverse: Dataverse, key: str, caller: Caller) -> None:
    """Make a family and all below it active."""
    row = dataverse.tables["product"].rows[key]
    if row["productstructure"] != FAMILY:
        raise invalid_argument("Only the hierarchy of a product family can be published.")
    _publish(dataverse, row, caller)


def _publish(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    if row["statecode"] in (DRAFT, REVISED):
        dataverse.update("product", row["productid"], PUBLISHED, caller)
    for child in dataverse.children("product", _PARENT, row["productid"]):
        _publish(dataverse, child, caller)


def _check_move(dataverse: Dataverse, before: Row, row: Row) -> None:
    move = before["statecode"], row["statecode"]
    if move in _REFUSED:
        raise fault(_REFUSED[move], row.get("name"))
    parent = dataverse.row("product", row.get(_PARENT))
    if move == (RETIRED, ACTIVE) and (parent is not None or row["productstructure"] != _SINGLE_PRODUCT):
        raise fault("CannotActivateRecord")
    if row["statecode"] == ACTIVE and parent is not None and parent["statecode"] != ACTIVE:
        raise fault("CannotPublishChildOfNonActiveProductFamily")


def _check_number(dataverse: Dataverse, row: Row) -> None:
    number = row.get("productnumber")
    if number is None:
        raise fault("ProductNoProductNumber")
    taken = dataverse.store.index("product", "productnumber").find([number])
    if any(other != row["productid"] for other in taken):
        raise fault("ProductProductNumberExists")


def _check_unit(dataverse: Dataverse, row: Row) -> None:
    if row["productstructure"] == FAMILY:
        return
    if row.get(_GROUP) is None:
        raise fault("ProductMissingUomSheduleId")
    unit = dataverse.row("uom", row.get(_UNIT))
    if unit is None or unit.get("_uomscheduleid_value") != row[_GROUP]:
        raise fault("ProductInvalidUnit")


def _check_parent(dataverse: Dataverse, row: Row) -> None:
    parent = dataverse.row("product", row.get(_PARENT))
    if parent is None:
        return
    if parent["productstructure"] != FAMILY:
        raise fault("ProductOrBundleCannotBeAsParent")
    if parent["statecode"] not in (DRAFT, ACTIVE):
        raise fault("CanOnlySetActiveOrDraftProductFamilyAsParent")


def _check_list(dataverse: Dataverse, row: Row) -> None:
    """The default price list must have a price of the product."""
    prices = dataverse.store.index("productpricelevel", _LIST, "_productid_value")
    if not prices.find([row[_LIST], row["productid"]]):
        raise invalid_argument("The default price list of a product must hold a price list item of the product.")


PRODUCT = TableLogic(before_create=_before_create, before_update=_before_update, after_update=_after_update)

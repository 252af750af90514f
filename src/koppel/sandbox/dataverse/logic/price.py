"""Price lists with one currency, and their items: one price for each product and unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import missing_value, not_implemented
from koppel.sandbox.dataverse.logic.faults import fault
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.dataverse.logic.money import CURRENCY, convert, default_currency
from koppel.sandbox.dataverse.logic.product import FAMILY, RETIRED
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

LIST, PRODUCT, UNIT, _GROUP = "_pricelevelid_value", "_productid_value", "_uomid_value", "_uomscheduleid_value"
_INACTIVE = 1
_AMOUNT = 1
_NO_CONTROL = 1
_DEFAULT_OF = (("product", LIST), ("account", "_defaultpricelevelid_value"), ("contact", "_defaultpricelevelid_value"))


def _list_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    if row.get(CURRENCY) is None:
        row[CURRENCY] = default_currency(dataverse, caller)
        convert(dataverse, "pricelevel", row)
    _check_name(dataverse, row)


def _list_before_update(
    dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller
) -> None:
    if "name" in changed:
        _check_name(dataverse, row)
    if row["statecode"] == _INACTIVE and before["statecode"] != _INACTIVE:
        for table, column in _DEFAULT_OF:
            if dataverse.children(table, column, row["pricelevelid"]):
                raise fault("PriceLevelInUse")


def _check_name(dataverse: Dataverse, row: Row) -> None:
    taken = dataverse.store.index("pricelevel", "name").find([row.get("name")])
    if any(other != row["pricelevelid"] for other in taken):
        raise fault("PriceLevelNameExists")


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    row.setdefault("pricingmethodcode", _AMOUNT)
    row.setdefault("quantitysellingcode", _NO_CONTROL)
    product = _needed(dataverse, row, "product", PRODUCT)
    prices = _needed(dataverse, row, "pricelevel", LIST)
    if product["productstructure"] == FAMILY:
        raise fault("CannotAddPricelistToProductFamily")
    if product["statecode"] == RETIRED:
        raise fault("CannotAddRetiredProductToPricelist")
    row[CURRENCY] = prices.get(CURRENCY)
    row["productnumber"] = product["productnumber"]
    row["organizationid"] = dataverse.organization.get("organizationid")
    _check(dataverse, row, product)
    convert(dataverse, "productpricelevel", row)


def _before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    if row.get(CURRENCY) != before.get(CURRENCY):
        raise fault("CurrencyNotEqual", "price list item", "price list")
    _check(dataverse, row, _needed(dataverse, row, "product", PRODUCT))
    if not changed.keys().isdisjoint(dataverse.schema.tables["productpricelevel"].money):
        convert(dataverse, "productpricelevel", row)


def _needed(dataverse: Dataverse, row: Row, table: str, column: str) -> Row:
    found = dataverse.row(table, row.get(column))
    if found is None:
        raise missing_value("productpricelevel", column.removeprefix("_").removesuffix("_value"))
    return found


def _check(dataverse: Dataverse, row: Row, product: Row) -> None:
    if row["pricingmethodcode"] != _AMOUNT:
        raise not_implemented("price list items with another pricing method than Currency Amount")
    if row.get("amount") is None:
        raise missing_value("productpricelevel", "amount")
    _check_unit(dataverse, row, product)
    found = dataverse.store.index("productpricelevel", LIST, PRODUCT, UNIT).find([row[LIST], row[PRODUCT], row[UNIT]])
    if any(other != row["productpricelevelid"] for other in found):
        raise fault("DuplicateProductPriceLevel")


def _check_unit(dataverse: Dataverse, row: Row, product: Row) -> None:
    unit = dataverse.row("uom", row.get(UNIT))
    if unit is None:
        raise fault("MissingUomId")
    group = product.get("_defaultuomscheduleid_value")
    if unit.get(_GROUP) != group or row.setdefault(_GROUP, group) != group:
        raise fault("ProductInvalidUnit")


def price_of(dataverse: Dataverse, prices: str | None, product: str | None, unit: str | None) -> Row | None:
    """The item of a price list for a product in a unit."""
    if prices is None or product is None or unit is None:
        return None
    found = dataverse.store.index("productpricelevel", LIST, PRODUCT, UNIT).find([prices, product, unit])
    return dataverse.row("productpricelevel", found[0]) if found else None


PRICE_LIST = TableLogic(before_create=_list_before_create, before_update=_list_before_update)
PRICE = TableLogic(before_create=_before_create, before_update=_before_update)

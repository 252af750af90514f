"""Sales prices and the customer price groups that they may be for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.catalogue.pages import ZERO_DATE
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

PRICES = "salesPrices"
GROUP = "Customer_x0020_Price_x0020_Group"
EVERYBODY = "All_x0020_Customers"
_TABLES = {"Customer": "customers", GROUP: "customerPriceGroups"}
_BUYERS = {
    PRICES: ("salesType", "salesCode"),
    "priceListHeaders": ("sourceType", "sourceNo"),
    "priceListLines": ("sourceType", "sourceNo"),
}
"""Tables that refer to customers and groups: by their kind and their number."""
_FROM_GROUP = ("priceIncludesVAT", "allowLineDisc", "allowInvoiceDisc")


def _type(row: Row) -> str:
    """Whom a price is for; blank is a customer."""
    return str(row.get("salesType", "Customer"))


def _type_changed(work: Work, row: Row, before: str) -> None:
    if _type(row) == "Campaign":
        raise errors.not_implemented("sales prices of campaigns")
    if _type(row) != before:
        row.pop("salesCode", None)


def _code_changed(work: Work, row: Row, before: str) -> None:
    """A group, or a customer, gives a price its terms."""
    code, kind = row.get("salesCode", ""), _type(row)
    if not code:
        return
    if kind == EVERYBODY:
        raise errors.dialog("Sales Code must be blank.")
    store = work.store(_TABLES[kind])
    found = store.find(code)
    if found is None:
        raise errors.no_related("Sales Code", "Sales Price", code, store.info.caption)
    names = _FROM_GROUP if kind == GROUP else ("currencyCode",)
    work.store(PRICES).fill(row, {name: found.get(name, store.info.fields[name].empty) for name in names})


def _check_dates(work: Work, row: Row, before: str) -> None:
    if ZERO_DATE < row.get("endingDate", ZERO_DATE) < row.get("startingDate", ZERO_DATE):
        raise errors.dialog("Starting Date cannot be after Ending Date")


def _variant(work: Work, row: Row, before: str) -> None:
    if row.get("variantCode"):
        raise errors.not_implemented("item variants")


def _check(work: Work, row: Row) -> None:
    """A price names whom it is for, and a unit that its item has."""
    if _type(row) != EVERYBODY and not row.get("salesCode"):
        raise errors.must_have_value("Sales Code", "Sales Price")
    item, unit = row.get("itemNo", ""), row.get("unitOfMeasureCode", "")
    if item and unit and work.store("itemUnitsOfMeasure").find(item, unit) is None:
        raise errors.no_related("Unit of Measure Code", "Sales Price", unit, "Item Unit of Measure")


def _modified(work: Work, before: Row, after: Row) -> None:
    _check(work, after)


LOGIC = Logic(
    validate={
        "salesType": _type_changed,
        "salesCode": _code_changed,
        "startingDate": _check_dates,
        "endingDate": _check_dates,
        "variantCode": _variant,
    },
    insert=_check,
    modified=_modified,
)


def follow_buyer(work: Work, kind: str, before: str, after: str) -> None:
    """Prices and price lists follow the new number of a customer, or code of a group: that of a ``kind``."""
    for table, (_, number) in _BUYERS.items():
        for row in _of_buyer(work, table, kind, before):
            work.change(table, row["id"], {number: after})


def forget_buyer(work: Work, kind: str, number: str) -> None:
    """The sales prices of a customer or group go with it."""
    for price in _of_buyer(work, PRICES, kind, number):
        work.delete(PRICES, price["id"])


def _of_buyer(work: Work, table: str, kind: str, buyer: str) -> list[Row]:
    name, number = _BUYERS[table]
    empty = work.store(table).info.fields[name].empty
    return [row for row in work.store(table).having(number, buyer) if row.get(name, empty) == kind]


def _group_modified(work: Work, before: Row, after: Row) -> None:
    if before["code"] != after["code"]:
        follow_buyer(work, GROUP, before["code"], after["code"])


def _group_deleted(work: Work, row: Row) -> None:
    forget_buyer(work, GROUP, row["code"])


GROUP_LOGIC = Logic(modified=_group_modified, deleted=_group_deleted)

"""Price lists of the newer kind, with their lines: drafts are written, active ones stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from koppel.catalogue.pages import ZERO_DATE
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.logic.unit import ITEM, PRICE_LINES, RESOURCE, Owner
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

LISTS = "priceListHeaders"
_BUYERS = {"Customer": "customers", "Customer_x0020_Price_x0020_Group": "customerPriceGroups"}
_EVERYBODY = ("All", "All_x0020_Customers")
_OWNERS = {owner.source: owner for owner in (ITEM, RESOURCE)}
_TERMS = ("currencyCode", "startingDate", "endingDate", "priceIncludesVAT", "allowLineDisc", "allowInvoiceDisc")
_SHARED = (*_TERMS, "sourceType", "sourceNo", "priceType")
_STEP = 10_000


def _lines_of(work: Work, code: str) -> list[Row]:
    return work.store(PRICE_LINES).having("priceListCode", code)


def _is_editable(work: Work, header: Row) -> bool:
    """Drafts are; active lists where the sales setup allows it."""
    status = header.get("status", "Draft")
    allowed: bool = work.store("salesReceivablesSetup").only().get("allowEditingActivePrice", False)
    return bool(status == "Draft" or (status == "Active" and allowed))


def _check_editable(work: Work, header: Row) -> None:
    if not _is_editable(work, header):
        raise errors.must_be("Status", "Draft", f"Price List: Code={header['code']}", header.get("status", "Draft"))


def _term_changed(work: Work, row: Row, before: Any) -> None:
    known = work.store(LISTS).find(row.get("code", ""))
    if known is not None:
        _check_editable(work, known)
    _check_dates(work, row, before)


def _check_dates(work: Work, row: Row, before: Any) -> None:
    if ZERO_DATE < row.get("endingDate", ZERO_DATE) < row.get("startingDate", ZERO_DATE):
        raise errors.dialog("Starting Date cannot be after Ending Date")


def _source_changed(caption: str, work: Work, row: Row, before: str) -> None:
    if row.get("code") and _lines_of(work, row["code"]):
        raise errors.dialog(f"You cannot change {caption} because one or more lines exist.")


def _source_type(work: Work, row: Row, before: str) -> None:
    _source_changed("Assign-to Type", work, row, before)
    if row.get("sourceType", "All") not in (*_EVERYBODY, *_BUYERS):
        raise errors.not_implemented(f"price lists of the source type {row['sourceType']}")
    row.pop("sourceNo", None)


def _source_number(work: Work, row: Row, before: str) -> None:
    _source_changed("Assign-to No.", work, row, before)
    number, kind = row.get("sourceNo", ""), row.get("sourceType", "All")
    if number and kind in _EVERYBODY:
        raise errors.dialog("Assign-to No. must be blank.")
    if number and work.store(_BUYERS[kind]).find(number) is None:
        raise errors.no_related("Assign-to No.", "Price List", number, work.store(_BUYERS[kind]).info.caption)


def _modified(work: Work, before: Row, after: Row) -> None:
    """Lines follow the list's terms, unless these are only defaults, and its status."""
    if before["code"] != after["code"]:
        raise errors.dialog("You cannot rename a Price List.")
    names = ("status",) if after.get("allowUpdatingDefaults") else ("status", *_TERMS)
    fields = work.store(LISTS).info.fields
    changed = {name: after.get(name, fields[name].empty) for name in names if before.get(name) != after.get(name)}
    for line in _lines_of(work, after["code"]) if changed else ():
        work.change(PRICE_LINES, line["id"], changed)


def _delete(work: Work, row: Row) -> None:
    if row.get("status") == "Active" and not _is_editable(work, row):
        raise errors.dialog(f"You cannot delete the active price list {row['code']}.")


def _deleted(work: Work, row: Row) -> None:
    for line in _lines_of(work, row["code"]):
        work.delete(PRICE_LINES, line["id"])


LOGIC = Logic(
    validate=dict.fromkeys(_TERMS, _term_changed) | {"sourceType": _source_type, "sourceNo": _source_number},
    modified=_modified,
    delete=_delete,
    deleted=_deleted,
)


def _owner(row: Row) -> Owner:
    kind = row.get("assetType", "_x0020_")
    if kind not in _OWNERS:
        raise errors.not_implemented(f"price list lines of the asset type {kind}")
    return _OWNERS[kind]


def _asset_type(work: Work, row: Row, before: str) -> None:
    _owner(row)
    for name in ("assetNo", "unitOfMeasureCode", "description"):
        row.pop(name, None)


def _asset(work: Work, row: Row, before: str) -> None:
    """An item or resource gives the line its unit and its text."""
    number, store = row.get("assetNo", ""), work.store(_owner(row).table)
    found = store.find(number) if number else {}
    if found is None:
        raise errors.no_related("Asset No.", "Price List Line", number, store.info.caption)
    values = {"unitOfMeasureCode": found.get("baseUnitOfMeasureCode", ""), "description": found.get("displayName", "")}
    work.store(PRICE_LINES).fill(row, values)


def _variant(work: Work, row: Row, before: str) -> None:
    if row.get("variantCode"):
        raise errors.not_implemented("item variants")


def _line_insert(work: Work, row: Row) -> None:
    """A line takes over the terms of its list; where those are only defaults, as far as it has none."""
    header = work.store(LISTS).find(row.get("priceListCode", ""))
    if header is None:
        raise errors.must_have_value("Price List Code", "Price List Line")
    if not row.get("lineNo"):
        row["lineNo"] = max((line["lineNo"] for line in _lines_of(work, header["code"])), default=0) + _STEP
    fields = work.store(LISTS).info.fields
    terms = {name: header.get(name, fields[name].empty) for name in (*_SHARED, "status")}
    if header.get("allowUpdatingDefaults"):
        terms = {name: value for name, value in terms.items() if not row.get(name)}
    work.store(PRICE_LINES).fill(row, terms)
    _check_line(work, row)


def _check_line(work: Work, row: Row) -> None:
    header = work.store(LISTS).find(row["priceListCode"])
    assert header is not None
    _check_editable(work, header)
    owner, unit = _owner(row), row.get("unitOfMeasureCode", "")
    if not row.get("assetNo"):
        raise errors.must_have_value("Asset No.", "Price List Line")
    if unit and work.store(owner.units).find(row["assetNo"], unit) is None:
        raise errors.no_related("Unit of Measure Code", "Price List Line", unit, work.store(owner.units).info.caption)


def _line_modified(work: Work, before: Row, after: Row) -> None:
    _check_line(work, before)
    _check_line(work, after)


LINE_LOGIC = Logic(
    validate={
        "assetType": _asset_type,
        "assetNo": _asset,
        "variantCode": _variant,
        "startingDate": _check_dates,
        "endingDate": _check_dates,
    },
    insert=_line_insert,
    modified=_line_modified,
    delete=_check_line,
)

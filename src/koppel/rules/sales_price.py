"""Customer price groups as price lists of one currency, and their sales prices as its lines (PL-…, SPR-…)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import NamedTuple

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Found, Need, complete, compute, refuse
from koppel.engine.values import EMPTY_DATE
from koppel.odata.records import Scalar
from koppel.rules import unit
from koppel.rules.currency import LOCAL_CURRENCY, local_code, local_currency
from koppel.rules.document import ITEM
from koppel.rules.unit_group import Sold, units, units_behind

GROUPS, ITEMS = "CUSTPRCGRP-PRICE", "ITEM-PRODUCT"
OF_A_GROUP = "Customer_x0020_Price_x0020_Group"
"""The sales type of prices for a customer price group."""


class Line(NamedTuple):
    """What Dataverse has one line for: a group, an item and a unit. Prices in several currencies are told apart."""

    group: str
    item: str
    unit: str
    currency: str


_COLUMNS = (
    *("id", "itemNo", "salesType", "salesCode", "currencyCode", "startingDate", "endingDate"),
    *("minimumQuantity", "variantCode", "unitOfMeasureCode", "unitPrice"),
)


def _prices(codes: Callable[[Batch], Iterable[Scalar]]) -> Need:
    """All prices of these groups."""
    return Need(name="prices", table="salesPrices", columns=_COLUMNS, key="salesCode", of=codes)


_ITEMS = Need(
    name="items",
    table="items",
    mapping=ITEMS,
    columns=("number", "baseUnitOfMeasureCode"),
    key="number",
    of=lambda batch: [row["itemNo"] for row in batch.table("prices")],
)


def _of_groups(batch: Batch) -> list[Found]:
    return [row for row in batch.table("prices") if row["salesType"] == OF_A_GROUP]


def _line(batch: Batch, base_units: dict[Scalar, Scalar], row: Found) -> Line:
    of_item = base_units.get(row["itemNo"])
    return Line(
        str(row["salesCode"]),
        str(row["itemNo"]),
        str(row["unitOfMeasureCode"] or of_item or ""),
        str(row["currencyCode"] or local_code(batch)),
    )


def _lines(batch: Batch) -> dict[Line, list[Found]]:
    """The prices of groups by the line that they would be."""
    base_units = {row["number"]: row["baseUnitOfMeasureCode"] for row in batch.table("items")}
    found: dict[Line, list[Found]] = {}
    for row in _of_groups(batch):
        found.setdefault(_line(batch, base_units, row), []).append(row)
    return found


def _chosen(prices: Iterable[Found], today: date) -> Found | None:
    """The one of several prices for a line that is sent (SPR-07): of those valid today the one for the smallest minimum
    quantity, then the one that began last, then the lowest."""
    valid = [row for row in prices if not _why_not(row, today)]
    valid.sort(key=lambda row: float(row["unitPrice"] or 0))
    valid.sort(key=lambda row: str(row["startingDate"] or ""), reverse=True)
    return min(valid, key=lambda row: float(row["minimumQuantity"] or 0), default=None)


def _why_not(price: Found, today: date) -> str:
    """Why a price has no line of Dataverse, by itself; empty where it may have one."""
    start, end = (str(price[name] or EMPTY_DATE) for name in ("startingDate", "endingDate"))
    if price["variantCode"]:
        return f"it is for the variant {price['variantCode']}"
    if float(price["minimumQuantity"] or 0) > 1:
        return f"it counts from a quantity of {price['minimumQuantity']:g}"
    if start > today.isoformat():
        return f"it is not valid before {start}"
    return f"it was valid until {end}" if EMPTY_DATE != end < today.isoformat() else ""


_OF_GROUP = (*LOCAL_CURRENCY, _prices(lambda batch: batch.column("salesCode")), _ITEMS)


@compute(reads=("salesCode", "unitPrice"), needs=_OF_GROUP, daily=True)
def amount(batch: Batch) -> list[Scalar | Refusal]:
    """The price, if it is the one that Dataverse has a line for today; the others are outside (SPR-07)."""
    sent: dict[Scalar, Scalar] = {}
    reasons: dict[Scalar, str] = {}
    for prices in _lines(batch).values():
        chosen = _chosen(prices, batch.today)
        for row in prices:
            reasons[row["id"]] = _why_not(row, batch.today) or "another price of the item is valid"
        if chosen:
            sent[chosen["id"]] = chosen["unitPrice"]
    return [
        sent[record.id] if record.id in sent else _outside(reasons.get(record.id, "it is gone"))
        for record in batch.records
    ]


def _outside(reason: str) -> Refusal:
    return Refusal(
        code="SPR-07",
        message=f"{reason}; Dataverse has one price for a price list, product and unit",
        remedy="nothing is to be done: the price that is valid today is sent",
        skip=True,
        outside=True,
    )


def _units(batch: Batch) -> Iterator[str]:
    base_units = {row["number"]: row["baseUnitOfMeasureCode"] for row in batch.table("items")}
    for code, item in zip(batch.column("unitOfMeasureCode"), batch.column("itemNo"), strict=True):
        yield str(code or base_units.get(item) or "")


_UNITS = (*_OF_GROUP, *unit.behind(_units))


@compute(reads=("salesCode", "itemNo", "unitOfMeasureCode"), needs=_UNITS)
def line_unit(batch: Batch) -> list[Scalar | Refusal]:
    """The unit of a price, or of its item where it has none (SPR-04)."""
    return [found.id if isinstance(found, unit.Unit) else found for found in _resolved(batch)]


@compute(reads=("salesCode", "itemNo", "unitOfMeasureCode"), needs=_UNITS)
def line_unit_group(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of that unit (SPR-04)."""
    return [found.group if isinstance(found, unit.Unit) else found for found in _resolved(batch)]


def _resolved(batch: Batch) -> list[unit.Unit | Refusal]:
    codes = list(_units(batch))
    found = unit.resolve(batch, codes, "unitOfMeasureCode")
    return [found[code] for code in codes]


def _sold(batch: Batch) -> list[Sold]:
    items = batch.column("itemNo")
    return [Sold(ITEM, str(item), code) for item, code in zip(items, _units(batch), strict=True)]


_IN_GROUPS = (*_OF_GROUP, *units_behind(_sold))


@compute(reads=("salesCode", "itemNo", "unitOfMeasureCode"), needs=_IN_GROUPS)
def line_unit_in_group(batch: Batch) -> list[Scalar | Refusal]:
    """The same in the unit group of the item (UOM-14)."""
    return [found.id if isinstance(found, unit.Unit) else found for found in _in_groups(batch)]


@compute(reads=("salesCode", "itemNo", "unitOfMeasureCode"), needs=_IN_GROUPS)
def line_group(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of the item (UOM-14)."""
    return [found.group if isinstance(found, unit.Unit) else found for found in _in_groups(batch)]


def _in_groups(batch: Batch) -> list[unit.Unit | Refusal]:
    found = units(batch, _sold(batch), "unitOfMeasureCode")
    return [found[one] for one in _sold(batch)]


@refuse(
    reads=("salesCode", "currencyCode"),
    needs=(
        *LOCAL_CURRENCY,
        Need(name="groups", couplings=GROUPS, key="key", of=lambda batch: batch.column("salesCode")),
        Need(
            name="lists",
            side="dataverse",
            table="pricelevel",
            columns=("pricelevelid", "transactioncurrencyid"),
            key="pricelevelid",
            of=lambda batch: [row["dataverse_id"] for row in batch.table("groups")],
        ),
        Need(
            name="currencies",
            side="dataverse",
            table="transactioncurrency",
            columns=("transactioncurrencyid", "isocurrencycode"),
            key="transactioncurrencyid",
            of=lambda batch: [row["transactioncurrencyid"] for row in batch.table("lists")],
        ),
    ),
)
def currency_of_list(batch: Batch) -> list[Refusal | None]:
    """A price list has one currency, and so have its lines (PL-03)."""
    codes = {row["transactioncurrencyid"]: row["isocurrencycode"] for row in batch.table("currencies")}
    lists = {row["pricelevelid"]: codes.get(row["transactioncurrencyid"]) for row in batch.table("lists")}
    groups = {row["key"]: lists.get(row["dataverse_id"]) for row in batch.table("groups")}
    return [
        _other_currency(str(code or local_code(batch)), str(expected), f"the price list {group}")
        if (expected := groups.get(group)) and expected != (code or local_code(batch))
        else None
        for code, group in zip(batch.column("currencyCode"), batch.column("salesCode"), strict=True)
    ]


def _other_currency(found: str, expected: str, where: str) -> Refusal:
    return Refusal(
        code="PL-03",
        message=f"currencyCode is {found}, and {where} is in {expected}",
        remedy=f"enter the prices of one group in one currency: {expected}, or delete the price list for another one",
        field="currencyCode",
        value=found,
    )


@compute(
    reads=("code",),
    needs=(
        *LOCAL_CURRENCY,
        _prices(lambda batch: batch.column("code")),
        Need(
            name="currencies",
            couplings="CURRENCY",
            key="key",
            of=lambda batch: [row["currencyCode"] for row in batch.table("prices")],
        ),
    ),
)
def currency(batch: Batch) -> list[Scalar | Refusal]:
    """The currency of a group's prices, which has to be one (PL-02, PL-03); the local one where it has none."""
    known: dict[Scalar, Scalar] = {row["key"]: row["dataverse_id"] for row in batch.table("currencies")}
    known[local_code(batch)] = local_currency(batch)
    prices: dict[Scalar, list[Found]] = {}
    for row in _of_groups(batch):
        prices.setdefault(row["salesCode"], []).append(row)
    return [_currency_of(prices.get(code, ()), known, local_code(batch)) for code in batch.column("code")]


def _currency_of(prices: Iterable[Found], known: dict[Scalar, Scalar], local: str) -> Scalar | Refusal:
    ordered = sorted(prices, key=lambda row: (str(row["itemNo"]), str(row["startingDate"] or "")))
    codes = [str(row["currencyCode"] or local) for row in ordered] or [local]
    other = next((place for place, code in enumerate(codes) if code != codes[0]), None)
    if other is not None:
        return _other_currency(codes[other], codes[0], f"the first price of the group, of item {ordered[0]['itemNo']},")
    if codes[0] in known:
        return known[codes[0]]
    return Refusal(
        code="PL-02",
        message=f"currency {codes[0]} of its prices is not coupled in CURRENCY",
        remedy=f"synchronise {codes[0]} in CURRENCY, then this group goes through by itself",
        field="currencyCode",
        value=codes[0],
        kind="dependency",
        via="CURRENCY",
        by_key=True,
    )


@complete(reads=("description",))
def description(batch: Batch) -> list[dict[str, Scalar]]:
    """A new price list is described as its group (PL-01)."""
    return [{"description": text} if text else {} for text in batch.column("description")]


def _codes_to_send(batch: Batch) -> list[Scalar]:
    return [line.unit for line, _ in _to_send(batch)]


def _to_send(batch: Batch) -> list[tuple[Line, Found]]:
    """The prices that will become lines."""
    chosen = ((line, _chosen(prices, batch.today)) for line, prices in _lines(batch).items())
    return [(line, price) for line, price in chosen if price]


_READY = (
    *LOCAL_CURRENCY,
    _prices(lambda batch: batch.column("code")),
    _ITEMS,
    Need(
        name="coupled_items",
        couplings=ITEMS,
        key="key",
        of=lambda batch: [row["itemNo"] for row in batch.table("prices")],
    ),
)


@refuse(reads=("code",), needs=(*_READY, *unit.behind(_codes_to_send)))
def lines_are_ready(batch: Batch) -> list[Refusal | None]:
    """Before a list is written, the items and units of its prices are there (PL-05).

    An item outside the filter of its mapping holds nothing but its own price.
    """
    found = unit.resolve(batch, _codes_to_send(batch), "unitOfMeasureCode")
    return _ready(batch, lambda line: found[line.unit])


def _sold_to_send(batch: Batch) -> list[Sold]:
    return [Sold(ITEM, line.item, line.unit) for line, _ in _to_send(batch)]


@refuse(reads=("code",), needs=(*_READY, *units_behind(_sold_to_send)))
def lines_are_ready_in_groups(batch: Batch) -> list[Refusal | None]:
    """The same where each item has a unit group of its own (UOM-14)."""
    found = units(batch, _sold_to_send(batch), "unitOfMeasureCode")
    return _ready(batch, lambda line: found[Sold(ITEM, line.item, line.unit)])


def _ready(batch: Batch, unit_of: Callable[[Line], unit.Unit | Refusal]) -> list[Refusal | None]:
    coupled = {row["key"] for row in batch.table("coupled_items")}
    inside = {row["number"]: bool(row["inside"]) for row in batch.table("items")}
    found: dict[Scalar, Refusal] = {}
    for line, _ in _to_send(batch):
        of_unit = unit_of(line)
        if line.item not in coupled:
            if inside.get(line.item):
                found.setdefault(line.group, _missing(line.item))
        elif isinstance(of_unit, Refusal):
            found.setdefault(line.group, of_unit)
    return [found.get(code) for code in batch.column("code")]


def _missing(item: str) -> Refusal:
    return Refusal(
        code="PL-05",
        message=f"item {item} of its prices is not coupled in {ITEMS}",
        remedy=f"synchronise {item} in {ITEMS}, then this group goes through by itself",
        field="itemNo",
        value=item,
        kind="dependency",
        via=ITEMS,
        by_key=True,
    )

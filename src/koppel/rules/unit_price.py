"""A price for each unit of a product in the default price list, where each has a unit group of its own (UOM-10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from koppel.engine.action import FollowUp
from koppel.engine.rule import Batch, Found, Need, follow, precede
from koppel.rules.document import ITEM, PRODUCTS, RESOURCE
from koppel.rules.price import (
    DEFAULT_LIST,
    FOR_LINES,
    LINES,
    PriceList,
    default_price_list,
    line_write,
    list_first,
    price_id,
    products_behind,
)
from koppel.rules.unit_group import UNITS

_UNIT_COLUMNS = ("uomid", "uomscheduleid", "quantity")
_UNITS = (
    Need(
        name="units",
        side="dataverse",
        table="uom",
        columns=_UNIT_COLUMNS,
        key="uomscheduleid",
        of=lambda batch: [row["defaultuomscheduleid"] for row in batch.table("products")],
    ),
    *(
        Need(
            name=f"{type} units",
            couplings=UNITS[type].mapping,
            key="dataverse_id",
            of=lambda batch: [row["uomid"] for row in batch.table("units")],
        )
        for type in UNITS
    ),
)


class _Priced(NamedTuple):
    """A product in a unit, and the record that asks for its price."""

    record: str
    name: str
    product: Found
    unit: Found


@precede(reads=("number",), needs=(*FOR_LINES, *_UNITS))
def lines_first(batch: Batch) -> list[FollowUp]:
    """The default price list, and of products that exist prices in it: only then it can be their default."""
    found = default_price_list(batch)
    return [*list_first(batch, found), *(line for line in _lines(batch, found, _of_products(batch)) if line.create)]


@follow(reads=("number",), needs=(*FOR_LINES, *_UNITS), foreseen=True)
def lines(batch: Batch) -> list[FollowUp]:
    """A line of each product for each of its units in the default price list (PROD-09, UOM-10)."""
    return _lines(batch, default_price_list(batch), _of_products(batch))


def _of_products(batch: Batch) -> Iterator[_Priced]:
    """Products in the units that stand for one of Business Central: not in the base unit that Dataverse makes."""
    coupled = {row["dataverse_id"] for type in UNITS for row in batch.table(f"{type} units")}
    units: dict[object, list[Found]] = {}
    for row in batch.table("units"):
        if row["uomid"] in coupled:
            units.setdefault(row["uomscheduleid"], []).append(row)
    products = {str(row["productid"]): row for row in batch.table("products")}
    for record, partner, number in zip(batch.records, batch.partners, batch.column("number"), strict=True):
        if product := products.get(partner):
            for unit in units.get(product["defaultuomscheduleid"], ()):
                yield _Priced(record.id, str(number), product, unit)


def _lines(batch: Batch, found: PriceList, priced: Iterable[_Priced]) -> list[FollowUp]:
    there = {(row["productid"], row["uomid"]): row for row in batch.table("lines") if row["pricelevelid"] == found.id}
    return [
        write
        for one in priced
        if (write := _line(found, one, there.get((one.product["productid"], one.unit["uomid"]))))
    ]


def _line(found: PriceList, one: _Priced, line: Found | None) -> FollowUp | None:
    unit, product = one.unit, one.product
    wanted = {
        "uomid": unit["uomid"],
        "uomscheduleid": unit["uomscheduleid"],
        "amount": float(product["price"] or 0) * float(unit["quantity"] or 0),
    }
    id = price_id(found.id, product["productid"], unit["uomid"])
    return line_write(found, id, product, line, wanted, record=one.record, name=one.name)


def _behind_units(type: str) -> tuple[Need, ...]:
    return (
        *DEFAULT_LIST,
        Need(
            name="sold",
            couplings=PRODUCTS[type],
            key="key",
            of=lambda batch: batch.column(UNITS[type].number),
        ),
        products_behind(lambda batch: [row["dataverse_id"] for row in batch.table("sold")]),
        LINES,
        Need(
            name="units",
            side="dataverse",
            table="uom",
            columns=_UNIT_COLUMNS,
            key="uomid",
            of=lambda batch: batch.partners,
        ),
    )


def _of_units(batch: Batch, type: str) -> Iterator[_Priced]:
    products = {row["productid"]: row for row in batch.table("products")}
    sold = {row["key"]: products.get(row["dataverse_id"]) for row in batch.table("sold")}
    units = {row["uomid"]: row for row in batch.table("units")}
    numbers = batch.column(UNITS[type].number)
    for record, partner, number in zip(batch.records, batch.partners, numbers, strict=True):
        product, unit = sold.get(number), units.get(partner)
        if product and unit and product["defaultuomscheduleid"] == unit["uomscheduleid"]:
            yield _Priced(record.id, str(number), product, unit)


def _of_unit(type: str) -> Callable[[Batch], list[FollowUp]]:
    def found(batch: Batch) -> list[FollowUp]:
        prices = default_price_list(batch)
        return _lines(batch, prices, _of_units(batch, type)) if prices.exists else []

    return found


_of_item_unit, _of_resource_unit = _of_unit(ITEM), _of_unit(RESOURCE)


@follow(reads=("itemNo",), needs=_behind_units(ITEM), foreseen=True)
def line_of_item_unit(batch: Batch) -> list[FollowUp]:
    """The price of a coupled item in this unit (UOM-10)."""
    return _of_item_unit(batch)


@follow(reads=("resourceNo",), needs=_behind_units(RESOURCE), foreseen=True)
def line_of_resource_unit(batch: Batch) -> list[FollowUp]:
    """The price of a coupled resource in this unit (UOM-10)."""
    return _of_resource_unit(batch)

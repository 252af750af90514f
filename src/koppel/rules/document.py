"""What sales documents of Business Central have in common: the products on their lines, and money."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from koppel.engine.rule import Batch, Found, Need
from koppel.odata.records import Scalar

ITEM, RESOURCE = "Item", "Resource"
PRODUCTS: Mapping[str, str] = {ITEM: "ITEM-PRODUCT", RESOURCE: "RESOURCE-PRODUCT"}
"""The mapping that couples what a line of a type sells."""
ORDERS_BOTH = "SALESORDER-ORDER-TWO-WAY"
"""The mapping of orders that go both ways."""


class Kind(msgspec.Struct, frozen=True):
    """A document of Dataverse that becomes one of Business Central.

    ``word``: what people call it. ``number``: its column with the number; ``details`` are its lines there, ``link``
    their column that names it. ``headers``, ``lines``: the tables of Business Central. ``days``: columns with a day,
    and what they are there. ``as_it_is``: prices keep their VAT, and every text stands below its line.
    ``in_units``: lines say their unit, which is one of several (UOM-14).
    """

    word: str
    number: str
    details: str
    link: str
    headers: str
    lines: str
    days: Mapping[str, str]
    as_it_is: bool = False
    in_units: bool = False


_DELIVERY = {"requestdeliveryby": "requestedDeliveryDate"}
ORDER = Kind("order", "ordernumber", "salesorderdetail", "salesorderid", "salesOrders", "salesOrderLines", _DELIVERY)
QUOTE = Kind(
    "quote",
    "quotenumber",
    "quotedetail",
    "quoteid",
    "salesQuotes",
    "salesQuoteLines",
    {**_DELIVERY, "effectiveto": "validUntilDate"},
    as_it_is=True,
)


def in_units(kind: Kind) -> Kind:
    """The same documents, where lines say their unit."""
    return msgspec.structs.replace(kind, in_units=True)


class Line(msgspec.Struct, frozen=True):
    """What a line sells: the type as Business Central's pages spell it, and the number of the item or resource."""

    type: str
    number: str


def lines_of(rows: Iterable[Found]) -> list[Line]:
    """What these lines sell, without those that sell nothing."""
    found = (Line(str(row["lineType"]), str(row["lineObjectNumber"] or "")) for row in rows)
    return [line for line in found if line.number]


def coupled_products(lines: Callable[[Batch], Iterable[Line]]) -> tuple[Need, ...]:
    """The couplings of the items and resources on lines."""

    def need(type: str) -> Need:
        return Need(
            name=f"coupled {type}",
            couplings=PRODUCTS[type],
            key="key",
            of=lambda batch: [line.number for line in lines(batch) if line.type == type],
        )

    return tuple(need(type) for type in PRODUCTS)


def product_ids(batch: Batch) -> dict[Line, str]:
    """The products of Dataverse by what lines sell, as far as it is coupled (``coupled_products``)."""
    return {
        Line(type, str(row["key"])): str(row["dataverse_id"])
        for type in PRODUCTS
        for row in batch.table(f"coupled {type}")
    }


def rows_by_document(rows: Iterable[Found]) -> dict[Scalar, list[Found]]:
    """Lines by the document that they belong to."""
    found: dict[Scalar, list[Found]] = {}
    for row in rows:
        found.setdefault(row["documentId"], []).append(row)
    return found


WRITE_IN = Need(
    name="write_in",
    table="salesReceivablesSetup",
    columns=("writeInProductType", "writeInProductNo"),
    optional=True,  # without it nothing is written in
)


def write_ins(batch: Batch) -> set[Line]:
    """The item or resource that stands for what is written into orders (PROD-03), if there is one (``WRITE_IN``)."""
    rows = batch.table("write_in")
    return {
        Line(str(row["writeInProductType"]), str(row["writeInProductNo"])) for row in rows if row["writeInProductNo"]
    }


def amount(value: Scalar) -> Decimal:
    """An amount to reckon with; a blank is nothing."""
    return Decimal(str(value or 0))


def money(value: Decimal, decimals: int) -> float:
    """An amount as it goes over the wire, rounded half up."""
    return float(value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))

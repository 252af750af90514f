"""Lines of sales orders that go both ways (SO-42, SO-43, SO-46)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, Parts, complete, compute, follow, precede
from koppel.odata.records import Scalar
from koppel.rules import line_unit
from koppel.rules.document import (
    ITEM,
    ORDER,
    ORDERS_BOTH,
    PRODUCTS,
    WRITE_IN,
    Line,
    amount,
    coupled_products,
    lines_of,
    money,
    product_ids,
    write_ins,
)
from koppel.rules.document_price import new_price
from koppel.rules.invoice_line import tax_of
from koppel.rules.order_line import ARTICLES, PRICE_DECIMALS, VAT, Article, articles, write_in

_ROOM = 100
"""Characters that a line of Business Central takes of a text."""
_SOLD = ("lineType", "lineObjectNumber")
_COUPLED = coupled_products(lambda batch: lines_of(batch.rows()))
_PRODUCTS = Need(
    name="products",
    side="dataverse",
    table="product",
    columns=("productid", "defaultuomid", "price", "statecode"),
    key="productid",
    of=lambda batch: product_ids(batch).values(),
)
SALE = (*_COUPLED, _PRODUCTS, WRITE_IN)
"""What ``product``, ``unit`` and ``in_dataverse`` look at."""


@compute(reads=_SOLD, needs=SALE)
def product(batch: Batch) -> list[Scalar | Refusal]:
    """The product of a coupled item or resource; none of what is written in (SO-43)."""
    products, written = product_ids(batch), write_ins(batch)
    return [None if line in written else products.get(line) or _unsold(line) for line in _lines(batch)]


def _lines(batch: Batch) -> list[Line]:
    return [Line(str(row["lineType"]), str(row["lineObjectNumber"] or "")) for row in batch.rows()]


def _unsold(line: Line) -> Refusal:
    mapping = PRODUCTS.get(line.type, "")
    return Refusal(
        code="SO-43",
        message=f"{line.type.lower()} {line.number} is not coupled in {mapping}",
        remedy=f"synchronise {line.number} in {mapping}, then this line goes through by itself",
        field="lineObjectNumber",
        value=line.number,
        kind="dependency",
        via=mapping,
        by_key=True,
    )


@compute(reads=_SOLD, needs=SALE)
def unit(batch: Batch) -> list[Scalar | Refusal]:
    """The product's default unit (SO-43)."""
    return [*_base_units(batch)]


SALE_IN_GROUPS = (*SALE, *line_unit.TO_DATAVERSE)


@compute(reads=(*_SOLD, "unitOfMeasureCode"), needs=SALE_IN_GROUPS)
def unit_in_group(batch: Batch) -> list[Scalar | Refusal]:
    """The unit of the line in the unit group of what it sells, or the base unit (UOM-14)."""
    base = _base_units(batch)
    found = line_unit.in_dataverse(batch, base)
    return [default and unit for default, unit in zip(base, found, strict=True)]


def _base_units(batch: Batch) -> list[Scalar]:
    written = write_ins(batch)
    return [None if line in written else unit for line, unit in zip(_lines(batch), _defaults(batch), strict=True)]


def _defaults(batch: Batch) -> list[Scalar]:
    """The default unit of the product that is behind each line, if there is one."""
    units, products = {row["productid"]: row["defaultuomid"] for row in batch.table("products")}, product_ids(batch)
    return [units.get(products.get(line)) for line in _lines(batch)]


_TERMS = Need(
    name="terms",
    table=ORDER.headers,
    columns=("id", "pricesIncludeTax"),
    key="id",
    of=lambda batch: batch.column("documentId"),
)


@compute(reads=("documentId", "netAmount", "netAmountIncludingTax"), needs=(_TERMS,))
def tax(batch: Batch) -> list[Scalar | Refusal]:
    """Amount including VAT less amount (SO-43); nothing is to be added to prices that include it."""
    including = {row["id"] for row in batch.table("terms") if row["pricesIncludeTax"]}
    return [0.0 if row["documentId"] in including else float(tax_of(row)) for row in batch.rows()]


_LISTED = (
    Need(
        name="lines",
        table=ORDER.lines,
        columns=(
            "id",
            "documentId",
            *_SOLD,
            "unitPrice",
            "discountAmount",
            "vatBusPostingGroup",
            "vatProdPostingGroup",
        ),
        key="id",
        of=lambda batch: [id for id, row in _by_list(batch) if id],
    ),
    msgspec.structs.replace(_TERMS, of=lambda batch: [row["documentId"] for row in batch.table("lines")]),
    Need(
        name="items",
        table="items",
        columns=("number", "priceIncludesTax", "vatBusPostingGrPrice"),
        key="number",
        of=lambda batch: [row["lineObjectNumber"] for row in batch.table("lines") if row["lineType"] == ITEM],
    ),
    VAT,
)


def _by_list(batch: Batch) -> list[tuple[str, Found]]:
    """Lines of Dataverse at the price of its price list, by the id of Business Central's."""
    return [found for found in zip(batch.partners, batch.rows(), strict=True) if not found[1]["ispriceoverridden"]]


@follow(
    side="dataverse",
    reads=("ispriceoverridden", "priceperunit"),
    needs=_LISTED,
    writes={ORDER.lines: ("unitPrice", "discountAmount")},
)
def without_tax(batch: Batch) -> list[FollowUp]:
    """The price of a price list includes VAT if the item's does: it is taken out for customers like this one (SO-11).

    Dataverse gets what is left in the same run, as an overridden price, and with the VAT beside it.
    """
    lines = {row["id"]: row for row in batch.table("lines")}
    including = {row["id"] for row in batch.table("terms") if row["pricesIncludeTax"]}
    groups = {row["number"]: row["vatBusPostingGrPrice"] for row in batch.table("items") if row["priceIncludesTax"]}
    rates = {(row["vatBusPostingGroup"], row["vatProdPostingGroup"]): row["vatPercent"] for row in batch.table("vat")}
    records = {id: record.id for id, record in zip(batch.partners, batch.records, strict=True)}
    return [
        _taken_out(records[id], line, amount(rates.get((group, line["vatProdPostingGroup"]))))
        for id, row in _by_list(batch)
        if (line := lines.get(id)) and line["documentId"] not in including
        if (group := groups.get(line["lineObjectNumber"])) and group == line["vatBusPostingGroup"]
        if line["unitPrice"] and amount(line["unitPrice"]) == amount(row["priceperunit"])  # not taken out yet
    ]


def _taken_out(record: str, line: Found, percent: Decimal) -> FollowUp:
    return FollowUp(
        side="business_central",
        table=ORDER.lines,
        id=str(line["id"]),
        values={
            "unitPrice": money(amount(line["unitPrice"]) / (1 + percent / 100), PRICE_DECIMALS),
            "discountAmount": line["discountAmount"],  # Business Central keeps its share of the price otherwise
        },
        record=record,
        name=str(line["lineObjectNumber"]),
        reason="the price of its price list includes VAT (SO-11)",
    )


@complete(reads=(*_SOLD, "description"), needs=(WRITE_IN,))
def in_dataverse(batch: Batch) -> list[Parts | Refusal]:
    """What is written in has a text instead of a product (SO-43)."""
    written = write_ins(batch)
    found = zip(_lines(batch), batch.rows(), strict=True)
    return [
        {"isproductoverridden": True, "productdescription": str(row["description"] or line.number)}
        if line in written
        else {"isproductoverridden": False}
        for line, row in found
    ]


_DETAILS = Need(
    name="details",
    side="dataverse",
    table=ORDER.details,
    columns=("salesorderdetailid", "productid"),
    key="salesorderdetailid",
    of=lambda batch: [record.id for record in batch.records],
)


@complete(
    side="dataverse",
    reads=("productid", "productdescription", "description"),
    needs=(_DETAILS, *ARTICLES),
    writes={"": (*_SOLD, "description")},
)
def in_business_central(batch: Batch) -> list[Parts | Refusal]:
    """What a new line of Business Central is of, and the text of what is written in (SO-46)."""
    return _new_lines(batch)


@complete(
    side="dataverse",
    reads=("productid", "productdescription", "description", "uomid"),
    needs=(
        msgspec.structs.replace(_DETAILS, columns=(*_DETAILS.columns, "uomid")),
        *ARTICLES,
        *line_unit.TO_BUSINESS_CENTRAL,
    ),
    writes={"": (*_SOLD, "description", "unitOfMeasureCode")},
)
def in_business_central_in_units(batch: Batch) -> list[Parts | Refusal]:
    """The same, in the unit of the line (UOM-14)."""
    codes = {type: line_unit.codes(batch, type) for type in PRODUCTS}
    return [
        found if isinstance(found, Refusal) or not row["productid"] else _in_unit(found, codes, row["uomid"])
        for found, row in zip(_new_lines(batch), batch.rows(), strict=True)
    ]


def _in_unit(sold: Parts, codes: Mapping[str, Mapping[Scalar, str | Refusal]], unit: Scalar) -> Parts | Refusal:
    code = codes[str(sold["lineType"])].get(unit, "")
    return code if isinstance(code, Refusal) else {**sold, **({"unitOfMeasureCode": code} if code else {})}


def _new_lines(batch: Batch) -> list[Parts | Refusal]:
    known, other = articles(batch, ORDER), write_in(batch)
    return [
        article if isinstance(article, Refusal) else _of(article, row)
        for row in batch.rows()
        for article in (known[row["productid"]] if row["productid"] else other,)
    ]


def _of(article: Article, row: Mapping[str, Scalar]) -> Parts:
    text = str(row["productdescription"] or row["description"] or "").strip()[:_ROOM]
    sold: Parts = {"lineType": article.type, "lineObjectNumber": article.number}
    return sold if row["productid"] or not text else {**sold, "description": text}


PRICES = (
    Need(name="coupled", couplings=ORDERS_BOTH, key="business_central_id", of=lambda batch: batch.column("documentId")),
    Need(
        name="orders",
        side="dataverse",
        table="salesorder",
        columns=("salesorderid", "pricelevelid"),
        key="salesorderid",
        of=lambda batch: [row["dataverse_id"] for row in batch.table("coupled")],
    ),
    Need(
        name="prices",
        side="dataverse",
        table="productpricelevel",
        columns=("pricelevelid", "productid", "uomid"),
        key="productid",
        of=lambda batch: product_ids(batch).values(),
    ),
)
"""The price lists of orders, by Business Central's, and what is on them."""


@precede(reads=("documentId", *_SOLD), needs=(*_COUPLED, _PRODUCTS, *PRICES))
def price_first(batch: Batch) -> list[FollowUp]:
    """A product's own price in the price list of its order: without one Dataverse takes no line (SO-42)."""
    return _prices_first(batch, _defaults(batch), {})


@precede(reads=("documentId", *_SOLD, "unitOfMeasureCode"), needs=(*SALE_IN_GROUPS, *PRICES))
def price_first_in_groups(batch: Batch) -> list[FollowUp]:
    """The same for the unit of the line (UOM-14)."""
    held = {row["uomid"]: amount(row["quantity"]) for row in batch.table("units_there")}
    return _prices_first(batch, unit_in_group(batch), held)


def _prices_first(batch: Batch, units: Iterable[Scalar | Refusal], held: Mapping[Scalar, Decimal]) -> list[FollowUp]:
    """``held``: how many base units a unit holds, where that is not one."""
    orders = {row["salesorderid"]: row["pricelevelid"] for row in batch.table("orders")}
    lists = {row["business_central_id"]: orders.get(row["dataverse_id"]) for row in batch.table("coupled")}
    there = {(row["pricelevelid"], row["productid"], row["uomid"]) for row in batch.table("prices")}
    goods, products = {row["productid"]: row for row in batch.table("products")}, product_ids(batch)
    found = []
    rows = zip(batch.records, _lines(batch), units, batch.column("documentId"), strict=True)
    for record, line, unit, document in rows:
        good = goods.get(products.get(line), {})
        wanted = (lists.get(document), good.get("productid"), None if isinstance(unit, Refusal) else unit)
        if all(wanted) and wanted not in there:
            there.add(wanted)
            price = float(amount(good["price"]) * held.get(wanted[2], 1))
            found.append(new_price(*wanted, price, record=record.id, name=line.number))
    return found

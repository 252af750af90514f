"""Price lists and their lines: the default price list that Koppel keeps (PROD-08 … PROD-10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, compute, follow, precede
from koppel.odata.records import Record, Scalar
from koppel.rules.currency import LOCAL_CURRENCY, local_code, local_currency
from koppel.rules.product import RETIRED

CURRENCY_AMOUNT = 1
"""The pricing method of every line: an amount of money (SPR-05)."""


def price_id(price_list: Scalar, product: Scalar, unit: Scalar) -> str:
    """The id of a price in one of several units, or of one that is made on demand."""
    return str(uuid5(NAMESPACE_URL, f"koppel:price:{price_list}:{product}:{unit}"))


class PriceList(NamedTuple):
    """The default price list; ``exists``: in Dataverse already."""

    id: str
    name: str
    exists: bool


def _named(batch: Batch, *, with_currency: bool) -> str:
    product = batch.parameters.get("product", "Business Central")
    return f"{product} {f'{local_code(batch)} ' if with_currency else ''}Default Price List"


def _id_of(batch: Batch) -> str:
    return str(uuid5(NAMESPACE_URL, f"koppel:price-list:{_named(batch, with_currency=True)}"))


_LIST_COLUMNS = ("pricelevelid", "name", "transactioncurrencyid")
DEFAULT_LIST = (
    *LOCAL_CURRENCY,
    Need(
        name="lists_made",
        side="dataverse",
        table="pricelevel",
        columns=_LIST_COLUMNS,
        key="pricelevelid",
        of=lambda batch: [_id_of(batch)],
    ),
    Need(
        name="lists_named",
        side="dataverse",
        table="pricelevel",
        columns=_LIST_COLUMNS,
        key="name",
        of=lambda batch: [_named(batch, with_currency=False), _named(batch, with_currency=True)],
    ),
)


def default_price_list(batch: Batch) -> PriceList:
    """The list that Koppel made, whatever it is called by now; else one of its name in local currency; else the one
    that is to be made, which bears the currency in its name where the plain name is taken by another one."""
    currency = local_currency(batch)
    lists = {row["name"]: row for row in batch.table("lists_named")}
    names = [_named(batch, with_currency=False), _named(batch, with_currency=True)]
    known = [*batch.table("lists_made"), *(lists[name] for name in names if name in lists)]
    for row in known:
        if row["transactioncurrencyid"] == currency:
            return PriceList(str(row["pricelevelid"]), str(row["name"]), exists=True)
    return PriceList(_id_of(batch), names[names[0] in lists], exists=False)


@compute(reads=(), needs=DEFAULT_LIST)
def default_list(batch: Batch) -> list[Scalar | Refusal]:
    """The default price list of every product (PROD-08)."""
    return [default_price_list(batch).id] * len(batch.records)


def products_behind(ids: Callable[[Batch], Iterable[Scalar]]) -> Need:
    """The products whose prices are looked after."""
    return Need(
        name="products",
        side="dataverse",
        table="product",
        columns=("productid", "statecode", "price", "defaultuomid", "defaultuomscheduleid"),
        key="productid",
        of=ids,
    )


LINES = Need(
    name="lines",
    side="dataverse",
    table="productpricelevel",
    columns=("productpricelevelid", "pricelevelid", "productid", "uomid", "uomscheduleid", "amount"),
    key="productid",
    of=lambda batch: [row["productid"] for row in batch.table("products")],
)
FOR_LINES = (*DEFAULT_LIST, products_behind(lambda batch: batch.partners), LINES)


@precede(reads=("number",), needs=FOR_LINES)
def default_line_first(batch: Batch) -> list[FollowUp]:
    """The default price list, and of products that exist a price in it: only then it can be their default."""
    found = default_price_list(batch)
    return [*list_first(batch, found), *(line for line in _default_lines(batch, found) if line.create)]


@follow(reads=("number",), needs=FOR_LINES, foreseen=True)
def default_line(batch: Batch) -> list[FollowUp]:
    """One line of each product in the default price list, with its price (PROD-09, PROD-10)."""
    return _default_lines(batch, default_price_list(batch))


def list_first(batch: Batch, found: PriceList) -> list[FollowUp]:
    """The default price list, for each record that needs it, if it is still to be made (PROD-08)."""
    return [] if found.exists else [_new_list(batch, found, record) for record in batch.records]


def _new_list(batch: Batch, found: PriceList, record: Record) -> FollowUp:
    return FollowUp(
        side="dataverse",
        table="pricelevel",
        id=found.id,
        values={"name": found.name, "transactioncurrencyid": local_currency(batch)},
        record=record.id,
        create=True,
        name=found.name,
        reason="products have their prices in the default price list (PROD-08)",
    )


def _default_lines(batch: Batch, found: PriceList) -> list[FollowUp]:
    products = {str(row["productid"]): row for row in batch.table("products")}
    lines: dict[Scalar, list[Found]] = {}
    for row in batch.table("lines"):
        if row["pricelevelid"] == found.id:
            lines.setdefault(row["productid"], []).append(row)
    writes = [
        _default_line(found, record.id, str(number), products[partner], lines.get(partner, ()))
        for record, partner, number in zip(batch.records, batch.partners, batch.column("number"), strict=True)
        if partner in products
    ]
    return [write for write in writes if write]


def _default_line(
    prices: PriceList, record: str, number: str, product: Found, lines: Iterable[Found]
) -> FollowUp | None:
    wanted: dict[str, Scalar] = {
        "uomid": product["defaultuomid"],
        "uomscheduleid": product["defaultuomscheduleid"],
        "amount": product["price"] or 0,
    }
    # A line in the product's own unit comes before one that somebody made in another.
    line = min(lines, key=lambda row: row["uomid"] != product["defaultuomid"], default=None)
    id = str(uuid5(NAMESPACE_URL, f"koppel:price:{prices.id}:{product['productid']}"))
    return line_write(prices, id, product, line, wanted, record=record, name=number)


def line_write(
    prices: PriceList, id: str, product: Found, line: Found | None, wanted: dict[str, Scalar], *, record: str, name: str
) -> FollowUp | None:
    """What makes a ``line`` of the default price list hold what is ``wanted``; a new one gets this ``id``."""
    common = {"side": "dataverse", "table": "productpricelevel", "record": record, "name": name}
    reason = "the price in the default price list is that of the product (PROD-09)"
    if line is None:
        if product["statecode"] == RETIRED:
            return None  # Dataverse adds no retired product to a price list
        new = {"pricelevelid": prices.id, "productid": product["productid"], "pricingmethodcode": CURRENCY_AMOUNT}
        return FollowUp(id=id, values={**new, **wanted}, create=True, reason=reason, **common)  # type: ignore[arg-type]
    changed = {column: value for column, value in wanted.items() if line[column] != value}
    if not changed:
        return None
    return FollowUp(id=str(line["productpricelevelid"]), values=changed, reason=reason, **common)  # type: ignore[arg-type]

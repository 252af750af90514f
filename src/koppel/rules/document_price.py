"""Price lists of documents: one a currency, or one an order, and the prices in them that Dataverse asks for (INV-09,
INV-17, SO-42)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import NAMESPACE_URL, uuid5

from koppel.engine.action import FollowUp
from koppel.engine.rule import Batch, Found, Need
from koppel.odata.records import Scalar
from koppel.rules.currency import local_code, local_currency
from koppel.rules.price import CURRENCY_AMOUNT, DEFAULT_LIST, PriceList, default_price_list, price_id

Codes = Callable[[Batch], Iterable[Scalar]]


def list_needs(codes: Codes) -> tuple[Need, ...]:
    """What ``price_lists`` looks at; ``codes``: the currencies of the documents."""
    return (
        *DEFAULT_LIST,
        Need(name="currencies", couplings="CURRENCY", key="key", of=codes),
        Need(
            name="lists_in",
            side="dataverse",
            table="pricelevel",
            columns=("pricelevelid", "name", "transactioncurrencyid"),
            key="name",
            of=lambda batch: [_name(row["key"]) for row in batch.table("currencies")],
        ),
    )


def _name(code: Scalar) -> str:
    return f"Price List in {code}"


def price_lists(batch: Batch) -> dict[Scalar, PriceList]:
    """The price list of each currency that is coupled, and of the local one: its default list (INV-09)."""
    there = {(row["name"], row["transactioncurrencyid"]): str(row["pricelevelid"]) for row in batch.table("lists_in")}
    found: dict[Scalar, PriceList] = {local_code(batch): default_price_list(batch)}
    for row in batch.table("currencies"):
        name = _name(row["key"])
        id = there.get((name, row["dataverse_id"]))
        made = str(uuid5(NAMESPACE_URL, f"koppel:price-list:{name}"))
        found.setdefault(row["key"], PriceList(id or made, name, exists=id is not None))
    return found


def new_lists(batch: Batch, wanted: Iterable[tuple[str, Scalar]]) -> list[FollowUp]:
    """The lists that are still to be made for records (id, currency code); a missing currency is not theirs to make."""
    lists, currencies = price_lists(batch), _currencies(batch)
    reason = "documents in this currency have their prices there (INV-09)"
    return [
        _new_list(lists[code], currencies[code], record, reason)
        for record, code in wanted
        if code in lists and not lists[code].exists
    ]


def _currencies(batch: Batch) -> dict[Scalar, Scalar]:
    """The currencies of Dataverse by their code in Business Central, as far as they are known."""
    coupled = {row["key"]: row["dataverse_id"] for row in batch.table("currencies")}
    return {**coupled, local_code(batch): local_currency(batch)}


def _new_list(found: PriceList, currency: Scalar, record: str, reason: str) -> FollowUp:
    return FollowUp(
        side="dataverse",
        table="pricelevel",
        id=found.id,
        values={"name": found.name, "transactioncurrencyid": currency},
        record=record,
        create=True,
        name=found.name,
        reason=reason,
    )


Wanted = Callable[[Batch], Iterable[tuple[str, Scalar, Scalar]]]
"""Orders that get a list of their own: the id of the record, its number and the code of its currency."""


def own_list_needs(wanted: Wanted) -> tuple[Need, ...]:
    """What ``own_lists`` looks at, besides ``list_needs``."""
    return (
        Need(
            name="own_lists",
            side="dataverse",
            table="pricelevel",
            columns=("pricelevelid", "name", "transactioncurrencyid"),
            key="name",
            of=lambda batch: [name for _, number, code in wanted(batch) for name in _own_names(number, code)],
        ),
    )


def _own_names(number: Scalar, code: Scalar) -> tuple[str, str]:
    """What the list of an order is called, and how if an order of this number had another currency before."""
    return f"Business Central Order {number} Price List", f"Business Central Order {number} {code} Price List"


def own_lists(batch: Batch, wanted: Iterable[tuple[str, Scalar, Scalar]]) -> dict[str, PriceList]:
    """The price list of each order, by the id of its record; a missing currency is not theirs to make (SO-42)."""
    there = {row["name"]: row for row in batch.table("own_lists")}
    currencies = _currencies(batch)
    found: dict[str, PriceList] = {}
    for record, number, code in wanted:
        plain, other = _own_names(number, code)
        known = next((n for n in (plain, other) if n in there and _is_in(there[n], currencies.get(code))), "")
        name = known or (other if plain in there else plain)
        id = str(there[known]["pricelevelid"]) if known else str(uuid5(NAMESPACE_URL, f"koppel:price-list:{name}"))
        if code in currencies:
            found[record] = PriceList(id, name, exists=bool(known))
    return found


def _is_in(row: Found, currency: Scalar) -> bool:
    return row["transactioncurrencyid"] == currency


def new_own_lists(batch: Batch, wanted: Iterable[tuple[str, Scalar, Scalar]]) -> list[FollowUp]:
    """The lists of orders that are still to be made."""
    orders, currencies = list(wanted), _currencies(batch)
    lists, reason = own_lists(batch, orders), "each order has its prices in a list of its own (SO-42)"
    return [
        _new_list(lists[record], currencies[code], record, reason)
        for record, _, code in orders
        if record in lists and not lists[record].exists
    ]


def new_price(price_list: Scalar, product: Scalar, unit: Scalar, amount: float, *, record: str, name: str) -> FollowUp:
    """A price that a line of a document needs in its price list (INV-17)."""
    return FollowUp(
        side="dataverse",
        table="productpricelevel",
        id=price_id(price_list, product, unit),
        values={
            "pricelevelid": price_list,
            "productid": product,
            "uomid": unit,
            "amount": amount,
            "pricingmethodcode": CURRENCY_AMOUNT,
        },
        record=record,
        create=True,
        name=name,
        reason="its price list has no price for this product and unit (INV-17)",
    )

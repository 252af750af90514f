"""Price lists of documents: one a currency, and the prices in them that Dataverse asks for (INV-09, INV-17)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import NAMESPACE_URL, uuid5

from koppel.engine.action import FollowUp
from koppel.engine.rule import Batch, Need
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
    lists = price_lists(batch)
    currencies = {row["key"]: row["dataverse_id"] for row in batch.table("currencies")}
    currencies[local_code(batch)] = local_currency(batch)
    return [
        FollowUp(
            side="dataverse",
            table="pricelevel",
            id=lists[code].id,
            values={"name": lists[code].name, "transactioncurrencyid": currencies[code]},
            record=record,
            create=True,
            name=lists[code].name,
            reason="documents in this currency have their prices there (INV-09)",
        )
        for record, code in wanted
        if code in lists and not lists[code].exists
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

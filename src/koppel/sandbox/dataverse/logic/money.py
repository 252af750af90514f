"""Money: a currency for every row that holds some, its rate, rounding, and the value in the base currency."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

CURRENCY = "_transactioncurrencyid_value"
PRICES = frozenset({"amount", "currentcost", "price", "priceperunit", "standardcost", "volumediscountamount"})
"""Columns that are rounded to the organisation's precision for prices, not to the currency's."""
FOLLOWERS = frozenset({"productpricelevel", "opportunityproduct", "quotedetail", "salesorderdetail", "invoicedetail"})
"""Tables whose rows have the currency of the row that they belong to; their own logic converts them."""
_BASE_DECIMALS = 4
_STEPS = [Decimal(1).scaleb(-decimals) for decimals in range(11)]


def settle(dataverse: Dataverse, table: str, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    """Bring currency, rate and base values of a row in line with what is being written."""
    schema = dataverse.schema.tables[table]
    if table in FOLLOWERS or CURRENCY not in schema.columns:
        return
    columns = schema.money
    touched = [name for name in columns if name in changed]
    moved = CURRENCY in changed
    if not touched and not moved:
        return
    if row.get(CURRENCY) is None and any(row[name] is not None for name in touched):
        row[CURRENCY] = default_currency(dataverse, caller)
    convert(dataverse, table, row)


def convert(dataverse: Dataverse, table: str, row: Row, rate: float | None = None) -> None:
    """Round all money of a row and write its values in the base currency, at ``rate`` or else today's."""
    currency = dataverse.row("transactioncurrency", row.get(CURRENCY))
    if currency is None:
        row["exchangerate"] = None
        return
    row["exchangerate"] = rate = rate or currency.get("exchangerate")
    amounts, prices = decimals(dataverse, currency)
    for name, base in dataverse.schema.tables[table].money.items():  # a new rate holds for all of the row's money
        value = row.get(name)
        if value is None:
            row.pop(base, None)
        else:
            row[name] = amount = rounded(value, prices if name in PRICES else amounts)
            row[base] = amount and rounded(amount / (rate or 1), _BASE_DECIMALS)


def decimals(dataverse: Dataverse, currency: Row) -> tuple[int, int]:
    """Of amounts in a currency, and of prices."""
    return int(currency.get("currencyprecision", 2)), int(dataverse.organization.get("pricingdecimalprecision", 2))


def default_currency(dataverse: Dataverse, caller: Caller) -> str:
    """The caller's own currency, else the organisation's."""
    user = dataverse.row("systemuser", caller.user) or {}
    return user.get(CURRENCY) or dataverse.base_currency


def rounded(value: float, decimals: int) -> float:
    """To so many decimals, halves away from zero, as the number is written and not as it is stored."""
    if round(value, decimals) == value:
        return value
    return float(Decimal(repr(value)).quantize(_STEPS[decimals], ROUND_HALF_UP))


def times(one: float, other: float, decimals: int) -> float:
    """A product, to so many decimals."""
    return float((Decimal(repr(one)) * Decimal(repr(other))).quantize(_STEPS[decimals], ROUND_HALF_UP))

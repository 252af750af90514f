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
_BASE_DECIMALS = 4
_STEPS = [Decimal(1).scaleb(-decimals) for decimals in range(11)]


def settle(dataverse: Dataverse, table: str, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    """Bring currency, rate and base values of a row in line with what is being written."""
    schema = dataverse.schema.tables[table]
    if CURRENCY not in schema.columns:
        return
    columns = schema.money
    touched = [name for name in columns if name in changed]
    moved = CURRENCY in changed
    if not touched and not moved:
        return
    if row.get(CURRENCY) is None and any(row[name] is not None for name in touched):
        row[CURRENCY] = default_currency(dataverse, caller)
    currency = dataverse.row("transactioncurrency", row.get(CURRENCY))
    if currency is None:
        row["exchangerate"] = None
        return
    row["exchangerate"] = currency.get("exchangerate")
    for name in columns:  # a new rate holds for all of the row's money
        _convert(dataverse, row, name, columns[name], currency)


def default_currency(dataverse: Dataverse, caller: Caller) -> str:
    """The caller's own currency, else the organisation's."""
    user = dataverse.row("systemuser", caller.user) or {}
    return user.get(CURRENCY) or dataverse.base_currency


def _convert(dataverse: Dataverse, row: Row, name: str, base: str, currency: Row) -> None:
    value = row.get(name)
    if value is None:
        row.pop(base, None)
        return
    row[name] = amount = rounded(value, _decimals(dataverse, name, currency))
    row[base] = rounded(amount / (currency.get("exchangerate") or 1), _BASE_DECIMALS)


def rounded(value: float, decimals: int) -> float:
    """To so many decimals, halves away from zero, as the number is written and not as it is stored."""
    if round(value, decimals) == value:
        return value
    return float(Decimal(repr(value)).quantize(_STEPS[decimals], ROUND_HALF_UP))


def _decimals(dataverse: Dataverse, name: str, currency: Row) -> int:
    if name in PRICES:
        return int(dataverse.organization.get("pricingdecimalprecision", 2))
    return int(currency.get("currencyprecision", 2))

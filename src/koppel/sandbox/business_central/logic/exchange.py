"""Exchange rates: how much of a currency stands for one of the local one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.amounts import CENT, exact, plain

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def currency_factor(work: Work, code: str, date: str) -> int | float:
    """The factor of a currency on a date; 0 for the local currency. ``ServiceError`` when no rate is known."""
    if not code:
        return 0
    rates = [
        rate
        for rate in work.store("currencyExchangeRates").having("currencyCode", code)
        if rate.get("startingDate", "") <= date
    ]
    if not rates:
        raise errors.ServiceError(
            400,
            "Internal_DataNotFoundFilter",
            "There is no Currency Exchange Rate within the filter. "
            f"Filters: Currency Code: {code}, Starting Date: ..{date}",
        )
    rate = max(rates, key=lambda row: row.get("startingDate", ""))
    if rate.get("relationalCurrencyCode"):
        raise errors.not_implemented("exchange rates by way of another currency")
    return plain(exact(rate.get("exchangeRateAmount", 0)) / exact(rate.get("relationalExchangeRateAmount", 1)))


def precision_of(work: Work, code: str) -> Decimal:
    """To what amounts in a currency are rounded."""
    currency = work.store("currencies").find(code) if code else None
    return exact(currency.get("amountRoundingPrecision") or CENT) if currency else CENT

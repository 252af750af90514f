"""Currencies: their exchange rates go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def _delete_rates(work: Work, row: Row) -> None:
    for rate in list(work.store("currencyExchangeRates").having("currencyCode", row["code"])):
        work.delete("currencyExchangeRates", rate["id"])


LOGIC = Logic(delete=_delete_rates)

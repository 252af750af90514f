"""Currencies: the ISO code is unique, and the base currency stays what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.errors import ServiceError, invalid_argument
from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

_TAKEN = "Cannot insert duplicate currency record. Currency with the same currency code already exist in the system."
_RATE_DECIMALS = 10


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    key = row["transactioncurrencyid"]
    code = row.get("isocurrencycode")
    if code is not None:
        row["isocurrencycode"] = code = code.upper()
        taken = dataverse.store.index("transactioncurrency", "isocurrencycode").find([code])
        if any(other != key for other in taken):
            raise ServiceError(400, "0x80048cf3", _TAKEN)
    _check_rate(row)


def _before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    _check_rate(row)
    if row["transactioncurrencyid"] != dataverse.base_currency:
        return
    if row["exchangerate"] != before["exchangerate"]:
        raise ServiceError(400, "0x80048cf5", "The exchange rate of the base currency cannot be modified.")
    if row["statecode"] != before["statecode"]:
        raise ServiceError(400, "0x80048cf4", "The base currency cannot be deactivated.")


def _before_delete(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    if row["transactioncurrencyid"] == dataverse.base_currency:
        raise ServiceError(400, "0x80048cff", "The base currency of an organization cannot be deleted.")


def _check_rate(row: Row) -> None:
    rate = row.get("exchangerate")
    if rate is None:
        return
    if rate <= 0:
        raise invalid_argument("The exchange rate of a currency must be greater than zero.")
    row["exchangerate"] = round(rate, _RATE_DECIMALS)


CURRENCY = TableLogic(before_create=_before_create, before_update=_before_update, before_delete=_before_delete)

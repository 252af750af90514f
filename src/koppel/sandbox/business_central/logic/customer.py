"""Customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.party import party_logic
from koppel.sandbox.business_central.logic.relation import CUSTOMER
from koppel.sandbox.business_central.pages import ZERO_GUID
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def _tax_area(work: Work, row: Row, before: str) -> None:
    if row.get("taxAreaId", ZERO_GUID) != ZERO_GUID:
        raise errors.not_implemented("tax areas")


LOGIC = party_logic(CUSTOMER, "CUST", {"taxAreaId": _tax_area})

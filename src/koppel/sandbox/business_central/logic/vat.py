"""VAT rates, and prices with and without VAT."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.amounts import HUNDRED, ONE, exact

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def percent_of(work: Work, business_group: str, product_group: str) -> Any:
    """The VAT rate of a customer's and a product's posting group. Without either there is no VAT."""
    setup = work.store("vatPostingSetup").find(business_group, product_group)
    if setup is not None:
        return setup.get("vatPercent", 0)
    if not business_group or not product_group:
        return 0
    fields = f"VAT Bus. Posting Group='{business_group}',VAT Prod. Posting Group='{product_group}'"
    raise errors.not_found("VAT Posting Setup", fields, status=400)


def price_for(price: Decimal, *, included: bool, wanted: bool, percent: Any) -> Decimal:
    """A price as a document wants it: with VAT or without. ``included``: it has VAT of that rate in it."""
    factor = ONE + exact(percent) / HUNDRED
    if included == wanted:
        return price
    return price * factor if wanted else price / factor

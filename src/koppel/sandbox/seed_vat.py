"""VAT as the sandbox has it: who pays which rate. The files of Adventure Works know nothing of it."""

from __future__ import annotations

from koppel.sandbox.adventureworks import record_id
from koppel.sandbox.tables import Row

STANDARD = "STANDARD"
"""VAT product posting group of everything that is sold."""
PERCENT = {"DOMESTIC": 8, "EU": 20, "EXPORT": 0}
"""Rates by VAT business posting group."""
_GROUPS = {"US": "DOMESTIC", "DE": "EU", "FR": "EU", "GB": "EU"}


def vat_group(country: str) -> str:
    """The VAT business posting group of a customer."""
    return _GROUPS.get(country, "EXPORT")


def vat_setup() -> list[Row]:
    """Rates by posting groups of customers and of what they buy; reduced ones are half of the standard ones."""
    return [
        {
            "id": record_id("vatPostingSetup", f"{business}/{product}"),
            "vatBusPostingGroup": business,
            "vatProdPostingGroup": product,
            "vatPercent": rate,
            "vatIdentifier": f"VAT{rate}",
        }
        for business, percent in PERCENT.items()
        for product, rate in ((STANDARD, percent), ("REDUCED", percent // 2))
    ]

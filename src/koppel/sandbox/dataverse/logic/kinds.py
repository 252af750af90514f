"""The four documents of a sale, each with its lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

OPEN = 0
"""The state in which any of the documents may be edited."""
SUBMITTED = 1


class Kind(msgspec.Struct, frozen=True):
    """A document: its table, that of its lines, and the lookup from line to document.

    ``leaves_to_erp``: amounts are left to the other system while that leads. ``strict``: customer and price list are
    asked for. ``mark``: a line's copy of the lock on prices.
    """

    table: str
    line: str
    leaves_to_erp: bool = False
    strict: bool = True
    mark: str = ""

    @property
    def link(self) -> str:
        """The column of a line that points to its document."""
        return f"_{self.table}id_value"


OPPORTUNITY = Kind("opportunity", "opportunityproduct", strict=False)
QUOTE = Kind("quote", "quotedetail")
SALES_ORDER = Kind("salesorder", "salesorderdetail", leaves_to_erp=True, mark="salesorderispricelocked")
INVOICE = Kind("invoice", "invoicedetail", leaves_to_erp=True, mark="invoiceispricelocked")
KINDS: Mapping[str, Kind] = {kind.table: kind for kind in (OPPORTUNITY, QUOTE, SALES_ORDER, INVOICE)}


def calculates(dataverse: Dataverse, kind: Kind, header: Row, caller: Caller) -> bool:
    """Whether the platform works out the amounts of a document.

    It does not when system pricing is off, when the prices are locked, or when the order integration leads: for
    integration users, and for everyone once the order is submitted.
    """
    organization = dataverse.organization
    if not organization.get("oobpricecalculationenabled", True) or header.get("ispricelocked"):
        return False
    if not kind.leaves_to_erp or not organization.get("issopintegrationenabled"):
        return True
    user = dataverse.row("systemuser", caller.user) or {}
    submitted = kind is SALES_ORDER and header["statecode"] == SUBMITTED
    return not submitted and not user.get("isintegrationuser")

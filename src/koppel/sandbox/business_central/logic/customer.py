"""Customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from koppel.catalogue.pages import ZERO_GUID
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import party, price
from koppel.sandbox.business_central.logic.documents import ORDER, QUOTE
from koppel.sandbox.business_central.logic.relation import CUSTOMER
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def _tax_area(work: Work, row: Row, before: str) -> None:
    if row.get("taxAreaId", ZERO_GUID) != ZERO_GUID:
        raise errors.not_implemented("tax areas")


def _delete(work: Work, row: Row) -> None:
    """Not as long as something is to be delivered to, or paid by, the customer."""
    number, name = row["number"], f"Customer {row['number']}"
    for kind in (ORDER, QUOTE):
        documents = work.store(kind.headers)
        if documents.having("customerNumber", number) or documents.having("billToCustomerNumber", number):
            raise errors.dialog(
                f"You cannot delete {name} because there is at least one outstanding Sales {kind.name} "
                "for this customer."
            )
    if any(entry.get("open") for entry in work.store("customerLedgerEntries").having("customerNumber", number)):
        raise errors.dialog(f"You cannot delete {name} because there are one or more open ledger entries.")


def _modified(work: Work, before: Row, after: Row) -> None:
    party.modified(CUSTOMER, work, before, after)
    if before["number"] != after["number"]:
        price.follow_buyer(work, "Customer", before["number"], after["number"])


def _deleted(work: Work, row: Row) -> None:
    party.deleted(CUSTOMER, work, row)
    price.forget_buyer(work, "Customer", row["number"])


LOGIC = msgspec.structs.replace(
    party.party_logic(CUSTOMER, "CUST", {"taxAreaId": _tax_area}),
    modified=_modified,
    delete=_delete,
    deleted=_deleted,
)

"""Opportunities: the currency that Dataverse asks for, and whom a new one is with (OPP-06, OPP-07)."""

from __future__ import annotations

from koppel.engine.rule import Batch, Need, complete
from koppel.odata.records import Scalar
from koppel.rules.currency import LOCAL_CURRENCY, local_currency


@complete(needs=LOCAL_CURRENCY)
def currency(batch: Batch) -> list[dict[str, Scalar]]:
    """Estimates are in local currency, and so is a new opportunity (OPP-06)."""
    return [{"transactioncurrencyid": local_currency(batch)} for _ in batch.records]


@complete(
    side="dataverse",
    reads=("parentcontactid",),
    needs=(
        Need(
            name="contacts",
            couplings="CONTACT",
            key="dataverse_id",
            of=lambda batch: batch.column("parentcontactid"),
        ),
    ),
    writes={"": ("contactNumber",)},
)
def contact(batch: Batch) -> list[dict[str, Scalar]]:
    """A new opportunity is with the contact that is coupled, whose company follows by itself (OPP-07)."""
    numbers = {row["dataverse_id"]: row["key"] for row in batch.table("contacts")}
    found = [numbers.get(id) for id in batch.column("parentcontactid")]
    return [{"contactNumber": number} if number else {} for number in found]

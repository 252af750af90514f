"""Contacts belong to a company: a customer's company contact here, an account there (CONT-02, CONT-03, CONT-05)."""

from __future__ import annotations

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, references, refuse
from koppel.engine.translate import References
from koppel.odata.records import Scalar

_RELATION = ("contactNumber", "linkToTable", "number")
_CUSTOMER = "Customer"


@references(
    needs=(
        Need(
            name="accounts",
            couplings="CUSTOMER",
            key="dataverse_id",
            of=lambda batch: batch.ids,
        ),
        Need(
            name="relations_of_contacts",
            table="contactBusinessRelations",
            columns=_RELATION,
            key="contactNumber",
            of=lambda batch: batch.keys,
        ),
        Need(
            name="customers",
            couplings="CUSTOMER",
            key="key",
            of=lambda batch: [row["number"] for row in batch.table("relations_of_contacts")],
        ),
        Need(
            name="relations_of_customers",
            table="contactBusinessRelations",
            columns=_RELATION,
            key="number",
            of=lambda batch: [row["key"] for row in batch.table("accounts")],
        ),
    )
)
def company(batch: Batch) -> References:
    """The number of a company contact stands for the account of its customer, through the business relation."""
    accounts = {row["key"]: row["dataverse_id"] for row in batch.table("customers")}
    company_of = {row["number"]: row["contactNumber"] for row in _customers(batch, "relations_of_customers")}
    return References(
        {
            str(row["contactNumber"]): accounts[row["number"]]
            for row in _customers(batch, "relations_of_contacts")
            if row["number"] in accounts
        },
        {row["dataverse_id"]: company_of[row["key"]] for row in batch.table("accounts") if row["key"] in company_of},
    )


def _customers(batch: Batch, need: str) -> list[dict[str, Scalar]]:
    return [dict(row) for row in batch.table(need) if row["linkToTable"] == _CUSTOMER]


@refuse(
    reads=("companyNumber",),
    needs=(
        Need(
            name="relations",
            table="contactBusinessRelations",
            columns=_RELATION,
            key="contactNumber",
            of=lambda batch: batch.column("companyNumber"),
        ),
    ),
)
def company_is_customer(batch: Batch) -> list[Refusal | None]:
    """A contact whose company is no customer stays in Business Central, without an error (CONT-02)."""
    known = {row["contactNumber"] for row in _customers(batch, "relations")}
    return [
        None
        if number in known
        else Refusal(
            code="CONT-02",
            message=f"its company {number} is not related to a customer",
            remedy="create a customer from the company contact, or leave the contact where it is",
            field="companyNumber",
            value=str(number),
            skip=True,
        )
        for number in batch.column("companyNumber")
    ]

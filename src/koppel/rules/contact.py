"""Contacts belong to a company: a company contact here, the account of its customer or vendor there (CONT-…)."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, references, refuse
from koppel.engine.translate import References
from koppel.odata.records import Scalar

_RELATION = ("contactNumber", "linkToTable", "number")
PARTIES: Mapping[str, str] = {"Customer": "CUSTOMER", "Vendor": "VENDOR"}
"""What a company contact may be the company of, the first one before the other, and the mapping that couples it."""


def _numbers(batch: Batch, need: str, kind: str) -> list[Scalar]:
    return [row["number"] for row in batch.table(need) if row["linkToTable"] == kind]


def _of_account(kind: str) -> Need:
    return Need(name=f"accounts of {kind}", couplings=PARTIES[kind], key="dataverse_id", of=lambda batch: batch.ids)


def _of_company(kind: str) -> Need:
    return Need(
        name=f"parties of {kind}",
        couplings=PARTIES[kind],
        key="key",
        of=lambda batch: _numbers(batch, "relations_of_contacts", kind),
    )


@references(
    needs=(
        *(_of_account(kind) for kind in PARTIES),
        Need(
            name="relations_of_contacts",
            table="contactBusinessRelations",
            columns=_RELATION,
            key="contactNumber",
            of=lambda batch: batch.keys,
        ),
        *(_of_company(kind) for kind in PARTIES),
        Need(
            name="relations_of_parties",
            table="contactBusinessRelations",
            columns=_RELATION,
            key="number",
            of=lambda batch: [row["key"] for kind in PARTIES for row in batch.table(f"accounts of {kind}")],
        ),
    )
)
def company(batch: Batch) -> References:
    """The number of a company contact stands for the account of its customer, else of its vendor (CONT-05)."""
    to_dataverse: dict[str, Scalar] = {}
    back: dict[Scalar, Scalar] = {}
    for kind in reversed(tuple(PARTIES)):
        accounts = {row["key"]: row["dataverse_id"] for row in batch.table(f"parties of {kind}")}
        for row in batch.table("relations_of_contacts"):
            if row["linkToTable"] == kind and row["number"] in accounts:
                to_dataverse[str(row["contactNumber"])] = accounts[row["number"]]
        companies = {
            row["number"]: row["contactNumber"]
            for row in batch.table("relations_of_parties")
            if row["linkToTable"] == kind
        }
        for row in batch.table(f"accounts of {kind}"):
            if row["key"] in companies:
                back[row["dataverse_id"]] = companies[row["key"]]
    return References(to_dataverse, back)


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
    """A contact whose company is neither customer nor vendor stays in Business Central, without an error (CONT-02)."""
    known = {row["contactNumber"] for row in batch.table("relations") if row["linkToTable"] in PARTIES}
    return [
        None
        if number in known
        else Refusal(
            code="CONT-02",
            message=f"its company {number} is not related to a customer or vendor",
            remedy="create a customer or vendor from the company contact, or leave the contact where it is",
            field="companyNumber",
            value=str(number),
            skip=True,
        )
        for number in batch.column("companyNumber")
    ]

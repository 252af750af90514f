"""The company of Business Central that a row of Dataverse belongs to (GEN-06, GEN-07)."""

from __future__ import annotations

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Need, precede, refuse
from koppel.mapping.company import COMPANIES, STAMP
from koppel.odata.records import Scalar

_NAME_LENGTH = 30


def stamp(batch: Batch) -> dict[str, Scalar]:
    """What makes a row the company's, where rows are told apart by company."""
    return {STAMP: batch.parameters["company"]} if "company" in batch.parameters else {}


@refuse(side="dataverse", reads=(STAMP,), of="coupled")
def is_another_ones(batch: Batch) -> list[Refusal | None]:
    """A coupled row that belongs to another company by now: not even what a filter asks for is carried to it."""
    own = batch.parameters["company"]
    refusal = Refusal(code="GEN-07", message="it belongs to another company", skip=True)
    return [refusal if company not in (None, own) else None for company in batch.column(STAMP)]


@precede(
    needs=(
        Need(
            name="row",
            side="dataverse",
            table=COMPANIES,
            columns=(STAMP,),
            key=STAMP,
            of=lambda batch: [batch.parameters["company"]],
        ),
        Need(name="company", table="companyInformation", columns=("displayName",)),
    )
)
def row_first(batch: Batch) -> list[FollowUp]:
    """The row that stands for the company, which is known there by the company's id (GEN-06)."""
    if batch.table("row"):
        return []
    company = str(batch.parameters["company"])
    name = next((str(row["displayName"]) for row in batch.table("company")), company)
    return [
        FollowUp(
            side="dataverse",
            table=COMPANIES,
            id=company,
            values={"bcbi_externalid": company, "bcbi_name": name[:_NAME_LENGTH]},
            record=record.id,
            create=True,
            name=name,
            reason="records belong to this company (GEN-06)",
        )
        for record in batch.records
    ]

"""The company of Business Central that a row of Dataverse belongs to (GEN-06, GEN-07)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Need, precede, refuse, uncouple
from koppel.mapping.company import COMPANIES, STAMP
from koppel.odata.records import Scalar

_NAME_LENGTH = 30
_OPEN: Mapping[str, Collection[int]] = {"salesorder": (0, 1), "quote": (0,), "opportunity": (0,)}
"""The states in which a document may lose its stamp: orders that are active or submitted, others that are open."""


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


@uncouple(side="dataverse", reads=(STAMP, "statecode"))
def release(batch: Batch) -> list[FollowUp]:
    """A row that is uncoupled belongs to no company any more, if it belonged to this one (GEN-08)."""
    own, table = batch.parameters["company"], str(batch.parameters["company_table"])
    found = zip(batch.records, batch.column(STAMP), batch.column("statecode"), strict=True)
    return [
        FollowUp(
            side="dataverse",
            table=table,
            id=record.id,
            values={STAMP: None},
            record=record.id,
            reason="it is uncoupled (GEN-08)",
        )
        for record, company, state in found
        if company == own and (table not in _OPEN or state in _OPEN[table])
    ]

"""What units on lines of Dataverse's documents are in Business Central (UOM-14)."""

from __future__ import annotations

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need
from koppel.odata.records import Scalar
from koppel.rules.unit_group import UNITS


def _of_type(type: str) -> tuple[Need, ...]:
    return (
        Need(
            name=f"sold {type} units",
            couplings=UNITS[type].mapping,
            key="dataverse_id",
            of=lambda batch: [row["uomid"] for row in batch.table("details")],
        ),
        Need(
            name=f"{type} units",
            table=UNITS[type].table,
            columns=("id", "code"),
            key="id",
            of=lambda batch: [row["business_central_id"] for row in batch.table(f"sold {type} units")],
        ),
    )


NEEDS = (
    *(need for type in UNITS for need in _of_type(type)),
    Need(
        name="sold_units",
        side="dataverse",
        table="uom",
        columns=("uomid", "name"),
        key="uomid",
        of=lambda batch: [row["uomid"] for row in batch.table("details")],
    ),
)
"""What ``codes`` looks at, from the lines (``details``, with their ``uomid``) on."""


def codes(batch: Batch, type: str) -> dict[Scalar, str | Refusal]:
    """The code of each unit on lines that sell something of this type, or why it cannot be told."""
    rows = {row["id"]: str(row["code"]) for row in batch.table(f"{type} units")}
    coupled = {row["dataverse_id"]: rows.get(row["business_central_id"]) for row in batch.table(f"sold {type} units")}
    return {
        row["uomid"]: coupled.get(row["uomid"]) or _uncoupled(row["uomid"], str(row["name"]), UNITS[type].mapping)
        for row in batch.table("sold_units")
    }


def _uncoupled(id: Scalar, name: str, mapping: str) -> Refusal:
    return Refusal(
        code="UOM-14",
        message=f"unit {name} on its lines is not coupled in {mapping}",
        remedy=f"choose a unit that comes from Business Central, or couple this one in {mapping}",
        field="uomid",
        value=str(id),
        kind="dependency",
        via=mapping,
    )

"""Units on lines of documents, where items and resources have unit groups of their own (UOM-14)."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need
from koppel.odata.records import Scalar
from koppel.rules.document import Line, product_ids
from koppel.rules.unit import Unit
from koppel.rules.unit_group import UNITS, Sold, units, units_behind

_COLUMNS = ("lineType", "lineObjectNumber", "unitOfMeasureCode")


def _sold(batch: Batch) -> list[Sold | None]:
    """What lines of Business Central sell in which unit, as far as it is a product and they say so."""
    known = product_ids(batch)
    rows = zip(*map(batch.column, _COLUMNS), strict=True)
    return [
        Sold(str(type), str(number), str(code)) if code and Line(str(type), str(number or "")) in known else None
        for type, number, code in rows
    ]


TO_DATAVERSE = units_behind(lambda batch: [one for one in _sold(batch) if one])
"""What ``in_dataverse`` looks at, besides the couplings of products (``coupled_products``)."""


def in_dataverse(batch: Batch, base: Sequence[Scalar]) -> list[Scalar | Refusal]:
    """The unit of each line in the unit group of what it sells; its ``base`` unit where it names none."""
    sold = _sold(batch)
    found = units(batch, [one for one in sold if one], "unitOfMeasureCode")
    return [unit if one is None else _id_of(found[one]) for one, unit in zip(sold, base, strict=True)]


def _id_of(found: Unit | Refusal) -> Scalar | Refusal:
    return found.id if isinstance(found, Unit) else found


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


TO_BUSINESS_CENTRAL = (
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

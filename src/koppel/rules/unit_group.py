"""A unit group for each item and each resource, and their units in it (UOM-08 … UOM-13)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, compute, refuse
from koppel.odata.records import Scalar
from koppel.rules.document import ITEM, RESOURCE

GROUPS = "UNIT GROUP"
_INACTIVE = 1


def _name(type: Scalar, number: Scalar) -> str:
    return f"{type} {number} UOM GR".upper()


def _names(batch: Batch) -> list[str]:
    return [_name(*source) for source in zip(batch.column("sourceType"), batch.column("sourceNo"), strict=True)]


@compute(reads=("sourceType", "sourceNo"))
def name(batch: Batch) -> list[Scalar | Refusal]:
    """``ITEM 1000 UOM GR``: what the group is called, and the unit that Dataverse makes with it (UOM-08)."""
    return [*_names(batch)]


@refuse(
    reads=("sourceType", "sourceNo"),
    needs=(
        Need(
            name="groups",
            side="dataverse",
            table="uomschedule",
            columns=("uomscheduleid", "name", "statecode"),
            key="name",
            of=_names,
        ),
    ),
)
def is_active(batch: Batch) -> list[Refusal | None]:
    """An inactive group cannot be used (UOM-13)."""
    inactive = {row["name"] for row in batch.table("groups") if row["statecode"] == _INACTIVE}
    return [_is_inactive(name) if name in inactive else None for name in _names(batch)]


def _is_inactive(name: str) -> Refusal:
    return Refusal(
        code="UOM-13",
        message=f"unit group {name} exists but is inactive",
        remedy="activate the unit group in Dataverse, or delete it",
        field="name",
        value=name,
    )


def _groups_of(column: str) -> tuple[Need, ...]:
    """The unit groups of items or resources, and what they are coupled to; ``column`` holds their numbers."""
    return (
        Need(
            name="unit_groups",
            table="unitGroups",
            columns=("id", "sourceType", "sourceNo"),
            key="sourceNo",
            of=lambda batch: batch.column(column),
        ),
        Need(
            name="coupled_groups",
            couplings=GROUPS,
            key="business_central_id",
            of=lambda batch: [row["id"] for row in batch.table("unit_groups")],
        ),
    )


@compute(reads=("itemNo",), needs=_groups_of("itemNo"))
def of_item(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of a unit of an item (UOM-09)."""
    return _groups(batch, ITEM, batch.column("itemNo"))


@compute(reads=("resourceNo",), needs=_groups_of("resourceNo"))
def of_resource(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of a unit of a resource (UOM-09)."""
    return _groups(batch, RESOURCE, batch.column("resourceNo"))


def _groups(batch: Batch, type: str, numbers: Iterable[Scalar]) -> list[Scalar | Refusal]:
    groups = {row["sourceNo"]: row["id"] for row in batch.table("unit_groups") if row["sourceType"] == type}
    coupled = {row["business_central_id"]: row["dataverse_id"] for row in batch.table("coupled_groups")}
    return [_group(type, number, groups.get(number), coupled) for number in numbers]


def _group(type: str, number: Scalar, group: Scalar, coupled: Mapping[Scalar, Scalar]) -> Scalar | Refusal:
    if group is None:
        return Refusal(
            code="UOM-09",
            message=f"{type.lower()} {number} has no unit group in Business Central",
            remedy="Business Central makes one for each while it maps unit groups itself: switch that on, then retry",
            field="uomscheduleid",
            value=str(number),
        )
    if group not in coupled:
        return Refusal(
            code="UOM-09",
            message=f"the unit group of {type.lower()} {number} is not coupled in {GROUPS}",
            remedy=f"synchronise {number} in {GROUPS}, then this unit goes through by itself",
            field="uomscheduleid",
            value=str(group),
            kind="dependency",
            via=GROUPS,
        )
    return coupled[group]

"""Units of measure as unit groups of exactly one unit (UOM-01 … UOM-06)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, FollowUp, Found, Need, compute, follow, refuse
from koppel.odata.records import Scalar

_INACTIVE = 1


@compute(reads=("code",))
def group_name(batch: Batch) -> list[Scalar | Refusal]:
    """``NAV BOX``: the group's name is a prefix (parameter ``prefix``), a blank and the code (UOM-02)."""
    return [_name(batch, code) for code in batch.column("code")]


def _name(batch: Batch, code: Scalar) -> str:
    return f"{batch.parameters.get('prefix', 'NAV')} {code}"


def _names(batch: Batch) -> Iterable[Scalar]:
    return [_name(batch, code) for code in batch.column("code")]


_GROUPS = Need(
    name="groups",
    side="dataverse",
    table="uomschedule",
    columns=("uomscheduleid", "name", "statecode"),
    key="name",
    of=_names,
)
_UNITS = Need(
    name="units",
    side="dataverse",
    table="uom",
    columns=("uomid", "name", "uomscheduleid"),
    key="uomscheduleid",
    of=lambda batch: [row["uomscheduleid"] for row in batch.table("groups")],
)


def _units_by_group(batch: Batch) -> dict[Scalar, list[Found]]:
    units: dict[Scalar, list[Found]] = defaultdict(list)
    for row in batch.table("units"):
        units[row["uomscheduleid"]].append(row)
    return units


@refuse(reads=("code",), needs=(_GROUPS, _UNITS))
def one_active_unit(batch: Batch) -> list[Refusal | None]:
    """An inactive group (UOM-04) or one with several units (UOM-05) cannot be used."""
    groups = {row["name"]: row for row in batch.table("groups")}
    units = _units_by_group(batch)
    return [_unusable(groups.get(_name(batch, code)), units) for code in batch.column("code")]


def _unusable(group: Found | None, units: dict[Scalar, list[Found]]) -> Refusal | None:
    if group is None:
        return None
    if group["statecode"] == _INACTIVE:
        return Refusal(
            code="UOM-04",
            message=f"unit group {group['name']} exists but is inactive",
            remedy="activate the unit group in Dataverse, or delete it",
            field="name",
            value=str(group["name"]),
        )
    if len(units[group["uomscheduleid"]]) > 1:
        return Refusal(
            code="UOM-05",
            message=f"unit group {group['name']} contains more than one unit and cannot be used",
            remedy="leave one unit in the group, named like the unit of measure in Business Central",
            field="name",
            value=str(group["name"]),
        )
    return None


@follow(reads=("code",), needs=(_GROUPS, _UNITS))
def rename_unit(batch: Batch) -> list[FollowUp]:
    """The single unit of a group carries the code (UOM-06)."""
    groups = {row["name"]: row for row in batch.table("groups")}
    units = _units_by_group(batch)
    found: list[FollowUp] = []
    for record, code in zip(batch.records, batch.column("code"), strict=True):
        group = groups.get(_name(batch, code))
        for unit in units[group["uomscheduleid"]][:1] if group else ():
            if unit["name"] != code:
                found.append(
                    FollowUp(
                        side="dataverse",
                        table="uom",
                        id=str(unit["uomid"]),
                        values={"name": code},
                        record=record.id,
                        name=str(unit["name"]),
                        reason=f"the unit of group {group and group['name']} is named like its code (UOM-06)",
                    )
                )
    return found

"""Units of measure as unit groups of exactly one unit (UOM-01 … UOM-07)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, complete, compute, follow, refuse
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


@follow(reads=("code",), needs=(_GROUPS, _UNITS), foreseen=True)
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


class Unit(NamedTuple):
    """What a code stands for in Dataverse: ids of the unit and of its group."""

    id: str
    group: str


def behind(codes: Callable[[Batch], Iterable[Scalar]]) -> tuple[Need, ...]:
    """What ``resolve`` looks at to tell what these codes stand for."""
    return (
        Need(name="coupled_units", couplings="UNIT OF MEASURE", key="key", of=codes),
        Need(
            name="groups_of_units",
            side="dataverse",
            table="uomschedule",
            columns=("uomscheduleid", "name", "statecode"),
            key="uomscheduleid",
            of=lambda batch: [row["dataverse_id"] for row in batch.table("coupled_units")],
        ),
        Need(
            name="units_of_groups",
            side="dataverse",
            table="uom",
            columns=("uomid", "name", "uomscheduleid", "quantity", "isschedulebaseuom"),
            key="uomscheduleid",
            of=lambda batch: [row["uomscheduleid"] for row in batch.table("groups_of_units")],
        ),
    )


def resolve(batch: Batch, codes: Iterable[Scalar], field: str) -> dict[Scalar, Unit | Refusal]:
    """By code the unit that it stands for, or why it cannot be used in ``field`` (UOM-07)."""
    coupled = {row["key"]: row["dataverse_id"] for row in batch.table("coupled_units")}
    groups = {row["uomscheduleid"]: row for row in batch.table("groups_of_units")}
    units: dict[Scalar, list[Found]] = defaultdict(list)
    for row in batch.table("units_of_groups"):
        units[row["uomscheduleid"]].append(row)
    found: dict[Scalar, Unit | Refusal] = {}
    for code in dict.fromkeys(codes):
        group = groups.get(coupled.get(code))
        found[code] = _resolved(code, code in coupled, group, units[group["uomscheduleid"]] if group else [], field)
    return found


def _resolved(code: Scalar, coupled: bool, group: Found | None, units: list[Found], field: str) -> Unit | Refusal:
    if not coupled:
        return Refusal(
            code="UOM-07",
            message=f"unit of measure {code} is not coupled in UNIT OF MEASURE",
            remedy=f"couple or synchronise {code} in UNIT OF MEASURE, then this record goes through by itself",
            field=field,
            value=str(code),
            kind="dependency",
            via="UNIT OF MEASURE",
            by_key=True,
        )
    wrong = _wrong(code, group, units)
    if wrong or group is None:
        remedy = "put the unit group right in Dataverse: active, with one base unit of quantity 1, named like the code"
        return Refusal(code="UOM-07", message=wrong, remedy=remedy, field=field, value=str(code))
    return Unit(str(units[0]["uomid"]), str(group["uomscheduleid"]))


def _wrong(code: Scalar, group: Found | None, units: list[Found]) -> str:
    """What makes a unit group unusable for a code; empty where nothing does."""
    if group is None:
        return f"the unit group of {code} does not exist in Dataverse any more"
    name = f"unit group {group['name']}"
    if group["statecode"] == _INACTIVE:
        return f"{name} is inactive"
    if len(units) != 1:
        return f"{name} contains {len(units)} units" if units else f"{name} contains no unit"
    [unit] = units
    if unit["name"] != code:
        return f"the unit of {name} is called {unit['name']}, not {code}"
    if not unit["isschedulebaseuom"]:
        return f"the unit of {name} is not its base unit"
    if unit["quantity"] != 1:
        return f"the unit of {name} has the quantity {unit['quantity']}, not 1"
    return ""


@compute(reads=("baseUnitOfMeasureCode",), needs=behind(lambda batch: batch.column("baseUnitOfMeasureCode")))
def base_unit(batch: Batch) -> list[Scalar | Refusal]:
    """The unit of an item or resource (PROD-06); a blank one stays blank."""
    codes = batch.column("baseUnitOfMeasureCode")
    units = resolve(batch, codes, "baseUnitOfMeasureCode")
    return [_id_of(units[code]) if code else None for code in codes]


def _id_of(found: Unit | Refusal) -> str | Refusal:
    return found.id if isinstance(found, Unit) else found


@complete(
    side="dataverse",
    writes={"": ("baseUnitOfMeasureCode",)},
    reads=("defaultuomscheduleid",),
    needs=(
        Need(
            name="of_groups",
            couplings="UNIT OF MEASURE",
            key="dataverse_id",
            of=lambda batch: batch.column("defaultuomscheduleid"),
        ),
    ),
)
def of_product(batch: Batch) -> list[dict[str, Scalar]]:
    """The base unit of what is made of a product: the code of its unit group, if that is coupled (PROD-15)."""
    codes = {row["dataverse_id"]: row["key"] for row in batch.table("of_groups")}
    groups = batch.column("defaultuomscheduleid")
    return [{"baseUnitOfMeasureCode": codes[group]} if group in codes else {} for group in groups]

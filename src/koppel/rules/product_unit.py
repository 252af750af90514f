"""Units of products where each item and resource has a unit group of its own (UOM-11, UOM-12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Need, complete, compute, follow
from koppel.odata.records import Scalar
from koppel.rules.document import ITEM, RESOURCE
from koppel.rules.unit import Unit
from koppel.rules.unit_group import GROUPS, Sold, group_name, units, units_behind

_BASE = "baseUnitOfMeasureCode"


def _sold(type: str) -> Callable[[Batch], list[Sold]]:
    def sold(batch: Batch) -> list[Sold]:
        numbers = zip(batch.column("number"), batch.column(_BASE), strict=True)
        return [Sold(type, str(number), str(code or "")) for number, code in numbers]

    return sold


_item, _resource = _sold(ITEM), _sold(RESOURCE)


def _found(batch: Batch, sold: Iterable[Sold]) -> list[Unit | Refusal]:
    found = units(batch, sold, _BASE)
    return [found[one] if one.code else _blank(one) for one in sold]


def _blank(sold: Sold) -> Refusal:
    return Refusal(
        code="UOM-11",
        message=f"{_BASE} is blank, and is required",
        remedy="give it a value in Business Central",
        field=_BASE,
        value=sold.number,
    )


def _ids(found: Iterable[Unit | Refusal]) -> list[Scalar | Refusal]:
    return [one.id if isinstance(one, Unit) else one for one in found]


def _groups(found: Iterable[Unit | Refusal]) -> list[Scalar | Refusal]:
    return [one.group if isinstance(one, Unit) else one for one in found]


@compute(reads=("number", _BASE), needs=units_behind(_item))
def of_item(batch: Batch) -> list[Scalar | Refusal]:
    """The base unit of an item (UOM-11)."""
    return _ids(_found(batch, _item(batch)))


@compute(reads=("number", _BASE), needs=units_behind(_item))
def group_of_item(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of an item (UOM-11)."""
    return _groups(_found(batch, _item(batch)))


@compute(reads=("number", _BASE), needs=units_behind(_resource))
def of_resource(batch: Batch) -> list[Scalar | Refusal]:
    """The base unit of a resource (UOM-11)."""
    return _ids(_found(batch, _resource(batch)))


@compute(reads=("number", _BASE), needs=units_behind(_resource))
def group_of_resource(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of a resource (UOM-11)."""
    return _groups(_found(batch, _resource(batch)))


@complete(
    side="dataverse",
    writes={"": (_BASE,)},
    reads=("defaultuomid", "defaultuomscheduleid"),
    needs=(
        Need(
            name="units",
            side="dataverse",
            table="uom",
            columns=("uomid", "name"),
            key="uomid",
            of=lambda batch: batch.column("defaultuomid"),
        ),
        Need(
            name="codes",
            table="unitsOfMeasure",
            columns=("code",),
            key="code",
            of=lambda batch: [row["name"] for row in batch.table("units")],
        ),
        Need(
            name="in_group",
            side="dataverse",
            table="product",
            columns=("productid", "defaultuomscheduleid"),
            key="defaultuomscheduleid",
            of=lambda batch: batch.column("defaultuomscheduleid"),
        ),
    ),
)
def of_product(batch: Batch) -> list[dict[str, Scalar] | Refusal]:
    """The base unit of what is made of a product: what its unit is called, if Business Central has that (UOM-12)."""
    names = {row["uomid"]: str(row["name"]) for row in batch.table("units")}
    codes = {str(row["code"]) for row in batch.table("codes")}
    products = Counter(row["defaultuomscheduleid"] for row in batch.table("in_group"))
    return [
        _base(names.get(unit, ""), codes, shared=products[group] > 1)
        for unit, group in zip(batch.column("defaultuomid"), batch.column("defaultuomscheduleid"), strict=True)
    ]


def _base(name: str, codes: Iterable[str], *, shared: bool) -> dict[str, Scalar] | Refusal:
    code = name.strip().upper()
    if shared:
        message = "other products are in its unit group, too, and each item and resource has one of its own"
        remedy = "make the product anew in a unit group of its own: Dataverse lets no product change its group"
    elif code not in codes:
        message = f"its unit is called {name}, which is no unit of measure in Business Central"
        remedy = f"make {code} a unit of measure in Business Central, or rename the unit in Dataverse, then retry"
    else:
        return {_BASE: code}
    return Refusal(code="UOM-12", message=message, remedy=remedy, field="defaultuomid", value=name)


def _numbers(table: str) -> tuple[Need, ...]:
    """Items or resources of products whose unit groups are nobody's yet."""
    return (
        Need(
            name="coupled_groups",
            couplings=GROUPS,
            key="dataverse_id",
            of=lambda batch: batch.column("defaultuomscheduleid"),
        ),
        Need(
            name="made",
            table=table,
            columns=("id", "number"),
            key="id",
            of=lambda batch: [partner for _, partner, _ in _unnamed(batch)],
        ),
    )


def _unnamed(batch: Batch) -> list[tuple[str, str, Scalar]]:
    """Product, item or resource, and unit group, where the group is not coupled."""
    known = {row["dataverse_id"] for row in batch.table("coupled_groups")}
    rows = zip(batch.records, batch.partners, batch.column("defaultuomscheduleid"), strict=True)
    return [(record.id, partner, group) for record, partner, group in rows if group not in known]


@follow(side="dataverse", reads=("defaultuomscheduleid",), needs=_numbers("items"))
def name_group_of_item(batch: Batch) -> list[FollowUp]:
    """The unit group of a product that became an item is called like that of the item: so they are coupled (UOM-12)."""
    return _names(batch, ITEM)


@follow(side="dataverse", reads=("defaultuomscheduleid",), needs=_numbers("resources"))
def name_group_of_resource(batch: Batch) -> list[FollowUp]:
    """The same for a product that became a resource (UOM-12)."""
    return _names(batch, RESOURCE)


def _names(batch: Batch, type: str) -> list[FollowUp]:
    numbers = {row["id"]: str(row["number"]) for row in batch.table("made")}
    return [
        FollowUp(
            side="dataverse",
            table="uomschedule",
            id=str(group),
            values={"name": group_name(type, numbers[partner])},
            record=record,
            name=numbers[partner],
            reason=f"it is the unit group of {type.lower()} {numbers[partner]} (UOM-12)",
        )
        for record, partner, group in _unnamed(batch)
        if partner in numbers
    ]

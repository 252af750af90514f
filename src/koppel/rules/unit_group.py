"""A unit group for each item and each resource, and their units in it (UOM-08 … UOM-13)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Found, Need, compute, refuse
from koppel.odata.records import Scalar
from koppel.rules.document import ITEM, PRODUCTS, RESOURCE
from koppel.rules.unit import Unit

GROUPS = "UNIT GROUP"


class Units(NamedTuple):
    """The units of items, or of resources: their table, the column of the number, and the mapping that couples them."""

    table: str
    number: str
    mapping: str


UNITS: Mapping[str, Units] = {
    ITEM: Units("itemUnitsOfMeasure", "itemNo", "ITEM UOM"),
    RESOURCE: Units("resourceUnitsOfMeasure", "resourceNo", "RESOURCE UOM"),
}
_INACTIVE = 1


def group_name(type: Scalar, number: Scalar) -> str:
    """What the unit group of an item or resource is called."""
    return f"{type} {number} UOM GR".upper()


def _names(batch: Batch) -> list[str]:
    return [group_name(*source) for source in zip(batch.column("sourceType"), batch.column("sourceNo"), strict=True)]


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


class Sold(NamedTuple):
    """An item or resource in one of its units."""

    type: str
    number: str
    code: str = ""


def _groups_of(sold: Callable[[Batch], Iterable[Sold]]) -> tuple[Need, ...]:
    """The unit groups of items or resources, and what they are coupled to."""
    return (
        Need(
            name="unit_groups",
            table="unitGroups",
            columns=("id", "sourceType", "sourceNo"),
            key="sourceNo",
            of=lambda batch: [one.number for one in sold(batch)],
        ),
        Need(
            name="coupled_groups",
            couplings=GROUPS,
            key="business_central_id",
            of=lambda batch: [row["id"] for row in batch.table("unit_groups")],
        ),
    )


def _owners(type: str, column: str) -> Callable[[Batch], list[Sold]]:
    return lambda batch: [Sold(type, str(number)) for number in batch.column(column)]


_items, _resources = _owners(ITEM, "itemNo"), _owners(RESOURCE, "resourceNo")


@compute(reads=("itemNo",), needs=_groups_of(_items))
def of_item(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of a unit of an item (UOM-09)."""
    return groups(batch, _items(batch), "uomscheduleid")


@compute(reads=("resourceNo",), needs=_groups_of(_resources))
def of_resource(batch: Batch) -> list[Scalar | Refusal]:
    """The unit group of a unit of a resource (UOM-09)."""
    return groups(batch, _resources(batch), "uomscheduleid")


def groups(batch: Batch, sold: Iterable[Sold], field: str) -> list[Scalar | Refusal]:
    """The unit group of each, as ``field`` wants it, or why there is none."""
    known = {(row["sourceType"], row["sourceNo"]): row["id"] for row in batch.table("unit_groups")}
    coupled = {row["business_central_id"]: row["dataverse_id"] for row in batch.table("coupled_groups")}
    return [_group(one, known.get((one.type, one.number)), coupled, field) for one in sold]


def _group(sold: Sold, group: Scalar, coupled: Mapping[Scalar, Scalar], field: str) -> Scalar | Refusal:
    what = f"{sold.type.lower()} {sold.number}"
    if group is None:
        return Refusal(
            code="UOM-09",
            message=f"{what} has no unit group in Business Central",
            remedy="Business Central makes one for each while it maps unit groups itself: switch that on, then retry",
            field=field,
            value=sold.number,
        )
    if group not in coupled:
        return _uncoupled("UOM-09", f"the unit group of {what}", GROUPS, group, sold, field)
    return coupled[group]


def _uncoupled(code: str, what: str, mapping: str, id: Scalar, sold: Sold, field: str) -> Refusal:
    return Refusal(
        code=code,
        message=f"{what} is not coupled in {mapping}",
        remedy=f"synchronise {sold.number} in {mapping}, then this record goes through by itself",
        field=field,
        value=str(id),
        kind="dependency",
        via=mapping,
    )


def units_behind(sold: Callable[[Batch], Iterable[Sold]]) -> tuple[Need, ...]:
    """What ``units`` looks at."""
    there = Need(
        name="units_there",
        side="dataverse",
        table="uom",
        columns=("uomid", "uomscheduleid", "quantity"),
        key="uomid",
        of=lambda batch: [row["dataverse_id"] for type in UNITS for row in batch.table(f"coupled {type} units")],
    )
    groups_there = Need(
        name="groups_there",
        side="dataverse",
        table="uomschedule",
        columns=("uomscheduleid", "name", "statecode"),
        key="uomscheduleid",
        of=lambda batch: [row["dataverse_id"] for row in batch.table("coupled_groups")],
    )
    products = Need(
        name="products_there",
        side="dataverse",
        table="product",
        columns=("productid", "defaultuomscheduleid"),
        key="productid",
        of=lambda batch: [row["dataverse_id"] for type in UNITS for row in batch.table(f"{type} products")],
    )
    of_types = [need for type in UNITS for need in _units_of(type, sold)]
    return (*_groups_of(sold), *of_types, there, groups_there, products)


def _units_of(type: str, sold: Callable[[Batch], Iterable[Sold]]) -> tuple[Need, ...]:
    of = UNITS[type]
    return (
        Need(
            name=f"{type} units",
            table=of.table,
            columns=("id", of.number, "code"),
            key=of.number,
            of=lambda batch: [one.number for one in sold(batch) if one.type == type],
        ),
        Need(
            name=f"coupled {type} units",
            couplings=of.mapping,
            key="business_central_id",
            of=lambda batch: [row["id"] for row in batch.table(f"{type} units")],
        ),
        Need(
            name=f"{type} products",
            couplings=PRODUCTS[type],
            key="key",
            of=lambda batch: [one.number for one in sold(batch) if one.type == type],
        ),
    )


class _Known(NamedTuple):
    """What is there, by id: units as Business Central has them, their partners, and the groups of these; groups; and by
    what is sold the group of its product."""

    units: Mapping[Sold, Scalar]
    partners: Mapping[Scalar, Scalar]
    in_groups: Mapping[Scalar, Scalar]
    groups: Mapping[Scalar, Found]
    of_products: Mapping[Sold, Scalar]


def units(batch: Batch, sold: Iterable[Sold], field: str) -> dict[Sold, Unit | Refusal]:
    """The unit of each in its group, or why it cannot be used in ``field`` (UOM-11, UOM-13, UOM-14)."""
    wanted, known = list(dict.fromkeys(sold)), _known(batch)
    return {
        one: _unit(known, one, group, field) for one, group in zip(wanted, groups(batch, wanted, field), strict=True)
    }


def _known(batch: Batch) -> _Known:
    rows = ((type, of, row) for type, of in UNITS.items() for row in batch.table(f"{type} units"))
    coupled = (row for type in UNITS for row in batch.table(f"coupled {type} units"))
    products = (
        (Sold(type, str(row["key"])), row["dataverse_id"]) for type in UNITS for row in batch.table(f"{type} products")
    )
    of_product = {row["productid"]: row["defaultuomscheduleid"] for row in batch.table("products_there")}
    return _Known(
        units={Sold(type, str(row[of.number]), str(row["code"])): row["id"] for type, of, row in rows},
        partners={row["business_central_id"]: row["dataverse_id"] for row in coupled},
        in_groups={row["uomid"]: row["uomscheduleid"] for row in batch.table("units_there")},
        groups={row["uomscheduleid"]: row for row in batch.table("groups_there")},
        of_products={sold: of_product.get(id) for sold, id in products},
    )


def _unit(known: _Known, sold: Sold, group: Scalar | Refusal, field: str) -> Unit | Refusal:
    id, what = known.units.get(sold), f"{sold.type.lower()} {sold.number}"
    if id is not None and id not in known.partners:
        return _uncoupled("UOM-14", f"unit {sold.code} of {what}", UNITS[sold.type].mapping, id, sold, field)
    if isinstance(group, Refusal):
        return group
    in_group = known.groups.get(group)
    if id is None:
        message, remedy = f"{what} has no unit {sold.code or 'of its own'}", "give it one in Business Central"
    elif in_group is None:
        message, remedy = f"the unit group of {what} does not exist in Dataverse any more", f"uncouple it in {GROUPS}"
    elif in_group["statecode"] == _INACTIVE:
        message, remedy = f"unit group {in_group['name']} is inactive", "activate the unit group in Dataverse"
    elif known.in_groups.get(known.partners[id]) != group:
        message = f"unit {sold.code} of {what} is not in unit group {in_group['name']} of Dataverse any more"
        remedy = f"uncouple it in {UNITS[sold.type].mapping}"
    elif known.of_products.get(Sold(sold.type, sold.number)) not in (None, group):
        return _other_setup(sold, field)
    else:
        return Unit(str(known.partners[id]), str(group))
    return Refusal(code="UOM-14", message=message, remedy=f"{remedy}, then retry", field=field, value=sold.code)


def _other_setup(sold: Sold, field: str) -> Refusal:
    """A product that was made while another group was its own is to be made anew (UOM-13)."""
    mapping = PRODUCTS[sold.type]
    return Refusal(
        code="UOM-13",
        message=f"product {sold.number} is in another unit group than that of its {sold.type.lower()}, and Dataverse "
        "lets no product change it",
        remedy=f"koppel uncouple {mapping} {sold.number}, give the product another number in Dataverse and retire it, "
        f"then koppel sync {mapping} --full: it is made anew",
        field=field,
        value=sold.number,
        kind="dependency",
        via=mapping,
        by_key=True,
    )

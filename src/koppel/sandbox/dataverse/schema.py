"""The tables of the metadata document, as the handlers look them up: by set name, by column, by navigation property."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec

from koppel.odata.csdl import EntityType, Model, NavigationProperty, Option, Property, read_model
from koppel.sandbox.dataverse.access import writable

_DOCUMENT = Path(__file__).parent.parent / "data" / "dataverse-metadata.xml"

LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})
CHOICES = frozenset({"Picklist", "State", "Status"})
NUMBERS = frozenset({"Integer", "BigInt", "Decimal", "Double", "Money"})
ADDRESS_PARTS = ("line1", "line2", "line3", "city", "stateorprovince", "postalcode", "country")
TARGET = "@Microsoft.Dynamics.CRM.lookuplogicalname"
"""Beside a lookup with several target tables a row holds ``<column>@…``: the table it points to, as it is annotated."""


class Column(msgspec.Struct, frozen=True):
    """One column. ``name`` is what is read (``_ownerid_value``), ``logical`` what the platform calls it (``ownerid``).

    ``kind`` is the platform's type name (``Money``, ``Picklist``, ``Customer`` ...), ``edm`` the type on the wire.
    """

    name: str
    logical: str
    kind: str
    edm: str
    schema_name: str
    display: str
    required: str
    creatable: bool
    updatable: bool
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    date_format: str = ""
    option_set: str = ""
    targets: tuple[str, ...] = ()


class Lookup(msgspec.Struct, frozen=True):
    """A single-valued navigation property: which column it fills and where it leads (``principal``: user or team)."""

    name: str
    column: str
    target: str
    partner: str = ""


class Collection(msgspec.Struct, frozen=True):
    """A collection-valued navigation property: the rows of ``table`` whose ``column`` points back, if known."""

    name: str
    table: str
    column: str


class TableSchema(msgspec.Struct, frozen=True):
    """One table. ``money``: its money columns, each with the one that holds the value in the base currency.

    ``composites``: the prefix of each address that it composes, and the columns that go into it.
    """

    name: str
    set_name: str
    schema_name: str
    display: str
    display_collection: str
    ownership: str
    id_column: str
    name_column: str
    is_principal: bool
    columns: dict[str, Column]
    by_logical: dict[str, Column]
    lookups: dict[str, Lookup]
    collections: dict[str, Collection]
    money: dict[str, str]
    composites: list[tuple[str, frozenset[str]]]

    def lookups_of(self, column: str) -> list[Lookup]:
        """The navigation properties that write a lookup column: one for each target table."""
        return [lookup for lookup in self.lookups.values() if lookup.column == column]


class Schema(msgspec.Struct, frozen=True):
    """All tables by logical name, the logical names by set name, and the option sets as they were at first.

    ``referrers``: for each table, the lookups (table, column) that may point to it.
    """

    tables: dict[str, TableSchema]
    names_by_set: dict[str, str]
    option_sets: dict[str, list[Option]]
    referrers: dict[str, list[tuple[str, str]]]


@cache
def standard_document() -> str:
    """The metadata document that the sandbox comes with."""
    return _DOCUMENT.read_text("utf-8")


@cache
def read_schema(document: str) -> Schema:
    """The schema of a metadata document; read once."""
    model = read_model(document)
    names_by_set = {entity_set.name: entity_set.type for entity_set in model.entity_sets.values()}
    tables = {name: _table(model, set_name, name) for set_name, name in names_by_set.items()}
    return Schema(tables, names_by_set, dict(model.option_sets), _referrers(tables))


def _referrers(tables: Mapping[str, TableSchema]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in tables}
    for child in tables.values():
        for column in child.columns.values():
            for target in column.targets:
                found.setdefault(target, []).append((child.name, column.name))
    return found


def _table(model: Model, set_name: str, name: str) -> TableSchema:
    entity = model.entity_types[name]
    is_principal = entity.base == "principal"
    columns = {name: _column(entity, item) for name, item in entity.properties.items()}
    if is_principal:
        columns["ownerid"] = _owner_id()
    return TableSchema(
        name=name,
        set_name=set_name,
        schema_name=entity.extra.get("schemaName", name),
        display=entity.extra.get("displayName", name),
        display_collection=entity.extra.get("displayCollectionName", set_name),
        ownership=entity.extra.get("ownership", "None"),
        id_column=entity.extra["primaryId"],
        name_column=entity.extra.get("primaryName", ""),
        is_principal=is_principal,
        columns=columns,
        by_logical={column.logical: column for column in columns.values()},
        lookups={item.name: _lookup(item) for item in entity.navigation.values() if not item.collection},
        collections={item.name: _collection(model, name, item) for item in _collections(entity)},
        money=_money(columns),
        composites=_composites(columns),
    )


def _money(columns: Mapping[str, Column]) -> dict[str, str]:
    money = [name for name, column in columns.items() if column.kind == "Money" and not name.endswith("_base")]
    return {name: f"{name}_base" for name in money}


def _composites(columns: Iterable[str]) -> list[tuple[str, frozenset[str]]]:
    prefixes = [name.removesuffix("_composite") for name in columns if name.endswith("_composite")]
    return [(prefix, frozenset(f"{prefix}_{part}" for part in ADDRESS_PARTS)) for prefix in prefixes]


def _column(entity: EntityType, item: Property) -> Column:
    extra = item.extra
    logical = extra.get("column", item.name)
    read_only = extra.get("readOnly") == "true"
    creatable, updatable = writable(entity.name, logical, read_only, item.name == entity.extra["primaryId"])
    return Column(
        name=item.name,
        logical=logical,
        kind=extra.get("type", "String"),
        edm=item.type,
        schema_name=extra.get("schemaName", logical),
        display=extra.get("display", ""),
        required=extra.get("required", "None"),
        creatable=creatable,
        updatable=updatable,
        max_length=item.max_length,
        minimum=_number({"min": "0", **extra}, "min") if "max" in extra else None,  # the document leaves zeros out
        maximum=_number(extra, "max"),
        date_format=extra.get("format", ""),
        option_set=extra.get("optionSet", ""),
        targets=tuple(extra.get("targets", "").split()),
    )


def _owner_id() -> Column:
    """What users and teams inherit from ``principal``."""
    return Column(
        name="ownerid",
        logical="ownerid",
        kind="Uniqueidentifier",
        edm="Edm.Guid",
        schema_name="OwnerId",
        display="Owner",
        required="None",
        creatable=False,
        updatable=False,
    )


def _number(extra: dict[str, str], name: str) -> float | None:
    return float(extra[name]) if name in extra else None


def _lookup(item: NavigationProperty) -> Lookup:
    return Lookup(item.name, next(iter(item.columns), ""), item.target, item.partner)


def _collections(entity: EntityType) -> Iterable[NavigationProperty]:
    return (item for item in entity.navigation.values() if item.collection)


def _collection(model: Model, table: str, item: NavigationProperty) -> Collection:
    """The way back is the named partner; without one it is certain only when just one pair is left over."""
    child = model.entity_types[item.target]
    partner = child.navigation.get(item.partner)
    if partner is None:
        rest = [other for other in _collections(model.entity_types[table]) if _is_alone(other, child)]
        alone = sum(other.target == item.target for other in rest) == 1
        loose = [other for other in child.navigation.values() if other.target == table and not _is_paired(other)]
        partner = loose[0] if alone and len(loose) == 1 else None
    return Collection(item.name, item.target, next(iter(partner.columns), "") if partner else "")


def _is_alone(item: NavigationProperty, child: EntityType) -> bool:
    return item.target == child.name and item.partner not in child.navigation


def _is_paired(item: NavigationProperty) -> bool:
    return item.collection or bool(item.partner)

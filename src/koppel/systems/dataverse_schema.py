"""The schema of a Dataverse table, read from its metadata tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from koppel.errors import DataError
from koppel.systems.schema import Column, ColumnKind, TableSchema

_T = TypeVar("_T")

_KINDS: dict[str, ColumnKind] = {
    "String": "text",
    "Memo": "text",
    "EntityName": "text",
    "MultiSelectPicklistType": "text",
    "Integer": "integer",
    "BigInt": "integer",
    "Decimal": "decimal",
    "Double": "decimal",
    "Money": "money",
    "Boolean": "boolean",
    "DateTime": "datetime",
    "Uniqueidentifier": "guid",
    "Picklist": "choice",
    "State": "choice",
    "Status": "choice",
}
_LOOKUPS = frozenset({"Lookup", "Customer", "Owner"})
_OWNERS = ("systemuser", "team")
"""The tables that stand behind ``owner``, which is none itself."""

_FACETS = {
    "String": "$select=LogicalName,MaxLength",
    "Memo": "$select=LogicalName,MaxLength",
    "Decimal": "$select=LogicalName,Precision",
    "Double": "$select=LogicalName,Precision",
    "Money": "$select=LogicalName,Precision",
    "DateTime": "$select=LogicalName,DateTimeBehavior",
    "Picklist": "$select=LogicalName&$expand=OptionSet($select=Options)",
    "State": "$select=LogicalName&$expand=OptionSet($select=Options)",
    "Status": "$select=LogicalName&$expand=OptionSet($select=Options)",
}


class _Managed(msgspec.Struct, rename="pascal"):
    value: str = ""


class _Entity(msgspec.Struct, rename="pascal"):
    logical_name: str
    entity_set_name: str | None = None
    primary_id_attribute: str = ""
    change_tracking_enabled: bool = False


class _Attribute(msgspec.Struct, rename="pascal"):
    logical_name: str
    attribute_type: str | None = None
    attribute_type_name: _Managed | None = None
    attribute_of: str | None = None
    is_valid_for_create: bool | None = True
    is_valid_for_update: bool | None = True
    is_valid_for_read: bool | None = True
    required_level: _Managed | None = None


class _LocalLabel(msgspec.Struct, rename="pascal"):
    label: str = ""


class _Label(msgspec.Struct, rename="pascal"):
    user_localized_label: _LocalLabel | None = None
    localized_labels: list[_LocalLabel] = []

    def text(self) -> str:
        if self.user_localized_label is not None:
            return self.user_localized_label.label
        return self.localized_labels[0].label if self.localized_labels else ""


class _Option(msgspec.Struct, rename="pascal"):
    value: int
    label: _Label


class _OptionSet(msgspec.Struct, rename="pascal"):
    options: list[_Option] = []


class _Facet(msgspec.Struct, rename="pascal"):
    logical_name: str
    max_length: int | None = None
    precision: int | None = None
    date_time_behavior: _Managed | None = None
    option_set: _OptionSet | None = None


class _Relation(msgspec.Struct, rename="pascal"):
    referencing_attribute: str
    referenced_entity: str
    referencing_entity_navigation_property_name: str


class _Items(msgspec.Struct, Generic[_T]):
    value: list[_T]


SETS_URL = "EntityDefinitions?$select=LogicalName,EntitySetName"


def read_sets(body: bytes) -> dict[str, str]:
    """Entity set names by table, from the answer to ``SETS_URL``."""
    entities = _decode(body, _Items[_Entity]).value
    return {entity.logical_name: entity.entity_set_name for entity in entities if entity.entity_set_name}


def schema_urls(table: str) -> list[str]:
    """What to read, below the service root, to know a table; ``read_schema`` takes the answers in this order."""
    entity = f"EntityDefinitions(LogicalName='{table}')"
    attributes = "LogicalName,AttributeType,AttributeTypeName,AttributeOf,RequiredLevel"
    validity = "IsValidForCreate,IsValidForUpdate,IsValidForRead"
    relations = "ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
    bulk = "sdkmessageid/name%20eq%20'CreateMultiple'%20and%20primaryobjecttypecode%20eq%20"
    return [
        f"{entity}?$select=LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled",
        f"{entity}/Attributes?$select={attributes},{validity}",
        f"{entity}/ManyToOneRelationships?$select={relations}",
        f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={bulk}'{table}'",
        *(f"{entity}/Attributes/{cast(kind)}?{facets}" for kind, facets in _FACETS.items()),
    ]


def cast(kind: str) -> str:
    """The type segment that narrows attributes to one kind."""
    return f"Microsoft.Dynamics.CRM.{kind}AttributeMetadata"


def read_schema(bodies: Sequence[bytes], sets: Mapping[str, str]) -> TableSchema:
    """The schema that the answers to ``schema_urls`` tell; ``sets`` are the entity set names of all tables."""
    entity = _decode(bodies[0], _Entity)
    attributes = [item for item in _decode(bodies[1], _Items[_Attribute]).value if _is_column(item)]
    relations = _decode(bodies[2], _Items[_Relation]).value
    facets = {facet.logical_name: facet for body in bodies[4:] for facet in _decode(body, _Items[_Facet]).value}
    names = {attribute.logical_name for attribute in attributes}
    return TableSchema(
        name=entity.logical_name,
        set_name=entity.entity_set_name or "",
        id_column=entity.primary_id_attribute,
        columns=dict(_columns(attributes, relations, facets, sets, entity.primary_id_attribute)),
        modified_at="modifiedon" if "modifiedon" in names else "",
        modified_by="_modifiedby_value" if "modifiedby" in names else "",
        tracks_changes=entity.change_tracking_enabled,
        takes_ids=True,
        bulk=frozenset({"CreateMultiple"} if _decode(bodies[3], _Items[dict[str, object]]).value else ()),
    )


def read_options(body: bytes) -> dict[int, str]:
    """The options of one choice column."""
    found = _decode(body, _Facet).option_set
    return {option.value: option.label.text() for option in found.options} if found else {}


def _is_column(attribute: _Attribute) -> bool:
    """Not the shadow of another column (``primarycontactidname``), and readable."""
    return attribute.attribute_of is None and attribute.is_valid_for_read is not False


def _columns(
    attributes: Iterable[_Attribute],
    relations: Sequence[_Relation],
    facets: Mapping[str, _Facet],
    sets: Mapping[str, str],
    id_column: str,
) -> Iterator[tuple[str, Column]]:
    for attribute in attributes:
        kind = attribute.attribute_type or ""
        if kind in _LOOKUPS:
            yield from _lookups(attribute, relations, sets)
        elif kind := _kind_name(attribute):
            yield attribute.logical_name, _plain(attribute, _KINDS[kind], facets.get(attribute.logical_name), id_column)


def _kind_name(attribute: _Attribute) -> str:
    special = attribute.attribute_type_name.value if attribute.attribute_type_name else ""
    kind = special if special in _KINDS else attribute.attribute_type
    return kind if kind in _KINDS else ""


def _plain(attribute: _Attribute, kind: ColumnKind, facet: _Facet | None, id_column: str) -> Column:
    facet = facet or _Facet(attribute.logical_name)
    behaviour = facet.date_time_behavior.value if facet.date_time_behavior else ""
    return Column(
        name=attribute.logical_name,
        kind="date" if behaviour == "DateOnly" else kind,
        read_name=attribute.logical_name,
        max_length=facet.max_length,
        scale=facet.precision,
        # A new row begins in its first state whatever is sent, and whatever the metadata says of the column.
        creatable=attribute.is_valid_for_create is not False and attribute.attribute_type != "State",
        updatable=attribute.is_valid_for_update is not False and attribute.logical_name != id_column,
        required=_is_required(attribute) and attribute.logical_name != id_column,
        options=_options(facet),
    )


def _lookups(
    attribute: _Attribute, relations: Iterable[_Relation], sets: Mapping[str, str]
) -> Iterator[tuple[str, Column]]:
    """A column for each navigation property, and one for the logical name if there is but one."""
    targets: dict[str, list[str]] = {}
    for relation in relations:
        if relation.referencing_attribute == attribute.logical_name:
            found = targets.setdefault(relation.referencing_entity_navigation_property_name, [])
            found += [sets[table] for table in _tables(relation.referenced_entity) if table in sets]
    columns = {name: _lookup(attribute, name, found) for name, found in targets.items()}
    yield from columns.items()
    if len(columns) == 1 and attribute.logical_name not in columns:
        yield attribute.logical_name, next(iter(columns.values()))


def _lookup(attribute: _Attribute, name: str, targets: Iterable[str]) -> Column:
    return Column(
        name=name,
        kind="lookup",
        read_name=f"_{attribute.logical_name}_value",
        creatable=attribute.is_valid_for_create is not False,
        updatable=attribute.is_valid_for_update is not False,
        required=_is_required(attribute),
        targets=tuple(dict.fromkeys(targets)),
    )


def _tables(referenced: str) -> tuple[str, ...]:
    return _OWNERS if referenced in {"owner", "principal"} else (referenced,)


def _is_required(attribute: _Attribute) -> bool:
    """What the API itself enforces; ``ApplicationRequired`` is for forms only."""
    level = attribute.required_level.value if attribute.required_level else ""
    return level == "SystemRequired" and attribute.is_valid_for_create is not False


def _options(facet: _Facet) -> dict[int | str, str]:
    options = facet.option_set.options if facet.option_set else []
    return {option.value: option.label.text() for option in options}


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise DataError(f"Dataverse's metadata cannot be read: {error}") from error

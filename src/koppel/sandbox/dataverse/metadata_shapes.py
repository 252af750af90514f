"""Tables, columns, relations, keys and option sets as the metadata part of the service shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.sandbox.dataverse.choices import Choice, OptionSet
from koppel.sandbox.dataverse.keys import AlternateKey
from koppel.sandbox.dataverse.logic.money import PRICES
from koppel.sandbox.dataverse.schema import CHOICES, LOOKUPS, Column, Lookup, TableSchema

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

NAMESPACE = "Microsoft.Dynamics.CRM"
LANGUAGE = 1033
_DECIMALS = 10
_ACTIVITIES = frozenset({"orderclose", "opportunityclose"})


class Definition(msgspec.Struct, frozen=True):
    """One item: its type, its properties, and the parts that only ``$expand`` brings."""

    type: str
    properties: dict[str, Any]
    parts: Mapping[str, Callable[[], Any]] = {}


@cache
def metadata_id(*names: str) -> str:
    """A lasting id for a thing that has none in the document."""
    return str(uuid5(NAMESPACE_URL, "koppel:metadata:" + ":".join(names)))


def label(text: str, *, managed: bool = True) -> dict[str, Any]:
    """A text in its one language."""
    if not text:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    localized = {
        "Label": text,
        "LanguageCode": LANGUAGE,
        "IsManaged": managed,
        "MetadataId": metadata_id("label", text),
        "HasChanged": None,
    }
    return {"LocalizedLabels": [localized], "UserLocalizedLabel": dict(localized)}


def _managed(value: Any, name: str) -> dict[str, Any]:
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def table_definition(dataverse: Dataverse, table: TableSchema, strong: bool) -> Definition:
    """``EntityMetadata``."""
    properties = {
        "MetadataId": metadata_id(table.name),
        "LogicalName": table.name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.set_name,
        "LogicalCollectionName": table.set_name,
        "CollectionSchemaName": table.set_name,
        "PrimaryIdAttribute": table.id_column,
        "PrimaryNameAttribute": table.name_column or None,
        "OwnershipType": table.ownership,
        "TableType": "Standard",
        "ChangeTrackingEnabled": table.name in dataverse.tracked,
        "IsOptimisticConcurrencyEnabled": True,
        "IsActivity": table.name in _ACTIVITIES,
        "IsPrivate": False,
        "IsIntersect": False,
        "IsManaged": True,
        "IsCustomEntity": False,
        "HasNotes": any(lookup.target == table.name for lookup in _note_lookups(dataverse)),
        "IsCustomizable": _managed(True, "iscustomizable"),
        "CanCreateAttributes": _managed(True, "cancreateattributes"),
        "DisplayName": label(table.display),
        "DisplayCollectionName": label(table.display_collection),
        "Description": label(""),
        "HasChanged": None,
    }
    parts: dict[str, Callable[[], Any]] = {
        "Attributes": lambda: [
            column_definition(dataverse, table, column, strong) for column in table.columns.values()
        ],
        "Keys": lambda: [key_definition(dataverse, key) for key in dataverse.keys.of(table.name)],
        "ManyToOneRelationships": lambda: relations(dataverse, referencing=table.name),
        "OneToManyRelationships": lambda: relations(dataverse, referenced=table.name),
    }
    return Definition("EntityMetadata", properties, parts)


def _note_lookups(dataverse: Dataverse) -> list[Lookup]:
    return dataverse.schema.tables["annotation"].lookups_of("_objectid_value")


def column_definition(dataverse: Dataverse, table: TableSchema, column: Column, strong: bool) -> Definition:
    """``AttributeMetadata`` of the column's own type."""
    properties = {
        "MetadataId": metadata_id(table.name, column.logical),
        "LogicalName": column.logical,
        "SchemaName": column.schema_name,
        "EntityLogicalName": table.name,
        "AttributeType": column.kind,
        "AttributeTypeName": {"Value": f"{column.kind}Type"},
        "AttributeOf": None,
        "IsPrimaryId": column.name == table.id_column,
        "IsPrimaryName": column.name == table.name_column,
        "IsValidForCreate": column.creatable,
        "IsValidForUpdate": column.updatable,
        "IsValidForRead": True,
        "IsCustomAttribute": False,
        "IsManaged": True,
        "IsLogical": False,
        "RequiredLevel": _managed(column.required, "canmodifyrequirementlevelsettings"),
        "DisplayName": label(column.display),
        "Description": label(""),
        "HasChanged": None,
        **_typed(column),
    }
    parts: dict[str, Callable[[], Any]] = {}
    if column.kind in CHOICES and column.option_set:
        options = dataverse.option_sets[column.option_set]
        shown = option_set(options, strong)
        parts["OptionSet"] = lambda: None if options.is_global else shown
        parts["GlobalOptionSet"] = lambda: shown if options.is_global else None
    elif column.kind == "Boolean":
        parts["OptionSet"] = lambda: _yes_no(table, column)
        parts["GlobalOptionSet"] = lambda: None
    kind = "Lookup" if column.kind in LOOKUPS else column.kind
    return Definition(f"{kind}AttributeMetadata", properties, parts)


def _typed(column: Column) -> dict[str, Any]:
    """The properties that only the column's own type has."""
    limits = {"MinValue": column.minimum, "MaxValue": column.maximum}
    match column.kind:
        case "String" | "Memo":
            return {"MaxLength": column.max_length, "Format": "Text" if column.kind == "String" else "TextArea"}
        case "Integer":
            return {**{name: None if value is None else int(value) for name, value in limits.items()}, "Format": "None"}
        case "Money":
            source = 1 if column.logical in PRICES else 2
            return {
                **limits,
                "Precision": 2,
                "PrecisionSource": source,
                "IsBaseCurrency": column.name.endswith("_base"),
            }
        case "Decimal" | "Double":
            return {**limits, "Precision": _DECIMALS}
        case "DateTime":
            date_only = column.edm == "Edm.Date"
            return {
                "Format": column.date_format or "DateAndTime",
                "DateTimeBehavior": {"Value": "DateOnly" if date_only else "UserLocal"},
            }
        case "Boolean":
            return {"DefaultValue": False}
        case "Picklist" | "State" | "Status":
            return {"DefaultFormValue": None}
        case "Lookup" | "Customer" | "Owner":
            return {"Targets": list(column.targets), "Format": "None"}
    return {}


def option_set(options: OptionSet, strong: bool) -> dict[str, Any]:
    """``OptionSetMetadata``: as published or, when read strongly, as it is."""
    choices = options.current if strong else options.published
    return {
        "MetadataId": options.metadata_id,
        "HasChanged": None,
        "IsCustomOptionSet": False,
        "IsGlobal": options.is_global,
        "IsManaged": True,
        "Name": options.name,
        "OptionSetType": options.kind,
        "DisplayName": label(""),
        "Description": label(""),
        "Options": [_option(options, choice) for choice in choices.values()],
    }


def _option(options: OptionSet, choice: Choice) -> dict[str, Any]:
    shown = {
        "Value": choice.value,
        "Label": label(choice.label, managed=choice.managed),
        "Description": label(""),
        "Color": None,
        "IsManaged": choice.managed,
        "MetadataId": None,
        "HasChanged": None,
    }
    if options.kind == "Status":
        shown["State"] = choice.state
    elif options.kind == "State":
        shown["InvariantName"] = choice.label.replace(" ", "")
        shown["DefaultStatus"] = choice.default_status
    return shown


def _yes_no(table: TableSchema, column: Column) -> dict[str, Any]:
    truth, untruth = (
        {"Value": value, "Label": label(text), "Description": label(""), "IsManaged": True}
        for value, text in ((1, "Yes"), (0, "No"))
    )
    return {
        "MetadataId": metadata_id("optionset", table.name, column.logical),
        "IsGlobal": False,
        "IsManaged": True,
        "Name": f"{table.name}_{column.logical}",
        "OptionSetType": "Boolean",
        "TrueOption": truth,
        "FalseOption": untruth,
    }


def relations(dataverse: Dataverse, referencing: str = "", referenced: str = "") -> list[Definition]:
    """``OneToManyRelationshipMetadata`` of the lookups from a table, to a table, or all."""
    return [
        _relation(dataverse, table, lookup)
        for table in dataverse.schema.tables.values()
        for lookup in table.lookups.values()
        if referencing in ("", table.name) and referenced in ("", lookup.target) and lookup.column
    ]


def _relation(dataverse: Dataverse, table: TableSchema, lookup: Lookup) -> Definition:
    column = table.columns[lookup.column]
    target = dataverse.schema.tables.get(lookup.target)
    name = lookup.partner or f"{lookup.target}_{table.name}_{lookup.name}"
    properties = {
        "MetadataId": metadata_id("relation", table.name, lookup.name),
        "SchemaName": name,
        "RelationshipType": "OneToManyRelationship",
        "ReferencingEntity": table.name,
        "ReferencingAttribute": column.logical,
        "ReferencingEntityNavigationPropertyName": lookup.name,
        "ReferencedEntity": "owner" if target is None else target.name,
        "ReferencedAttribute": "ownerid" if target is None else target.id_column,
        "ReferencedEntityNavigationPropertyName": name,
        "IsManaged": True,
        "IsCustomRelationship": False,
        "IsValidForAdvancedFind": True,
        "HasChanged": None,
    }
    return Definition("OneToManyRelationshipMetadata", properties)


def key_definition(dataverse: Dataverse, key: AlternateKey) -> Definition:
    """``EntityKeyMetadata``."""
    properties = {
        "MetadataId": key.metadata_id,
        "SchemaName": key.name,
        "LogicalName": key.name.lower(),
        "EntityLogicalName": key.table,
        "KeyAttributes": list(key.logical),
        "EntityKeyIndexStatus": dataverse.keys.status(key),
        "DisplayName": key.display_name or label(key.name),
        "IsManaged": False,
        "HasChanged": None,
    }
    return Definition("EntityKeyMetadata", properties)

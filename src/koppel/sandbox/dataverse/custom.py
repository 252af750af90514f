"""Custom tables of Dataverse, written into the metadata document as if they had always been there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import quoteattr

from koppel.errors import UsageError
from koppel.sandbox.custom import Column, DataverseTable, Kind

_TYPES: dict[Kind, tuple[str, str]] = {
    "text": ("Edm.String", "String"),
    "memo": ("Edm.String", "Memo"),
    "integer": ("Edm.Int32", "Integer"),
    "decimal": ("Edm.Decimal", "Decimal"),
    "boolean": ("Edm.Boolean", "Boolean"),
    "date": ("Edm.Date", "DateTime"),
    "datetime": ("Edm.DateTimeOffset", "DateTime"),
    "guid": ("Edm.Guid", "Uniqueidentifier"),
    "choice": ("Edm.Int32", "Picklist"),
    "lookup": ("Edm.Guid", "Lookup"),
}
_RENAME = "Give it a name of its own in the file of tables."
_LENGTHS: dict[Kind, int] = {"text": 100, "memo": 2000}
_LIMITS: dict[Kind, str] = {
    "integer": ' x:min="-2147483648" x:max="2147483647"',
    "decimal": ' x:min="-100000000000" x:max="100000000000"',
}
_FORMATS: dict[Kind, str] = {"date": 'x:format="DateOnly"', "datetime": 'x:format="DateAndTime"'}
_TIME = 'Type="Edm.DateTimeOffset" x:type="DateTime" x:readOnly="true" x:format="DateAndTime"'
_SYSTEM = (
    f'<Property Name="createdon" {_TIME} /><Property Name="modifiedon" {_TIME} />'
    '<Property Name="overriddencreatedon" Type="Edm.DateTimeOffset" x:type="DateTime" x:format="DateOnly" />'
    '<Property Name="versionnumber" Type="Edm.Int64" x:type="BigInt" x:readOnly="true" />'
)
_STATES = (("statecode", "State", {0: "Active", 1: "Inactive"}), ("statuscode", "Status", {1: "Active", 2: "Inactive"}))


def document_with(document: str, tables: Sequence[DataverseTable]) -> str:
    """The metadata document with these tables in it. ``UsageError`` for a table that is there already."""
    for table in tables:
        if f'<EntityType Name="{table.table}"' in document or f'<EntitySet Name="{table.set}"' in document:
            raise UsageError(f"Dataverse has a table {table.table} or a set {table.set} already", remedy=_RENAME)
    types, sets = "".join(map(_entity_type, tables)), "".join(map(_entity_set, tables))
    choices = "".join(choice for table in tables for choice in _option_sets(table))
    container = '<EntityContainer Name="System">'
    return document.replace(container, types + container + sets, 1).replace(
        "</x:OptionSets>", f"{choices}</x:OptionSets>", 1
    )


def _entity_type(table: DataverseTable) -> str:
    caption = quoteattr(table.caption or table.table)
    head = (
        f'<EntityType Name="{table.table}" BaseType="mscrm.crmbaseentity" x:schemaName="{table.table}" '
        f'x:displayName={caption} x:displayCollectionName={caption} x:primaryName="{table.name}" '
        f'x:primaryId="{table.table}id" x:ownership="OrganizationOwned"><Key><PropertyRef Name="{table.table}id" />'
        f'</Key><Property Name="{table.table}id" Type="Edm.Guid" x:type="Uniqueidentifier" />'
    )
    lookups = {"createdby": "systemuser", "modifiedby": "systemuser"}
    lookups |= {name: column.to for name, column in table.columns.items() if column.type == "lookup"}
    own = (name for name in lookups if name not in table.columns)
    parts = [head, _SYSTEM, *map(_audit, own), *(_state(table, name, kind) for name, kind, _ in _STATES)]
    parts += [_property(table, name, column) for name, column in table.columns.items()]
    parts += [_navigation(name, target) for name, target in lookups.items()]
    return "".join([*parts, "</EntityType>"])


def _audit(name: str) -> str:
    return (
        f'<Property Name="_{name}_value" Type="Edm.Guid" x:type="Lookup" x:readOnly="true" x:targets="systemuser" '
        f'x:column="{name}" />'
    )


def _state(table: DataverseTable, name: str, kind: str) -> str:
    return f'<Property Name="{name}" Type="Edm.Int32" x:type="{kind}" x:optionSet="{table.table}_{name}" />'


def _property(table: DataverseTable, name: str, column: Column) -> str:
    edm, kind = _TYPES[column.type]
    is_lookup = column.type == "lookup"
    shown = f"_{name}_value" if is_lookup else name
    length = column.length or _LENGTHS.get(column.type)
    words = [f'<Property Name="{shown}" Type="{edm}" x:type="{kind}" x:column="{name}"']
    words += [f'MaxLength="{length}"'] if length else []
    words += [f"x:display={quoteattr(column.caption)}"] if column.caption else []
    words += ['x:required="SystemRequired"'] if column.required else []
    words += [f'x:targets="{column.to}"'] if is_lookup else []
    words += [f'x:optionSet="{table.table}_{name}"'] if column.type == "choice" else []
    words += [_FORMATS[column.type]] if column.type in _FORMATS else []
    return " ".join(words) + _LIMITS.get(column.type, "") + " />"


def _navigation(name: str, target: str) -> str:
    return (
        f'<NavigationProperty Name="{name}" Type="mscrm.{target}"><ReferentialConstraint Property="_{name}_value" '
        f'ReferencedProperty="{target}id" /></NavigationProperty>'
    )


def _entity_set(table: DataverseTable) -> str:
    return f'<EntitySet Name="{table.set}" EntityType="Microsoft.Dynamics.CRM.{table.table}" />'


def _option_sets(table: DataverseTable) -> Iterator[str]:
    for name, kind, options in _STATES:
        states = {1: ' State="0"', 2: ' State="1"'} if kind == "Status" else {}
        yield _option_set(table, name, kind, options, states)
    for name, column in table.columns.items():
        if column.type == "choice":
            yield _option_set(table, name, "Picklist", column.options, {})


def _option_set(table: DataverseTable, name: str, kind: str, options: dict[int, str], more: dict[int, str]) -> str:
    listed = "".join(
        f'<x:Option Value="{value}" Label={quoteattr(label)}{more.get(value, "")} />'
        for value, label in options.items()
    )
    return (
        f'<x:OptionSet Name="{table.table}_{name}" Entity="{table.table}" Attribute="{name}" Type="{kind}">{listed}'
        "</x:OptionSet>"
    )

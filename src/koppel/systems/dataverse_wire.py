"""How tables, columns and values of Dataverse are put on the wire: pure functions, no requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from koppel.errors import CursorError, DataError
from koppel.odata.literals import is_guid
from koppel.odata.literals import quote as literal
from koppel.odata.records import Scalar
from koppel.systems.address import encoded
from koppel.systems.rows import LOOKUP_TABLE, Decoder, Wanted, decoder_for
from koppel.systems.schema import Column, TableSchema
from koppel.systems.system import Columns

_LONGEST_URL = 30_000
"""Below the 32,768 characters that a GET may have, with room for what a proxy adds."""


def column_of(schema: TableSchema, name: str) -> Column:
    """A column by the name that mappings use. ``DataError`` naming similar ones when there is none."""
    column = schema.columns.get(name)
    if column is None:
        similar = [other for other, item in schema.columns.items() if item.read_name == f"_{name}_value"]
        hint = f"; as a lookup write {' or '.join(similar)}" if similar else ""
        raise DataError(
            f"table {schema.name} has no column {name}{hint}",
            field=name,
            remedy="correct the mapping; koppel check names all such columns",
        )
    return column


def select_of(schema: TableSchema, columns: Columns) -> str:
    """What to select: the columns' names on the wire, and when and by whom the row was changed."""
    names = [column_of(schema, name).read_name for name in columns if name]
    return (
        ",".join(dict.fromkeys([*names, *filter(None, (schema.modified_at, schema.modified_by))])) or schema.id_column
    )


def decoder_of(schema: TableSchema, columns: Columns, table_of_set: Mapping[str, str]) -> Decoder:
    """The decoder of rows in these columns."""
    wanted = tuple(_wanted(schema, name, table_of_set) for name in columns)
    return decoder_for(wanted, schema.id_column, schema.modified_at, schema.modified_by)


def prefer(*preferences: str) -> dict[str, str]:
    """The ``Prefer`` header, of those that are not empty."""
    return {"Prefer": ",".join(filter(None, preferences))}


def annotations_for(schema: TableSchema, columns: Columns) -> str:
    """The preference that tells where polymorphic lookups point to, if one is asked for."""
    polymorphic = any(name and is_polymorphic(schema, column_of(schema, name)) for name in columns)
    return f'odata.include-annotations="{LOOKUP_TABLE}"' if polymorphic else ""


def is_polymorphic(schema: TableSchema, column: Column) -> bool:
    """Whether other navigation properties share this one's column, so that its GUID may be another table's."""
    return column.kind == "lookup" and any(
        other.read_name == column.read_name and other.name != column.name for other in schema.columns.values()
    )


def _wanted(schema: TableSchema, name: str, table_of_set: Mapping[str, str]) -> Wanted:
    if not name:
        return Wanted("")
    column = column_of(schema, name)
    only = table_of_set.get(column.targets[0], "") if column.targets and is_polymorphic(schema, column) else ""
    return Wanted(column.read_name, only)


_DATE = len("2024-01-31")


def body_of(schema: TableSchema, values: Mapping[str, Scalar]) -> dict[str, Any]:
    """The JSON of a row: lookups as binds, a date for a column of times as its midnight, everything else as it is."""
    return dict(_member(column_of(schema, name), value) for name, value in values.items())


def _member(column: Column, value: Scalar) -> tuple[str, Scalar]:
    if column.kind == "datetime" and isinstance(value, str) and len(value) == _DATE:
        return column.name, f"{value}T00:00:00Z"
    if column.kind != "lookup":
        return column.name, value
    if not value:
        return f"{column.name}@odata.bind", None
    if not column.targets:
        raise DataError(f"column {column.name} points to no table that can be addressed", field=column.name)
    # A row of another table than the first that the column leads to bears its own: teams(...).
    row = str(value) if str(value).endswith(")") else f"{column.targets[0]}({value})"
    return f"{column.name}@odata.bind", f"/{row}"


def check_cursor(cursor: str, schema: TableSchema, select: str) -> None:
    """A cursor goes on with the columns that it was made with: ``CursorError`` when others are wanted."""
    address = urlsplit(cursor)
    selected = parse_qs(address.query).get("$select", [select])[0]
    if address.path != schema.set_name or set(selected.split(",")) != set(select.split(",")):
        raise CursorError(
            f"the cursor of table {schema.name} was made for other columns", remedy="read everything again"
        )


def filters_of_keys(column: str, keys: Iterable[Scalar], used: int) -> Iterator[str]:
    """Encoded filters that select rows by key, each short enough for an address of which ``used`` characters are taken.

    Nulls select nothing. A text that holds both kinds of quotes cannot be written in an array and gets its own filter.
    """
    room = _LONGEST_URL - used
    head, tail = encoded(f"Microsoft.Dynamics.CRM.In(PropertyName='{column}',PropertyValues=["), encoded("])")
    packed: list[str] = []
    length = 0
    for key in dict.fromkeys(key for key in keys if key is not None):
        item = _array_item(key)
        if item is None:
            yield encoded(f"{column} eq {literal(key)}")
            continue
        if packed and length + len(item) + 1 > room - len(head) - len(tail):
            yield head + ",".join(packed) + tail
            packed, length = [], 0
        packed.append(item)
        length += len(item) + 1
    if packed:
        yield head + ",".join(packed) + tail


def _array_item(key: Scalar) -> str | None:
    text = literal(key) if isinstance(key, bool) else str(key)
    if is_guid(text) or "'" not in text:
        return encoded(f"'{text}'")
    return encoded(f'"{text}"') if '"' not in text else None


def option_label(text: str, language: int) -> dict[str, Any]:
    """A label as metadata actions take it."""
    label = {
        "@odata.type": "Microsoft.Dynamics.CRM.LocalizedLabel",
        "Label": text,
        "LanguageCode": language,
        "IsManaged": False,
    }
    return {"@odata.type": "Microsoft.Dynamics.CRM.Label", "LocalizedLabels": [label], "UserLocalizedLabel": label}

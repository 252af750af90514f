"""Tables that a user adds to the sandbox: custom tables of Dataverse and custom API pages of Business Central.

A YAML file describes them (``docs/sandbox.md``). A page shows a table of its own under its own route,
``publisher/group/version``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import yaml

from koppel.errors import UsageError

Kind = Literal["text", "memo", "code", "integer", "decimal", "boolean", "date", "datetime", "guid", "choice", "lookup"]


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column. ``to``: the table that a lookup leads to; ``options``: value and label of each option of a choice."""

    type: Kind = "text"
    length: int | None = None
    required: bool = False
    caption: str = ""
    to: str = ""
    options: dict[int, str] = {}


class DataverseTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A custom table. ``set``: its entity set; ``name``: the column that names a row. Its id is ``<table>id``."""

    table: str
    set: str
    name: str
    caption: str = ""
    columns: dict[str, Column]


class BusinessCentralPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A custom API page with its table. ``route``: ``publisher/group/version``; ``key``: the primary key.

    ``takes_ids``: ``id`` may be chosen in a POST.
    """

    route: str
    table: str
    entity: str
    key: tuple[str, ...]
    caption: str = ""
    takes_ids: bool = False
    columns: dict[str, Column]


class CustomTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file adds to the two systems."""

    dataverse: tuple[DataverseTable, ...] = ()
    business_central: tuple[BusinessCentralPage, ...] = ()


def read_tables(path: Path) -> CustomTables:
    """The tables that a file describes; ``UsageError`` saying what is wrong with it."""
    try:
        found = msgspec.convert(yaml.safe_load(path.read_text("utf-8")), CustomTables, strict=False)
        _check(found)
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", place=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError, ValueError) as error:
        raise UsageError(
            f"the tables cannot be read: {error}", place=str(path), remedy="See docs/sandbox.md."
        ) from None
    return found


def _check(tables: CustomTables) -> None:
    for table in tables.dataverse:
        for name, column in table.columns.items():
            if column.type == "code":
                raise ValueError(f"{table.table}.{name}: Dataverse knows no code, write text")
            if (column.type == "lookup") != bool(column.to):
                raise ValueError(f"{table.table}.{name}: a lookup says where it leads (to), and nothing else does")
            if (column.type == "choice") != bool(column.options):
                raise ValueError(f"{table.table}.{name}: a choice has options, and nothing else has")
        if table.columns.get(table.name, Column(type="guid")).type != "text":
            raise ValueError(f"{table.table}: {table.name}, which names a row, is no column of text")
    for page in tables.business_central:
        if page.route.count("/") != 2:
            raise ValueError(f"{page.table}: the route is publisher/group/version, not {page.route}")
        for name, column in page.columns.items():
            if column.type in ("memo", "choice", "lookup"):
                raise ValueError(f"{page.table}.{name}: a page of Business Central has no {column.type}")
        for name in page.key:
            if name not in page.columns:
                raise ValueError(f"{page.table}: its key {name} is no column")

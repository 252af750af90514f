"""Rows on the wire: a writer for every choice of columns, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.formats import format_of, target_table
from koppel.sandbox.dataverse.logic.money import CURRENCY
from koppel.sandbox.dataverse.messages import FORMATTED, NAVIGATION, TARGET_TABLE, Preferences
from koppel.sandbox.dataverse.schema import LOOKUPS, Column, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

Writer = Callable[[Row], dict[str, Any]]
Annotate = Callable[[dict[str, Any], Any, Row], None]

_ETAG = "@odata.etag"
_ADDRESS_LINES = ("line1", "line2", "line3")


class RowWriters:
    """The writers of an organisation, by table, columns and annotations."""

    def __init__(self, dataverse: Dataverse) -> None:
        self._dataverse = dataverse
        self._writers: dict[tuple[str, tuple[str, ...] | None, tuple[bool, ...]], Writer] = {}

    def writer(self, table: TableSchema, select: tuple[str, ...] | None, prefer: Preferences) -> Writer:
        """What turns a stored row into the JSON object of an answer. 400 for a column that the table lacks."""
        wanted = tuple(prefer.wants(annotation) for annotation in (FORMATTED, NAVIGATION, TARGET_TABLE))
        key = (table.name, select, wanted)
        if key not in self._writers:
            columns = columns_shown(table, select)
            self._writers[key] = self._annotated(table, columns, wanted) if any(wanted) else _plain(columns)
        return self._writers[key]

    def _annotated(self, table: TableSchema, columns: Sequence[str], wanted: tuple[bool, ...]) -> Writer:
        steps = [(name, self._annotations(table, table.columns[name], *wanted)) for name in columns]

        def write(row: Row) -> dict[str, Any]:
            shown: dict[str, Any] = {_ETAG: row[_ETAG]}
            for name, annotate in steps:
                value = row.get(name)
                if value is not None:
                    for note in annotate:
                        note(shown, value, row)
                shown[name] = value
            return shown

        return write

    def _annotations(
        self, table: TableSchema, column: Column, formatted: bool, navigation: bool, target: bool
    ) -> list[Annotate]:
        notes: list[Annotate] = []
        show = format_of(self._dataverse, table, column) if formatted else None
        if show is not None:
            notes.append(_note(f"{column.name}@{FORMATTED}", show))
        if column.kind in LOOKUPS and navigation:
            notes.append(_note(f"{column.name}@{NAVIGATION}", _navigation_name(table, column)))
        if column.kind in LOOKUPS and target:
            notes.append(_note(f"{column.name}@{TARGET_TABLE}", lambda value, row: target_table(column, row)))
        return notes


def columns_shown(table: TableSchema, select: tuple[str, ...] | None) -> list[str]:
    """The columns that are answered, the id last: those selected and what the platform adds; without selection all."""
    if select is None:
        return [*(name for name in table.columns if name != table.id_column), table.id_column]
    shown: dict[str, None] = {}
    for name in select:
        column = table.columns.get(name)
        if column is None:
            raise errors.no_property(name, table.name)
        shown[name] = None
        if column.kind == "Money" and CURRENCY in table.columns:
            shown[CURRENCY] = None
        for prefix, parts in table.composites:
            if name in parts and name.removeprefix(f"{prefix}_") in _ADDRESS_LINES:
                shown[f"{prefix}_composite"] = None
    shown[table.id_column] = None
    return list(shown)


def _plain(columns: Sequence[str]) -> Writer:
    names = (_ETAG, *columns)

    def write(row: Row) -> dict[str, Any]:
        get = row.get
        return {name: get(name) for name in names}

    return write


def _note(name: str, show: Callable[[Any, Row], str | None]) -> Annotate:
    def annotate(shown: dict[str, Any], value: Any, row: Row) -> None:
        text = show(value, row)
        if text:
            shown[name] = text

    return annotate


def _navigation_name(table: TableSchema, column: Column) -> Callable[[Any, Row], str | None]:
    """The navigation property; none for read-only lookups whose property is called like the column."""
    names = {lookup.target: lookup.name for lookup in table.lookups_of(column.name)}
    if not column.updatable and not column.creatable and set(names.values()) == {column.logical}:
        return lambda value, row: None
    principal = names.get("principal")
    return lambda value, row: principal or names.get(target_table(column, row))

"""The rows of one table of one company: in key order, findable by id, by key, and by a few other fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from koppel.catalogue.pages import TableInfo
from koppel.sandbox.tables import Row, Table

Key = tuple[Any, ...]
Stamp = tuple[str, int]
"""Time of the write in full milliseconds, and the row version: grows with every write."""


class Store:
    """A ``Table`` with its primary key and indexes. Rows hold their own ``id`` and are sparse.

    ``generation`` grows with every write: what was derived from the rows is good as long as it stays. ``kept`` is the
    last order that was asked for: generation, name of the order, ids.
    """

    def __init__(self, info: TableInfo) -> None:
        self.info = info
        self.key_of = _key_reader(info)
        self.table = Table(info.name, lambda _, row: self.key_of(row))
        self.by_key: dict[Key, str] = {}
        self.indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in info.indexes}
        self.generation = 0
        self.kept: tuple[int, Any, list[str]] | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """All rows by id."""
        return self.table.rows

    def put(self, row: Row, stamp: Stamp) -> None:
        """Insert or replace a row."""
        self._forget(row["id"])
        self.table.put(row["id"], row, stamp)
        self._remember(row)

    def remove(self, row_id: str, stamp: Stamp) -> None:
        """Delete a row."""
        self._forget(row_id)
        self.table.remove(row_id, stamp)

    def revert(self, earlier: dict[str, tuple[Row | None, Stamp | None]]) -> None:
        """Give rows back what they were before: row and stamp by id."""
        for row_id in earlier:
            self._forget(row_id)
        self.table.revert((row_id, row, stamp) for row_id, (row, stamp) in earlier.items())
        for row, _ in earlier.values():
            if row is not None:
                self._remember(row)

    def find(self, *key: Any) -> Row | None:
        """The row with a primary key."""
        row_id = self.by_key.get(key)
        return None if row_id is None else self.rows[row_id]

    def having(self, name: str, value: str) -> list[Row]:
        """The rows whose field has a value: through an index if there is one."""
        if name in self.indexes:
            return [self.rows[row_id] for row_id in self.indexes[name].get(value, ())]
        return [row for row in self.rows.values() if row.get(name, "") == value]

    def ids_of(self, name: str, values: Iterable[Any]) -> list[str] | None:
        """Ids of the rows whose field has one of the values; None when only a scan can tell."""
        if name == "id":
            return [value for value in values if value in self.rows]
        if self.info.key == (name,):
            return [self.by_key[(value,)] for value in values if (value,) in self.by_key]
        if name in self.indexes:
            index = self.indexes[name]
            return [row_id for value in dict.fromkeys(values) for row_id in index.get(value, ())]
        return None

    def fill(self, row: Row, values: Row) -> None:
        """Set values in a row as rows hold them: those that are empty are left out."""
        fields = self.info.fields
        for name, value in values.items():
            if value == fields[name].empty:
                row.pop(name, None)
            else:
                row[name] = value

    def only(self) -> Row:
        """The row of a table that has just one."""
        return next(iter(self.rows.values()))

    def _remember(self, row: Row) -> None:
        self.generation += 1
        self.by_key[self.key_of(row)] = row["id"]
        for name, index in self.indexes.items():
            index.setdefault(row.get(name, ""), {})[row["id"]] = None

    def _forget(self, row_id: str) -> None:
        self.generation += 1
        row = self.rows.get(row_id)
        if row is None:
            return
        key = self.key_of(row)
        if self.by_key.get(key) == row_id:
            del self.by_key[key]
        for name, index in self.indexes.items():
            value = row.get(name, "")
            del index[value][row_id]
            if not index[value]:
                del index[value]


def shown_time(stamp: Stamp) -> str:
    """A time as the wire shows it: up to three digits of a second's fraction."""
    text = stamp[0][:-1].rstrip("0").removesuffix(".")
    return f"{text}Z"


def _key_reader(info: TableInfo) -> Callable[[Row], Key]:
    """What reads a row's primary key."""
    if len(info.key) == 1:
        name, empty = info.key[0], info.fields[info.key[0]].empty
        return lambda row: (row.get(name, empty),)
    parts = [(name, info.fields[name].empty) for name in info.key]
    return lambda row: tuple([row.get(name, empty) for name, empty in parts])

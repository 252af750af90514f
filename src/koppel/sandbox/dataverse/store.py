"""Where the rows are: tables, look-ups by value, one version number for all, and writes that can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from koppel.sandbox.tables import Row, Table

FIRST_VERSION = 1_000_000
Writes = dict[tuple[str, str], tuple[Row | None, Any]]
"""By table and id: the row as it was, and its stamp."""


class Index:
    """The ids of a table's rows by the values of some columns, texts without regard to case."""

    def __init__(self, columns: tuple[str, ...], rows: dict[str, Row]) -> None:
        self.columns = columns
        self._ids: dict[Any, dict[str, None]] = {}
        for key, row in rows.items():
            self.move(key, None, row)

    def move(self, key: str, before: Row | None, after: Row | None) -> None:
        """Follow a write."""
        old = None if before is None else self.values(before)
        new = None if after is None else self.values(after)
        if old == new:
            return
        if old is not None:
            found = self._ids[old]
            del found[key]
            if not found:
                del self._ids[old]
        if new is not None:
            self._ids.setdefault(new, {})[key] = None

    def find(self, values: Iterable[Any]) -> list[str]:
        """Ids of the rows with these values, in the order in which they came."""
        return list(self._ids.get(tuple(map(_plain, values)), ()))

    def count(self, values: Iterable[Any]) -> int:
        """How many rows have these values."""
        return len(self._ids.get(tuple(map(_plain, values)), ()))

    def values(self, row: Row) -> tuple[Any, ...] | None:
        """What a row is filed under; None when a part is empty: such rows are in no index."""
        values = tuple([_plain(row.get(column)) for column in self.columns])
        return None if None in values else values

    def duplicates(self) -> bool:
        """Whether two rows share their values."""
        return any(len(found) > 1 for found in self._ids.values())


def _plain(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Store:
    """All tables. ``version`` rises with every write and is the row's version number and entity tag.

    ``versions`` tell when each table was written last, taking back included. ``at_the_end`` is called at the end of
    each transaction with the rows that it wrote, each with what it was before; what it raises takes all back.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.tables = {name: Table(name) for name in names}
        self.version = FIRST_VERSION
        self.versions: dict[str, int] = dict.fromkeys(self.tables, FIRST_VERSION)
        self._indexes: dict[str, dict[tuple[str, ...], Index]] = {name: {} for name in self.tables}
        self.at_the_end: Callable[[Writes], None] = lambda writes: None
        self._undo: Writes | None = None

    @property
    def writes(self) -> Writes | None:
        """What the transaction of the moment wrote so far."""
        return self._undo

    def put(self, table: str, key: str, row: Row) -> None:
        """Insert or replace a row; gives it its version."""
        before = self._before(table, key)
        self.version += 1
        self.versions[table] = self.version
        row["versionnumber"] = self.version
        row["@odata.etag"] = f'W/"{self.version}"'
        self.tables[table].put(key, row, self.version)
        for index in self._indexes[table].values():
            index.move(key, before, row)

    def remove(self, table: str, key: str) -> None:
        """Delete a row."""
        before = self._before(table, key)
        self.version += 1
        self.versions[table] = self.version
        self.tables[table].remove(key, self.version)
        for index in self._indexes[table].values():
            index.move(key, before, None)

    def index(self, table: str, *columns: str) -> Index:
        """The index over these columns; built when first asked for, kept from then on."""
        found = self._indexes[table].get(columns)
        if found is None:
            found = self._indexes[table][columns] = Index(columns, self.tables[table].rows)
        return found

    def has_index(self, table: str, column: str) -> bool:
        """Whether an index over just this column is there already."""
        return (column,) in self._indexes[table]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes within, or none. Inside another one it is part of that."""
        if self._undo is not None:
            yield
            return
        self._undo = {}
        try:
            yield
            self.at_the_end(self._undo)
        except BaseException:
            self._roll_back(self._undo)
            raise
        finally:
            self._undo = None

    def _before(self, table: str, key: str) -> Row | None:
        rows = self.tables[table]
        before = rows.rows.get(key)
        if self._undo is not None and (table, key) not in self._undo:
            self._undo[table, key] = (before, rows.stamp(key))
        return before

    def _roll_back(self, undo: Writes) -> None:
        earlier: dict[str, list[tuple[str, Row | None, Any]]] = {}
        for (table, key), (row, stamp) in undo.items():
            earlier.setdefault(table, []).append((key, row, stamp))
        for table, items in earlier.items():
            for key, row, _ in items:
                for index in self._indexes[table].values():
                    index.move(key, self.tables[table].rows.get(key), row)
            self.tables[table].revert(items)
            self.version += 1
            self.versions[table] = self.version

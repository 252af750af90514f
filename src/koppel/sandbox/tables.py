"""The rows of a simulated system: a dictionary that also knows its order and what changed when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
"""One row, sparse: a column that is absent holds its empty value. Never shared: the table owns it."""


class Table:
    """Rows by id (lower-case GUID), in key order, with the order of changes.

    ``stamp`` is whatever grows with every write of the system: a version number, a time. Rows are replaced, never
    changed in place, so that a reader who is half-way through a page keeps what it has.
    """

    def __init__(self, name: str, sort_key: Callable[[str, Row], Any] = lambda key, row: key) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.tombstones: dict[str, Any] = {}
        self._sort_key = sort_key
        self._changes: dict[str, Any] = {}
        self._ordered: list[str] | None = None

    def put(self, key: str, row: Row, stamp: Any) -> None:
        """Insert or replace a row."""
        if key not in self.rows or self._sort_key(key, self.rows[key]) != self._sort_key(key, row):
            self._ordered = None
        self.rows[key] = row
        self._changes.pop(key, None)
        self._changes[key] = stamp
        self.tombstones.pop(key, None)

    def remove(self, key: str, stamp: Any) -> None:
        """Delete a row and remember that it was there."""
        del self.rows[key]
        self._changes.pop(key, None)
        self.tombstones[key] = stamp
        self._ordered = None

    def ordered(self) -> list[str]:
        """All ids in key order."""
        if self._ordered is None:
            self._ordered = sorted(self.rows, key=lambda key: self._sort_key(key, self.rows[key]))
        return self._ordered

    def changed_since(self, stamp: Any) -> list[str]:
        """Ids of present rows whose last stamp is ``>= stamp``, oldest change first."""
        found = list(_until_older(self._changes, stamp))
        found.reverse()
        return found

    def deleted_since(self, stamp: Any) -> list[str]:
        """Ids of rows deleted at or after ``stamp``, oldest first."""
        found = list(_until_older(self.tombstones, stamp))
        found.reverse()
        return found


def _until_older(changes: dict[str, Any], stamp: Any) -> Iterator[str]:
    for key in reversed(changes):
        if changes[key] < stamp:
            return
        yield key

"""The rows of a simulated system: a dictionary that also knows its order and what changed when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

Row = dict[str, Any]
"""One row, sparse: a column that is absent holds its empty value. Never shared: the table owns it."""


class Table:
    """Rows by id (lower-case GUID), in key order, with the order of changes.

    ``stamp`` is whatever grows with every write of the system: a version number, a time. Rows are replaced, never
    changed in place, so that a reader who is half-way through a page keeps what it has.
    """

    def __init__(self, name: str, sort_key: Callable[[str, Row], Any] | None = None) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.tombstones: dict[str, Any] = {}
        self._sort_key = sort_key
        self._changes: dict[str, Any] = {}
        self._ordered: list[str] | None = None
        self._added: list[str] = []

    def put(self, key: str, row: Row, stamp: Any) -> None:
        """Insert or replace a row."""
        self._place(key, row)
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

    def stamp(self, key: str) -> Any:
        """The stamp of a row's last change or deletion; None when the key was never used."""
        return self._changes.get(key, self.tombstones.get(key))

    def revert(self, earlier: Iterable[tuple[str, Row | None, Any]]) -> None:
        """Take writes back: each key's row (None: none) and stamp as they were before, as if nothing had happened."""
        for key, row, stamp in earlier:
            self.rows.pop(key, None)
            self._changes.pop(key, None)
            self.tombstones.pop(key, None)
            if row is not None:
                self.rows[key] = row
                self._changes[key] = stamp
            elif stamp is not None:
                self.tombstones[key] = stamp
        self._changes = dict(sorted(self._changes.items(), key=itemgetter(1)))
        self.tombstones = dict(sorted(self.tombstones.items(), key=itemgetter(1)))
        self._ordered = None

    def ordered(self) -> list[str]:
        """All ids in key order; new ones are merged in. A list once handed out stays as it is."""
        if self._ordered is None:
            self._ordered = self._sorted(list(self.rows))
        elif self._added:
            self._ordered = self._sorted(self._ordered + self._added)
        self._added = []
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

    def _place(self, key: str, row: Row) -> None:
        """Note what a write does to the key order: nothing, a key more to sort in, or all of it anew."""
        if self._ordered is None:
            return
        before = self.rows.get(key)
        if before is None:
            self._added.append(key)
        elif self._sort_key is not None and self._sort_key(key, before) != self._sort_key(key, row):
            self._ordered = None

    def _sorted(self, keys: list[str]) -> list[str]:
        sort_key = self._sort_key
        return sorted(keys) if sort_key is None else sorted(keys, key=lambda key: sort_key(key, self.rows[key]))


def _until_older(changes: dict[str, Any], stamp: Any) -> Iterator[str]:
    for key in reversed(changes):
        if changes[key] < stamp:
            return
        yield key

"""What one request does to the rows: stamped, checked for its keys, and undone as a whole when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from os import urandom
from typing import TYPE_CHECKING, Any

from koppel.catalogue.pages import TableInfo
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.store import Key, Stamp, Store, shown_time
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.company import BusinessCentral, Company


class Journal:
    """What rows were before: a transaction's way back."""

    def __init__(self) -> None:
        self._earlier: dict[Store, dict[str, tuple[Row | None, Stamp | None]]] = {}
        self._series: list[tuple[Any, str]] = []

    def note(self, store: Store, row_id: str) -> None:
        """Remember a row before its first change."""
        rows = self._earlier.setdefault(store, {})
        if row_id not in rows:
            rows[row_id] = store.rows.get(row_id), store.table.stamp(row_id)

    def note_series(self, series: Any) -> None:
        """Remember a number series before it gives a number."""
        self._series.append((series, series.last))

    def take_over(self, later: Journal) -> None:
        """Go on from another journal, which began after this one."""
        for store, earlier in later._earlier.items():
            self._earlier[store] = {**earlier, **self._earlier.get(store, {})}
        self._series += later._series

    def changed(self) -> Iterator[tuple[Store, str, Row | None]]:
        """The rows that were written, each with what it was before."""
        for store, earlier in self._earlier.items():
            for row_id, (row, _) in earlier.items():
                yield store, row_id, row

    def undo(self) -> None:
        """Make everything as it was."""
        for store, earlier in self._earlier.items():
            store.revert(earlier)
        for series, last in reversed(self._series):
            series.last = last
        self._earlier.clear()
        self._series.clear()


class Work:
    """The writes of one caller in one company. ``referrers``: which fields of which tables hold a table's key."""

    def __init__(self, system: BusinessCentral, company: Company, user: str, journal: Journal | None = None) -> None:
        self.system = system
        self.company = company
        self.user = user
        self.journal = Journal() if journal is None else journal

    def store(self, table: str) -> Store:
        """A table of the company."""
        return self.company.stores[table]

    def insert(self, table: str, row: Row) -> Row:
        """A new row. ``ServiceError`` when its key or id is there already; blank compulsory keys are refused too."""
        store = self.store(table)
        row_id = row.setdefault("id", new_id())
        key = store.key_of(row)
        _check_key(store, row)
        if row_id in store.rows:
            raise errors.exists(store.info.caption, f"SystemId='{row_id}'")
        if key in store.by_key:
            raise errors.exists(store.info.caption, identification(store.info, key))
        self.put(store, row)
        return row

    def modify(self, table: str, row: Row) -> Row:
        """The changed row in place of that with its id. Nothing happens, and no time moves, when nothing differs.

        A changed key is a rename: it is changed wherever it is referred to.
        """
        store = self.store(table)
        before = store.rows[row["id"]]
        if row == before:
            return before
        old, new = store.key_of(before), store.key_of(row)
        if old != new:
            _check_key(store, row)
            if new in store.by_key:
                raise errors.exists(store.info.caption, identification(store.info, new))
        fresh = {name: value for name, value in row.items() if name not in _MOVING}
        self.put(store, fresh)
        if old != new and len(old) == 1:
            self._rename_references(table, old[0], new[0])
        return store.rows[row["id"]]

    def change(self, table: str, row_id: str, values: Row) -> Row:
        """Some values of a row, as they are to be stored."""
        store = self.store(table)
        row = dict(store.rows[row_id])
        store.fill(row, values)
        return self.modify(table, row)

    def touch(self, table: str, row_id: str) -> None:
        """Give a row a new time, whether or not anything in it changed."""
        store = self.store(table)
        self.put(store, {name: value for name, value in store.rows[row_id].items() if name not in _MOVING})

    def flow(self, table: str, row_id: str, values: Row) -> None:
        """Change what a row shows of other tables: neither its time nor its version moves."""
        store = self.store(table)
        row = dict(store.rows[row_id])
        store.fill(row, values)
        self.journal.note(store, row_id)
        store.put(row, self.system.stamp())

    def delete(self, table: str, row_id: str) -> None:
        """Remove a row."""
        store = self.store(table)
        self.journal.note(store, row_id)
        store.remove(row_id, self.system.stamp())

    def put(self, store: Store, row: Row) -> None:
        """Store a row with the system's fields, those that it brings with it excepted."""
        self.journal.note(store, row["id"])
        self.place(store, row)

    def place(self, store: Store, row: Row) -> None:
        """The same, with no way back."""
        stamp = self.system.stamp()
        shown = shown_time(stamp)
        row.setdefault("lastModifiedDateTime", shown)
        row.setdefault("systemCreatedAt", shown)
        row.setdefault("systemModifiedBy", self.user)
        row["systemRowVersion"] = stamp[1]
        store.put(row, stamp)

    def _rename_references(self, table: str, old: str, new: str) -> None:
        for name, store in self.company.stores.items():
            for field, related in store.info.relations.items():
                if related != table:
                    continue
                for row in list(store.having(field, old)):
                    self.modify(name, {**store.rows[row["id"]], field: new})


_MOVING = frozenset({"lastModifiedDateTime", "systemModifiedBy", "systemRowVersion"})


def new_id() -> str:
    """A random GUID (version 4)."""
    text = urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def identification(info: TableInfo, key: Key) -> str:
    """A primary key as messages have it: ``No.='10000'``."""
    return ",".join(f"{info.fields[name].caption}='{value}'" for name, value in zip(info.key, key, strict=True))


def _check_key(store: Store, row: Row) -> None:
    for name in store.info.key:
        if not row.get(name) and name not in store.info.blank:
            raise errors.must_not_be_blank(name)

"""Alternate keys: which there are, whether they may be used yet, and that no two rows share one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.store import Store
from koppel.sandbox.tables import Row


class AlternateKey(msgspec.Struct, frozen=True):
    """A key over ``columns`` (``logical``: their platform names). Usable from ``active_at`` unless ``failed``."""

    table: str
    name: str
    columns: tuple[str, ...]
    logical: tuple[str, ...]
    active_at: datetime
    failed: bool
    metadata_id: str
    display_name: object = None


class KeyRing:
    """The alternate keys of all tables. ``build_seconds``: how long the index of a new key takes."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self.build_seconds = 0.0
        self._store = store
        self._clock = clock
        self._keys: dict[str, dict[str, AlternateKey]] = {}

    def define(
        self, table: str, name: str, columns: tuple[str, ...], logical: tuple[str, ...], display_name: object = None
    ) -> AlternateKey:
        """Declare a key. Where rows share its values already, it fails, as the platform's background job does."""
        key = AlternateKey(
            table=table,
            name=name,
            columns=columns,
            logical=logical,
            active_at=self._clock() + timedelta(seconds=self.build_seconds),
            failed=self._store.index(table, *columns).duplicates(),
            metadata_id=str(uuid5(NAMESPACE_URL, f"koppel:key:{table}:{name}")),
            display_name=display_name,
        )
        self._keys.setdefault(table, {})[name.lower()] = key
        return key

    def drop(self, key: AlternateKey) -> None:
        """Forget a key."""
        del self._keys[key.table][key.name.lower()]

    def of(self, table: str) -> list[AlternateKey]:
        """The keys of a table."""
        return list(self._keys.get(table, {}).values())

    def status(self, key: AlternateKey) -> str:
        """The state of the key's index, by the platform's words."""
        if key.failed:
            return "Failed"
        return "Active" if self._clock() >= key.active_at else "Pending"

    def find(self, table: str, values: Mapping[str, Any]) -> str | None:
        """Id of the row with these values (read names) of an active key. 400 when there is no such key."""
        for key in self.of(table):
            if set(key.columns) == set(values) and self.status(key) == "Active":
                found = self._store.index(table, *key.columns).find(values[column] for column in key.columns)
                return found[0] if found else None
        raise errors.not_a_key(table)

    def check(self, table: str, row_id: str, row: Row) -> None:
        """No other row may have the same values. Rows with an empty part are not held unique."""
        for key in self._keys.get(table, {}).values():
            if key.failed or self.status(key) != "Active":
                continue
            index = self._store.index(table, *key.columns)
            values = index.values(row)
            if values is not None and any(other != row_id for other in index.find(values)):
                raise errors.key_violated(key.name, key.logical)

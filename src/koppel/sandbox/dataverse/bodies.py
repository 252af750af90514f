"""Bodies of writes: which property is what, checked and translated to the columns that are stored.

For each table there is one plan, made when first needed: what to do with each name that may stand in a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from koppel.sandbox.dataverse import addresses, errors
from koppel.sandbox.dataverse.schema import LOOKUPS, TARGET, Collection, Lookup, TableSchema
from koppel.sandbox.dataverse.values import Check, check_of

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_BIND = "@odata.bind"


class Draft(msgspec.Struct):
    """A body, read: column values, rows to create along and bind, and collections likewise."""

    values: dict[str, Any]
    parents: list[tuple[Lookup, dict[str, Any]]] = []
    children: list[tuple[Collection, list[dict[str, Any]]]] = []
    bound_children: list[tuple[Collection, list[str]]] = []


class BodyReader:
    """Reads the bodies of one table."""

    def __init__(self, dataverse: Dataverse, table: TableSchema) -> None:
        self._dataverse = dataverse
        self._table = table
        self._plain = {column.name: column for column in table.columns.values() if column.kind not in LOOKUPS}
        self._poly = {column.name for column in table.columns.values() if len(column.targets) > 1}

    @cached_property
    def _checks(self) -> dict[str, Check]:
        options = self._dataverse.option_sets
        return {name: check_of(self._table.name, column, options) for name, column in self._plain.items()}

    @cached_property
    def _at_create(self) -> dict[str, Check]:
        return {name: self._checks[name] for name, column in self._plain.items() if column.creatable}

    @cached_property
    def _at_update(self) -> dict[str, Check]:
        return {name: self._checks[name] for name, column in self._plain.items() if column.updatable}

    def read(self, body: object, references: Mapping[str, str], *, creating: bool) -> Draft:
        """What a body says. 400 for what the model does not have."""
        if not isinstance(body, dict):
            raise errors.bad_body("The body must be a JSON object.")
        checks = self._at_create if creating else self._at_update
        values: dict[str, Any] = {}
        draft = Draft(values)
        for name, value in body.items():
            check = checks.get(name)
            if check is not None:
                values[name] = check(value)
            elif name not in self._plain:
                self._read_other(draft, name, value, references, creating)
        return draft

    def _read_other(self, draft: Draft, name: str, value: Any, references: Mapping[str, str], creating: bool) -> None:
        property_name, at, annotation = name.partition("@")
        if at and not property_name:
            return  # @odata.type, @odata.id, @odata.etag
        table = self._table
        lookup = table.lookups.get(property_name)
        collection = table.collections.get(property_name)
        if lookup is not None and lookup.column:
            self._read_lookup(draft, lookup, at + annotation, value, references, creating)
        elif collection is not None:
            self._read_collection(draft, collection, at + annotation, value)
        elif property_name in table.columns and at and annotation != "odata.bind":
            return
        elif property_name in table.columns or property_name in table.by_logical:
            raise errors.bad_query(
                "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead."
            )
        else:
            raise errors.undeclared(property_name, table.name)

    def _read_lookup(
        self, draft: Draft, lookup: Lookup, suffix: str, value: Any, references: Mapping[str, str], creating: bool
    ) -> None:
        column = self._table.columns[lookup.column]
        if suffix not in ("", _BIND):
            return
        if not (column.creatable if creating else column.updatable):
            return
        if value is None:
            self._set(draft, lookup.column, None, None)
        elif suffix == _BIND:
            self._set(draft, lookup.column, *self.bind(lookup, value, references))
        elif isinstance(value, dict) and creating:
            draft.parents.append((lookup, value))
        else:
            raise errors.bad_body(f"The value of navigation property '{lookup.name}' is not one that can be written.")

    def bind(self, lookup: Lookup, value: Any, references: Mapping[str, str]) -> tuple[str, str]:
        """Id and table of the row that a lookup is bound to."""
        if not isinstance(value, str):
            raise errors.wrong_type(lookup.name + _BIND, value, "Edm.String")
        table, found = addresses.resolve(self._dataverse, value, references)
        allowed = ("systemuser", "team") if lookup.target == "principal" else (lookup.target,)
        if table not in allowed:
            raise errors.bad_body(f"'{lookup.name}' refers to rows of {' or '.join(allowed)}, not of {table}.")
        return found, table

    def _set(self, draft: Draft, column: str, key: str | None, table: str | None) -> None:
        draft.values[column] = key
        if column in self._poly:
            draft.values[column + TARGET] = table

    def _read_collection(self, draft: Draft, collection: Collection, suffix: str, value: Any) -> None:
        if not isinstance(value, list) or suffix not in ("", _BIND):
            raise errors.bad_body(f"The value of collection '{collection.name}' must be an array.")
        if not collection.column:
            raise errors.not_implemented(f"the relation {collection.name}")
        if suffix:
            draft.bound_children.append((collection, value))
        else:
            draft.children.append((collection, value))

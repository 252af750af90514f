"""Which rows a page of a collection holds: candidates by index, order, and the place where the last page ended."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import orjson

from koppel.odata.literals import comparable_instant
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.filters import Filter
from koppel.sandbox.business_central.query import Query
from koppel.sandbox.business_central.store import Store
from koppel.sandbox.tables import Row

SortKey = tuple[Any, ...]


class Source(msgspec.Struct, frozen=True):
    """Rows to read: ``ids`` of those that may be wanted, sorted by ``sort_key``."""

    rows: Mapping[str, Row]
    ids: list[str]
    sort_key: Callable[[Row], SortKey]


def source_of(store: Store, query: Query) -> Source:
    """The rows that can satisfy a query, in its order: few where an index tells, all of them otherwise."""
    sort_key = _sort_key(store, query.order)
    ids = _candidates(store, query.filter)
    if ids is None and not query.order:
        return Source(store.rows, store.table.ordered(), sort_key)
    return Source(store.rows, _sorted(store, query, ids, sort_key), sort_key)


def source_among(store: Store, ids: Iterable[str], query: Query) -> Source:
    """Some rows of a store, such as the lines of a document, in the order of a query."""
    sort_key, rows = _sort_key(store, query.order), store.rows
    return Source(rows, sorted(ids, key=lambda row_id: sort_key(rows[row_id])), sort_key)


def count(source: Source, given: Filter | None) -> int:
    """How many rows satisfy a filter."""
    if given is None:
        return len(source.ids)
    rows, test = source.rows, given.test
    return sum(test(rows[row_id]) for row_id in source.ids)


def rows_of_page(source: Source, query: Query, size: int) -> tuple[list[Row], bool]:
    """Up to ``size`` rows, or ``$top``, and whether more satisfy the query."""
    wanted = size if query.top is None else query.top
    start = 0 if query.token is None else _place_after(source, query)
    rows, ids = source.rows, source.ids
    if query.filter is None:
        start += query.skip
        return [rows[row_id] for row_id in ids[start : start + wanted]], len(ids) > start + wanted
    return _matching(source, query.filter.test, start, query.skip, wanted)


def token_after(source: Source, row: Row) -> str:
    """The ``$skiptoken`` of the page after this row: what rows are sorted by, so that it outlives changes."""
    values = [value.value if isinstance(value, _Descending) else value for value in source.sort_key(row)]
    return urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _candidates(store: Store, given: Filter | None) -> list[str] | None:
    """Ids that an index or the order of changes gives; None: only a scan can tell."""
    if given is None:
        return None
    for name, values in given.equal.items():
        ids = store.ids_of(name, values)
        if ids is not None:
            return list(dict.fromkeys(ids))
    return store.table.changed_since((given.since,)) if given.since else None


def _sorted(store: Store, query: Query, ids: list[str] | None, sort_key: Callable[[Row], SortKey]) -> list[str]:
    """Sorted ids; kept for the next page, as long as nothing is written."""
    name = (query.order, query.filter.text if query.filter and ids is not None else "")
    if store.kept is not None and store.kept[:2] == (store.generation, name):
        return store.kept[2]
    rows = store.rows
    found = sorted(rows if ids is None else ids, key=lambda row_id: sort_key(rows[row_id]))
    store.kept = (store.generation, name, found)
    return found


def _matching(
    source: Source, test: Callable[[Row], bool], start: int, skip: int, wanted: int
) -> tuple[list[Row], bool]:
    rows, ids = source.rows, source.ids
    found: list[Row] = []
    for position in range(start, len(ids)):
        row = rows[ids[position]]
        if not test(row):
            continue
        if skip:
            skip -= 1
        elif len(found) == wanted:
            return found, True
        else:
            found.append(row)
    return found, False


def _place_after(source: Source, query: Query) -> int:
    try:
        values = orjson.loads(urlsafe_b64decode((query.token or "") + "=="))
        down = [descending for _, descending in query.order]
        wrapped = [_Descending(value) if turned else value for value, turned in zip(values, down, strict=False)]
        last = (*wrapped, *values[len(down) :])
        return bisect_right(source.ids, last, key=lambda row_id: source.sort_key(source.rows[row_id]))
    except (ValueError, TypeError) as error:
        raise errors.bad_request("The $skiptoken is not one that the service gave.") from error


class _Descending:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(other.value == self.value)

    def __hash__(self) -> int:
        return hash(self.value)


def _sort_key(store: Store, order: tuple[tuple[str, bool], ...]) -> Callable[[Row], SortKey]:
    """What rows are sorted by: the fields of the order, then the primary key."""
    if not order:
        return store.key_of
    fields = store.info.fields
    parts = [(name, fields[name].empty, fields[name].kind == "datetime", down) for name, down in order]

    def key(row: Row) -> SortKey:
        values = [_sortable(row.get(name, empty), instant, down) for name, empty, instant, down in parts]
        return (*values, *store.key_of(row))

    return key


def _sortable(value: Any, instant: bool, descending: bool) -> Any:
    if isinstance(value, str):
        value = comparable_instant(value) if instant else value.lower()
    return _Descending(value) if descending else value

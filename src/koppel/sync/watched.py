"""The tables that a mapping watches beside its own, bound to what the systems show."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

from koppel.errors import MappingError, NotFoundError
from koppel.mapping.model import Endpoint, TableMapping, Watch
from koppel.odata.records import SPOKEN
from koppel.systems.schema import TableSchema
from koppel.systems.system import Columns, System


class WatchedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A watched table. ``columns`` are read of it; each one holds what the record's column at its place of ``keys``
    does. Without any a changed row is a change of every record."""

    schema: TableSchema
    columns: Columns = ()
    keys: Columns = ()


async def watched_tables(
    mapping: TableMapping, own: TableSchema, system: System, lacking: list[str]
) -> tuple[WatchedTable, ...]:
    """What a side watches; ``own``: the schema of its records. A table that the route does not have is left out and
    told (``lacking``); ``MappingError``, with the line, for what cannot be watched."""
    found: dict[str, WatchedTable] = {}
    for watch in mapping.endpoint(system.side).watch:
        schema = await _schema(mapping, watch, system)
        if schema is None:
            lacking.append(f"{watch.table} (watched)")
            continue
        known = found.get(watch.table, WatchedTable(schema=schema))
        pairs = [*zip(known.columns, known.keys, strict=True), *_pair(mapping, watch, schema, own, system)]
        columns, keys = zip(*pairs, strict=True) if pairs else ((), ())
        found[watch.table] = WatchedTable(schema=schema, columns=columns, keys=keys)
    return tuple(found.values())


def _pair(
    mapping: TableMapping, watch: Watch, schema: TableSchema, own: TableSchema, system: System
) -> list[tuple[str, str]]:
    """The column of the watched rows and the one of the records, if there are any."""
    if not watch.column:
        return []
    key = watch.key or mapping.endpoint(system.side).key
    for table, column in ((schema, watch.column), (own, own.id_column if key == "id" else key)):
        if column not in table.columns:
            message = f"table {table.name} has no column {column!r}"
            raise _mistake(mapping, watch, message, _near(column, table.columns))
    return [(watch.column, own.id_column if key == "id" else key)]


async def _schema(mapping: TableMapping, watch: Watch, system: System) -> TableSchema | None:
    try:
        schema = await system.describe(watch.table)
    except NotFoundError as error:
        if system.side == "business_central":
            return None
        message = f"{SPOKEN[system.side]} has no table {watch.table!r}"
        raise _mistake(mapping, watch, message, _near(watch.table, await system.tables())) from error
    if not (schema.tracks_changes or schema.modified_at):
        message = f"table {watch.table} does not tell when its rows change"
        raise _mistake(mapping, watch, message, "leave it out; a full synchronisation looks at every record")
    return schema


def require_plain_filter(mapping: TableMapping, watched: Iterable[WatchedTable], end: Endpoint, passes: object) -> None:
    """``MappingError`` where the records that a row belongs to could not be told from those outside the filter."""
    if passes is None and any(table.keys for table in watched):
        message = f"the filter cannot follow the path in {end.filter!r}, so changed rows cannot tell whom they concern"
        raise _mistake(mapping, end.watch[0], message, "ask for columns of the record itself, or leave `watch` out")


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "correct the name under `watch`"


def _mistake(mapping: TableMapping, watch: Watch, message: str, remedy: str) -> MappingError:
    return MappingError(message, place=f"{mapping.file}:{watch.line}", remedy=remedy)

"""``$expand``, one level deep: the rows beside a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from koppel.sandbox.dataverse.messages import Request
from koppel.sandbox.dataverse.query import Expand, sort_rows
from koppel.sandbox.dataverse.schema import Collection, Lookup, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

Shown = dict[str, Any]
Step = Callable[[Row, Shown], None]


def expander(
    dataverse: Dataverse, table: TableSchema, expands: Sequence[Expand], request: Request
) -> Callable[[Row, Shown], Shown]:
    """Adds what the navigation properties lead to to a row as it is shown."""
    steps = [_step(dataverse, table, item, request) for item in expands]

    def expand(row: Row, shown: Shown) -> Shown:
        for step in steps:
            step(row, shown)
        return shown

    return expand


def _step(dataverse: Dataverse, table: TableSchema, item: Expand, request: Request) -> Step:
    lookup = table.lookups.get(item.name)
    if lookup is None:
        return _collection(dataverse, table, table.collections[item.name], item, request)
    if lookup.target == "principal":
        return _principal(dataverse, lookup)
    return _single(dataverse, lookup, item, request)


def _single(dataverse: Dataverse, lookup: Lookup, item: Expand, request: Request) -> Step:
    target = dataverse.schema.tables[lookup.target]
    rows = dataverse.tables[target.name].rows
    write = dataverse.writers.writer(target, item.select, request.prefer)

    def step(row: Row, shown: Shown) -> None:
        found = rows.get(row.get(lookup.column, ""))
        if found is None:
            shown[item.name] = None
        elif item.reference:
            shown[item.name] = {"@odata.id": f"{request.base}{target.set_name}({found[target.id_column]})"}
        else:
            shown[item.name] = write(found)

    return step


def _principal(dataverse: Dataverse, lookup: Lookup) -> Step:
    """Of an owner only what users and teams have in common."""

    def step(row: Row, shown: Shown) -> None:
        shown[lookup.name] = None
        for name in ("systemuser", "team"):
            found = dataverse.row(name, row.get(lookup.column))
            if found is not None:
                kind = f"#Microsoft.Dynamics.CRM.{name}"
                shown[lookup.name] = {
                    "@odata.type": kind,
                    "@odata.etag": found["@odata.etag"],
                    "ownerid": found["ownerid"],
                }

    return step


def _collection(
    dataverse: Dataverse, table: TableSchema, collection: Collection, item: Expand, request: Request
) -> Step:
    target = dataverse.schema.tables[collection.table]
    select = None if item.select is None else (*item.select, collection.column)
    write = dataverse.writers.writer(target, select, request.prefer)
    query = "?" + quote(item.query, safe="$=,;&()'/") if item.query else ""

    def step(row: Row, shown: Shown) -> None:
        key = row[table.id_column]
        found = dataverse.children(target.name, collection.column, key)
        if item.predicate is not None:
            found = [child for child in found if item.predicate(child)]
        found.sort(key=lambda child: str(child[target.id_column]))
        found = sort_rows(found, item.order)[: item.top]
        shown[item.name] = [write(child) for child in found]
        shown[f"{item.name}@odata.nextLink"] = f"{request.base}{table.set_name}({key})/{item.name}{query}"

    return step

"""From an address to its handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from koppel.sandbox.dataverse import actions, bulk, errors, metadata, operations, reading, sales, tracking, writing
from koppel.sandbox.dataverse.addresses import Key, find_id, follow, missing, read_key, segments_of, split_key
from koppel.sandbox.dataverse.messages import Request, Response
from koppel.sandbox.dataverse.privileges import require
from koppel.sandbox.dataverse.schema import Collection, Lookup, TableSchema

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_NAMESPACE = "Microsoft.Dynamics.CRM."

_ROOMS: dict[str, Callable[[Dataverse, Request], Response]] = {
    "EntityDefinitions": metadata.definitions,
    "RelationshipDefinitions": metadata.relationship_definitions,
    "GlobalOptionSetDefinitions": metadata.global_option_sets,
}


def handle(dataverse: Dataverse, request: Request) -> Response:
    """The answer to a request. ``ServiceError`` when it is refused."""
    if request.segments[0].startswith("$") and request.segments[0] != "$metadata":
        address = follow("/".join(request.segments), request.references)
        request.segments = segments_of(address.removeprefix(request.base))
    segments = request.segments
    if segments[0] in ("", "$metadata"):
        _only(request, "GET")
        return metadata.csdl(dataverse, request) if segments[0] else metadata.service_document(dataverse, request)
    name, key = split_key(segments[0])
    if name in _ROOMS:
        return _ROOMS[name](dataverse, request)
    if name in dataverse.schema.names_by_set:
        table = dataverse.schema.tables[dataverse.schema.names_by_set[name]]
        return _set(dataverse, table, request) if key is None else _row(dataverse, table, key, request)
    return _operation(dataverse, name, key, request)


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        text = f"The requested resource does not support http method '{request.method}'."
        raise errors.ServiceError(405, "0x80060888", text)


_ACTIONS: Mapping[str, Callable[[Dataverse, Request], Response]] = {
    **actions.ACTIONS,
    **sales.UNBOUND,
    "BulkDelete": bulk.delete_by_query,
}


def _operation(dataverse: Dataverse, name: str, key: str | None, request: Request) -> Response:
    if name in actions.FUNCTIONS and len(request.segments) == 1:
        _only(request, "GET")
        return actions.call_function(dataverse, name, key, request)
    if name in _ACTIONS and len(request.segments) == 1:
        _only(request, "POST")
        return _ACTIONS[name](dataverse, request)
    if name in actions.KNOWN:
        raise errors.not_implemented(name)
    raise errors.no_segment(name)


def _set(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    rest = request.segments[1:]
    if not rest:
        _only(request, "GET", "POST")
        if request.method == "POST":
            return writing.create(dataverse, table, request)
        return _list(dataverse, table, request)
    if rest == ["$count"]:
        _only(request, "GET")
        require(dataverse, request.caller, "Read", table.name)
        if "$deltatoken" in request.options:
            return tracking.count_changes(dataverse, table, request)
        return reading.read_count(dataverse, table, request)
    return _bound(dataverse, table, rest, request)


def _list(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    require(dataverse, request.caller, "Read", table.name)
    if tracking.is_tracked(request):
        return tracking.read_tracked(dataverse, table, request)
    return reading.read_list(dataverse, table, request)


def _bound(dataverse: Dataverse, table: TableSchema, rest: list[str], request: Request) -> Response:
    """An operation on the set."""
    name = rest[0].removeprefix(_NAMESPACE)
    if (table.name, name) in sales.OF_SETS and rest == [f"{_NAMESPACE}{name}"]:
        _only(request, "POST")
        return sales.OF_SETS[table.name, name](dataverse, request)
    if len(rest) > 1 or not (rest[0].startswith(_NAMESPACE) or name in bulk.MESSAGES):
        raise errors.no_segment(rest[0])
    if not rest[0].startswith(_NAMESPACE):
        raise errors.bad_query("Request message has unresolved parameters.")
    if name not in bulk.MESSAGES:
        raise errors.not_implemented(name)
    _only(request, "POST")
    return bulk.run(dataverse, table, name, request)


def _row(dataverse: Dataverse, table: TableSchema, key_text: str, request: Request) -> Response:
    key = read_key(dataverse, table, key_text)
    rest = request.segments[1:]
    if rest:
        return _below_row(dataverse, table, _existing(dataverse, table, key), rest, request)
    _only(request, "GET", "PATCH", "DELETE")
    if request.method == "PATCH":
        return writing.patch(dataverse, table, key, key_text, request)
    if request.method == "DELETE":
        return writing.delete(dataverse, table, key, request)
    require(dataverse, request.caller, "Read", table.name)
    return reading.read_one(dataverse, table, _existing(dataverse, table, key), request)


def _existing(dataverse: Dataverse, table: TableSchema, key: Key) -> str:
    found = find_id(dataverse, table, key)
    if found is None:
        raise missing(table, key)
    return found


def _below_row(dataverse: Dataverse, table: TableSchema, key: str, rest: list[str], request: Request) -> Response:
    name, child_key = split_key(rest[0])
    if request.method == "GET":
        require(dataverse, request.caller, "Read", table.name)
    if name in table.lookups and child_key is None:
        return _navigation(dataverse, table, key, table.lookups[name], rest[1:], request)
    if name in table.collections:
        return _collection(dataverse, table, key, table.collections[name], child_key, rest[1:], request)
    if name.startswith(_NAMESPACE):
        return _row_operation(dataverse, table, key, name.removeprefix(_NAMESPACE), rest[1:], request)
    if name not in table.columns or rest[1:] not in ([], ["$value"]):
        raise errors.no_segment(rest[0])
    if rest[1:]:
        raise errors.not_implemented("$value")
    _only(request, "GET", "PUT", "DELETE")
    if request.method == "PUT":
        return writing.put_property(dataverse, table, key, name, request)
    if request.method == "DELETE":
        return writing.delete_property(dataverse, table, key, name, request)
    return reading.read_property(dataverse, table, key, name, request)


def _row_operation(
    dataverse: Dataverse, table: TableSchema, key: str, name: str, rest: list[str], request: Request
) -> Response:
    operation = operations.OF_ROWS.get((table.name, name))
    if operation is None or rest:
        raise errors.not_implemented(name)
    _only(request, "POST")
    require(dataverse, request.caller, "Write", table.name)
    return operation(dataverse, key, request)


def _navigation(
    dataverse: Dataverse, table: TableSchema, key: str, lookup: Lookup, rest: list[str], request: Request
) -> Response:
    if rest not in ([], ["$ref"]):
        raise errors.not_implemented(f"addresses beyond {lookup.name}")
    if request.method == "GET":
        return reading.read_navigation(dataverse, table, key, lookup, request, reference=bool(rest))
    if not rest:
        raise errors.not_implemented(f"{request.method} of a related row by navigation")
    _only(request, "GET", "PUT", "DELETE")
    if request.method == "PUT":
        return writing.put_reference(dataverse, table, key, lookup, request)
    return writing.delete_reference(dataverse, table, key, lookup, request)


def _collection(
    dataverse: Dataverse,
    table: TableSchema,
    key: str,
    collection: Collection,
    child_key: str | None,
    rest: list[str],
    request: Request,
) -> Response:
    if not collection.column:
        raise errors.not_implemented(f"the relation {collection.name}")
    child = dataverse.schema.tables[collection.table]
    if request.method == "GET" and child_key is None:
        require(dataverse, request.caller, "Read", child.name)
        return _read_collection(dataverse, child, collection, key, rest, request)
    if rest != ["$ref"]:
        raise errors.not_implemented(f"{request.method} below the relation {collection.name}")
    _only(request, "POST", "DELETE")
    if request.method == "POST":
        return writing.add_reference(dataverse, table, key, collection, request)
    address = f"{child.set_name}({child_key})" if child_key is not None else request.options.get("$id", "")
    return writing.remove_reference(dataverse, table, key, collection, address, request)


def _read_collection(
    dataverse: Dataverse, child: TableSchema, collection: Collection, key: str, rest: list[str], request: Request
) -> Response:
    ids = sorted(str(row[child.id_column]) for row in dataverse.children(child.name, collection.column, key))
    if rest == ["$ref"]:
        return reading.read_references(dataverse, child, ids, request)
    if rest == ["$count"]:
        return reading.read_count(dataverse, child, request, ids)
    if rest:
        raise errors.not_implemented(f"addresses beyond {collection.name}")
    return reading.read_list(dataverse, child, request, ids)

"""Writing rows one at a time: create, update, upsert, delete, single columns and relations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from koppel.sandbox.dataverse import addresses, errors
from koppel.sandbox.dataverse.addresses import Key
from koppel.sandbox.dataverse.bodies import Draft
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.privileges import require
from koppel.sandbox.dataverse.query import read_plan
from koppel.sandbox.dataverse.reading import entity
from koppel.sandbox.dataverse.schema import LOOKUPS, TARGET, Collection, Lookup, TableSchema

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse


def create(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    """``POST set``."""
    require(dataverse, request.caller, "Create", table.name)
    with dataverse.transaction():
        with dataverse.together():
            key = create_row(dataverse, table, request.json(), request.references, request.caller)
        return _written(dataverse, table, key, request, 201, f"{table.set_name}({key})")


def create_row(
    dataverse: Dataverse,
    table: TableSchema,
    body: object,
    references: Mapping[str, str],
    caller: Caller,
    given: Mapping[str, Any] = {},
) -> str:
    """A row with all that its body holds; ``given`` values stand unless the body has others. Returns the id."""
    draft = dataverse.bodies[table.name].read(body, references, creating=True)
    draft.values = {**given, **draft.values}
    for lookup, parent in draft.parents:
        target = dataverse.schema.tables.get(lookup.target)
        if target is None:
            raise errors.not_implemented(f"creating a row through {lookup.name}")
        require(dataverse, caller, "Create", target.name)
        draft.values |= _pointing(
            table, lookup.column, create_row(dataverse, target, parent, references, caller), target
        )
    key = dataverse.create(table.name, draft.values, caller)
    _create_children(dataverse, table, key, draft, references, caller)
    return key


def _create_children(
    dataverse: Dataverse, table: TableSchema, key: str, draft: Draft, references: Mapping[str, str], caller: Caller
) -> None:
    for collection, bodies in draft.children:
        child = dataverse.schema.tables[collection.table]
        require(dataverse, caller, "Create", child.name)
        back = _pointing(child, collection.column, key, table)
        for body in bodies:
            create_row(dataverse, child, body, references, caller, back)
    for collection, addresses_ in draft.bound_children:
        for address in addresses_:
            _attach(dataverse, table, key, collection, address, references, caller)


def _pointing(table: TableSchema, column: str, key: str | None, target: TableSchema) -> dict[str, Any]:
    """The values that make a lookup point to a row."""
    values: dict[str, Any] = {column: key}
    if len(table.columns[column].targets) > 1:
        values[column + TARGET] = target.name if key is not None else None
    return values


def patch(dataverse: Dataverse, table: TableSchema, key: Key, key_text: str, request: Request) -> Response:
    """``PATCH set(key)``: update, or create when there is no such row, as the conditions allow."""
    found = addresses.find_id(dataverse, table, key)
    if_match, if_none_match = condition(request, "if-match"), condition(request, "if-none-match")
    if found is None:
        if if_match is not None:
            raise addresses.missing(table, key)
        return _upsert_new(dataverse, table, key, key_text, request)
    if if_none_match == "*":
        raise errors.exists()
    check_version(dataverse, table, found, if_match)
    require(dataverse, request.caller, "Write", table.name)
    with dataverse.transaction():
        update_row(dataverse, table, found, request.json(), request.references, request.caller, key.values)
        return _written(dataverse, table, found, request, 200, f"{table.set_name}({key_text})")


def _upsert_new(dataverse: Dataverse, table: TableSchema, key: Key, key_text: str, request: Request) -> Response:
    require(dataverse, request.caller, "Create", table.name)
    given = {table.id_column: key.id} if key.id else dict(key.values)
    body = request.json()
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != table.id_column or not key.id}
    with dataverse.transaction():
        with dataverse.together():
            created = create_row(dataverse, table, body, request.references, request.caller, given)
        return _written(dataverse, table, created, request, 201, f"{table.set_name}({key_text})")


def update_row(
    dataverse: Dataverse,
    table: TableSchema,
    key: str,
    body: object,
    references: Mapping[str, str],
    caller: Caller,
    addressed: Mapping[str, Any] = {},
) -> None:
    """Change a row as a body says; columns of the key that ``addressed`` it stay."""
    draft = dataverse.bodies[table.name].read(body, references, creating=False)
    if draft.children or draft.bound_children:
        raise errors.bad_body("Collections cannot be changed in an update; use $ref or the rows themselves.")
    values = (
        {name: value for name, value in draft.values.items() if name not in addressed} if addressed else draft.values
    )
    dataverse.update(table.name, key, values, caller)


def delete(dataverse: Dataverse, table: TableSchema, key: Key, request: Request) -> Response:
    """``DELETE set(key)``."""
    found = addresses.find_id(dataverse, table, key)
    if found is None:
        raise addresses.missing(table, key)
    require(dataverse, request.caller, "Delete", table.name)
    check_version(dataverse, table, found, condition(request, "if-match"))
    dataverse.delete(table.name, found, request.caller)
    return Response(204)


def condition(request: Request, name: str) -> str | None:
    """A precondition header; the word ``null`` is none."""
    value = request.headers.get(name, "null").strip()
    return None if value.lower() == "null" else value


def check_version(dataverse: Dataverse, table: TableSchema, key: str, if_match: str | None) -> None:
    """412 unless the header allows this version of the row."""
    if if_match not in (None, "*", dataverse.tables[table.name].rows[key]["@odata.etag"]):
        raise errors.version_mismatch()


def _written(
    dataverse: Dataverse, table: TableSchema, key: str, request: Request, status: int, address: str
) -> Response:
    """204 with the row's address or, when asked for, the row as it is now."""
    if not request.prefer.representation:
        url = f"{request.base}{address}"
        headers = {"OData-EntityId": url}
        if request.method == "POST":
            headers["Location"] = url
        return Response(204, headers=headers)
    plan = read_plan(dataverse, table, request)
    if status == 200:  # an update does not honour $expand
        plan = msgspec.structs.replace(plan, expands=(), shape=f"({','.join(plan.select)})" if plan.select else "")
    row = dataverse.tables[table.name].rows[key]
    applied = ",".join(filter(None, ("return=representation", request.prefer.applied())))
    headers = {"ETag": row["@odata.etag"], "Preference-Applied": applied}
    return json_response(status, entity(dataverse, plan, request, row), headers)


def put_property(dataverse: Dataverse, table: TableSchema, key: str, name: str, request: Request) -> Response:
    """``PUT set(key)/column``."""
    body = request.json()
    if not isinstance(body, dict) or "value" not in body:
        raise errors.bad_body("The body must be an object with the property 'value'.")
    return _set_property(dataverse, table, key, name, body["value"], request)


def delete_property(dataverse: Dataverse, table: TableSchema, key: str, name: str, request: Request) -> Response:
    """``DELETE set(key)/column``: the value, not the column."""
    return _set_property(dataverse, table, key, name, None, request)


def _set_property(
    dataverse: Dataverse, table: TableSchema, key: str, name: str, value: Any, request: Request
) -> Response:
    if table.columns[name].kind in LOOKUPS:
        raise errors.bad_query(f"'{name}' is a lookup; use its navigation property with $ref.")
    require(dataverse, request.caller, "Write", table.name)
    update_row(dataverse, table, key, {name: value}, {}, request.caller)
    return Response(204)


def put_reference(dataverse: Dataverse, table: TableSchema, key: str, lookup: Lookup, request: Request) -> Response:
    """``PUT set(key)/nav/$ref``."""
    require(dataverse, request.caller, "Write", table.name)
    address = _address(request)
    update_row(dataverse, table, key, {f"{lookup.name}@odata.bind": address}, request.references, request.caller)
    return Response(204)


def delete_reference(dataverse: Dataverse, table: TableSchema, key: str, lookup: Lookup, request: Request) -> Response:
    """``DELETE set(key)/nav/$ref``."""
    require(dataverse, request.caller, "Write", table.name)
    update_row(dataverse, table, key, {lookup.name: None}, {}, request.caller)
    return Response(204)


def add_reference(
    dataverse: Dataverse, table: TableSchema, key: str, collection: Collection, request: Request
) -> Response:
    """``POST set(key)/coll/$ref``."""
    require(dataverse, request.caller, "Write", collection.table)
    _attach(dataverse, table, key, collection, _address(request), request.references, request.caller)
    return Response(204)


def remove_reference(
    dataverse: Dataverse, table: TableSchema, key: str, collection: Collection, address: str, request: Request
) -> Response:
    """``DELETE set(key)/coll(id)/$ref``."""
    require(dataverse, request.caller, "Write", collection.table)
    child, child_key = _child(dataverse, collection, address, request.references)
    if dataverse.tables[child.name].rows[child_key].get(collection.column) != key:
        raise errors.not_found(child.name, child_key)
    dataverse.update(child.name, child_key, _pointing(child, collection.column, None, table), request.caller)
    return Response(204)


def _attach(
    dataverse: Dataverse,
    table: TableSchema,
    key: str,
    collection: Collection,
    address: str,
    references: Mapping[str, str],
    caller: Caller,
) -> None:
    child, child_key = _child(dataverse, collection, address, references)
    dataverse.update(child.name, child_key, _pointing(child, collection.column, key, table), caller)


def _child(
    dataverse: Dataverse, collection: Collection, address: str, references: Mapping[str, str]
) -> tuple[TableSchema, str]:
    if not collection.column:
        raise errors.not_implemented(f"the relation {collection.name}")
    name, key = addresses.resolve(dataverse, address, references)
    if name != collection.table:
        raise errors.bad_body(f"'{collection.name}' holds rows of {collection.table}, not of {name}.")
    return dataverse.schema.tables[name], key


def _address(request: Request) -> str:
    body = request.json()
    address = body.get("@odata.id") if isinstance(body, dict) else None
    if not isinstance(address, str):
        raise errors.bad_body("The body must be an object with the property '@odata.id'.")
    return address

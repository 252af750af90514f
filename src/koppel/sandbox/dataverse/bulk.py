"""The bulk messages: many rows of one table in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from koppel.odata.literals import is_guid
from koppel.sandbox.dataverse import addresses, errors
from koppel.sandbox.dataverse.addresses import Key
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.privileges import require
from koppel.sandbox.dataverse.schema import TableSchema
from koppel.sandbox.dataverse.writing import create_row, update_row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

MESSAGES = frozenset({"CreateMultiple", "UpdateMultiple", "UpsertMultiple", "DeleteMultiple"})


def run(dataverse: Dataverse, table: TableSchema, message: str, request: Request) -> Response:
    """``POST set/Microsoft.Dynamics.CRM.<message>``."""
    if message == "DeleteMultiple":
        raise errors.invalid_argument("DeleteMultiple has not yet been implemented.")
    if message not in dataverse.bulk[table.name]:
        raise errors.invalid_argument(f"The '{message}' message does not support entities of type '{table.name}'.")
    targets = _targets(table, request)
    with dataverse.transaction(), dataverse.together():
        if message == "CreateMultiple":
            return _create(dataverse, table, targets, request)
        if message == "UpdateMultiple":
            _update(dataverse, table, targets, request)
        else:
            _upsert(dataverse, table, targets, request)
    return Response(204)


def _targets(table: TableSchema, request: Request) -> list[dict[str, Any]]:
    body = request.json()
    targets = body.get("Targets") if isinstance(body, dict) else None
    if not isinstance(targets, list):
        raise errors.bad_body("The body must be an object with the array 'Targets'.")
    expected = f"Microsoft.Dynamics.CRM.{table.name}"
    for target in targets:
        kind = target.get("@odata.type") if isinstance(target, dict) else None
        if not isinstance(kind, str) or kind.lstrip("#") != expected:
            raise errors.bad_body(f"Each target needs '@odata.type' with the value '{expected}'.")
    return targets


def _create(dataverse: Dataverse, table: TableSchema, targets: list[dict[str, Any]], request: Request) -> Response:
    require(dataverse, request.caller, "Create", table.name)
    ids = [create_row(dataverse, table, target, request.references, request.caller) for target in targets]
    context = request.context("Microsoft.Dynamics.CRM.CreateMultipleResponse")
    return json_response(200, {"@odata.context": context, "Ids": ids})


def _update(dataverse: Dataverse, table: TableSchema, targets: list[dict[str, Any]], request: Request) -> None:
    require(dataverse, request.caller, "Write", table.name)
    keys = [_key(dataverse, table, target) for target in targets]
    found = [addresses.find_id(dataverse, table, key) for key in keys]
    missing = [key.id or str(key.values) for key, row in zip(keys, found, strict=True) if row is None]
    if missing:
        raise errors.ServiceError(404, "0x80040217", f"{table.name} With Ids = {','.join(missing)} Do Not Exist")
    if len(set(found)) != len(found):
        raise errors.invalid_argument("The same record stands in Targets more than once.")
    for key, row, target in zip(keys, found, targets, strict=True):
        update_row(dataverse, table, str(row), target, request.references, request.caller, key.values)


def _upsert(dataverse: Dataverse, table: TableSchema, targets: list[dict[str, Any]], request: Request) -> None:
    seen: set[object] = set()
    for target in targets:
        key = _key(dataverse, table, target)
        mark = key.id or tuple(sorted(key.values.items()))
        if mark in seen:
            raise errors.invalid_argument("The same record stands in Targets more than once.")
        seen.add(mark)
        row = addresses.find_id(dataverse, table, key)
        require(dataverse, request.caller, "Create" if row is None else "Write", table.name)
        if row is not None:
            update_row(dataverse, table, row, target, request.references, request.caller, key.values)
        elif not key.values.keys().isdisjoint(target):
            raise errors.ServiceError(
                400, "0x80040216", "A key column stands both in @odata.id and among the columns of a new record."
            )
        else:
            given: Mapping[str, Any] = key.values or {table.id_column: key.id}
            create_row(dataverse, table, target, request.references, request.caller, given)


def _key(dataverse: Dataverse, table: TableSchema, target: dict[str, Any]) -> Key:
    """How a target names its row: by ``@odata.id`` or by its primary key."""
    address = target.get("@odata.id")
    if isinstance(address, str):
        set_name, key_text = addresses.split_key(address.lstrip("/").rpartition("/")[2])
        if set_name != table.set_name or key_text is None:
            raise errors.bad_body(f"'{address}' is no address of a row of {table.set_name}.")
        return addresses.read_key(dataverse, table, key_text)
    key = target.get(table.id_column)
    if not isinstance(key, str) or not is_guid(key):
        raise errors.bad_body(f"Each target needs '{table.id_column}' or '@odata.id'.")
    return Key(key.lower())


def delete_by_query(dataverse: Dataverse, request: Request) -> Response:
    """``BulkDelete`` of rows that are named by their ids. The job is done before its id is answered."""
    body = request.json()
    queries = body.get("QuerySet") if isinstance(body, dict) else None
    if not isinstance(queries, list) or not queries:
        raise errors.bad_body("The body must be an object with the array 'QuerySet'.")
    for query in queries:
        table = dataverse.schema.tables.get(query.get("EntityName"))
        if table is None:
            raise errors.ServiceError(400, "0x80041102", f"The entity '{query.get('EntityName')}' was not found.")
        require(dataverse, request.caller, "Delete", table.name)
        with dataverse.together():
            for key in _queried_ids(table, query):
                if key in dataverse.tables[table.name].rows:
                    dataverse.delete(table.name, key, request.caller)
    context = request.context("Microsoft.Dynamics.CRM.BulkDeleteResponse")
    return json_response(200, {"@odata.context": context, "JobId": str(uuid4())})


def _queried_ids(table: TableSchema, query: dict[str, Any]) -> list[str]:
    """The ids that a query asks for. 501 when it asks for anything else."""
    criteria = query.get("Criteria") or {}
    conditions = criteria.get("Conditions") or []
    named = len(conditions) == 1 and conditions[0].get("AttributeName") == table.id_column
    if not named or conditions[0].get("Operator") not in ("In", "Equal") or criteria.get("Filters"):
        raise errors.not_implemented("BulkDelete by anything but the ids of rows")
    values = [value.get("Value") if isinstance(value, dict) else value for value in conditions[0].get("Values", [])]
    return [str(value).lower() for value in values]

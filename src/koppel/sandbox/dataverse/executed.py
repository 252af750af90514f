"""What a webhook posts: the ``RemoteExecutionContext`` of a write, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from koppel.odata.literals import parse_instant
from koppel.sandbox.dataverse.formats import target_table
from koppel.sandbox.dataverse.logic.webhook import CREATE, DELETE
from koppel.sandbox.dataverse.schema import CHOICES, LOOKUPS, Column, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
_NOBODY = "00000000-0000-0000-0000-000000000000"


class Step(msgspec.Struct, frozen=True):
    """A registered step. ``table`` is empty for all, ``columns`` (logical names) too; only updates ask for them."""

    id: str
    endpoint: str
    message: str
    table: str
    columns: frozenset[str]
    is_synchronous: bool


class Execution(msgspec.Struct, frozen=True):
    """A write that a step is told of: the row afterwards (before a deletion), and the columns to tell (read names)."""

    step: Step
    table: str
    key: str
    row: Row
    names: frozenset[str]
    user: str
    at: datetime
    correlation: str
    operation: str


def context(dataverse: Dataverse, execution: Execution) -> dict[str, Any]:
    """The whole context."""
    step, schema = execution.step, dataverse.schema.tables[execution.table]
    organization = dataverse.organization
    is_creation, is_deletion = step.message == CREATE, step.message == DELETE
    target = _reference(execution.table, execution.key) if is_deletion else _target(schema, execution)
    user = dataverse.row("systemuser", execution.user) or {}
    return {
        "BusinessUnitId": user.get("_businessunitid_value") or _NOBODY,
        "CorrelationId": execution.correlation,
        "Depth": 1,
        "InitiatingUserAzureActiveDirectoryObjectId": _NOBODY,
        "InitiatingUserId": execution.user,
        "InputParameters": [{"key": "Target", "value": target}],
        "IsExecutingOffline": False,
        "IsInTransaction": step.is_synchronous,
        "IsOfflinePlayback": False,
        "IsolationMode": 1,
        "MessageName": step.message,
        "Mode": 0 if step.is_synchronous else 1,
        "OperationCreatedOn": f"/Date({_milliseconds(execution.at)}+0000)/",
        "OperationId": execution.operation,
        "OrganizationId": organization.get("organizationid", _NOBODY),
        "OrganizationName": organization.get("name", ""),
        "OutputParameters": [{"key": "id", "value": execution.key}] if is_creation else [],
        "OwningExtension": _untyped_reference("sdkmessageprocessingstep", step.id),
        "ParentContext": None,
        "PostEntityImages": [] if is_deletion or step.is_synchronous else [_name_image(schema, execution)],
        "PreEntityImages": [],
        "PrimaryEntityId": execution.key,
        "PrimaryEntityName": execution.table,
        "RequestId": execution.correlation,
        "SecondaryEntityName": "none",
        "SharedVariables": [],
        "Stage": 40,
        "UserAzureActiveDirectoryObjectId": _NOBODY,
        "UserId": execution.user,
    }


def _target(schema: TableSchema, execution: Execution) -> dict[str, Any]:
    return {"__type": f"Entity:{_CONTRACTS}", **_entity(schema, execution, execution.names)}


def _name_image(schema: TableSchema, execution: Execution) -> dict[str, Any]:
    """The image that goes with every asynchronous step: name and id."""
    names = filter(None, (schema.name_column, schema.id_column))
    return {"key": "AsynchronousStepPrimaryName", "value": _entity(schema, execution, names)}


def _entity(schema: TableSchema, execution: Execution, names: Iterable[str]) -> dict[str, Any]:
    columns = [schema.columns[name] for name in sorted(names)]
    return {
        "Attributes": [{"key": one.logical, "value": _value(one, execution.row)} for one in columns],
        "EntityState": None,
        "FormattedValues": [],
        "Id": execution.key,
        "KeyAttributes": [],
        "LogicalName": execution.table,
        "RelatedEntities": [],
        "RowVersion": None,
    }


def _value(column: Column, row: Row) -> Any:
    value = row.get(column.name)
    if value is None:
        return None
    if column.kind in LOOKUPS:
        return _reference(target_table(column, row), value)
    if column.kind in CHOICES:
        return {"__type": f"OptionSetValue:{_CONTRACTS}", "Value": value}
    if column.kind == "Money":
        return {"__type": f"Money:{_CONTRACTS}", "Value": value}
    if column.kind == "DateTime":
        return f"/Date({_milliseconds(parse_instant(value))})/"
    return value


def _reference(table: str, key: str) -> dict[str, Any]:
    return {"__type": f"EntityReference:{_CONTRACTS}", **_untyped_reference(table, key)}


def _untyped_reference(table: str, key: str) -> dict[str, Any]:
    return {"Id": key, "KeyAttributes": [], "LogicalName": table, "Name": None, "RowVersion": None}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

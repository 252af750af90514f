"""State and status: which belongs to which, and what a new row begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.choices import OptionSet
from koppel.sandbox.dataverse.schema import TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_FIRST = {"product": 2}
"""Tables that begin in another state than 0."""
_PUBLISHED = {"statecode": 0, "statuscode": 1}


def first(table: TableSchema, sets: Mapping[str, OptionSet]) -> dict[str, Any]:
    """State and status of a new row; nothing for a table without states."""
    statuses = _statuses(table, sets)
    if statuses is None:
        return {}
    state = _FIRST.get(table.name, 0)
    return {"statecode": state, "statuscode": statuses.default_status(state)}


def at_birth(dataverse: Dataverse, table: str, row: Row, values: Mapping[str, Any]) -> None:
    """A row begins in its first state, whatever was sent; a status of that state may be chosen."""
    born = dataverse.defaults[table]
    if "statecode" not in born:
        return
    if table == "product" and _published_at_once(dataverse, values):
        born = _PUBLISHED
    ignored = values.get("statecode") not in (None, born["statecode"])
    row["statecode"] = born["statecode"]
    if ignored or values.get("statuscode") is None:
        row["statuscode"] = born["statuscode"]
    _check(dataverse, table, str(row[dataverse.schema.tables[table].id_column]), row)


def _published_at_once(dataverse: Dataverse, values: Mapping[str, Any]) -> bool:
    """Whether a new product skips its draft: the organisation says so, and it belongs to no family."""
    wanted = dataverse.organization.get("createproductswithoutparentinactivestate")
    return bool(wanted) and values.get("_parentproductid_value") is None and values.get("productstructure") in (None, 1)


def complete(dataverse: Dataverse, table: str, row: Row, given: Mapping[str, Any]) -> None:
    """The status of a loaded row that came with nothing but its state."""
    if "statecode" in given and given.get("statuscode") is None:
        statuses = _statuses(dataverse.schema.tables[table], dataverse.option_sets)
        row["statuscode"] = None if statuses is None else statuses.default_status(given["statecode"])


def move(dataverse: Dataverse, table: str, key: str, row: Row, values: Mapping[str, Any]) -> None:
    """Settle a change of state: the state alone takes its first status, the status alone brings its state."""
    if values.keys().isdisjoint(("statecode", "statuscode")):
        return
    state, status = values.get("statecode"), values.get("statuscode")
    if state is None and status is None:
        raise errors.wrong_status(table, key, status, state)
    statuses = _statuses(dataverse.schema.tables[table], dataverse.option_sets)
    if statuses is None:
        return
    if status is None:
        row["statuscode"] = statuses.default_status(row["statecode"])
    elif state is None:
        row["statecode"] = statuses.current[status].state
    _check(dataverse, table, key, row)


def _check(dataverse: Dataverse, table: str, key: str, row: Row) -> None:
    statuses = _statuses(dataverse.schema.tables[table], dataverse.option_sets)
    choice = None if statuses is None else statuses.current.get(row["statuscode"])
    if choice is None or choice.state != row["statecode"]:
        raise errors.wrong_status(table, key, row["statuscode"], row["statecode"])


def _statuses(table: TableSchema, sets: Mapping[str, OptionSet]) -> OptionSet | None:
    column = table.columns.get("statuscode")
    return None if column is None or "statecode" not in table.columns else sets[column.option_set]

"""People: the full name is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    row["fullname"] = _full_name(row)


def _before_update(dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller) -> None:
    if "firstname" in changed or "lastname" in changed:
        row["fullname"] = _full_name(row)


def _full_name(row: Row) -> str | None:
    return " ".join(filter(None, (row.get("firstname"), row.get("lastname")))) or None


PERSON = TableLogic(before_create=_before_create, before_update=_before_update)

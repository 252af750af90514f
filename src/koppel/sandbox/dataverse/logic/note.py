"""Notes: what they hang on is told twice, and a file's size is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.dataverse.schema import TARGET
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse


def _before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    target = row.get("_objectid_value" + TARGET)
    if target is not None:
        row["objecttypecode"] = target
    body = row.get("documentbody")
    row["filesize"] = 0 if body is None else len(body) * 3 // 4 - body.count("=")


NOTE = TableLogic(before_create=_before_create)

"""Notes and posts: what they hang on is told twice; a note with a file says so and counts its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from koppel.sandbox.dataverse.logic.hooks import TableLogic
from koppel.sandbox.dataverse.schema import TARGET
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse


def _note_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    target = row.get("_objectid_value" + TARGET)
    if target is not None:
        row["objecttypecode"] = target
    _measure(row)


def _note_before_update(
    dataverse: Dataverse, before: Row, row: Row, changed: Mapping[str, Any], caller: Caller
) -> None:
    _measure(row)


def _measure(row: Row) -> None:
    body = row.get("documentbody")
    row["filesize"] = 0 if body is None else len(body) * 3 // 4 - body.count("=")
    row["isdocument"] = body is not None or row.get("filename") is not None


def _post_before_create(dataverse: Dataverse, row: Row, caller: Caller) -> None:
    row["regardingobjecttypecode"] = row.get("_regardingobjectid_value" + TARGET)
    row.setdefault("largetext", row.get("text"))


NOTE = TableLogic(before_create=_note_before_create, before_update=_note_before_update)
POST = TableLogic(before_create=_post_before_create)

"""Resources: people and machines whose time is sold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.business_central.logic.unit import (
    RESOURCE,
    add_group,
    check_goes,
    follow_number,
    forget,
    keep_base_unit,
)
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def _named(work: Work, row: Row, before: str) -> None:
    """The search name follows as long as it was the name."""
    if row.get("searchName", "") in ("", before.upper()):
        work.store("resources").fill(row, {"searchName": row.get("displayName", "").upper()})


def _insert(work: Work, row: Row) -> None:
    give_number(work, "resources", row, "RES")


def _inserted(work: Work, row: Row) -> None:
    keep_base_unit(work, RESOURCE, row)
    add_group(work, RESOURCE, row)


def _modified(work: Work, before: Row, after: Row) -> None:
    follow_number(work, RESOURCE, before, after)
    keep_base_unit(work, RESOURCE, after)


def _delete(work: Work, row: Row) -> None:
    check_goes(work, RESOURCE, row)


def _deleted(work: Work, row: Row) -> None:
    forget(work, RESOURCE, row)


LOGIC = Logic(
    validate={"displayName": _named},
    insert=_insert,
    inserted=_inserted,
    modified=_modified,
    delete=_delete,
    deleted=_deleted,
    loaded=_inserted,
)

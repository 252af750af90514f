"""The places where a table's logic comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

Validate = Callable[["Work", Row, Any], None]
"""After a field was set: the row with its new value, and the value before."""


Action = Callable[["Work", Row], str]
"""A bound action on a row; it tells the path of the row that it made, or nothing."""


class Logic(msgspec.Struct, frozen=True, kw_only=True):
    """What a table does of itself.

    ``prepare`` before the values of a new row are set: the row, and the body they come from; ``validate`` by field,
    that of a code also after the id of the same reference; ``insert`` before a row is stored, ``inserted`` after;
    ``modified`` with the row before and after a change; ``delete`` before a row goes, ``deleted`` after; ``loading``
    and ``loaded`` before and after a row is seeded without logic; ``actions`` by name.
    """

    prepare: Callable[[Work, Row, dict[str, Any]], None] | None = None
    validate: dict[str, Validate] = {}
    insert: Callable[[Work, Row], None] | None = None
    inserted: Callable[[Work, Row], None] | None = None
    modified: Callable[[Work, Row, Row], None] | None = None
    delete: Callable[[Work, Row], None] | None = None
    deleted: Callable[[Work, Row], None] | None = None
    loading: Callable[[Work, Row], None] | None = None
    loaded: Callable[[Work, Row], None] | None = None
    actions: dict[str, Action] = {}

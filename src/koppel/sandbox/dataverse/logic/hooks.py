"""The moments at which the application may do something, and what its functions are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

General = Callable[["Dataverse", str, Row, Mapping[str, Any], "Caller"], None]
"""``(dataverse, table, row, changed, caller)``: ``changed`` holds the columns that were sent, on creation all."""

Birth = Callable[["Dataverse", Row, "Caller"], None]
Change = Callable[["Dataverse", Row, Row, Mapping[str, Any], "Caller"], None]
"""``(dataverse, before, row, changed, caller)``."""

AfterChange = Callable[["Dataverse", Row, Row, "Caller"], None]


def nothing(*_: object) -> None:
    """Most tables, most of the time."""


class TableLogic(msgspec.Struct, frozen=True):
    """The functions of one table."""

    before_create: Birth = nothing
    after_create: Birth = nothing
    before_update: Change = nothing
    after_update: AfterChange = nothing
    before_delete: Birth = nothing
    after_delete: Birth = nothing

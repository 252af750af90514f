"""The shape in which rows travel through Koppel: plain, ordered, immutable.

Values are those of the wire (JSON scalars), so that decoding is all the work an unchanged row costs. What they mean
(blank, code, money) is decided in ``engine.values``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Scalar = str | int | float | bool | None
Values = tuple[Scalar, ...]
Nested = Mapping[str, Sequence[Mapping[str, Scalar]]]
"""New rows below a new row, by the name under which they hang there: the lines of a document."""

Side = Literal["business_central", "dataverse"]
SPOKEN: Mapping[Side, str] = {"business_central": "Business Central", "dataverse": "Dataverse"}
"""The sides as people call them."""

ZERO_GUID = "00000000-0000-0000-0000-000000000000"


class Record(msgspec.Struct, frozen=True, gc=False):
    """One row as read: ``values`` stand in the order of the columns that were asked for.

    ``id`` is the lower-case GUID; ``version`` the ETag, byte for byte; ``modified_at`` the system's own time as sent
    (ISO 8601, UTC); ``modified_by`` the user's GUID, empty where the table does not tell.
    """

    id: str
    version: str
    values: Values
    modified_at: str = ""
    modified_by: str = ""


class Page(msgspec.Struct, frozen=True):
    """A page of rows: ``records`` and the ids that a change-tracking read reports as ``deleted``.

    ``cursor`` is set on the last page of a change-tracking read: where the next one goes on.
    """

    records: list[Record]
    deleted: list[str] = []
    cursor: str | None = None

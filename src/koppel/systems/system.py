"""What ``sync`` asks of either system: the same few verbs, whatever goes over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from koppel.errors import RemoteError
from koppel.odata.records import Nested, Page, Record, Scalar, Side
from koppel.systems.governor import Spent
from koppel.systems.schema import TableSchema

Columns = tuple[str, ...]
"""Column names (``Column.name``) in the order the values are wanted. A name may repeat; ``""`` asks for nothing and
reads as ``None``."""


class Create(msgspec.Struct, frozen=True):
    """A row to create; ``id`` is sent only where the table takes ids, else empty. ``nested``: rows below it that are
    made with it, all or none (Business Central)."""

    id: str
    values: Mapping[str, Scalar]
    nested: Nested = {}


class Update(msgspec.Struct, frozen=True):
    """Columns to change in a row, on condition that its ``version`` still is the current one."""

    id: str
    version: str
    values: Mapping[str, Scalar]


class Written(msgspec.Struct, frozen=True):
    """What became of one write. Exactly one of ``error`` and ``id`` says something.

    ``version`` is empty when the system did not tell it; ``record`` is the row as the system now shows it, in the
    columns asked for, where the system answers with it (Business Central does).
    """

    id: str = ""
    version: str = ""
    record: Record | None = None
    error: RemoteError | None = None


class Counters(msgspec.Struct):
    """What was sent since the system was opened: HTTP requests, those that write, and what was throttled or retried.

    ``written`` counts rows in write requests. ``ahead``: how many seconds the system's clock is ahead of this
    machine's, by what its answers say, which is right to a second; 0 as long as nothing is known.
    """

    requests: int = 0
    write_requests: int = 0
    written: int = 0
    throttled: int = 0
    retried: int = 0
    ahead: float = 0.0


class System(Protocol):
    """One of the two systems, open. Every method raises ``RemoteError`` and its kin."""

    side: Side
    counters: Counters

    async def own_users(self) -> frozenset[str]:
        """The GUIDs of the connection's own users; none where the system does not tell. Asked once."""

    async def environment(self) -> str:
        """What tells this environment from any other that may answer under its address one day; asked once."""

    async def tables(self) -> list[str]:
        """Names of all tables that can be described."""

    async def describe(self, table: str) -> TableSchema:
        """Schema of a table; cached. ``NotFoundError`` when there is none."""

    async def count(self, table: str) -> int:
        """About how many rows a table has, for showing progress; nothing may depend on it."""

    async def latest(self, table: str) -> str:
        """When a row of a table was modified last, by the system's clock (ISO time); empty when it has none."""

    def changes(
        self, table: str, columns: Columns, *, cursor: str | None, since: str | None, filter: str | None
    ) -> AsyncIterator[Page]:
        """All rows, or those that changed.

        With ``cursor``: what changed since it was given, deletions too. Without, with ``since`` (ISO time): rows
        modified at or after it. With neither: all rows. ``filter`` (OData) is applied by the system where it can; a
        change-tracking read cannot, so the caller filters again. The last page carries the next cursor where the
        table tracks changes.
        ``CursorError`` when the cursor expired.
        """

    async def by_ids(self, table: str, columns: Columns, ids: Sequence[str]) -> dict[str, Record]:
        """The rows of these ids that exist; in as few requests as the system allows."""

    async def by_keys(self, table: str, columns: Columns, key: str, keys: Sequence[Scalar]) -> list[Record]:
        """The rows whose column ``key`` has one of these values; an empty selection selects nothing."""

    def query(
        self, table: str, columns: Columns, *, filter: str | None = None, order: str | None = None
    ) -> AsyncIterator[Page]:
        """Rows of a filter, page by page."""

    async def create(self, table: str, rows: Sequence[Create], columns: Columns) -> list[Written]:
        """Create rows, in bulk; one answer a row, in order. One bad row does not stop the others."""

    async def update(self, table: str, rows: Sequence[Update], columns: Columns) -> list[Written]:
        """Change rows, each on condition of its version (``VersionError`` in the answer when refused)."""

    async def delete(self, table: str, rows: Sequence[Update]) -> list[Written]:
        """Delete rows on condition of their version; ``values`` are ignored."""

    def share(self, workers: int, others: Sequence[Spent] = ()) -> None:
        """So many workers use this connection's users from now on: each keeps below its part of the limits.

        ``others``: what the other ones sent by each user in the window of the moment.
        """

    def spent(self) -> list[Spent]:
        """What was sent by each user since this was asked last."""

    async def close(self) -> None:
        """Give back connections."""

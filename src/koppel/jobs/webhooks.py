"""What the two systems post when records change, as notices for the mappings concerned.

A post is a hint, never data: the run that it leads to reads the record. What concerns no mapping is passed over.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from koppel.errors import AuthenticationError, StoreError, UsageError
from koppel.mapping.model import TableMapping
from koppel.odata.records import Side
from koppel.store import notices
from koppel.store.database import Database, Kept
from koppel.store.notices import ANY, Notice
from koppel.sync.prepare import SIDES

_T = TypeVar("_T")

SECRET_HEADER = "x-koppel-secret"
"""The header in which Dataverse sends the secret; Business Central sends it as ``clientState``."""
ANSWER_SECONDS = 15
"""How long a post waits for the database. Who is told to try again does so; who hears nothing may not."""

Tables = Mapping[tuple[Side, str], Sequence[tuple[str, bool]]]
"""By side and table, the mappings that a change concerns, and whether the changed row is a record of theirs."""

_RESOURCE = re.compile(r"companies\([^)]*\)/(?P<table>\w+)(?:\((?P<id>[^)]*)\))?(?:\?.*)?$")


class _Change(msgspec.Struct, rename="camel"):
    """An entry of a post of Business Central."""

    resource: str
    change_type: str = ""
    client_state: str = ""


class _Post(msgspec.Struct):
    value: list[_Change]


class _Context(msgspec.Struct, rename="pascal"):
    """What matters of Dataverse's RemoteExecutionContext."""

    primary_entity_name: str
    primary_entity_id: str
    initiating_user_id: str = ""


def concerned(mappings: Mapping[str, TableMapping]) -> Tables:
    """Which mappings each table concerns: as the table of their records, of their parts, or one that they watch.

    A table of Business Central bears its route where a mapping names it so. No record of Dataverse concerns options:
    they are a matter of the column, which posts nothing.
    """
    found: dict[tuple[Side, str], list[tuple[str, bool]]] = {}
    for mapping in mappings.values():
        whole = mappings.get(mapping.part_of, mapping)
        if not (mapping.enabled and whole.enabled and whole.wake_on_events):
            continue
        own = not mapping.part_of and mapping.kind == "records"
        sides: Sequence[Side] = SIDES if mapping.kind == "records" else ("business_central",)
        for side in sides:
            end = mapping.endpoint(side)
            tables = {end.table: own, **{watch.table: False for watch in end.watch if watch.table != end.table}}
            for table, is_record in tables.items():
                found.setdefault((side, table), []).append((whole.name, is_record))
    return found


def told_by_business_central(body: bytes, secret: str, tables: Tables) -> list[Notice]:
    """The notices of a post.

    ``AuthenticationError`` when an entry lacks the secret, ``UsageError`` for no such post.
    """
    post = _decoded(body, _Post)
    if not all(hmac.compare_digest(change.client_state.encode(), secret.encode()) for change in post.value):
        raise AuthenticationError("the notification does not bear the secret")
    return [notice for change in post.value for notice in _of_change(change, tables)]


def _of_change(change: _Change, tables: Tables) -> Iterator[Notice]:
    found = _RESOURCE.search(change.resource)
    if found:
        record = "" if change.change_type == "collection" else (found["id"] or "").strip("'").lower()
        for side, table in tables:
            if side == "business_central" and table.rpartition("/")[2] == found["table"]:
                yield from _notices(side, table, record, tables, deleted=change.change_type == "deleted")


def told_by_dataverse(body: bytes, header: str, secret: str, own: frozenset[str], tables: Tables) -> list[Notice]:
    """The notices of a post; none of what Koppel's own users did.

    ``AuthenticationError`` without the secret in ``header``, ``UsageError`` for no such post.
    """
    if not hmac.compare_digest(header.encode(), secret.encode()):
        raise AuthenticationError("the webhook does not bear the secret")
    context = _decoded(body, _Context)
    if context.initiating_user_id.lower() in own:
        return []
    return list(_notices("dataverse", context.primary_entity_name, context.primary_entity_id.lower(), tables))


def _decoded(body: bytes, shape: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise UsageError(f"this is no notification: {error}") from None


def _notices(side: Side, table: str, record: str, tables: Tables, *, deleted: bool = False) -> Iterator[Notice]:
    for mapping, is_record in tables.get((side, table), ()):
        yield Notice(mapping, side, record if is_record else ANY, deleted=deleted and is_record)


class Inbox:
    """Takes notices in: those that come while others are written go to the database together, and share its answer."""

    def __init__(self, database: Database) -> None:
        self._database = Kept(database)
        self._waiting: set[Notice] = set()
        self._next: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def take(self, told: Collection[Notice]) -> None:
        """Note these; they are committed when it returns. ``StoreError`` when the database is out of reach."""
        if told:
            self._waiting.update(told)
            self._next = self._next or asyncio.create_task(self._write())
            await asyncio.shield(self._next)

    async def close(self) -> None:
        """Give the connection back."""
        await self._database.close()

    async def _write(self) -> None:
        async with self._turn:
            together, self._waiting, self._next = self._waiting, set(), None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._note_again(together)
            except TimeoutError:
                remedy = "The systems tell it again."
                raise StoreError(f"the database did not answer in {ANSWER_SECONDS} s", remedy=remedy) from None

    async def _note_again(self, together: Collection[Notice]) -> None:
        try:
            await self._note(together)
        except StoreError:  # of a connection that was kept, and turns out to be lost
            await self._note(together)

    async def _note(self, together: Iterable[Notice]) -> None:
        async with self._database.use() as connection:
            await notices.add(connection, together)

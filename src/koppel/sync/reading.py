"""Reading one table's changes from a position, so that nothing is missed and a system that went back is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from typing import TypeVar

import msgspec

from koppel.errors import CursorError
from koppel.odata.literals import format_instant, parse_instant
from koppel.odata.records import SPOKEN, Page, Side
from koppel.sync.position import Position, instant, newest_of
from koppel.sync.session import Session
from koppel.systems.schema import TableSchema
from koppel.systems.system import Columns

OVERLAP = timedelta(minutes=5)
"""How far back a read by time goes again: what was long under way comes with an earlier time (promise 5)."""

WENT_BACK = "went-back"
"""The code of a ``CursorError`` that says itself what happened."""

BEHIND = "went back behind what it had reported, as a restored backup does"
LONG_AGO = "1753-01-01T00:00:00Z"
_T = TypeVar("_T")


class Reading(msgspec.Struct, kw_only=True):
    """The reading of one table. ``position``: where it goes on, and once it is through, where the next one does.

    ``tracked``: by change tracking, else by the time of modification. ``complete``: everything is read, not only what
    changed. ``filter`` (OData) is for the system. ``vanishing``: rows go with the records that they belong to, so it
    says nothing when none of the newest is left.
    """

    side: Side
    schema: TableSchema
    columns: Columns
    tracked: bool
    position: Position
    complete: bool = False
    filter: str | None = None
    vanishing: bool = False


async def pages_of(session: Session, reading: Reading) -> AsyncIterator[Page]:
    """What there is to read, page by page. ``CursorError`` when the system does not go on from the position, or went
    back behind it."""
    before = reading.position
    pages = session.systems[reading.side].changes(
        reading.schema.name,
        reading.columns,
        cursor=(before.at or None) if reading.tracked and not reading.complete else None,
        since=_since(reading),
        filter=reading.filter,
    )
    at = ""
    newest: list[tuple[str, str]] = []
    missing = {} if reading.complete else dict.fromkeys(before.newest)
    environment = before.environment
    async for page in ahead(pages):
        if page.records or page.deleted:
            environment = await _environment(session, reading)
        if not reading.tracked:
            newest = newest_of(newest, page.records)
            for record in page.records:
                missing.pop(record.id, None)
        yield page
        if page.cursor:
            at = page.cursor
    if missing:
        await _require_older(session, reading, missing)
    if not reading.tracked:
        at = max(newest)[0] if newest else "" if reading.complete else before.at
    recent = tuple(id for time, id in newest if time >= window(at))
    reading.position = Position(at, recent, environment)


def window(at: str) -> str:
    """From when on a read by time reads again; sorts as ``instant`` does."""
    return instant(_overlapping(at)) if at else ""


def _since(reading: Reading) -> str | None:
    if reading.tracked:
        return None
    if reading.complete or not reading.position.at:  # without a time, a table that tracks changes is read by tracking
        return LONG_AGO if reading.schema.tracks_changes else None
    return _overlapping(reading.position.at)


def _overlapping(time: str) -> str:
    return format_instant(parse_instant(time) - OVERLAP, milliseconds=True)


async def _environment(session: Session, reading: Reading) -> str:
    """Which environment answers; ``CursorError`` when changes were asked of another one than the position is of."""
    now = await session.systems[reading.side].environment()
    before = reading.position.environment
    if not reading.complete and before and before != now:
        raise CursorError(f"another environment of {SPOKEN[reading.side]} answers than before", code=WENT_BACK)
    return now


async def _require_older(session: Session, reading: Reading, missing: Collection[str]) -> None:
    """Records that were the newest ones and are not reported any more have been deleted, as people do; if they are
    still there, or none is left, the system went back behind them: ``CursorError``."""
    there = await session.systems[reading.side].by_ids(reading.schema.name, (), list(missing))
    none_left = len(missing) == len(reading.position.newest) > 1 and not reading.vanishing
    if there or none_left:
        raise CursorError(f"{SPOKEN[reading.side]} {BEHIND}", code=WENT_BACK)


async def ahead(pages: AsyncIterator[_T]) -> AsyncIterator[_T]:
    """The same items, the next one being fetched while the present one is worked on."""
    iterator = pages.__aiter__()
    task: asyncio.Task[_T] = asyncio.ensure_future(anext(iterator))
    try:
        while True:
            try:
                item = await task
            except StopAsyncIteration:
                return
            task = asyncio.ensure_future(anext(iterator))
            yield item
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

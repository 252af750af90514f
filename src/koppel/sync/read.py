"""Where the records of a run come from: the changes of either side, second tries, and records that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import msgspec

from koppel.errors import CursorError
from koppel.odata.literals import format_instant, is_guid, parse_instant
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store import conflicts, couplings, cursors, failures, pending
from koppel.store.cursors import Cursor
from koppel.sync.position import Position, instant, newest_of, position_of, stored
from koppel.sync.prepare import SIDES, End, Ready
from koppel.sync.scope import Incoming, Scope
from koppel.sync.session import Session

OVERLAP = timedelta(minutes=5)
"""How far back a read by time goes again: what was long under way comes with an earlier time (promise 5)."""

WENT_BACK = "went-back"
"""The code of a ``CursorError`` that says itself what happened."""

BEHIND = "went back behind what it had reported, as a restored backup does"
LONG_AGO = "1753-01-01T00:00:00Z"
_T = TypeVar("_T")


class Changes(msgspec.Struct, kw_only=True):
    """The reading of one side's changes. ``position`` is where the next one goes on, known once this one is through.

    ``complete``: everything is read, not only what changed; ``notice`` says why when nobody asked for that.
    ``behind``: the system went back behind this time.
    """

    side: Side
    position: Position = Position()
    complete: bool = False
    notice: str = ""
    behind: str = ""


async def start_reading(session: Session, ready: Ready, side: Side, *, full: bool) -> Changes:
    """Where to begin: at the cursor, unless everything is asked for or the mapping changed since it was made."""
    cursor = await cursors.get(session.connection, ready.mapping.name, side)
    await session.connection.commit()
    position = position_of(cursor.position) if cursor else Position()
    changes = Changes(side=side, position=position, complete=full or cursor is None)
    if cursor is not None and cursor.digest != digest_of(ready):
        changes.complete = True
        why = cursors.UNDONE if cursor.digest == cursors.UNDONE else "the mapping changed since the last run"
        changes.notice = f"{why}, so everything is compared"
    if ready.volatile and side == "business_central":
        changes.complete = True
    return changes


def digest_of(ready: Ready) -> str:
    """What a cursor is true for: the mapping and the fields that the systems show."""
    text = "\n".join((ready.mapping.digest, *ready.business_central.columns, *ready.dataverse.columns))
    return sha256(text.encode()).hexdigest()[:16]


async def read_changes(session: Session, ready: Ready, changes: Changes) -> AsyncIterator[Incoming]:
    """The changes, chunk by chunk, the next one being read while this one is worked on."""
    try:
        async for incoming in _read(session, ready, changes):
            yield incoming
    except CursorError as error:
        why = error.message if error.code == WENT_BACK else "the change-tracking cursor expired"
        changes.behind = changes.position.at if error.code == WENT_BACK else ""
        async for incoming in read_everything(session, ready, changes, why):
            yield incoming


async def read_everything(session: Session, ready: Ready, changes: Changes, why: str) -> AsyncIterator[Incoming]:
    """All records, since it cannot be relied on what the system reports as changed."""
    changes.complete = True
    changes.notice = f"{why}, so everything is compared"
    async for incoming in _read(session, ready, changes):
        yield incoming


async def _read(session: Session, ready: Ready, changes: Changes) -> AsyncIterator[Incoming]:
    end = ready.end(changes.side)
    tracked = end.schema.tracks_changes and end.passes is not None
    before = changes.position
    cursor = before.at if tracked and not changes.complete else None
    since = None if tracked else LONG_AGO if changes.complete and end.passes is None else _since(changes)
    pages = session.systems[changes.side].changes(
        end.schema.name, end.columns, cursor=cursor or None, since=since, filter=_pushed(end, changes)
    )
    at = ""
    newest: list[tuple[str, str]] = []
    missing = {} if changes.complete else dict.fromkeys(before.newest)
    environment = before.environment
    if changes.complete:
        await couplings.begin_full_read(session.connection)
    async for page in ahead(pages):
        if changes.complete:
            await couplings.note_seen(session.connection, (record.id for record in page.records))
        if page.records or page.deleted:
            environment = await _environment(session, changes)
        if not tracked:
            newest = newest_of(newest, page.records)
            for record in page.records:
                missing.pop(record.id, None)
        yield Incoming(
            side=changes.side,
            records=page.records,
            deleted=page.deleted,
            why="full" if changes.complete else "changed",
            behind="" if tracked else changes.behind,
        )
        if page.cursor:
            at = page.cursor
    if missing:
        await _require_older(session, ready, changes.side, before.newest, missing)
    if changes.complete:
        async for incoming in _absent(session, ready, changes.side):
            yield incoming
    if not tracked:
        at = max(newest)[0] if newest else "" if changes.complete else before.at
    recent = tuple(id for time, id in newest if time >= instant(_overlapping(at)))
    changes.position = Position(at, recent, environment)


async def _environment(session: Session, changes: Changes) -> str:
    """Which environment answers; ``CursorError`` when changes were asked of another one than the position is of."""
    now = await session.systems[changes.side].environment()
    before = changes.position.environment
    if not changes.complete and before and before != now:
        raise CursorError(f"another environment of {SPOKEN[changes.side]} answers than before", code=WENT_BACK)
    return now


async def _require_older(
    session: Session, ready: Ready, side: Side, newest: Sequence[str], missing: Collection[str]
) -> None:
    """Records that were the newest ones and are not reported any more have been deleted, as people do; if they are
    still there, or none is left, the system went back behind them: ``CursorError``."""
    there = await session.systems[side].by_ids(ready.end(side).schema.name, (), list(missing))
    if there or len(missing) == len(newest) > 1:
        raise CursorError(f"{SPOKEN[side]} {BEHIND}", code=WENT_BACK)


def _pushed(end: End, changes: Changes) -> str | None:
    """The filter that the system applies: none to changes, as long as it can be told here what left the filter."""
    return end.filter or None if changes.complete or end.passes is None else None


async def _absent(session: Session, ready: Ready, side: Side) -> AsyncIterator[Incoming]:
    """Coupled records that a finished full read did not come upon: they are gone, or outside the filter."""
    async for found in couplings.unseen(session.connection, ready.mapping.name, side):
        ids = [
            coupling.business_central_id if side == "business_central" else coupling.dataverse_id for coupling in found
        ]
        end = ready.end(side)
        there = await session.systems[side].by_ids(end.schema.name, end.columns, ids)
        gone = [id for id in ids if id not in there]
        yield Incoming(side=side, records=list(there.values()), deleted=gone, why="full", outside=True)


def _since(changes: Changes) -> str | None:
    if changes.complete or not changes.position.at:
        return None
    return _overlapping(changes.position.at)


def _overlapping(time: str) -> str:
    return format_instant(parse_instant(time) - OVERLAP, milliseconds=True)


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


async def save_cursor(session: Session, ready: Ready, changes: Changes) -> None:
    """The pass is complete: the next run goes on from here."""
    cursor = Cursor(stored(changes.position), digest_of(ready))
    await cursors.save(session.connection, ready.mapping.name, changes.side, cursor)
    await session.connection.commit()


async def again(session: Session, scope: Scope, *, early: bool = False) -> list[Incoming]:
    """Records that deserve another try: what failed, what waited for a reference, what a person decided.

    ``early``: also what failed several times lately.
    """
    mapping, connection = scope.ready.mapping.name, session.connection
    wanted: dict[Side, dict[str, None]] = {"business_central": {}, "dataverse": {}}
    for failure in await failures.due(connection, mapping, early=early):
        wanted[failure.side][failure.record_id] = None
    for waiting in await pending.ready(connection, mapping):
        wanted["business_central"][waiting.business_central_id] = None
    decisions = await _decided(session, mapping)
    wanted["business_central"] |= dict.fromkeys(decisions)
    await connection.commit()
    return [await _read_again(session, scope, side, list(wanted[side]), decisions) for side in SIDES if wanted[side]]


async def _decided(session: Session, mapping: str) -> dict[str, list[conflicts.Conflict]]:
    """The conflicts that a person decided, by Business Central id."""
    found: dict[str, list[conflicts.Conflict]] = {}
    for conflict in await conflicts.find(session.connection, mapping=mapping, decided=True):
        found.setdefault(conflict.business_central_id, []).append(conflict)
    return found


async def _read_again(
    session: Session,
    scope: Scope,
    side: Side,
    ids: Sequence[str],
    decisions: Mapping[str, Sequence[conflicts.Conflict]],
) -> Incoming:
    end = scope.ready.end(side)
    found = await session.systems[side].by_ids(end.schema.name, end.columns, ids)
    gone = [id for id in ids if id not in found]
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, gone)
    await _forget(session, scope, side, [id for id in gone if id not in coupled])
    return Incoming(side=side, records=list(found.values()), deleted=list(coupled), why="again", decisions=decisions)


async def _forget(session: Session, scope: Scope, side: Side, ids: Collection[str]) -> None:
    """Failures of records that are gone and were never coupled concern nobody any more."""
    if ids:
        await failures.clear(session.connection, scope.ready.mapping.name, side, ids)
        await session.connection.commit()


async def chosen(session: Session, scope: Scope, names: Iterable[str]) -> tuple[list[Incoming], list[str]]:
    """The records that were asked for by id (of either side) or Business Central key, and the names nobody knows."""
    names = list(names)
    decisions = await _decided(session, scope.ready.mapping.name)
    found: list[Incoming] = []
    known: set[str] = set()
    for side in SIDES:
        records = await _by_name(session, scope, side, names)
        if records:
            called = {each.casefold() for r in records for each in (r.id, scope.ready.end(side).name_of(r))}
            known |= {name for name in names if name.casefold() in called}
            found.append(Incoming(side=side, records=records, why="chosen", decisions=decisions))
        names = [name for name in names if name not in known]
    return found, names


async def _by_name(session: Session, scope: Scope, side: Side, names: Sequence[str]) -> list[Record]:
    end, system = scope.ready.end(side), session.systems[side]
    ids = [name.lower() for name in names if is_guid(name)]
    keys = [name for name in names if not is_guid(name)]
    found = list((await system.by_ids(end.schema.name, end.columns, ids)).values()) if ids else []
    key = scope.ready.mapping.endpoint(side).key
    if keys and side == "business_central":
        found += await system.by_keys(end.schema.name, end.columns, key, keys)
    return found

"""Where the records of a run come from: the changes of either side, second tries, and records that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import msgspec

from koppel.errors import CursorError
from koppel.odata.literals import comparable_instant, format_instant, is_guid, parse_instant
from koppel.odata.records import Record, Side
from koppel.store import conflicts, couplings, cursors, failures, pending
from koppel.store.cursors import Cursor
from koppel.sync.prepare import SIDES, End, Ready
from koppel.sync.scope import Incoming, Scope
from koppel.sync.session import Session

OVERLAP = timedelta(minutes=5)
"""How far back a read by time goes again: what was long under way comes with an earlier time (promise 5)."""

LONG_AGO = "1753-01-01T00:00:00Z"
_T = TypeVar("_T")


class Changes(msgspec.Struct, kw_only=True):
    """The reading of one side's changes. ``position`` is where the next one goes on, known once this one is through.

    ``complete``: everything is read, not only what changed; ``notice`` says why when nobody asked for that.
    """

    side: Side
    position: str = ""
    complete: bool = False
    notice: str = ""


async def start_reading(session: Session, ready: Ready, side: Side, *, full: bool) -> Changes:
    """Where to begin: at the cursor, unless everything is asked for or the mapping changed since it was made."""
    stored = await cursors.get(session.connection, ready.mapping.name, side)
    await session.connection.commit()
    changes = Changes(side=side, position=stored.position if stored else "", complete=full or stored is None)
    if stored is not None and stored.digest != digest_of(ready):
        changes.complete = True
        changes.notice = "the mapping changed since the last run, so everything is compared"
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
    except CursorError:
        changes.complete = True
        changes.position = ""
        changes.notice = "the change-tracking cursor expired, so everything is compared"
        async for incoming in _read(session, ready, changes):
            yield incoming


async def _read(session: Session, ready: Ready, changes: Changes) -> AsyncIterator[Incoming]:
    end = ready.end(changes.side)
    tracked = end.schema.tracks_changes and end.passes is not None
    cursor = changes.position if tracked and not changes.complete else None
    since = None if tracked else LONG_AGO if changes.complete and end.passes is None else _since(changes)
    pages = session.systems[changes.side].changes(
        end.schema.name, end.columns, cursor=cursor or None, since=since, filter=_pushed(end, changes)
    )
    newest = changes.position if not tracked else ""
    if changes.complete:
        await couplings.begin_full_read(session.connection)
    async for page in ahead(pages):
        if changes.complete:
            await couplings.note_seen(session.connection, (record.id for record in page.records))
        if not tracked:
            newest = max([newest, *(record.modified_at for record in page.records)], key=_instant)
        yield Incoming(
            side=changes.side,
            records=page.records,
            deleted=page.deleted,
            why="full" if changes.complete else "changed",
        )
        if page.cursor:
            newest = page.cursor
    if changes.complete:
        async for incoming in _absent(session, ready, changes.side):
            yield incoming
    changes.position = newest


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


def _instant(text: str) -> str:
    return comparable_instant(text) if text else ""


def _since(changes: Changes) -> str | None:
    if changes.complete or not changes.position:
        return None
    return format_instant(parse_instant(changes.position) - OVERLAP, milliseconds=True)


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
    if changes.position:
        cursor = Cursor(changes.position, digest_of(ready))
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

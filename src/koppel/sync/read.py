"""Where the records of a run come from: the changes of either side, second tries, and records that were asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from koppel.errors import CursorError
from koppel.odata.literals import is_guid
from koppel.odata.records import Record, Side
from koppel.store import conflicts, couplings, cursors, failures, pending
from koppel.store.cursors import Cursor
from koppel.sync.position import Position, position_of, stored
from koppel.sync.prepare import SIDES, End, Ready
from koppel.sync.reading import WENT_BACK, Reading, pages_of
from koppel.sync.references import goes_through
from koppel.sync.scope import Incoming, Scope
from koppel.sync.session import Session
from koppel.sync.watch import concerned, read_watched


class Changes(msgspec.Struct, kw_only=True):
    """The reading of one side's changes. ``position`` is where the next one goes on, known once this one is through.

    ``complete``: everything is read, not only what changed; ``notice`` says why when nobody asked for that.
    ``watched``: every record counts as changed. ``behind``: the system went back behind this time.
    """

    side: Side
    position: Position = Position()
    complete: bool = False
    watched: bool = False
    notice: str = ""
    behind: str = ""


async def start_reading(session: Session, ready: Ready, side: Side, *, full: bool) -> Changes:
    """Where to begin: at the cursor, unless everything is asked for or the mapping changed since it was made."""
    cursor = await cursors.get(session.connection, ready.mapping.name, side)
    await session.connection.commit()
    position = position_of(cursor.position) if cursor else Position()
    changes = Changes(side=side, position=position, complete=full or cursor is None)
    if cursor is not None and cursor.digest != digest_of(ready):
        why = cursors.UNDONE if cursor.digest == cursors.UNDONE else "the mapping changed since the last run"
        _compare_everything(changes, why)
    if position.day != _day(session, ready, side):
        changes.complete = changes.watched = True
    return changes


def digest_of(ready: Ready) -> str:
    """What a cursor is true for: the mapping, the fields that the systems show and the tables that are watched."""
    watched = (watched.schema.name for side in SIDES for watched in ready.end(side).watched)
    text = "\n".join((ready.mapping.digest, *ready.business_central.columns, *ready.dataverse.columns, *watched))
    return sha256(text.encode()).hexdigest()[:16]


def _day(session: Session, ready: Ready, side: Side) -> str:
    """The work date, where it decides what a record is worth."""
    return session.today().isoformat() if ready.is_daily(side) else ""


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
    _compare_everything(changes, why)
    async for incoming in _read(session, ready, changes):
        yield incoming


def _compare_everything(changes: Changes, why: str) -> None:
    changes.complete = True
    changes.notice = f"{why}, so everything is compared"
    changes.position = msgspec.structs.replace(changes.position, watched={})


async def _read(session: Session, ready: Ready, changes: Changes) -> AsyncIterator[Incoming]:
    side, end, day = changes.side, ready.end(changes.side), _day(session, ready, changes.side)
    watched = await read_watched(session, ready, side, changes.position.watched)
    position = changes.position
    if watched.every:
        changes.complete = changes.watched = True
        changes.notice = changes.notice or watched.notice
    else:
        async for records, gone in concerned(session, ready, side, watched.keys):
            yield Incoming(side=side, records=records, deleted=gone, watched=True)
            position = msgspec.structs.replace(position, newest=tuple(set(position.newest).difference(gone)))
    reading = Reading(
        side=side,
        schema=end.schema,
        columns=end.columns,
        tracked=end.schema.tracks_changes and end.passes is not None,
        position=position,
        complete=changes.complete,
        filter=_pushed(end, changes),
    )
    if changes.complete:
        await couplings.begin_full_read(session.connection)
    async for page in pages_of(session, reading):
        if changes.complete:
            await couplings.note_seen(session.connection, (record.id for record in page.records))
        yield Incoming(
            side=side,
            records=page.records,
            deleted=page.deleted,
            why="full" if changes.complete else "changed",
            watched=changes.watched,
            behind="" if reading.tracked else changes.behind,
        )
    if changes.complete:
        async for incoming in _absent(session, ready, side):
            yield incoming
    changes.position = msgspec.structs.replace(reading.position, watched=watched.positions, day=day)


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


async def save_cursor(session: Session, ready: Ready, changes: Changes) -> None:
    """The pass is complete: the next run goes on from here."""
    cursor = Cursor(stored(changes.position), digest_of(ready))
    await cursors.save(session.connection, ready.mapping.name, changes.side, cursor)
    await session.connection.commit()


async def again(session: Session, scope: Scope, *, early: bool = False) -> AsyncIterator[Incoming]:
    """Records that deserve another try: what failed, what waited for a reference, what a person decided.

    ``early``: also what failed several times lately. Those of the second side are read when their turn comes: what was
    done about a record of the first one may have written its partner.
    """
    mapping, connection = scope.ready.mapping.name, session.connection
    through = goes_through(scope.ready.mapping)
    wanted: dict[Side, dict[str, None]] = {"business_central": {}, "dataverse": {}}
    for failure in await failures.due(connection, mapping, early=early, through=through):
        # What failed in this very job is tried twice in it only if it waited for something that was brought along.
        if failure.job != session.job or failure.via:
            wanted[failure.side][failure.record_id] = None
    for waiting in (*scope.led.values(), *await pending.ready(connection, mapping, through=through)):
        wanted["business_central"][waiting.business_central_id] = None
    decisions = await decided(session, mapping)
    wanted["business_central"] |= dict.fromkeys(decisions)
    await connection.commit()
    for side in SIDES:
        if wanted[side]:
            yield await _read_again(session, scope, side, list(wanted[side]), decisions)


async def decided(session: Session, mapping: str) -> dict[str, list[conflicts.Conflict]]:
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
    decisions = await decided(session, scope.ready.mapping.name)
    found: list[Incoming] = []
    known: set[str] = set()
    for side in SIDES:
        records = await _by_name(session, scope, side, names)
        if records:
            called = {each.casefold() for r in records for each in (r.id, scope.ready.end(side).name_of(r))}
            known |= {name for name in names if name.casefold() in called}
            found.append(Incoming(side=side, records=records, why="chosen", decisions=decisions))
        names = [name for name in names if name not in known]
    for side in SIDES:
        gone, deleted = await _gone_since(session, scope, side, names)
        found += [Incoming(side=side, deleted=deleted, why="chosen")] if deleted else []
        names = [name for name in names if name not in gone]
    return found, names


async def as_it_is_now(session: Session, scope: Scope, incoming: Incoming) -> Incoming:
    """The same records, read once more: something may have been written since."""
    end = scope.ready.end(incoming.side)
    ids = [record.id for record in incoming.records]
    found = await session.systems[incoming.side].by_ids(end.schema.name, end.columns, ids)
    return msgspec.structs.replace(incoming, records=list(found.values()))


async def _gone_since(
    session: Session, scope: Scope, side: Side, names: Sequence[str]
) -> tuple[Collection[str], Sequence[str]]:
    """Of records that are there no more, the names of those that were coupled or failed once, and the coupled ones."""
    mapping, connection = scope.ready.mapping.name, session.connection
    ids = [name.lower() for name in names if is_guid(name)]
    coupled = await couplings.by_ids(connection, mapping, side, ids)
    failed = await failures.by_ids(connection, mapping, side, ids)
    await _forget(session, scope, side, [id for id in failed if id not in coupled])
    return [name for name in names if name.lower() in coupled or name.lower() in failed], list(coupled)


async def _by_name(session: Session, scope: Scope, side: Side, names: Sequence[str]) -> list[Record]:
    end, system = scope.ready.end(side), session.systems[side]
    ids = [name.lower() for name in names if is_guid(name)]
    keys = [name for name in names if not is_guid(name)]
    found = list((await system.by_ids(end.schema.name, end.columns, ids)).values()) if ids else []
    key = scope.ready.mapping.endpoint(side).key
    if keys and side == "business_central":
        found += await system.by_keys(end.schema.name, end.columns, key, keys)
    return found

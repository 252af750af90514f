"""Writes that follow from others, as rules plan them (UOM-06, CUR-08).

They happen before the chunk is recorded: a run that dies in between finds the records unrecorded, and follows again.
They are written down before they are sent, as any other write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from koppel.engine.action import Action, FollowUp
from koppel.engine.plan import other
from koppel.errors import ExistsError, NotFoundError, RemoteError, TransientError, VersionError
from koppel.odata.records import Record, Side
from koppel.store import history, intents
from koppel.store.history import Entry
from koppel.store.intents import Intended, Intent
from koppel.sync.needs import run_rule
from koppel.sync.opened import opened
from koppel.sync.reopen import change
from koppel.sync.scope import Scope
from koppel.sync.session import Session
from koppel.sync.unread import unread_edits
from koppel.sync.write import ROUNDS, Done
from koppel.systems.system import Create, Update, Written


async def follow_up(session: Session, scope: Scope, done: Sequence[Done]) -> tuple[set[Side], list[Done]]:
    """Carry out what the mapping's ``follow`` rules plan for the records of pairs that are in step now, rule by rule:
    what one of them could not do for a record, no later one takes for done.

    Returns the sides that were written, and the chunk with the errors that this led to.
    """
    wrote: set[Side] = set()
    for rule in scope.ready.rules(scope.ready.mapping.rules.follow):
        tried = [one for one in done if not (one.error or one.superseded)]
        settled = [one for one in tried if one.action.record(rule.side) and is_in_step(one.action)]
        records = [record for one in settled if (record := one.action.record(rule.side))]
        partners = [one.id(other(rule.side)) for one in settled]
        ups: list[FollowUp] = await run_rule(session, scope.ready, rule, records, partners) if records else []
        errors = await carry_out(session, scope, ups)
        wrote |= {up.side for up in ups}
        done = [_with_error(one, errors) for one in done] if errors else done
    return wrote, list(done)


async def carry_out(session: Session, scope: Scope, ups: Sequence[FollowUp]) -> dict[str, RemoteError]:
    """Write what rules want beside their records: table by table as they come, deletions and creations first.

    By the id of the record that wanted it, the first thing that went wrong.
    """
    errors: dict[str, RemoteError] = {}
    for side, table in dict.fromkeys((up.side, up.table) for up in ups):
        mine = {up.id: up for up in ups if (up.side, up.table) == (side, table) and up.record not in errors}
        found = await _delete(session, scope, side, table, [up for up in mine.values() if up.delete])
        kept = [up for up in mine.values() if not (up.delete or up.record in {mine[id].record for id in found})]
        found |= await _write(session, scope, side, table, kept) if kept else {}
        errors = {up.record: found[up.id] for up in ups if up.table == table and up.id in found} | errors
    return errors


def is_in_step(action: Action) -> bool:
    """Whether what is done about a record leaves a pair that agrees."""
    return action.kind in ("create", "update", "couple") or (action.kind == "nothing" and action.base is not None)


def _with_error(one: Done, errors: dict[str, RemoteError]) -> Done:
    error = errors.get(one.action.business_central_id) or errors.get(one.action.dataverse_id)
    return msgspec.structs.replace(one, trouble=error) if error else one


async def _delete(
    session: Session, scope: Scope, side: Side, table: str, ups: Sequence[FollowUp]
) -> dict[str, RemoteError]:
    """Delete rows of one table; the errors by id. What is gone already is what was wanted.

    Rows may change as others of their document go, with which they share a discount: those are read and tried again.
    """
    errors: dict[str, RemoteError] = {}
    for round_ in range(1, ROUNDS + 1):
        found = await _try_to_delete(session, scope, side, table, ups) if ups else {}
        again = {id for id, error in found.items() if isinstance(error, VersionError) and round_ < ROUNDS}
        errors |= {id: error for id, error in found.items() if id not in again}
        ups = [up for up in ups if up.id in again]
    return errors


async def _try_to_delete(
    session: Session, scope: Scope, side: Side, table: str, ups: Sequence[FollowUp]
) -> dict[str, RemoteError]:
    system = session.systems[side]
    whole = _whole_column(session, scope, side, table)
    found = await system.by_ids(table, (whole,) if whole else (), [up.id for up in ups])
    doomed = [up for up in ups if up.id in found]
    held = {str(found[up.id].values[0] or "") for up in doomed} if whole else set()
    async with opened(session, scope.ready, side, held - {""}):
        answers = await system.delete(table, [Update(up.id, found[up.id].version, {}) for up in doomed])
    told = [(up, answer.error) for up, answer in zip(doomed, answers, strict=True)]
    entries = [_entry(session, scope, up, "delete") for up, error in told if error is None]
    await history.add(session.connection, entries)
    return {up.id: error for up, error in told if error and not isinstance(error, NotFoundError)}


async def _write(
    session: Session, scope: Scope, side: Side, table: str, ups: Sequence[FollowUp]
) -> dict[str, RemoteError]:
    """Write rows of one table; the errors by id. What exists already is what was wanted."""
    system, connection, mapping = session.systems[side], session.connection, scope.ready.mapping.name
    own = scope.ready.mapping.endpoint(side)
    opens = own.reopen if own.table == table else {}
    whole = _whole_column(session, scope, side, table)
    columns = tuple(dict.fromkeys([*opens, *filter(None, [whole]), *(column for up in ups for column in up.values)]))
    new, old = [up for up in ups if up.create], [up for up in ups if not up.create]
    found = await system.by_ids(table, columns, [up.id for up in old]) if old else {}
    waiting = await unread_edits(session, scope.ready.mapping, side, table, found)
    old = [up for up in old if up.id in found and up.id not in waiting]
    told = {up.id: list(_entries(session, scope, up, found, columns)) for up in (*new, *old)}
    written = [_intent(session, up, told[up.id]) for up in (*new, *old)]
    await intents.save(connection, mapping, written, session.portion)
    await connection.commit()
    rows = [Update(up.id, found[up.id].version, up.values) for up in old]
    takes_ids = bool(new) and (await system.describe(table)).takes_ids
    made_as = [Create(up.id if takes_ids else "", up.values) for up in new]
    states = [dict(zip(opens, found[up.id].values, strict=False)) for up in old]
    held = {str(up.values.get(whole) or "") for up in new}
    held |= {str(found[up.id].values[columns.index(whole)] or "") for up in old if whole}
    async with opened(session, scope.ready, side, held - {""} if whole else ()):
        made = await system.create(table, made_as, columns) if new else []
        changed = await change(system, table, columns, rows, states, opens) if rows else []
    answers = list(zip((*new, *old), (*made, *changed), strict=True))
    done = [up for up, answer in answers if _is_done(up, answer)]
    ids = {up.id: answer.id or up.id for up, answer in answers}
    await history.add(connection, (replace(entry, record_id=ids[up.id]) for up in done for entry in told[up.id]))
    known = [_key(up) for up, answer in answers if up in done or not _is_unknown(answer)]
    await intents.settle(connection, mapping, side, known)
    refused = {
        up.id: answer.error
        for up, answer in answers
        if answer.error and not (up.create and isinstance(answer.error, ExistsError))
    }
    return {**waiting, **refused}


def _whole_column(session: Session, scope: Scope, side: Side, table: str) -> str:
    """Where rows of a table say which of the mapping's records they are parts of, if they are."""
    parts = (session.mappings[name] for name in scope.ready.parts)
    found = (getattr(part.whole, side) for part in parts if part.endpoint(side).table == table)
    return next(found, "")


def _is_done(up: FollowUp, answer: Written) -> bool:
    made_before = up.create and isinstance(answer.error, ExistsError) and answer.error.doubtful
    return made_before or not answer.error


def _is_unknown(answer: Written) -> bool:
    return answer.error is not None and (answer.error.doubtful or isinstance(answer.error, TransientError))


def _key(up: FollowUp) -> str:
    return f"{up.table} {up.id}"


def _entries(
    session: Session, scope: Scope, up: FollowUp, found: Mapping[str, Record], columns: tuple[str, ...]
) -> Iterator[Entry]:
    """What history tells of a write."""
    entry = _entry(session, scope, up, "create" if up.create else "update")
    if up.create:
        yield entry
        return
    for column, value in up.values.items():
        before = found[up.id].values[columns.index(column)]
        yield msgspec.structs.replace(entry, field=column, old=before, new=value)


def _entry(session: Session, scope: Scope, up: FollowUp, action: history.Action) -> Entry:
    return Entry(
        session.job,
        scope.ready.mapping.name,
        up.side,
        up.id,
        action,
        new=dict(up.values),
        why=up.reason,
        record_name=up.name,
        table_name=scope.ready.beside(up.side, up.table),
    )


def _intent(session: Session, up: FollowUp, entries: Sequence[Entry]) -> Intent:
    changes = () if up.create else tuple(Intended(e.field, e.old, e.new, e.why) for e in entries)  # type: ignore[arg-type]
    return Intent(
        kind="create" if up.create else "update",
        side=up.side,
        source_id=_key(up),
        intended_id=up.id,
        record_name=up.name,
        changes=changes,
        held=dict(up.values) if up.create else {},
        why=up.reason,
        table_name=up.table,
        job=session.job,
    )

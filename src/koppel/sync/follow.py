"""Writes that follow from others, as rules plan them (UOM-06, CUR-08).

They happen before the chunk is recorded: a run that dies in between finds the records unrecorded, and follows again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from koppel.engine.action import Action, FollowUp
from koppel.engine.plan import other
from koppel.errors import ExistsError, RemoteError
from koppel.odata.records import Record, Side
from koppel.store import history
from koppel.sync.needs import run_rule
from koppel.sync.reopen import change
from koppel.sync.scope import Scope
from koppel.sync.session import Session
from koppel.sync.write import Done
from koppel.systems.system import Create, Update, Written


async def follow_up(session: Session, scope: Scope, done: Sequence[Done]) -> tuple[set[Side], list[Done]]:
    """Carry out what the mapping's ``follow`` rules plan for the records of pairs that are in step now, rule by rule:
    what one of them could not do for a record, no later one takes for done.

    Returns the sides that were written, and the chunk with the errors that this led to.
    """
    wrote: set[Side] = set()
    for rule in scope.ready.rules(scope.ready.mapping.rules.follow):
        tried = [one for one in done if not (one.error or one.superseded)]
        settled = [one for one in tried if one.action.record(rule.side) and _is_in_step(one.action)]
        records = [record for one in settled if (record := one.action.record(rule.side))]
        partners = [one.id(other(rule.side)) for one in settled]
        ups: list[FollowUp] = await run_rule(session, scope.ready, rule, records, partners) if records else []
        errors = await carry_out(session, scope, ups)
        wrote |= {up.side for up in ups}
        done = [_with_error(one, errors) for one in done] if errors else done
    return wrote, list(done)


async def carry_out(session: Session, scope: Scope, ups: Sequence[FollowUp]) -> dict[str, RemoteError]:
    """Write what rules want beside their records: table by table as they come, creations first.

    By the id of the record that wanted it, the first thing that went wrong.
    """
    errors: dict[str, RemoteError] = {}
    for side, table in dict.fromkeys((up.side, up.table) for up in ups):
        mine = {up.id: up for up in ups if (up.side, up.table) == (side, table)}
        found = await _create(session, scope, side, table, [up for up in mine.values() if up.create])
        found |= await _update(session, scope, side, table, [up for up in mine.values() if not up.create])
        errors = {up.record: found[up.id] for up in ups if up.table == table and up.id in found} | errors
    return errors


def _is_in_step(action: Action) -> bool:
    return action.kind in ("create", "update", "couple") or (action.kind == "nothing" and action.base is not None)


def _with_error(one: Done, errors: dict[str, RemoteError]) -> Done:
    error = errors.get(one.action.business_central_id) or errors.get(one.action.dataverse_id)
    return msgspec.structs.replace(one, trouble=error) if error else one


async def _create(
    session: Session, scope: Scope, side: Side, table: str, ups: Sequence[FollowUp]
) -> dict[str, RemoteError]:
    if not ups:
        return {}
    columns = tuple(dict.fromkeys(column for up in ups for column in up.values))
    written = await session.systems[side].create(table, [Create(up.id, up.values) for up in ups], columns)
    made = [up for up, answer in zip(ups, written, strict=True) if not answer.error]
    await history.add(session.connection, (_entry(session, scope, up, new=dict(up.values)) for up in made))
    return _errors(ups, written)


async def _update(
    session: Session, scope: Scope, side: Side, table: str, ups: Sequence[FollowUp]
) -> dict[str, RemoteError]:
    if not ups:
        return {}
    system, own = session.systems[side], scope.ready.mapping.endpoint(side)
    opens = own.reopen if own.table == table else {}
    columns = tuple(dict.fromkeys([*opens, *(column for up in ups for column in up.values)]))
    found = await system.by_ids(table, columns, [up.id for up in ups])
    present = [up for up in ups if up.id in found]
    changes = [Update(up.id, found[up.id].version, up.values) for up in present]
    states = [dict(zip(opens, found[up.id].values, strict=False)) for up in present]
    written = await change(system, table, columns, changes, states, opens)
    done = [up for up, answer in zip(present, written, strict=True) if not answer.error]
    await history.add(session.connection, _updates(session, scope, done, found, columns))
    return _errors(present, written)


def _updates(
    session: Session, scope: Scope, ups: Iterable[FollowUp], found: dict[str, Record], columns: tuple[str, ...]
) -> Iterable[history.Entry]:
    for up in ups:
        for column, value in up.values.items():
            old = found[up.id].values[columns.index(column)]
            yield _entry(session, scope, up, field=column, old=old, new=value)


def _entry(
    session: Session, scope: Scope, up: FollowUp, *, field: str = "", old: history.Value = None, new: history.Value
) -> history.Entry:
    mapping, kind = scope.ready.mapping.name, "create" if up.create else "update"
    return history.Entry(session.job, mapping, up.side, up.id, kind, field, old, new, up.reason, up.name)  # type: ignore[arg-type]


def _errors(ups: Sequence[FollowUp], written: Sequence[Written]) -> dict[str, RemoteError]:
    """By id. What exists already is what was wanted."""
    return {
        up.id: answer.error
        for up, answer in zip(ups, written, strict=True)
        if answer.error and not (up.create and isinstance(answer.error, ExistsError))
    }

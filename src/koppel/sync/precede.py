"""Writes that come before what is done about a record: planned with it, carried out before it is sent (PROD-08,
SO-30)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from koppel.engine.action import Action, FollowUp, Refusal, held
from koppel.engine.plan import other
from koppel.errors import RemoteError
from koppel.odata.records import Record
from koppel.sync.follow import carry_out
from koppel.sync.needs import run_rule
from koppel.sync.prepare import End
from koppel.sync.scope import Scope
from koppel.sync.session import Session
from koppel.sync.succession import anew, intend_successions


async def with_preceding(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """The actions, each that writes with what the mapping's ``precede`` rules want to be written first."""
    ready, found = scope.ready, list(actions)
    for rule in ready.rules(ready.mapping.rules.precede):
        writing = [action for action in found if action.kind in ("create", "update") and action.record(rule.side)]
        records = [record for action in writing if (record := action.record(rule.side))]
        partners = [action.id(other(rule.side)) if action.kind == "update" else "" for action in writing]
        wanted: dict[str, list[FollowUp]] = defaultdict(list)
        for write in await run_rule(session, ready, rule, records, partners) if records else ():
            wanted[write.record].append(write)
        found = [
            _with(action, [write for write in wanted.get(action.id(rule.side), ()) if action.writes(write.side)])
            for action in found
        ]
    return found


async def with_parting(session: Session, scope: Scope, actions: Sequence[Action], names: Sequence[str]) -> list[Action]:
    """The actions, those that uncouple a pair with what these rules (``gone``, ``uncouple``) want to be written to a
    record of it first."""
    ready, found = scope.ready, list(actions)
    for rule in ready.rules(names):
        parted = [action for action in found if action.kind == "uncouple" and action.record(rule.side)]
        records = [record for action in parted if (record := _as_written(ready.end(rule.side), action))]
        partners = [action.id(other(rule.side)) for action in parted]
        writes: list[FollowUp] = await run_rule(session, ready, rule, records, partners) if records else []
        found = [_with(action, [w for w in writes if w.record == action.id(rule.side)]) for action in found]
    return found


def _as_written(end: End, action: Action) -> Record | None:
    """The record of an action as it will be once what comes before the action is written."""
    record = action.record(end.side)
    row = end.side, end.schema.name, action.id(end.side)
    written = next((write.values for write in action.before if (write.side, write.table, write.id) == row), None)
    if record is None or not written:
        return record
    values = list(record.values)
    for column, value in written.items():
        if column in end.places:
            values[end.places[column]] = value
    return msgspec.structs.replace(record, values=tuple(values))


def _with(action: Action, writes: Sequence[FollowUp]) -> Action:
    """The action with more to be written first: in one go with what is written to the same row already."""
    if not writes:
        return action
    found = {(write.side, write.table, write.id): write for write in action.before}
    for write in writes:
        row = write.side, write.table, write.id
        known = found.get(row)
        found[row] = msgspec.structs.replace(known, values={**known.values, **write.values}) if known else write
    return msgspec.structs.replace(action, before=tuple(found.values()))


async def write_first(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """Carry out what comes before these actions; those whose preceding write failed are held."""
    await intend_successions(session, scope, actions)
    errors = await carry_out(session, scope, [write for action in actions for write in action.before])
    found = [_held(action, errors) for action in actions] if errors else list(actions)
    return await anew(session, scope, found)


def _held(action: Action, errors: dict[str, RemoteError]) -> Action:
    write = next((write for write in action.before if write.record in errors), None)
    if write is None:
        return action
    error = errors[write.record]
    what = "what becomes of it" if action.kind == "uncouple" else f"{write.name} has to be there first, and"
    return held(
        action,
        Refusal(
            message=f"{what} could not be written: {error.message}",
            remedy=error.remedy,
            code=error.code or type(error).__name__,
            field=error.field,
            value=error.value,
            kind=error.kind,
        ),
    )

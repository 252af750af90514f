"""Writes that come before what is done about a record: planned with it, carried out before it is sent (PROD-08,
SO-30)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from koppel.engine.action import Action, FollowUp, Refusal, held
from koppel.engine.plan import other
from koppel.errors import RemoteError
from koppel.sync.follow import carry_out
from koppel.sync.needs import run_rule
from koppel.sync.scope import Scope
from koppel.sync.session import Session


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


async def with_parting(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """The actions about pairs of which one record is gone, those that uncouple one with what the mapping's ``gone``
    rules want to be written to the other record first."""
    ready, found = scope.ready, list(actions)
    for rule in ready.rules(ready.mapping.rules.gone):
        parted = [action for action in found if action.kind == "uncouple" and action.record(rule.side)]
        records = [record for action in parted if (record := action.record(rule.side))]
        partners = [action.id(other(rule.side)) for action in parted]
        writes: list[FollowUp] = await run_rule(session, ready, rule, records, partners) if records else []
        found = [_with(action, [w for w in writes if w.record == action.id(rule.side)]) for action in found]
    return found


def _with(action: Action, writes: Sequence[FollowUp]) -> Action:
    return msgspec.structs.replace(action, before=(*action.before, *writes)) if writes else action


async def write_first(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """Carry out what comes before these actions; those whose preceding write failed are held."""
    errors = await carry_out(session, scope, [write for action in actions for write in action.before])
    return [_held(action, errors) for action in actions] if errors else list(actions)


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

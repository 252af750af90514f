"""What is about to be written is written down first: no crash and no lost answer makes a duplicate or hides an edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from koppel.engine.action import Action
from koppel.engine.plan import other
from koppel.odata.records import Scalar, Side
from koppel.store import couplings, intents, parts
from koppel.store.couplings import Seen
from koppel.store.intents import Intended, Intent
from koppel.store.snapshots import encode
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.reopen import is_closed, state_of
from koppel.sync.scope import Scope
from koppel.sync.session import Session


async def intend(session: Session, scope: Scope, actions: Sequence[Action]) -> None:
    """Write down what is about to be created, changed or deleted, and commit, before anything is sent."""
    written = [intent for action in actions for intent in _intents(session, scope, action)]
    if not written:
        return
    await intents.save(session.connection, scope.ready.mapping.name, written, session.portion)
    created = [a.business_central_id for a in actions if a.kind == "create" and a.side == "dataverse"]
    for name in scope.ready.parts if created else ():
        await parts.add(session.connection, name, created, session.job)
    for side, ids in (await _own_changes(session, scope, actions)).items():
        await couplings.touch(session.connection, scope.ready.mapping.name, side, [Seen(id, "") for id in ids])
    await session.connection.commit()


def _intents(session: Session, scope: Scope, action: Action) -> Iterator[Intent]:
    if action.kind == "create":
        yield _creation(session, scope, action)
    elif action.kind == "update":
        for side in SIDES:
            if action.writes(side):
                yield _update(session, scope, action, side)
    elif action.kind == "delete":
        yield _deletion(session, scope.ready, action)


def _creation(session: Session, scope: Scope, action: Action) -> Intent:
    assert action.side is not None
    intended = action.id(action.side)
    return Intent(
        side=action.side,
        source_id=action.id(other(action.side)),
        intended_id=intended,
        identity={} if intended else _identity(scope, action.side, action),
        base=_base(scope, action),
        record_name=action.name,
        held=action.writes(action.side) if action.base is None else {},
        job=session.job,
    )


def _base(scope: Scope, action: Action) -> bytes | None:
    return None if action.base is None else encode(scope.codec, *action.base)


def _update(session: Session, scope: Scope, action: Action, side: Side) -> Intent:
    """Of two halves of an update only one may be carried out: then nothing is agreed on as planned."""
    opens = scope.ready.mapping.endpoint(side).reopen
    state = state_of(scope.ready.end(side), action.record(side), opens)
    changes = tuple(Intended(c.field, c.old, c.new, c.why) for c in action.changes if c.side == side)
    return Intent(
        kind="update",
        side=side,
        source_id=action.id(other(side)),
        intended_id=action.id(side),
        base=None if action.writes(other(side)) else _base(scope, action),
        record_name=action.name,
        changes=changes,
        held=state if is_closed(state, opens) else {},
        job=session.job,
    )


def _deletion(session: Session, ready: Ready, action: Action) -> Intent:
    assert action.side is not None
    return Intent(
        kind="delete",
        side=action.side,
        source_id=action.id(other(action.side)),
        intended_id=action.id(action.side),
        record_name=action.name,
        held=ready.mapped(action.side, action.record(action.side)),
        why=action.reason,
        job=session.job,
    )


def _identity(scope: Scope, side: Side, action: Action) -> dict[str, Scalar]:
    """What a record is known by where the system chooses its id: the texts that are written."""
    return {column: value for column, value in action.writes(side).items() if isinstance(value, str) and value}


async def _own_changes(session: Session, scope: Scope, actions: Sequence[Action]) -> dict[Side, list[str]]:
    """The records whose last edit will be this connection's own. Until it is recorded under which version, it must not
    be taken for somebody else's use of that user, who is left alone (GEN-01) together with what people did before."""
    mapping = scope.ready.mapping
    if not (mapping.ignore_integration_user and mapping.direction == "both"):
        return {}
    changed = {side: [a.id(side) for a in actions if a.kind == "update" and a.writes(side)] for side in SIDES}
    return {side: ids for side, ids in changed.items() if ids and await session.systems[side].own_users()}

"""After a crash or a lost answer: find out what became of creations that were under way (promise 1)."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.engine.action import Action
from koppel.engine.plan import other
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, intents
from koppel.store.couplings import Coupling
from koppel.store.intents import Intent
from koppel.sync.chunk import Incoming, Scope, merge_all, read_side
from koppel.sync.prepare import SIDES
from koppel.sync.session import Session


async def intend(session: Session, scope: Scope, actions: Sequence[Action]) -> None:
    """Write down what is about to be created, and commit, before anything is sent."""
    made = [_intent(session, scope, action) for action in actions if action.kind == "create"]
    if made:
        await intents.save(session.connection, scope.ready.mapping.name, made)
        await session.connection.commit()


def _intent(session: Session, scope: Scope, action: Action) -> Intent:
    assert action.side is not None
    intended = action.id(action.side)
    identity = {} if intended else _identity(scope, action.side, action)
    return Intent(action.side, action.id(other(action.side)), intended, identity, session.job)


def _identity(scope: Scope, side: Side, action: Action) -> dict[str, Scalar]:
    """What a record is known by where the system chooses its id: the texts that are written."""
    return {column: value for column, value in action.writes(side).items() if isinstance(value, str) and value}


async def recover(session: Session, scope: Scope) -> list[Action]:
    """Pairs whose second half was created before a crash, merged as newly coupled; the other intents are dropped."""
    mapping = scope.ready.mapping.name
    open_ = await intents.unsettled(session.connection, mapping)
    actions: list[Action] = []
    for side in SIDES:
        mine = [intent for intent in open_ if intent.side == side]
        if mine:
            actions += await _recover_side(session, scope, side, mine)
    await session.connection.commit()
    return actions


async def _recover_side(session: Session, scope: Scope, side: Side, open_: Sequence[Intent]) -> list[Action]:
    source = other(side)
    partners = await _made(session, scope, side, open_)
    sources = await read_side(session, scope, source, [intent.source_id for intent in open_])
    known = await couplings.by_ids(session.connection, scope.ready.mapping.name, source, list(sources))
    pairs: list[tuple[Coupling, Record, Record]] = []
    for intent in open_:
        record, partner = sources.get(intent.source_id), partners.get(intent.source_id)
        if record is None or partner is None or record.id in known:
            await intents.settle(session.connection, scope.ready.mapping.name, side, [intent.source_id])
            continue
        ours, theirs = (record, partner) if source == "business_central" else (partner, record)
        pairs.append((Coupling(ours.id, theirs.id, initial=source), ours, theirs))
    return await merge_all(session, scope, pairs, Incoming(side=source, why="again"))


async def _made(session: Session, scope: Scope, side: Side, open_: Sequence[Intent]) -> dict[str, Record]:
    """By source id, the record that was created for it, if it was."""
    by_id = await read_side(session, scope, side, [intent.intended_id for intent in open_ if intent.intended_id])
    found = {i.source_id: by_id[i.intended_id] for i in open_ if i.intended_id in by_id}
    for intent in open_:
        if not intent.intended_id and intent.identity:
            match = await _look_for(session, scope, side, intent, taken={record.id for record in found.values()})
            if match is not None:
                found[intent.source_id] = match
    return found


async def _look_for(session: Session, scope: Scope, side: Side, intent: Intent, *, taken: set[str]) -> Record | None:
    """The one uncoupled record that holds everything that was to be written; several would be a guess."""
    end = scope.ready.end(side)
    column, value = max(intent.identity.items(), key=lambda item: len(str(item[1])))
    records = await session.systems[side].by_keys(end.schema.name, end.columns, column, [value])
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, [r.id for r in records])
    alike = [r for r in records if r.id not in coupled and r.id not in taken and _holds(scope, side, r, intent)]
    return alike[0] if len(alike) == 1 else None


def _holds(scope: Scope, side: Side, record: Record, intent: Intent) -> bool:
    places = scope.ready.end(side).places
    forms = {field.end(side).column: field.end(side).canonical for field in scope.ready.table.fields}
    return all(
        forms[column](record.values[places[column]]) == forms[column](value)
        for column, value in intent.identity.items()
        if column in forms
    )

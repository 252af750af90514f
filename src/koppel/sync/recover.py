"""After a crash or a lost answer: find out what became of creations that were under way (promise 1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from koppel.engine.action import Action, Refusal
from koppel.engine.plan import hold, other
from koppel.odata.literals import parse_instant
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings, failures, intents
from koppel.store.couplings import Coupling, Seen
from koppel.store.intents import Intent
from koppel.sync.pairs import merge_all
from koppel.sync.prepare import SIDES
from koppel.sync.scope import Incoming, Scope, read_side
from koppel.sync.session import Session, own_user

UNDECIDED = "outcome-unknown"
CLOCKS_DIFFER = timedelta(minutes=10)
"""How far the clocks of Koppel's database and of a system may be apart."""


async def intend(session: Session, scope: Scope, actions: Sequence[Action]) -> None:
    """Write down what is about to be created or changed, and commit, before anything is sent."""
    made = [_intent(session, scope, action) for action in actions if action.kind == "create"]
    changed = await _own_changes(session, scope, actions)
    if made:
        await intents.save(session.connection, scope.ready.mapping.name, made)
    for side, ids in changed.items():
        await couplings.touch(session.connection, scope.ready.mapping.name, side, [Seen(id, "") for id in ids])
    if made or changed:
        await session.connection.commit()


async def _own_changes(session: Session, scope: Scope, actions: Sequence[Action]) -> dict[Side, list[str]]:
    """The records whose last edit will be this connection's own. Until it is recorded under which version, it must not
    be taken for somebody else's use of that user, who is left alone (GEN-01) together with what people did before."""
    mapping = scope.ready.mapping
    if not (mapping.ignore_integration_user and mapping.direction == "both"):
        return {}
    changed = {side: [a.id(side) for a in actions if a.kind == "update" and a.writes(side)] for side in SIDES}
    return {side: ids for side, ids in changed.items() if ids and await own_user(session, side)}


def _intent(session: Session, scope: Scope, action: Action) -> Intent:
    assert action.side is not None
    intended = action.id(action.side)
    identity = {} if intended else _identity(scope, action.side, action)
    return Intent(action.side, action.id(other(action.side)), intended, identity, session.job)


def _identity(scope: Scope, side: Side, action: Action) -> dict[str, Scalar]:
    """What a record is known by where the system chooses its id: the texts that are written."""
    return {column: value for column, value in action.writes(side).items() if isinstance(value, str) and value}


async def recover(session: Session, scope: Scope) -> list[Action]:
    """Pairs whose second half was created before a crash, merged as newly coupled.

    Intents of which nothing came are dropped; where it cannot be told what came of them, the record must wait for a
    person (``scope.undecided``).
    """
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
    source, mapping = other(side), scope.ready.mapping.name
    given_up = await _given_up(session, scope, source, [intent.source_id for intent in open_])
    partners = await _made(session, scope, side, [intent for intent in open_ if intent.source_id not in given_up])
    sources = await read_side(session, scope, source, [intent.source_id for intent in open_])
    known = await couplings.by_ids(session.connection, mapping, source, list(sources))
    pairs: list[tuple[Coupling, Record, Record]] = []
    settled: list[str] = []
    held: list[Action] = []
    for intent in open_:
        record, partner = sources.get(intent.source_id), partners.get(intent.source_id)
        if record is None or record.id in known or record.id in given_up or partner == []:
            settled.append(intent.source_id)
        elif partner is None:
            scope.undecided[record.id] = _undecided(side, intent, source)
            held.append(_held(scope, source, record))
        else:
            ours, theirs = (record, partner[0]) if source == "business_central" else (partner[0], record)
            pairs.append((Coupling(ours.id, theirs.id, initial=source), ours, theirs))
            scope.recovered.add((side, record.id))
    await intents.settle(session.connection, mapping, side, settled)
    return [*held, *await merge_all(session, scope, pairs, Incoming(side=source, why="again"))]


def _held(scope: Scope, source: Side, record: Record) -> Action:
    name = scope.ready.end(source).name_of(record)
    return hold(scope.ready.mapping, source, record, scope.undecided[record.id], name=name)


async def _given_up(session: Session, scope: Scope, source: Side, ids: Sequence[str]) -> set[str]:
    """Records of which a person says that they shall be created, whatever came of the first try: by a retry."""
    found = await failures.by_ids(session.connection, scope.ready.mapping.name, source, ids)
    return {id for id, failure in found.items() if failure.code == UNDECIDED and not failure.attempts}


def _undecided(side: Side, intent: Intent, about: Side) -> Refusal:
    """For the record that was to be created on ``side``, and for those there that may be it."""
    made = f" around {intent.made_at:%Y-%m-%d %H:%M} UTC" if intent.made_at else ""
    sent = f"it was sent to {SPOKEN[side]}{made}, and what came of that cannot be told"
    found = f"it may be the one that Koppel made of {intent.source_id} in {SPOKEN[other(side)]}{made}"
    return Refusal(
        code=UNDECIDED,
        kind="conflict",
        message=found if about == side else sent,
        remedy="couple the two that belong together, or retry if none of those that are there is the one",
        side=about,
    )


async def _made(session: Session, scope: Scope, side: Side, open_: Sequence[Intent]) -> dict[str, list[Record]]:
    """By source id the record that was created for it, or an empty list if none was; absent: there is no telling."""
    by_id = await read_side(session, scope, side, [intent.intended_id for intent in open_ if intent.intended_id])
    found = {i.source_id: [by_id[i.intended_id]] if i.intended_id in by_id else [] for i in open_ if i.intended_id}
    alike: dict[frozenset[tuple[str, Scalar]], list[Intent]] = defaultdict(list)
    for intent in open_:
        if not intent.intended_id and intent.identity:
            alike[frozenset(intent.identity.items())].append(intent)
    for twins in alike.values():
        records = await _look_for(session, scope, side, twins)
        if len(records) > len(twins):
            scope.undecided |= {record.id: _undecided(side, twins[0], side) for record in records}
        else:  # those that look the same may be told apart in any way
            found |= {intent.source_id: [record] for intent, record in zip(twins, records, strict=False)}
            found |= {intent.source_id: [] for intent in twins[len(records) :]}
    return found


async def _look_for(session: Session, scope: Scope, side: Side, twins: Sequence[Intent]) -> list[Record]:
    """The uncoupled records that hold everything that was to be written, and were not there long before."""
    end, intent = scope.ready.end(side), twins[0]
    column, value = max(intent.identity.items(), key=lambda item: len(str(item[1])))
    records = await session.systems[side].by_keys(end.schema.name, end.columns, column, [value])
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, [r.id for r in records])
    return [r for r in records if r.id not in coupled and _is_new(r, intent) and _holds(scope, side, r, intent)]


def _is_new(record: Record, intent: Intent) -> bool:
    if not record.modified_at or intent.made_at is None:
        return True
    return parse_instant(record.modified_at) >= intent.made_at - CLOCKS_DIFFER


def _holds(scope: Scope, side: Side, record: Record, intent: Intent) -> bool:
    places = scope.ready.end(side).places
    forms = {field.end(side).column: field.end(side).canonical for field in scope.ready.table.fields}
    return all(
        forms[column](record.values[places[column]]) == forms[column](value)
        for column, value in intent.identity.items()
        if column in forms
    )

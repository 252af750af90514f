"""New records that take the place of coupled ones: a revision, whose document is made over as if it were new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import NAMESPACE_URL, uuid5

import msgspec

from koppel.engine.action import Action, FollowUp, Refusal
from koppel.engine.plan import hold, other
from koppel.engine.rule import Succession
from koppel.odata.records import Record, Scalar, Side
from koppel.store import couplings, intents
from koppel.store.couplings import Coupling
from koppel.store.intents import Intent
from koppel.sync.needs import Missing, missing_parts, run_rule
from koppel.sync.pairs import merge_all
from koppel.sync.relink import CoupledPair
from koppel.sync.scope import Incoming, Scope, coupled_id, in_order, read_side
from koppel.sync.session import Session


async def successors(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record]
) -> dict[str, Action]:
    """By id, what is done about new records that take the place of coupled ones (``succeed``), if their partners are
    there: first these become what a new partner would be, then they are coupled anew."""
    ready, side = scope.ready, incoming.side
    found: dict[str, Succession] = {}
    for rule in ready.rules(ready.mapping.rules.succeed):
        if rule.side == side and records:
            told = await run_rule(session, ready, rule, records)
            found |= {r.id: one for r, one in zip(records, told, strict=True) if one}
    if not found:
        return {}
    there = other(side)
    mapping = ready.mapping.name
    known = await couplings.by_ids(session.connection, mapping, side, [one.of for one in found.values()])
    partner = {id: coupled_id(known[one.of], there) for id, one in found.items() if one.of in known}
    partners = await read_side(session, scope, there, list(partner.values()))
    heirs = [record for record in records if partner.get(record.id) in partners]
    parts = await missing_parts(session, ready, side, heirs)
    begun = {i.source_id: i for i in await intents.unsettled(session.connection, mapping, session.portion)}
    pairs: list[CoupledPair] = []
    actions: dict[str, Action] = {}
    before: dict[str, tuple[FollowUp, ...]] = {}
    for record in heirs:
        missing, name = parts[record.id], ready.end(side).name_of(record)
        if isinstance(missing, Refusal):
            actions[record.id] = hold(ready.mapping, side, record, missing, name=name)
        else:
            ours, theirs = in_order(side, record, partners[partner[record.id]])
            pairs.append((Coupling(ours.id, theirs.id, initial=side), ours, theirs))
            one = _without_what_is_done(found[record.id], begun.get(_key(record.id)))
            writes = _renewed(scope, there, record.id, partner[record.id], name, one, missing)
            gone = await _below(session, there, record.id, partner[record.id], found[record.id])
            before[record.id] = (writes, *gone, *_rows(there, record.id, writes.id, found[record.id], missing))
    for action in await merge_all(session, scope, pairs, incoming, {}):
        id = action.id(side)
        actions[id] = action if action.refusal else _succeeding(action, side, before[id])
    return actions


def _without_what_is_done(one: Succession, begun: Intent | None) -> Succession:
    """The succession that an earlier run had begun, without the values that it has written: where the rule asks for
    others by now (a higher number of versions), it was these."""
    if begun is None:
        return one
    return msgspec.structs.replace(one, values={c: v for c, v in one.values.items() if begun.held.get(c) == v})


def _key(record: str) -> str:
    return f"succession {record}"


async def intend_successions(session: Session, scope: Scope, actions: Sequence[Action]) -> None:
    """Write down what partners become that pass to other records, before it is sent. Commits."""
    found = [_intent(scope, action) for action in actions if takes_over(action)]
    if found:
        await intents.save(session.connection, scope.ready.mapping.name, found, session.portion)
        await session.connection.commit()


def _intent(scope: Scope, action: Action) -> Intent:
    assert action.side is not None
    there = other(action.side)
    id, table = action.id(there), scope.ready.mapping.endpoint(there).table
    held = next((write.values for write in action.before if (write.table, write.id) == (table, id)), {})
    return Intent(kind="succeed", side=there, source_id=_key(action.id(action.side)), intended_id=id, held=held)


async def settle_successions(session: Session, mapping: str, actions: Iterable[Action]) -> None:
    """Forget those that came through, in the transaction that records it."""
    for action in actions:
        if takes_over(action) and action.side is not None:
            await intents.settle(session.connection, mapping, other(action.side), [_key(action.id(action.side))])


def _succeeding(action: Action, side: Side, before: tuple[FollowUp, ...]) -> Action:
    return msgspec.structs.replace(action, replaces=True, side=side, before=before)


_WHY = "it takes the place of an earlier one"


def _renewed(
    scope: Scope, there: Side, record: str, partner: str, name: str, one: Succession, missing: Missing
) -> FollowUp:
    """The columns of the partner that a new one would have."""
    table = scope.ready.mapping.endpoint(there).table
    values: dict[str, Scalar] = {**one.values, **missing.values}
    return FollowUp(side=there, table=table, id=partner, values=values, record=record, name=name, reason=_WHY)


async def _below(session: Session, there: Side, record: str, partner: str, one: Succession) -> list[FollowUp]:
    """What hangs below the partner goes."""
    return [
        FollowUp(side=there, table=table, id=row.id, values={}, record=record, delete=True, name=table, reason=_WHY)
        for table, column in one.below.items()
        for row in await session.systems[there].by_keys(table, (), column, [partner])
    ]


def _rows(there: Side, record: str, partner: str, one: Succession, missing: Missing) -> Iterator[FollowUp]:
    """What hangs below a new partner."""
    for table, rows in missing.nested.items():
        for place, row in enumerate(rows):
            values: Mapping[str, Scalar] = {one.below[table]: partner, **row}
            id = str(uuid5(NAMESPACE_URL, f"koppel:{table}:{record}:{place}"))
            yield FollowUp(
                side=there, table=table, id=id, values=values, record=record, create=True, name=table, reason=_WHY
            )


async def anew(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """The same actions, those that take over a partner merged once more with what that has become."""
    heirs = [action for action in actions if takes_over(action)]
    if not heirs:
        return list(actions)
    side = heirs[0].side
    assert side is not None
    partners = await read_side(session, scope, other(side), [action.id(other(side)) for action in heirs])
    pairs: list[CoupledPair] = []
    for action in heirs:
        record, partner = action.record(side), partners.get(action.id(other(side)))
        if record is not None and partner is not None:
            ours, theirs = in_order(side, record, partner)
            pairs.append((Coupling(ours.id, theirs.id, initial=side), ours, theirs))
    again = await merge_all(session, scope, pairs, Incoming(side=side, why="again"), {})
    merged = {action.id(side): action for action in again}
    return [
        as_before(action, merged.get(action.id(side), action)) if takes_over(action) else action for action in actions
    ]


def takes_over(action: Action) -> bool:
    """Whether a record takes the place of another one with this action."""
    return action.replaces and action.kind in ("couple", "update") and action.side is not None


def as_before(action: Action, again: Action) -> Action:
    """What is planned again for an action, which goes on taking over a partner if it did."""
    if not takes_over(action) or again.refusal:
        return again
    return msgspec.structs.replace(again, replaces=True, side=action.side, couples=True)

"""Records that were deleted, or outside the filter, and came back: coupled again with the partner that they had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from koppel.engine.action import Action, Refusal
from koppel.engine.plan import deleted_in, hold, nothing, other
from koppel.odata.records import SPOKEN, Record
from koppel.store import couplings, partings
from koppel.store.couplings import Coupling
from koppel.sync.pairs import plan_pairs
from koppel.sync.scope import Incoming, Scope, coupled_id, in_order, read_side
from koppel.sync.session import Session


async def returned(session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record]) -> dict[str, Action]:
    """What to do about those of these uncoupled records that came back, by id; the survivor wins where they differ."""
    mapping, side = scope.ready.mapping.name, incoming.side
    partners = await partings.survivors(session.connection, mapping, side, [record.id for record in records])
    if not partners:
        return {}
    there = await read_side(session, scope, other(side), list(partners.values()))
    taken = await couplings.by_ids(session.connection, mapping, other(side), list(there))
    back = [record for record in records if partners.get(record.id) in there]
    found = {r.id: _taken(scope, incoming, r, taken[partners[r.id]]) for r in back if partners[r.id] in taken}
    free = [record for record in back if record.id not in found]
    return found | await _again(session, scope, incoming, free, {r.id: there[partners[r.id]] for r in free})


async def left_behind(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record]
) -> dict[str, Action]:
    """By id, records whose partner was deleted or left its filter: what the mapping had uncoupled is not made anew by
    just any run, not at all as long as it is only outside the filter, and only for a person who asks where the mapping
    leaves it alone. A mapping that says which records are ``new``, and does not leave them, says it of these too."""
    mapping, side = scope.ready.mapping, incoming.side
    if mapping.endpoint(side).new and mapping.deletions != "leave":
        return {}
    gone = await partings.left(session.connection, mapping.name, other(side), [record.id for record in records])
    if not gone:
        return {}
    there = await read_side(session, scope, other(side), list(gone.values()))
    reasons = {id: f"its partner is outside the filter of {SPOKEN[other(side)]}" for id in gone if gone[id] in there}
    leaves = mapping.deletions == "leave" and incoming.why != "chosen"
    if leaves or incoming.why == "changed":
        why = "and left alone here" if leaves else "a full synchronisation creates it again"
        reasons = dict.fromkeys(gone, f"{deleted_in(other(side))}; {why}") | reasons
    end = scope.ready.end(side)
    return {r.id: nothing(mapping, side, r, reasons[r.id], name=end.name_of(r)) for r in records if r.id in reasons}


async def _again(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record], partners: Mapping[str, Record]
) -> dict[str, Action]:
    side = incoming.side
    pairs = []
    for record in records:
        ours, theirs = in_order(side, record, partners[record.id])
        pairs.append((Coupling(ours.id, theirs.id, initial=other(side)), ours, theirs))
    actions = await plan_pairs(session, scope, pairs, incoming)
    return {action.id(side): action for action in actions}


def _taken(scope: Scope, incoming: Incoming, record: Record, coupling: Coupling) -> Action:
    mapping, side = scope.ready.mapping, incoming.side
    refusal = Refusal(
        code="came-back",
        kind="conflict",
        message=f"it was deleted and is back; its partner {coupled_id(coupling, other(side))} in {SPOKEN[other(side)]} "
        f"is coupled to {coupled_id(coupling, side)} meanwhile",
        remedy=f"delete the one of the two in {SPOKEN[side]} that is too much",
    )
    return hold(mapping, side, record, refusal, name=scope.ready.end(side).name_of(record))

"""Coupled records that changed: read their partners, let the rules speak, merge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from koppel.engine.action import Action, Bases, Refusal
from koppel.engine.leaving import Outside, plan_outside
from koppel.engine.pair import Pair, Table, merge_pair
from koppel.engine.plan import hold, other
from koppel.engine.translate import AllReferences
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import parts
from koppel.store.couplings import Coupling
from koppel.store.snapshots import UNKNOWN, decode
from koppel.sync.elsewhere import APART
from koppel.sync.needs import refused
from koppel.sync.position import went_back
from koppel.sync.prepare import SIDES, End
from koppel.sync.references import references
from koppel.sync.relink import CoupledPair, with_leading
from koppel.sync.scope import (
    OUTSIDE,
    Incoming,
    Scope,
    base_of,
    coupled_id,
    in_order,
    partners_of,
    recorded_version,
    was_outside,
)
from koppel.sync.session import Session, exchanged_parts, own_users
from koppel.sync.skip import passed_over, told_why

CLOCKS_AGREE = 3.0
"""Seconds by which two clocks may seem to differ without doing so."""

Lost = tuple[Coupling, Record | None]
"""A coupling of which one side is gone, and the record of the other, where there is one."""


async def pair_up(
    session: Session,
    scope: Scope,
    incoming: Incoming,
    changed: Sequence[Record],
    coupled: Mapping[str, Coupling],
    failed: Mapping[str, Refusal],
) -> tuple[list[Action], list[Lost]]:
    """Actions for changed records that have a partner, and the couplings that lost theirs."""
    passed = await passed_over(session, scope, incoming, incoming.side, changed, coupled)
    skipped = told_why(session, scope, incoming, changed, passed)
    changed = [record for place, record in enumerate(changed) if place not in passed]
    if not changed:
        return skipped, []
    partners = await partners_of(session, scope, incoming.side, [coupled[record.id] for record in changed])
    pairs: list[CoupledPair] = []
    lost: list[Lost] = []
    for record in changed:
        coupling = coupled[record.id]
        partner = partners.get(coupled_id(coupling, other(incoming.side)))
        if partner is None:
            lost.append((coupling, record))
        else:
            pairs.append((coupling, *in_order(incoming.side, record, partner)))
    return [*skipped, *await plan_pairs(session, scope, pairs, incoming, failed)], lost


async def plan_pairs(
    session: Session,
    scope: Scope,
    pairs: Sequence[CoupledPair],
    incoming: Incoming,
    failed: Mapping[str, Refusal] = {},
) -> list[Action]:
    """Actions for pairs that are read on both sides: merged, if both records are inside the filter."""
    pairs = await with_leading(session, scope, pairs)
    for coupling, ours, theirs in pairs:
        note_if_back(scope, incoming, coupling, "business_central", ours)
        note_if_back(scope, incoming, coupling, "dataverse", theirs)
    refusals = {**failed, **await refusals_of(session, scope, pairs)}
    told = {place: outside_of(scope, incoming, pair, refusals) for place, pair in enumerate(pairs)}
    outside = {place: sides for place, sides in told.items() if sides}
    inside = [pair for place, pair in enumerate(pairs) if place not in outside]
    left = await _leave(session, scope, [pairs[place] for place in outside], list(outside.values()), incoming, refusals)
    computed = {**scope.refused["business_central"], **failed}
    left = [_released(scope, action, computed.get(action.business_central_id)) for action in left]
    return [*(await merge_all(session, scope, inside, incoming, refusals) if inside else ()), *left]


async def refusals_of(session: Session, scope: Scope, pairs: Sequence[CoupledPair]) -> dict[str, Refusal]:
    """By id, what rules have against merging one of these pairs, or why one of the two cannot be computed."""
    found: dict[str, Refusal] = {}
    for side, records in zip(SIDES, ([pair[1] for pair in pairs], [pair[2] for pair in pairs]), strict=True):
        of_partners = scope.refused[side]
        found |= {r.id: of_partners[r.id] for r in records if r.id in of_partners and of_partners[r.id].code != APART}
        found |= await refused(session, scope.ready, side, records, new=False)
    return found


def note_if_back(scope: Scope, incoming: Incoming, coupling: Coupling, side: Side, record: Record) -> None:
    """Remember the side if a record that is reported as changed, or its partner, is older than it was before."""
    if incoming.why == "changed" and went_back(recorded_version(coupling, side), record):
        scope.went_back.add(side)


def outside_of(scope: Scope, incoming: Incoming, pair: CoupledPair, refusals: Mapping[str, Refusal]) -> list[Side]:
    """The sides whose filter does not let the record through, or where a rule says that it is outside."""
    coupling, ours, theirs = pair
    ends = (scope.ready.business_central, ours), (scope.ready.dataverse, theirs)
    left = [e.side for e, record in ends if is_outside(e, incoming, record) and not _is_awaited(scope, e, coupling)]
    told = [found for e, record in ends if (found := _refusal(refusals, e.side, record)) and found.outside]
    return [side for side in SIDES if side in left or any(refusal.side == side for refusal in told)]


def _refusal(refusals: Mapping[str, Refusal], side: Side, record: Record) -> Refusal | None:
    """What a rule said of a record. The id alone may be that of another one on the other side, which once was its
    partner."""
    found = refusals.get(record.id)
    return found if found and found.side in (None, side) else None


def _released(scope: Scope, action: Action, refusal: Refusal | None) -> Action:
    """An uncoupling by a rule leaves the partner to whichever record it belongs to now."""
    if action.kind != "uncouple" or refusal is None or not refusal.outside or refusal.side is None:
        return action
    free = other(refusal.side)
    scope.released[free].add(action.id(free))
    return msgspec.structs.replace(action, reason=refusal.message, records=(None, None))


def is_outside(end: End, incoming: Incoming, record: Record) -> bool:
    """Whether a record is outside its side's filter, as far as that can be told."""
    if end.passes is None:
        return incoming.outside and incoming.side == end.side
    return not end.passes(record)


def _is_awaited(scope: Scope, end: End, coupling: Coupling) -> bool:
    """Whether the filter asks for a field that still waits for its reference: a contact whose account is to come."""
    if coupling.base is None or not end.deciding:
        return False
    source = decode(scope.codec, coupling.base)[1 if end.side == "business_central" else 0]
    fields = scope.ready.table.fields
    return any(source[place] is UNKNOWN and not fields[place].mapping.fixed for place in end.deciding)


async def _leave(
    session: Session,
    scope: Scope,
    pairs: Sequence[CoupledPair],
    outside: Sequence[Sequence[Side]],
    incoming: Incoming,
    refusals: Mapping[str, Refusal],
) -> list[Action]:
    """Follow the mapping's ``left_filter`` for pairs of which these sides are outside; what rules refuse is not
    carried."""
    ready = scope.ready
    carries = pairs and ready.mapping.left_filter == "carry"
    ours, theirs = [pair[1] for pair in pairs], [pair[2] for pair in pairs]
    known = await references(session, ready, ours, theirs, scope.answers) if carries else {}
    actions: list[Action] = []
    for pair, sides in zip(pairs, outside, strict=True):
        left = _outside_as_it_is(scope, pair, sides)
        name = ready.business_central.name_of(pair[1])
        action = plan_outside(ready.mapping, left, name=name, tell=incoming.why != "changed")
        if carries and not left.new and not any(_refusal(refusals, s, r) for s, r in zip(SIDES, pair[1:], strict=True)):
            action = _carried(_merge_one(scope, pair, known, incoming, ready.gate), action)
        again = incoming.why in ("again", "chosen")
        noted = action.kind in ("nothing", "update")
        actions.append(_noted(pair[0], left, action, again=again) if noted else action)
    return actions


def _outside_as_it_is(scope: Scope, pair: CoupledPair, outside: Sequence[Side]) -> Outside:
    coupling, *records = pair
    ready = scope.ready
    read = dict(zip(SIDES, records, strict=True))
    now: dict[Side, dict[str, Scalar]] = {
        side: {column: read[side].values[ready.end(side).places[column]] for column in end.deactivate}
        for side, end in ((side, ready.mapping.endpoint(side)) for side in SIDES)
    }
    return Outside(
        records=(pair[1], pair[2]),
        outside=outside,
        changed=[side for side in SIDES if read[side].version != recorded_version(coupling, side)],
        now=now,
        base=None if coupling.base is None else base_of(scope.codec, coupling.base),
        new=coupling.created_at is None,
    )


def _carried(merged: Action, action: Action) -> Action:
    """The action of a pair outside the filter, with what merging the fields that the filter asks for came to."""
    if merged.kind == "nothing":
        return msgspec.structs.replace(action, base=merged.base)
    return msgspec.structs.replace(merged, warnings=(*action.warnings, *merged.warnings))


def _noted(coupling: Coupling, left: Outside, action: Action, *, again: bool) -> Action:
    """The same action; that the record is outside is written down with it, if it is news, or if something is to be
    done ``again`` for the pair: what follows from it may have failed."""
    known = all(was_outside(coupling, s) and s not in left.changed for s in left.outside)
    if action.kind == "nothing" and known and not again:
        return msgspec.structs.replace(action, base=None)
    versions = {side: recorded_version(coupling, side) for side in SIDES if not action.writes(side)}
    versions |= {s: OUTSIDE + left.records[SIDES.index(s)].version for s in left.outside}
    base = action.base or left.base
    return msgspec.structs.replace(action, base=base, base_before=left.base, records=left.records, left_alone=versions)


async def merge_all(
    session: Session,
    scope: Scope,
    pairs: Sequence[CoupledPair],
    incoming: Incoming,
    refusals: Mapping[str, Refusal],
) -> list[Action]:
    """Merge pairs that are read on both sides; ``refusals``: why not, by id."""
    ready = scope.ready
    known = await references(session, ready, [p[1] for p in pairs], [p[2] for p in pairs], scope.answers)
    scope.ahead = clocks_apart(session)
    own = await own_users(session) if _leaves_own_alone(scope, incoming) else {}
    incomplete = await _incomplete(session, scope, [pair[1].id for pair in pairs]) if ready.parts else frozenset()
    return [
        _merge_one(scope, pair, known, incoming, ready.table, own=own, refusals=refusals, incomplete=incomplete)
        for pair in pairs
    ]


async def _incomplete(session: Session, scope: Scope, ids: Sequence[str]) -> frozenset[str]:
    """Wholes, by Business Central id, whose parts come first. Parts that go both ways do whenever a whole is looked
    at; a preview tells what is to come last as it would be without them."""
    if session.job and not scope.finishing and exchanged_parts(session, scope.ready):
        return frozenset(ids)
    return await parts.among(session.connection, scope.ready.parts, ids)


def clocks_apart(session: Session) -> float:
    """Seconds by which Business Central's clock is ahead of Dataverse's, if it can be told that they differ."""
    ahead = session.systems["business_central"].counters.ahead - session.systems["dataverse"].counters.ahead
    return ahead if abs(ahead) >= CLOCKS_AGREE else 0.0


def _leaves_own_alone(scope: Scope, incoming: Incoming) -> bool:
    """GEN-01: only on two-way mappings, and never for records that were asked for."""
    mapping = scope.ready.mapping
    return mapping.ignore_integration_user and mapping.direction == "both" and incoming.why in ("changed", "full")


def _merge_one(
    scope: Scope,
    coupled: CoupledPair,
    known: AllReferences,
    incoming: Incoming,
    table: Table,
    *,
    own: Mapping[Side, frozenset[str]] = {},
    refusals: Mapping[str, Refusal] = {},
    incomplete: Collection[str] = (),
) -> Action:
    coupling, business_central, dataverse = coupled
    name = scope.ready.business_central.name_of(business_central)
    refusal = _refusal(refusals, "business_central", business_central) or _refusal(refusals, "dataverse", dataverse)
    if refusal:
        held = hold(
            scope.ready.mapping, "business_central", business_central, refusal, name=name, partner_id=dataverse.id
        )
        return msgspec.structs.replace(held, records=(business_central, dataverse))
    stale = _stale(coupling, incoming, business_central, dataverse)
    before = None if coupling.base is None else base_of(scope.codec, coupling.base)
    pair = Pair(
        business_central=business_central,
        dataverse=dataverse,
        base=None if stale else before,
        own=frozenset(side for side in own if _is_own(side, own[side], coupling, business_central, dataverse)),
        decisions=_still_true(scope, incoming, business_central, dataverse),
        name=name,
        incomplete=business_central.id in incomplete,
        ahead=scope.ahead,
    )
    initial = other(stale) if stale else coupling.initial
    if initial:
        table = msgspec.structs.replace(table, mapping=msgspec.structs.replace(table.mapping, initial=initial))
    action = merge_pair(table, pair, known)
    if stale:
        action = _caught_up(action, stale, before)
    left_alone = {side: recorded_version(coupling, side) for side in pair.own}
    return msgspec.structs.replace(action, left_alone=left_alone, couples=coupling.created_at is None)


def _stale(coupling: Coupling, incoming: Incoming, business_central: Record, dataverse: Record) -> Side | None:
    """The side whose record comes from a restored backup: what it holds is no edit, and the other side knows better."""
    if went_back(recorded_version(coupling, "dataverse"), dataverse):
        return "dataverse"
    behind = incoming.behind if incoming.side == "business_central" else ""
    if went_back(recorded_version(coupling, "business_central"), business_central, behind):
        return "business_central"
    return None


def _caught_up(action: Action, stale: Side, before: Bases | None) -> Action:
    """The action for a stale record, told as what it is: no first synchronisation."""
    why = f"{SPOKEN[stale]} was restored, {SPOKEN[other(stale)]} leads"
    changes = tuple(msgspec.structs.replace(change, why=why) for change in action.changes)
    kind = "nothing" if action.kind == "couple" else action.kind
    reason = why if changes else action.reason
    return msgspec.structs.replace(action, kind=kind, reason=reason, changes=changes, base_before=before)


def _still_true(scope: Scope, incoming: Incoming, business_central: Record, dataverse: Record) -> dict[str, Side]:
    """What a person decided, by group: true for the values that were shown, not for others that came meanwhile."""
    fields = {group.name: group.fields for group in scope.ready.table.groups}
    return {
        conflict.field: conflict.decision
        for conflict in incoming.decisions.get(business_central.id, ())
        if conflict.decision and conflict.field in fields
        if conflict.business_central == {f.name: business_central.values[f.index] for f in fields[conflict.field]}
        if conflict.dataverse == {f.name: dataverse.values[f.index] for f in fields[conflict.field]}
    }


def _is_own(side: Side, users: frozenset[str], coupling: Coupling, business_central: Record, dataverse: Record) -> bool:
    """Last edited by one of the connection's users, but not by the write that was recorded."""
    record = business_central if side == "business_central" else dataverse
    version = recorded_version(coupling, side)
    return bool(version) and record.modified_by in users and record.version != version

"""From a chunk of records of one side to planned actions: pair them, let the rules speak, merge.

``plan`` and ``sync`` run this same code; nothing here writes to either system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from koppel.engine.action import Action, Bases, Refusal
from koppel.engine.glance import glance
from koppel.engine.match import Matches
from koppel.engine.pair import Pair, merge_pair
from koppel.engine.plan import hold, nothing, other, plan_creation, plan_partner_gone
from koppel.engine.translate import AllReferences
from koppel.odata.records import SPOKEN, Record, Side
from koppel.store import couplings, failures
from koppel.store.conflicts import Conflict
from koppel.store.couplings import Coupling, Seen
from koppel.store.failures import Failure
from koppel.store.snapshots import UNKNOWN, Codec, decode, encode
from koppel.sync.match import match_chunk
from koppel.sync.needs import compute, missing_parts, refused
from koppel.sync.prepare import SIDES, End, Ready
from koppel.sync.references import Answers, references
from koppel.sync.session import Session, own_user

Why = Literal["changed", "again", "chosen", "full"]


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one side to look at, and ids that this side reports as deleted.

    ``why``: ``again`` and ``chosen`` records are looked at whoever edited them last. ``decisions``: by Business
    Central id, the conflicts that a person decided.
    """

    side: Side
    records: Sequence[Record] = ()
    deleted: Sequence[str] = ()
    why: Why = "changed"
    decisions: Mapping[str, Sequence[Conflict]] = {}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk came to: actions, and how many records needed none.

    ``touched``: unchanged records whose version is newer than the recorded one (echoes of own writes, mostly).
    """

    side: Side
    actions: list[Action]
    unchanged: int = 0
    ignored: int = 0
    looked_at: int = 0
    touched: Sequence[Seen] = ()
    why: Why = "changed"


class Scope(msgspec.Struct, kw_only=True):
    """What a run is about. ``codec`` learns once, from the mapping's first bases.

    ``create``: uncoupled records may be created on the other side. ``matches``: what matching found beforehand, for a
    full run. ``contested``: conflicts met so far (Business Central id, group). ``undecided``: records that were sent
    in an earlier run without its being known what came of it; ``recovered``: those whose partner was found (side where
    it was created, id of the source). ``unsure``: there are creations of this run of which it is not known either.
    ``answers``: what references of few values stand for.
    """

    ready: Ready
    codec: Codec
    create: bool
    matches: Matches | None = None
    contested: set[tuple[str, str]] = msgspec.field(default_factory=set)
    undecided: dict[str, Refusal] = msgspec.field(default_factory=dict)
    recovered: set[tuple[Side, str]] = msgspec.field(default_factory=set)
    unsure: bool = False
    answers: Answers = msgspec.field(default_factory=dict)


async def plan_chunk(session: Session, scope: Scope, incoming: Incoming) -> Planned:
    """Plan one chunk."""
    ready, side = scope.ready, incoming.side
    mapping = ready.mapping.name
    records, failed = await compute(session, ready, side, incoming.records)
    coupled = await couplings.by_ids(session.connection, mapping, side, [*(r.id for r in records), *incoming.deleted])
    news, changed, equal, touched = _sort(scope, incoming, records, coupled)
    paired = await _pair_up(session, scope, incoming, changed, coupled, failed)
    fresh, ignored = await _new_records(session, scope, incoming, news, failed)
    gone = await _gone(session, scope, side, [coupled[id] for id in incoming.deleted if id in coupled])
    return Planned(
        side=side,
        why=incoming.why,
        actions=[*paired, *fresh, *gone],
        unchanged=_unchanged(session, incoming, equal, coupled),
        ignored=ignored,
        looked_at=len(records) + len(incoming.deleted),
        touched=touched,
    )


def _unchanged(session: Session, incoming: Incoming, equal: Sequence[Record], coupled: Mapping[str, Coupling]) -> int:
    """How many pairs are as they should be, each once: not those of this job, and a full read comes by twice."""
    if incoming.why == "full" and incoming.side == "dataverse":
        return 0
    return sum(coupled[record.id].job != session.job for record in equal)


def _sort(
    scope: Scope, incoming: Incoming, records: Sequence[Record], coupled: Mapping[str, Coupling]
) -> tuple[list[Record], list[Record], list[Record], list[Seen]]:
    """Uncoupled, changed, and unchanged; of the latter, those whose version or base is another one now."""
    news: list[Record] = []
    changed: list[Record] = []
    equal: list[Record] = []
    touched: list[Seen] = []
    look = glance(scope.ready.table, incoming.side)
    asked_for = incoming.why in ("again", "chosen")
    for record in records:
        coupling = coupled.get(record.id)
        if coupling is None:
            news.append(record)
            continue
        before = None if coupling.base is None or asked_for else base_of(scope.codec, coupling.base)
        after = before and look(before, record.values)
        if after is None:
            changed.append(record)
            continue
        equal.append(record)
        if after is not before:
            touched.append(Seen(record.id, record.version, encode(scope.codec, *after)))
        elif record.version != _version(coupling, incoming.side):
            touched.append(Seen(record.id, record.version))
    return news, changed, equal, touched


async def _passed_over(
    session: Session, scope: Scope, incoming: Incoming, found: Sequence[tuple[Record | None, Record | None]]
) -> dict[int, Failure]:
    """By place, the failures of records and pairs that are left alone.

    Skipped ones stay skipped until they or the mapping change, or a person asks for them (promise 4); what failed in
    this very job is not tried twice in it.
    """
    if incoming.why in ("again", "chosen") or not found:
        return {}
    mapping = scope.ready.mapping
    known = {
        side: await failures.by_ids(
            session.connection, mapping.name, side, [r.id for pair in found if (r := pair[number]) is not None]
        )
        for number, side in enumerate(SIDES)
    }
    return {
        place: failure
        for place, pair in enumerate(found)
        for side, record in zip(SIDES, pair, strict=True)
        if record is not None and (failure := known[side].get(record.id)) is not None
        if failure.job == session.job
        or (failure.state, failure.version, failure.digest) == ("skipped", versions_of(*pair), mapping.digest)
    }


def _told_why(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record], failed: Mapping[int, Failure]
) -> list[Action]:
    """What to say of records that are passed over; those of this job are told of already."""
    mapping, end = scope.ready.mapping, scope.ready.end(incoming.side)
    return [
        nothing(mapping, incoming.side, record, f"skipped: {failed[place].message}", name=end.name_of(record))
        for place, record in enumerate(records)
        if place in failed and failed[place].job != session.job
    ]


def versions_of(*records: Record | None) -> str:
    """What tells whether a record, or either one of a pair, changed."""
    return " ".join(record.version for record in records if record)


def _version(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_version if side == "business_central" else coupling.dataverse_version


async def _pair_up(
    session: Session,
    scope: Scope,
    incoming: Incoming,
    changed: Sequence[Record],
    coupled: Mapping[str, Coupling],
    failed: Mapping[str, Refusal],
) -> list[Action]:
    if not changed:
        return []
    partners = await _partners(session, scope, incoming.side, [coupled[record.id] for record in changed])
    pairs: list[tuple[Coupling, Record, Record]] = []
    lost: list[tuple[Coupling, Record | None]] = []
    for record in changed:
        coupling = coupled[record.id]
        partner = partners.get(_id(coupling, other(incoming.side)))
        if partner is None:
            lost.append((coupling, record))
        else:
            pairs.append((coupling, *_in_order(incoming.side, record, partner)))
    passed = await _passed_over(session, scope, incoming, [(ours, theirs) for _, ours, theirs in pairs])
    skipped = _told_why(session, scope, incoming, [_of_side(incoming.side, pair) for pair in pairs], passed)
    pairs = [pair for place, pair in enumerate(pairs) if place not in passed]
    inside = [pair for pair in pairs if _is_inside(scope, pair)]
    merged = await merge_all(session, scope, inside, incoming, failed)
    left = [_outside(scope, pair) for pair in pairs if not _is_inside(scope, pair)]
    return [*skipped, *await _partners_gone(session, scope, incoming.side, lost), *merged, *left]


def _of_side(side: Side, pair: tuple[Coupling, Record, Record]) -> Record:
    return pair[1] if side == "business_central" else pair[2]


def _is_inside(scope: Scope, pair: tuple[Coupling, Record, Record]) -> bool:
    coupling = pair[0]
    return all(
        end.passes is None or end.passes(record) or _is_awaited(scope, end, coupling)
        for end, record in ((scope.ready.business_central, pair[1]), (scope.ready.dataverse, pair[2]))
    )


def _is_awaited(scope: Scope, end: End, coupling: Coupling) -> bool:
    """Whether the filter asks for a field that still waits for its reference: a contact whose account is to come."""
    if coupling.base is None or not end.deciding:
        return False
    source = decode(scope.codec, coupling.base)[1 if end.side == "business_central" else 0]
    return any(source[place] is UNKNOWN for place in end.deciding)


def _outside(scope: Scope, pair: tuple[Coupling, Record, Record]) -> Action:
    """A coupled record that left the filter stays coupled, and stays as it is on both sides."""
    mapping, name = scope.ready.mapping, scope.ready.business_central.name_of(pair[1])
    action = nothing(mapping, "business_central", pair[1], "outside the mapping's filter", name=name)
    return msgspec.structs.replace(action, dataverse_id=pair[2].id)


async def read_side(session: Session, scope: Scope, side: Side, ids: Sequence[str]) -> dict[str, Record]:
    """The records of these ids as they are now, with their computed values; blanks among the ids are passed over."""
    end = scope.ready.end(side)
    found = await session.systems[side].by_ids(end.schema.name, end.columns, [id for id in ids if id])
    records, _ = await compute(session, scope.ready, side, list(found.values()))
    return {record.id: record for record in records}


async def _partners(session: Session, scope: Scope, side: Side, found: Sequence[Coupling]) -> dict[str, Record]:
    return await read_side(session, scope, other(side), [_id(coupling, other(side)) for coupling in found])


def _id(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


def _in_order(side: Side, record: Record, partner: Record) -> tuple[Record, Record]:
    return (record, partner) if side == "business_central" else (partner, record)


def _alone(side: Side, record: Record) -> tuple[Record | None, Record | None]:
    return (record, None) if side == "business_central" else (None, record)


async def merge_all(
    session: Session,
    scope: Scope,
    pairs: Sequence[tuple[Coupling, Record, Record]],
    incoming: Incoming,
    failed: Mapping[str, Refusal] = {},
) -> list[Action]:
    """Merge pairs that are read on both sides."""
    ready = scope.ready
    records = {"business_central": [p[1] for p in pairs], "dataverse": [p[2] for p in pairs]}
    refusals = {**failed}
    for side in SIDES:
        refusals.update(await refused(session, ready, side, records[side]))
    known = await references(session, ready, records["business_central"], records["dataverse"], scope.answers)
    own = {side: await own_user(session, side) for side in SIDES} if _leaves_own_alone(scope, incoming) else {}
    return [
        _merge_one(scope, coupling, business_central, dataverse, known, own, incoming, refusals)
        for coupling, business_central, dataverse in pairs
    ]


def _leaves_own_alone(scope: Scope, incoming: Incoming) -> bool:
    """GEN-01: only on two-way mappings, and never for records that were asked for."""
    mapping = scope.ready.mapping
    return mapping.ignore_integration_user and mapping.direction == "both" and incoming.why in ("changed", "full")


def _merge_one(
    scope: Scope,
    coupling: Coupling,
    business_central: Record,
    dataverse: Record,
    known: AllReferences,
    own: Mapping[Side, str],
    incoming: Incoming,
    refusals: Mapping[str, Refusal],
) -> Action:
    name = scope.ready.business_central.name_of(business_central)
    refusal = refusals.get(business_central.id) or refusals.get(dataverse.id)
    if refusal:
        held = hold(
            scope.ready.mapping, "business_central", business_central, refusal, name=name, partner_id=dataverse.id
        )
        return msgspec.structs.replace(held, records=(business_central, dataverse))
    pair = Pair(
        business_central=business_central,
        dataverse=dataverse,
        base=None if coupling.base is None else base_of(scope.codec, coupling.base),
        own=frozenset(side for side in own if _is_own(side, own[side], coupling, business_central, dataverse)),
        decisions=_still_true(scope, incoming, business_central, dataverse),
        name=name,
    )
    table = scope.ready.table
    if coupling.initial:
        table = msgspec.structs.replace(table, mapping=msgspec.structs.replace(table.mapping, initial=coupling.initial))
    action = merge_pair(table, pair, known)
    return msgspec.structs.replace(action, left_alone={side: _version(coupling, side) for side in pair.own})


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


def _is_own(side: Side, user: str, coupling: Coupling, business_central: Record, dataverse: Record) -> bool:
    """Last edited by the connection's user, but not by the write that was recorded."""
    record = business_central if side == "business_central" else dataverse
    version = _version(coupling, side)
    return bool(user and version) and record.modified_by == user and record.version != version


def base_of(codec: Codec, stored: bytes) -> Bases:
    """A stored base as the engine wants it."""
    return decode(codec, stored)


async def _gone(session: Session, scope: Scope, side: Side, lost: Sequence[Coupling]) -> list[Action]:
    """Records that ``side`` reports as deleted, and what their mapping's policy says about the partners."""
    if not lost:
        return []
    partners = await _partners(session, scope, side, lost)
    return await _partners_gone(
        session, scope, other(side), [(coupling, partners.get(_id(coupling, other(side)))) for coupling in lost]
    )


async def _partners_gone(
    session: Session, scope: Scope, survivor: Side, found: Sequence[tuple[Coupling, Record | None]]
) -> list[Action]:
    mapping = scope.ready.mapping
    restored = [record for _, record in found if record is not None and mapping.deletions == "restore"]
    actions = [
        msgspec.structs.replace(action, replaces=True, reason=f"deleted in {SPOKEN[other(survivor)]}, restored")
        for action in await plan_creations(session, scope, survivor, restored)
    ]
    for coupling, record in found:
        if record is None or mapping.deletions != "restore":
            ids = coupling.business_central_id, coupling.dataverse_id
            name = scope.ready.end(survivor).name_of(record) if record else coupling.business_central_key
            actions.append(plan_partner_gone(scope.ready.table, survivor, record, ids, name=name))
    return actions


async def _new_records(
    session: Session, scope: Scope, incoming: Incoming, news: Sequence[Record], failed: Mapping[str, Refusal]
) -> tuple[list[Action], int]:
    """Couple or create the records that nobody coupled yet; those outside the filter are none of our business."""
    ready, side = scope.ready, incoming.side
    end, mapping = ready.end(side), ready.mapping
    inside = [record for record in news if end.passes is None or end.passes(record)]
    ignored = len(news) - len(inside)
    passed = await _passed_over(session, scope, incoming, [_alone(side, record) for record in inside])
    skipped = _told_why(session, scope, incoming, inside, passed)
    inside = [record for place, record in enumerate(inside) if place not in passed]
    if not inside:
        return skipped, ignored
    refusals = {**failed, **await refused(session, ready, side, inside)}
    matches = scope.matches
    # What failed or waited was meant to be created when it did.
    create = scope.create or incoming.why == "again"
    if matches is None and create and mapping.match:
        matches = await match_chunk(session, ready, side, inside)
    matched, ambiguous = _of_matches(matches, side)
    coupled = await _couple(
        session, scope, incoming, [r for r in inside if r.id in matched and r.id not in refusals], matched
    )
    actions: list[Action] = [*skipped, *coupled]
    left = [record for record in inside if record.id not in matched or record.id in refusals]
    if not mapping.writes_to(other(side)):
        return actions, ignored + len(left)
    creatable: list[Record] = []
    for record in left:
        refusal = (
            refusals.get(record.id) or scope.undecided.get(record.id) or _ambiguity(scope, side, record, ambiguous)
        )
        if refusal:
            actions.append(hold(mapping, side, record, refusal, name=end.name_of(record)))
        elif not create:
            actions.append(nothing(mapping, side, record, "only coupled records synchronise", name=end.name_of(record)))
        elif mapping.create_unmatched or not mapping.match:
            creatable.append(record)
        else:
            actions.append(nothing(mapping, side, record, "not matched, and none is created", name=end.name_of(record)))
    return [*actions, *await plan_creations(session, scope, side, creatable)], ignored


def _of_matches(matches: Matches | None, side: Side) -> tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]:
    if matches is None:
        return {}, {}
    if side == "business_central":
        return matches.unique, matches.ambiguous_business_central
    return {theirs: ours for ours, theirs in matches.unique.items()}, matches.ambiguous_dataverse


def _ambiguity(scope: Scope, side: Side, record: Record, ambiguous: Mapping[str, tuple[str, ...]]) -> Refusal | None:
    if record.id not in ambiguous:
        return None
    rivals = ", ".join(ambiguous[record.id][:5])
    return Refusal(
        code="ambiguous",
        message=f"matches more than one record, or shares its match with another: {rivals}",
        remedy=f"koppel couple {scope.ready.mapping.name!r} with the right ids, or delete the double and retry",
        value=record.id,
    )


async def _couple(
    session: Session, scope: Scope, incoming: Incoming, records: Sequence[Record], matched: Mapping[str, str]
) -> list[Action]:
    if not records:
        return []
    made = [_new_coupling(incoming.side, record.id, matched[record.id]) for record in records]
    partners = await _partners(session, scope, incoming.side, made)
    pairs = [
        (coupling, *_in_order(incoming.side, record, partners[matched[record.id]]))
        for coupling, record in zip(made, records, strict=True)
        if matched[record.id] in partners
    ]
    return await merge_all(session, scope, pairs, incoming)


def _new_coupling(side: Side, id: str, partner: str) -> Coupling:
    return Coupling(id, partner) if side == "business_central" else Coupling(partner, id)


async def plan_creations(session: Session, scope: Scope, side: Side, records: Sequence[Record]) -> list[Action]:
    """Plan partners for records of ``side``, with what references and rules say."""
    if not records:
        return []
    ready = scope.ready
    ours, theirs = (records, ()) if side == "business_central" else ((), records)
    known = await references(session, ready, ours, theirs, scope.answers)
    missing = await missing_parts(session, ready, side, records)
    takes_ids = ready.end(other(side)).schema.takes_ids
    return [
        plan_creation(
            ready.table,
            side,
            record,
            known,
            id=record.id if takes_ids else "",
            name=ready.end(side).name_of(record),
            missing=missing[record.id],
        )
        for record in records
    ]

"""From a chunk of records of one side to planned actions.

``plan`` and ``sync`` run this same code; nothing here writes to either system.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from koppel.engine.action import Action
from koppel.engine.glance import glance
from koppel.engine.plan import deleted_in, hold, may_restore, other, plan_partner_gone
from koppel.odata.records import Record, Side
from koppel.store import couplings
from koppel.store.couplings import Coupling, Seen
from koppel.store.snapshots import encode
from koppel.sync.creations import new_records, plan_creations
from koppel.sync.elsewhere import APART
from koppel.sync.moved import partings
from koppel.sync.needs import compute
from koppel.sync.pairs import Lost, is_outside, note_if_back, pair_up
from koppel.sync.precede import with_parting, with_preceding
from koppel.sync.prepare import SIDES, End
from koppel.sync.scope import Incoming, Planned, Scope, base_of, coupled_id, partners_of, recorded_version, was_outside
from koppel.sync.session import Session
from koppel.sync.skip import passed_over
from koppel.tracing import traced


@traced("plan")
async def plan_chunk(session: Session, scope: Scope, incoming: Incoming) -> Planned:
    """Plan one chunk."""
    ready, side = scope.ready, incoming.side
    mapping = ready.mapping.name
    ids = [*(record.id for record in incoming.records), *incoming.deleted]
    coupled = await couplings.by_ids(session.connection, mapping, side, ids)
    told, fresh_ones = _told_already(incoming, coupled)
    records, failed = await compute(session, ready, side, fresh_ones)
    apart = {id: coupled[id] for id, refusal in failed.items() if refusal.code == APART and id in coupled}
    records = [record for record in records if record.id not in apart]
    out = frozenset(id for id, refusal in failed.items() if refusal.outside)
    news, changed, equal, touched = _sort(scope, incoming, records, coupled, out)
    paired, lost = await pair_up(session, scope, incoming, changed, coupled, failed)
    fresh, ignored = await new_records(session, scope, incoming, news, failed)
    gone = [
        *await _partners_gone(session, scope, incoming, side, lost),
        *await _gone(session, scope, incoming, [coupled[id] for id in incoming.deleted if id in coupled]),
        *await partings(session, scope, list(apart.values())),
    ]
    rules = ready.mapping.rules
    actions = [*paired, *fresh, *await with_parting(session, scope, gone, rules.gone)]
    actions = await with_parting(session, scope, actions, rules.uncouple)
    return Planned(
        side=side,
        why=incoming.why,
        watched=incoming.watched,
        actions=await with_preceding(session, scope, actions),
        unchanged=_unchanged(session, incoming, [*told, *equal], coupled),
        ignored=ignored,
        looked_at=len(ids),
        touched=touched,
    )


def _told_already(incoming: Incoming, coupled: Mapping[str, Coupling]) -> tuple[list[Record], list[Record]]:
    """Records that are read once more, of whose version everything is told already; and the others."""
    if incoming.why != "changed" or incoming.outside or incoming.watched:
        return [], list(incoming.records)
    told: list[Record] = []
    others: list[Record] = []
    for record in incoming.records:
        coupling = coupled.get(record.id)
        same = coupling is not None and record.version == recorded_version(coupling, incoming.side)
        (told if same else others).append(record)
    return told, others


def _unchanged(session: Session, incoming: Incoming, equal: Sequence[Record], coupled: Mapping[str, Coupling]) -> int:
    """How many pairs are as they should be, each once: not those of this job, and a full read comes by twice."""
    if incoming.why == "full" and incoming.side == "dataverse":
        return 0
    return sum(coupled[record.id].job != session.job for record in equal)


def _sort(
    scope: Scope,
    incoming: Incoming,
    records: Sequence[Record],
    coupled: Mapping[str, Coupling],
    out: Collection[str],
) -> tuple[list[Record], list[Record], list[Record], list[Seen]]:
    """Uncoupled, changed, and unchanged; of the latter, those whose version or base is another one now."""
    news: list[Record] = []
    changed: list[Record] = []
    equal: list[Record] = []
    touched: list[Seen] = []
    end = scope.ready.end(incoming.side)
    look = glance(scope.ready.table, incoming.side)
    full = incoming.why == "full" and _depends(scope, incoming.side)
    asked_for = full or incoming.watched or incoming.why in ("again", "chosen", "anew")
    for record in records:
        coupling = coupled.get(record.id)
        if coupling is None:
            news.append(record)
            continue
        if record.id in out:
            changed.append(record)
            continue
        known = None if asked_for or _is_renamed(end, coupling, record) else coupling.base
        before = None if known is None else base_of(scope.codec, known)
        after = before and look(before, record.values)
        if after is None or any(was_outside(coupling, s) for s in SIDES) or is_outside(end, incoming, record):
            changed.append(record)
            continue
        note_if_back(scope, incoming, coupling, incoming.side, record)
        equal.append(record)
        if after is not before:
            touched.append(Seen(record.id, record.version, encode(scope.codec, *after)))
        elif record.version != recorded_version(coupling, incoming.side):
            touched.append(Seen(record.id, record.version))
    return news, changed, equal, touched


def _is_renamed(end: End, coupling: Coupling, record: Record) -> bool:
    """Whether the record has another key in Business Central than references know it by."""
    known = coupling.business_central_key
    return end.side == "business_central" and known != "" and known != str(record.values[end.key] or "")


def _depends(scope: Scope, side: Side) -> bool:
    """Whether something else than the records may have changed: tables that are looked up in or watched, or what rules
    write. One side's pass is enough for that."""
    ready = scope.ready
    watches = any(ready.end(each).watched for each in SIDES)
    return side == "business_central" and (ready.looks_up or watches or bool(ready.mapping.rules.follow))


async def _gone(session: Session, scope: Scope, incoming: Incoming, gone: Sequence[Coupling]) -> list[Action]:
    """Records that a side reports as deleted, and what their mapping's policy says about the partners."""
    if not gone:
        return []
    survivor = other(incoming.side)
    partners = await partners_of(session, scope, incoming.side, gone)
    lost = [(coupling, partners.get(coupled_id(coupling, survivor))) for coupling in gone]
    return await _partners_gone(session, scope, incoming, survivor, lost)


async def _partners_gone(
    session: Session, scope: Scope, incoming: Incoming, survivor: Side, lost: Sequence[Lost]
) -> list[Action]:
    passed = await passed_over(session, scope, incoming, survivor, [record for _, record in lost])
    found = [one for place, one in enumerate(lost) if place not in passed]
    gone = other(survivor)
    end = scope.ready.end(survivor)
    outside = {record.id for _, record in found if record is not None and is_outside(end, incoming, record)}
    restores = may_restore(scope.ready.mapping, gone)
    restored = [record for _, record in found if record is not None and restores and record.id not in outside]
    doubts = [record for record in restored if record.id in scope.undecided]
    restored = [record for record in restored if record.id not in scope.undecided]
    actions = [
        hold(scope.ready.mapping, survivor, record, scope.undecided[record.id], name=end.name_of(record))
        for record in doubts
    ]
    actions += [
        msgspec.structs.replace(action, replaces=True, reason=f"{deleted_in(gone)}, restored")
        for action in await plan_creations(session, scope, survivor, restored)
    ]
    for coupling, record in found:
        if record is None or not restores or record.id in outside:
            ids = coupling.business_central_id, coupling.dataverse_id
            name = end.name_of(record) if record else coupling.business_central_key
            base = None if coupling.base is None else base_of(scope.codec, coupling.base)
            left = record is not None and record.id in outside
            actions.append(plan_partner_gone(scope.ready.table, survivor, record, ids, base, name=name, outside=left))
    return actions

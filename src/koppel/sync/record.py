"""Recording what became of a chunk, in one transaction: couplings, history, failures, conflicts (promise 7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from koppel.engine.action import Action, Refusal, base_after
from koppel.engine.plan import other
from koppel.engine.rule import RULES
from koppel.engine.translate import Waiting
from koppel.engine.values import UNKNOWN, Base, Unknown
from koppel.errors import RemoteError, TransientError
from koppel.odata.records import Record, Scalar, Side
from koppel.store import conflicts, couplings, failures, history, intents, jobs, partings, parts, pending, schedules
from koppel.store.couplings import Coupling
from koppel.store.database import Connection
from koppel.store.intents import Intent
from koppel.store.snapshots import encode
from koppel.sync.apart import take_parts_apart
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.relink import note_partners
from koppel.sync.scope import Scope, base_of, coupled_id, is_noted_outside, is_pair
from koppel.sync.session import Session, exchanged_parts
from koppel.sync.skip import versions_of
from koppel.sync.succession import settle_successions
from koppel.sync.write import Done

Counts = Counter[str]
"""By ``created``, ``updated``, ``coupled``, ``unchanged``, ``skipped``, ``failed``, ``conflicts``, ``uncoupled``."""


async def record_chunk(session: Session, scope: Scope, done: Sequence[Done], counts: Counts) -> None:
    """Write down a chunk and commit."""
    connection, ready, mapping = session.connection, scope.ready, scope.ready.mapping.name
    settled = [one for one in done if not one.superseded]
    pairs = [one for one in settled if _is_pair(one)]
    parted = await _remove_couplings(session, ready, settled)
    made = [_coupling(scope, one, session.job) for one in pairs if one.action.kind == "create"]
    await couplings.save(connection, mapping, made, new=True)
    merged = [_coupling(scope, one, session.job) for one in pairs if one.action.kind != "create"]
    await couplings.save(connection, mapping, merged)
    await note_partners(session, mapping, [*made, *merged])
    await _record_wholes(session, scope, pairs)
    await history.add(connection, _history(session, ready, done, parted))
    await _record_waiting(session, ready, pairs)
    await _record_conflicts(session, mapping, pairs)
    await _record_failures(session, ready, settled)
    recovered = {key: one for one in pairs for key in _keys(one.action) if key in scope.recovered}
    found = [creation_entry(scope, scope.recovered.pop(key), one.action.id(key[0])) for key, one in recovered.items()]
    await history.add(connection, found)
    await settle_intents(session, mapping, done, list(recovered))
    await settle_successions(session, mapping, [one.action for one in pairs])
    sent = session.tally.untold()
    await jobs.count(connection, session.job, {name: number for name, number in counts.items() if number}, sent)
    await connection.commit()
    session.tally.told += sent


async def _record_wholes(session: Session, scope: Scope, pairs: Sequence[Done]) -> None:
    """Where parts go both ways, those of every pair that was looked at are to be exchanged, unless it is outside the
    filter by now."""
    outside = {one.id("business_central") for one in pairs if is_noted_outside(one.action)}
    inside = {one.id("business_central") for one in pairs} - outside
    for name in exchanged_parts(session, scope.ready):
        await parts.done(session.connection, name, outside)
        if inside and not scope.finishing:
            await parts.add(session.connection, name, inside, session.job)


async def record_deletions(session: Session, ready: Ready, deleted: Sequence[tuple[int, Done]]) -> None:
    """Deletions by earlier jobs, each with its job, of which only now it is known that they were carried out."""
    done = [one for _, one in deleted]
    parted = await _remove_couplings(session, ready, done)
    await history.add(session.connection, [e for job, one in deleted for e in _entries(job, ready, one, parted)])
    await _record_failures(session, ready, done)


def _keys(action: Action) -> list[tuple[Side, str]]:
    """What an intent to write either record of a pair is known by."""
    return [(side, action.id(other(side))) for side in SIDES]


async def settle_intents(
    session: Session, mapping: str, done: Sequence[Done], recovered: Sequence[tuple[Side, str]] = ()
) -> None:
    """Forget the intents of which it is known what came of them: of writes in their order, and those ``recovered``."""
    known = dict.fromkeys(recovered)
    for one in done:
        for side in one.written:
            key = side, one.action.id(other(side))
            if side in one.unknown:
                known.pop(key, None)
            else:
                known[key] = None
    for side in SIDES:
        await intents.settle(session.connection, mapping, side, [id for where, id in known if where == side])


def creation_entry(scope: Scope, intent: Intent, id: str) -> history.Entry:
    """An earlier job created the record; only now this is known."""
    return history.Entry(
        intent.job or 0,
        scope.ready.mapping.name,
        intent.side,
        id,
        "create",
        new=intent.held or _agreed(scope, intent),
        why="created, without an answer",
        record_name=intent.record_name,
        table_name=scope.ready.beside(intent.side, intent.table_name),
    )


def _agreed(scope: Scope, intent: Intent) -> dict[str, Scalar]:
    """What both sides were to agree on about a created record is what it was created with."""
    base = base_of(scope.codec, intent.base)[SIDES.index(intent.side)] if intent.base else ()
    values = zip(scope.ready.table.fields, base, strict=False)
    return {f.end(intent.side).column: v for f, v in values if not isinstance(v, Unknown) and v not in (None, "")}


def _is_pair(one: Done) -> bool:
    """Whether there is a coupling to save after this action."""
    return is_pair(one.action) and (one.action.kind != "create" or bool(one.made))


def _coupling(scope: Scope, one: Done, job: int) -> Coupling:
    action = one.action
    base = base_after(action, one.failed)
    assert base is not None
    ids = {side: one.id(side) for side in SIDES}
    return Coupling(
        ids["business_central"],
        ids["dataverse"],
        business_central_key=_key(scope.ready, one),
        business_central_version=_version(one, "business_central"),
        dataverse_version=_version(one, "dataverse"),
        base=encode(scope.codec, *base),
        job=job,
        whole=_whole(scope.ready, base[1]),
    )


def _whole(ready: Ready, theirs: Base) -> str | None:
    """The record of Dataverse that a pair is part of."""
    if not ready.mapping.part_of:
        return None
    id = theirs[ready.dataverse.places[ready.mapping.whole.dataverse]]
    return id if isinstance(id, str) else None


def _version(one: Done, side: Side) -> str:
    if side in one.action.left_alone:
        return one.action.left_alone[side]
    answer, record = one.written.get(side), one.action.record(side)
    if one.action.kind == "create" and one.action.base and UNKNOWN in one.action.base[SIDES.index(side)]:
        return ""  # there is more to do about it: it must be looked at once more
    if answer and not answer.error:
        # What the system made of the write beside what was sent is looked at when the record is read next.
        return answer.version if _shows(one, side, answer.record) else ""
    if answer and isinstance(answer.error, TransientError):
        return ""  # it may have been carried out: then the next version is our own doing
    return record.version if record else ""


def _shows(one: Done, side: Side, record: Record | None) -> bool:
    """Whether the record holds what both sides agree on, and nothing else."""
    base = one.action.base and one.action.base[SIDES.index(side)]
    return record is not None and base is not None and record.values[: len(base)] == base


def _key(ready: Ready, one: Done) -> str:
    answer = one.written.get("business_central")
    record = (answer.record if answer else None) or one.action.record("business_central")
    return str(record.values[ready.business_central.key] or "") if record else ""


Parted = Mapping[str, Coupling]
"""Couplings that were removed, by the record's id in Dataverse."""


async def _remove_couplings(session: Session, ready: Ready, settled: Sequence[Done]) -> Parted:
    gone = [one.action for one in settled if one.action.kind == "uncouple"]
    gone += [one.action for one in settled if one.action.kind == "delete" and one.made]
    gone += [one.action for one in settled if one.action.replaces and _is_pair(one)]
    if not gone:
        return {}
    connection, mapping = session.connection, ready.mapping.name
    ids = [action.dataverse_id for action in gone if action.dataverse_id]
    parted = await couplings.by_ids(connection, mapping, "dataverse", ids)
    pairs = [pair.business_central_id for pair in parted.values()]
    open_ = await conflicts.of_pairs(connection, mapping, pairs)
    await conflicts.close(connection, [conflict.id for found in open_.values() for conflict in found])
    for action in gone:
        side: Side = "business_central" if action.business_central_id else "dataverse"
        if action.replaces and action.side:
            side = other(action.side)
        pair = (await couplings.by_ids(connection, mapping, side, [action.id(side)])).get(action.id(side))
        if pair:
            await _part(connection, mapping, pair, action)
        await couplings.remove(connection, mapping, side, [action.id(side)])
        if pair:
            await take_parts_apart(session, mapping, [pair.dataverse_id])
    await pending.remove_records(connection, mapping, [a.business_central_id for a in gone if a.business_central_id])
    return parted


async def _part(connection: Connection, mapping: str, pair: Coupling, action: Action) -> None:
    """Remember a pair of which one record was deleted or left the filter, and the other is still there."""
    await partings.forget(connection, mapping, [pair.business_central_id, pair.dataverse_id])
    gone_away = action.side if action.kind == "uncouple" or action.replaces else None
    left = [side for side in SIDES if action.record(side) is not None and side != gone_away]
    if len(left) == 1 and action.kind != "delete":
        gone = other(left[0])
        if coupled_id(pair, gone) != action.id(gone) or action.kind == "uncouple":
            await partings.note(connection, mapping, gone, coupled_id(pair, gone), coupled_id(pair, left[0]))


def _history(session: Session, ready: Ready, done: Iterable[Done], parted: Parted) -> Iterable[history.Entry]:
    for one in done:
        yield from _entries(session.job, ready, one, parted)


def _entries(job: int, ready: Ready, one: Done, parted: Parted) -> Iterable[history.Entry]:
    action = one.action

    def entry(kind: history.Action, side: Side, **told: object) -> history.Entry:
        return history.Entry(
            job,
            action.mapping,
            side,
            one.id(side),
            kind,
            record_name=action.name,
            **told,  # type: ignore[arg-type]
        )

    for side in one.made:
        if action.kind == "create":
            yield entry("create", side, new={**action.writes(side), **action.nested}, why=action.reason)
        elif action.kind == "delete":
            yield entry("delete", side, old=ready.mapped(side, action.record(side)), why=action.reason)
        else:
            for change in action.changes:
                if change.side == side:
                    yield entry("update", side, field=change.field, old=change.old, new=change.new, why=change.why)
    if action.couples and action.kind in ("couple", "update") and not one.superseded:
        yield entry("couple", "dataverse", new=action.business_central_id, why=action.reason)
    if action.kind == "uncouple" or (action.kind == "delete" and one.made):
        before = parted[action.dataverse_id].base if action.dataverse_id in parted else None
        yield entry("uncouple", "dataverse", old=action.business_central_id, why=action.reason, base=before)


async def _record_waiting(session: Session, ready: Ready, pairs: Sequence[Done]) -> None:
    mapping = ready.mapping.name
    ours = [one.id("business_central") for one in pairs if one.action.kind != "create"]
    if ours:
        await pending.remove_records(session.connection, mapping, ours)
    waiting = [
        pending.Pending(
            one.id("business_central"), one.id("dataverse"), w.field, w.via, refers_by(ready, w), w.reference
        )
        for one in pairs
        for w in one.action.waiting
    ]
    if waiting:
        await pending.save(session.connection, mapping, waiting)


def refers_by(ready: Ready, waiting: Waiting | Refusal) -> pending.RefersBy:
    """How a reference that is waited for names its record."""
    if isinstance(waiting, Refusal) and waiting.by_key:
        return "key"
    field = next((field.mapping for field in ready.table.fields if field.name == waiting.field), None)
    if field is not None and field.options:
        return "option"
    if field is None or field.lookup is None or field.lookup.by in RULES:
        return "rule"
    return "dataverse" if waiting.side == "dataverse" else "key" if field.lookup.by == "key" else "business_central"


async def _record_conflicts(session: Session, mapping: str, pairs: Sequence[Done]) -> None:
    updated = [one for one in pairs if one.action.kind != "create"]
    if not updated:
        return
    ids = [one.action.business_central_id for one in updated]
    open_ = await conflicts.of_pairs(session.connection, mapping, ids)
    still = {(one.action.business_central_id, c.group) for one in updated for c in one.action.conflicts}
    closed = [c.id for found in open_.values() for c in found if (c.business_central_id, c.field) not in still]
    if closed:
        await conflicts.close(session.connection, closed)
    found = [_conflict(session, mapping, one.action, c.group) for one in updated for c in one.action.conflicts]
    if found:
        await conflicts.save(session.connection, found)


def _conflict(session: Session, mapping: str, action: Action, group: str) -> conflicts.Conflict:
    conflict = next(c for c in action.conflicts if c.group == group)
    ours, theirs = action.records
    assert ours is not None
    assert theirs is not None
    return conflicts.Conflict(
        mapping=mapping,
        business_central_id=action.business_central_id,
        dataverse_id=action.dataverse_id,
        field=group,
        record_name=action.name,
        base={"business_central": conflict.base_business_central, "dataverse": conflict.base_dataverse},  # type: ignore[dict-item]
        business_central=conflict.business_central,
        dataverse=conflict.dataverse,
        business_central_version=ours.version,
        dataverse_version=theirs.version,
        business_central_modified_at=ours.modified_at,
        business_central_modified_by=ours.modified_by,
        dataverse_modified_at=theirs.modified_at,
        dataverse_modified_by=theirs.modified_by,
        job=session.job,
    )


async def _record_failures(session: Session, ready: Ready, settled: Sequence[Done]) -> None:
    mapping = ready.mapping.name
    failed: list[failures.Failure] = []
    if any(one.error or one.action.refusal for one in settled):
        now = await schedules.clock(session.connection)
        failed = [found for one in settled if (found := _failure(session, ready, one, now))]
        await failures.record(session.connection, failed)
    bad = {(failure.side, failure.record_id) for failure in failed}
    through = [one for one in settled if not _mates(one, bad) and not _left_alone(one)]
    for side in SIDES:
        good = [id for one in through if (id := one.action.id(side))]
        if good:
            await failures.clear(session.connection, mapping, side, good)


def _mates(one: Done, bad: set[tuple[Side, str]]) -> bool:
    return any((side, one.action.id(side)) in bad for side in SIDES)


def _left_alone(one: Done) -> bool:
    """Whether the record was passed over without a try, or only closed: its failure stays, if it has one."""
    return one.action.kind in ("nothing", "update") and one.action.base is None


def _failure(session: Session, ready: Ready, one: Done, now: datetime) -> failures.Failure | None:
    """The failure of an action that was refused by rules, by the merge or by a system."""
    action = one.action
    reason: Refusal | RemoteError | None = one.error or action.refusal
    if reason is None or (isinstance(reason, Refusal) and reason.skip):
        return None
    source = _source(one)
    return failures.Failure(
        mapping=ready.mapping.name,
        side=source,
        record_id=action.id(source),
        record_name=action.name,
        direction="to_dataverse" if source == "business_central" else "from_dataverse",
        kind=reason.kind,
        code=reason.code or type(reason).__name__,
        field=reason.field,
        value=reason.value,
        message=reason.message,
        remedy=reason.remedy,
        version=versions_of(*action.records),
        digest=ready.mapping.digest,
        job=session.job,
        **_next_try(ready, reason, now),
    )


def _next_try(ready: Ready, reason: Refusal | RemoteError, now: datetime) -> dict[str, Any]:
    """What a failure waits for: a coupling, or the time that a system asked for, by the database's clock."""
    if isinstance(reason, Refusal) and reason.via:
        return {"via": reason.via, "refers_by": refers_by(ready, reason), "reference": reason.value}
    if isinstance(reason, TransientError) and reason.retry_after:
        return {"next_try": now + timedelta(seconds=reason.retry_after)}
    return {}


def _source(one: Done) -> Side:
    """The side whose record did not get across."""
    if one.failed and one.action.kind != "delete":
        return other(one.failed[0])
    if one.action.refusal and one.action.refusal.side:
        return one.action.refusal.side
    return "business_central" if one.action.records[0] is not None else "dataverse"


def count_done(done: Iterable[Done]) -> Counts:
    """The counters of a job from what became of its actions."""
    counts: Counts = Counter()
    for one in done:
        if not one.superseded:
            counts.update(_counted(one))
    return counts


def _counted(one: Done) -> list[str]:
    action = one.action
    contested = ["conflicts"] * len(action.conflicts)
    if one.error or (action.refusal and not action.refusal.skip):
        return ["failed", *contested]
    if action.refusal or (action.kind == "nothing" and action.base is None):
        return ["skipped"]
    first = action.base_before is not None and action.kind in ("update", "couple") and _never_synchronised(action)
    names = {
        "create": "created",
        "update": "updated",
        "couple": "coupled",
        "uncouple": "uncoupled",
        "delete": "deleted",
    }
    if first:
        return ["coupled", *(["updated"] if action.kind == "update" else []), *contested]
    return contested if action.kind == "hold" else [names.get(action.kind, "unchanged"), *contested]


def _never_synchronised(action: Action) -> bool:
    assert action.base_before is not None
    return all(value is msgspec.UNSET for base in action.base_before for value in base)


def told(action: Action) -> str:
    """One line about an action that a person should read: what, why, what to do."""
    if action.refusal:
        return f"{action.name}: {action.refusal.message}; {action.refusal.remedy}"
    remedy = "; `koppel conflicts` shows both values, `koppel resolve` decides" if action.conflicts else ""
    return f"{action.name}: {action.reason}{remedy}"

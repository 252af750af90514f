"""Why a record did or did not synchronise: filter, coupling, base, both sides, what is written down, the next run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from koppel.engine.action import Action, Bases
from koppel.engine.fields import Field
from koppel.engine.values import Unknown
from koppel.errors import UsageError
from koppel.odata.literals import is_guid
from koppel.odata.records import Record, Scalar, Side
from koppel.store import conflicts, cursors, failures, jobs, pending
from koppel.store.conflicts import Conflict
from koppel.store.couplings import Coupling
from koppel.store.failures import Failure
from koppel.store.pending import Pending
from koppel.store.snapshots import field_names, open_codec
from koppel.sync.answer import Known, answer, candidates
from koppel.sync.chunk import plan_chunk
from koppel.sync.people import names_of
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.references import goes_through
from koppel.sync.scope import Incoming, Scope, Why, base_of, read_side
from koppel.sync.session import Session, ready_mapping
from koppel.sync.uncouple import coupling_named
from koppel.sync.unmet import unmet


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is now. ``outside``: the conditions of the filter that it does not meet, with what it holds;
    ``own``: last changed by the connection's own user. ``modified_by_name``: empty where the system does not tell."""

    id: str
    name: str
    modified_at: str
    modified_by: str
    modified_by_name: str
    outside: tuple[str, ...]
    own: bool


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One field: the value last agreed on each side (``None`` too where there is none) and the value now.

    ``changed``: the sides whose value is another one than that agreed.
    """

    field: str
    agreed: bool
    base_business_central: Scalar
    base_dataverse: Scalar
    business_central: Scalar
    dataverse: Scalar
    changed: tuple[Side, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one record. ``answer``: in one sentence. ``next``: what the next run would do, were it to
    look at the record; ``full``: what a full synchronisation would, which creates partners too. ``candidates``: records
    of the other side that share a match field with one that is not coupled."""

    mapping: str
    answer: str
    business_central: Seen | None
    dataverse: Seen | None
    coupling: Coupling | None
    fields: list[Compared]
    failures: list[Failure]
    conflicts: list[Conflict]
    waiting: list[Pending]
    job: jobs.Job | None
    next: list[Action]
    full: list[Action]
    candidates: list[str]


async def explain(session: Session, mapping: str, name: str) -> Explanation:
    """Explain a record, given by id on either side or Business Central key. ``UsageError`` when nobody knows it."""
    ready = await ready_mapping(session, mapping)
    if ready.mapping.kind == "options":
        raise UsageError("options have no records to explain", place=mapping, remedy=f"koppel plan {mapping!r}")
    names = field_names([field.mapping for field in ready.table.fields])
    scope = Scope(
        ready=ready,
        codec=await open_codec(session.connection, mapping, names),
        create=not ready.mapping.only_coupled,
    )
    coupling = await coupling_named(session, mapping, name)
    records = await _records(session, scope, coupling, name)
    if not records and coupling is None:
        raise UsageError(
            f"no record is called {name!r}",
            place=mapping,
            remedy="Give the record's id on either side, or its key in Business Central.",
        )
    ids = {side: _id(coupling, records.get(side), side) for side in SIDES}
    base = base_of(scope.codec, coupling.base) if coupling and coupling.base else None
    failed = [
        failure
        for side in SIDES
        for failure in (await failures.by_ids(session.connection, mapping, side, [ids[side]])).values()
    ]
    waited = await failures.due(session.connection, mapping, through=goes_through(ready.mapping))
    due = {(one.side, one.record_id) for one in waited}
    why: Why = "again" if any((one.side, one.record_id) in due for one in failed) else "changed"
    found = Explanation(
        mapping=mapping,
        answer="",
        business_central=await _seen(session, ready, "business_central", records),
        dataverse=await _seen(session, ready, "dataverse", records),
        coupling=coupling,
        fields=_compared(ready, records, base),
        failures=failed,
        conflicts=(await _conflicts(session, mapping, ids["business_central"])),
        waiting=[
            w
            for w in await pending.waiting(session.connection, mapping)
            if w.business_central_id == ids["business_central"]
        ],
        job=await jobs.get(session.connection, coupling.job) if coupling and coupling.job else None,
        next=await _next(session, scope, records, why),
        full=await _next(session, msgspec.structs.replace(scope, create=True), records, why) if not coupling else [],
        candidates=[] if coupling else await _candidates(session, ready, records),
    )
    return msgspec.structs.replace(found, answer=await _answer(session, ready, found, records))


async def _candidates(session: Session, ready: Ready, records: dict[Side, Record]) -> list[str]:
    side, record = next(iter(records.items()))
    return await candidates(session, ready, side, record)


async def _answer(session: Session, ready: Ready, found: Explanation, records: dict[Side, Record]) -> str:
    read = {side: await cursors.get(session.connection, found.mapping, side) for side in SIDES}
    seen = {"business_central": found.business_central, "dataverse": found.dataverse}
    named = [ready.end(side).name_of(record) for side, record in records.items()]
    return answer(
        Known(
            mapping=ready.mapping,
            name=named[0] if named else "",
            coupled=found.coupling is not None,
            records=records,
            outside={side: one.outside for side in SIDES if (one := seen[side])},
            barred=[side for side, record in records.items() if not ready.end(side).is_new(record)],
            failures=found.failures,
            conflicts=found.conflicts,
            waiting=found.waiting,
            read_until={side: cursor.moved_at for side, cursor in read.items() if cursor and cursor.moved_at},
            planned=found.next,
            full=found.full,
            candidates=found.candidates,
        )
    )


def _id(coupling: Coupling | None, record: Record | None, side: Side) -> str:
    if coupling:
        return coupling.business_central_id if side == "business_central" else coupling.dataverse_id
    return record.id if record else ""


async def _conflicts(session: Session, mapping: str, id: str) -> list[Conflict]:
    return (await conflicts.of_pairs(session.connection, mapping, [id])).get(id, []) if id else []


async def _records(session: Session, scope: Scope, coupling: Coupling | None, name: str) -> dict[Side, Record]:
    """The record, and its partner if it is coupled, as they are now."""
    found: dict[Side, Record] = {}
    for side in SIDES:
        if coupling:
            id = _id(coupling, None, side)
        elif is_guid(name):
            id = name.lower()
        else:
            id = await _id_of_key(session, scope.ready, side, name)
        if id in (read := await read_side(session, scope, side, [id])):
            found[side] = read[id]
    return found


async def _id_of_key(session: Session, ready: Ready, side: Side, name: str) -> str:
    end = ready.end(side)
    found = await session.systems[side].by_keys(end.schema.name, (), end.columns[end.key], [name])
    return found[0].id if len(found) == 1 else ""


async def _seen(session: Session, ready: Ready, side: Side, records: dict[Side, Record]) -> Seen | None:
    record = records.get(side)
    if record is None:
        return None
    end = ready.end(side)
    return Seen(
        id=record.id,
        name=end.name_of(record),
        modified_at=record.modified_at,
        modified_by=record.modified_by,
        modified_by_name=(await names_of(session, side, [record.modified_by])).get(record.modified_by, ""),
        outside=tuple(unmet(end, record)),
        own=record.modified_by in await session.systems[side].own_users(),
    )


def _compared(ready: Ready, records: dict[Side, Record], base: Bases | None) -> list[Compared]:
    return [_field(field, records, base) for field in ready.table.fields]


def _field(field: Field, records: dict[Side, Record], base: Bases | None) -> Compared:
    agreed: list[Scalar | Unknown] = [part[field.index] for part in base] if base else [None, None]
    now = {side: records[side].values[field.index] if side in records else None for side in SIDES}
    changed = [
        side
        for side, then in zip(SIDES, agreed, strict=True)
        if base and side in records and (isinstance(then, Unknown) or _differ(field, side, then, now[side]))
    ]
    before = [None if isinstance(value, Unknown) else value for value in agreed]
    return Compared(
        field=field.name,
        agreed=base is not None and not any(isinstance(value, Unknown) for value in agreed),
        base_business_central=before[0],
        base_dataverse=before[1],
        business_central=now["business_central"],
        dataverse=now["dataverse"],
        changed=tuple(changed),
    )


def _differ(field: Field, side: Side, then: Scalar, now: Scalar) -> bool:
    form = field.end(side).canonical
    return form(then) != form(now)


async def _next(session: Session, scope: Scope, records: dict[Side, Record], why: Why) -> list[Action]:
    """What is planned when the record is looked at as one that changed; for a pair, from either side."""
    found: Sequence[Action] = ()
    for side in SIDES:
        if side in records and not found:
            watched = bool(scope.ready.end(side).watched) or scope.ready.is_daily(side)
            incoming = Incoming(side=side, records=[records[side]], why=why, watched=watched)
            planned = await plan_chunk(session, scope, incoming)
            found = planned.actions
    return list(found)

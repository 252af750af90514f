"""Comparing everything, apart from the engine: both sides are read again and every coupled field is looked at.

Nothing of the merge is used here, so that a mistake in it shows. Each difference is explained by something that is
written down, or it is not explained: then an edit was lost or made up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from koppel.engine.fields import Field
from koppel.mapping.model import Drift, TableMapping
from koppel.odata.literals import parse_instant
from koppel.odata.records import Record, Scalar, Side
from koppel.store import conflicts, couplings, cursors, failures, jobs, options, pending
from koppel.store.couplings import Coupling
from koppel.store.snapshots import UNKNOWN, Aligned, Codec, decode, field_names, open_codec
from koppel.sync.match import keys_on, uncoupled_keys
from koppel.sync.needs import compute, refused
from koppel.sync.orphan import Orphan, orphan_of
from koppel.sync.plain import Plain, plain_forms
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.references import references
from koppel.sync.session import Session, own_users, ready_mapping
from koppel.systems.dataverse import Dataverse

Bases = tuple[Aligned, Aligned] | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field that does not hold the same on both sides; ``explained`` says why that is as it should be."""

    mapping: str
    name: str
    business_central_id: str
    dataverse_id: str
    field: str
    business_central: Scalar
    dataverse: Scalar
    explained: str = ""


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """An uncoupled record that looks like a second one of a coupled record of the same side."""

    mapping: str
    side: Side
    id: str
    twin: str
    why: str


class Verification(msgspec.Struct, kw_only=True):
    """What comparing came to. ``compared`` counts pairs, ``values`` the fields looked at in them."""

    compared: int = 0
    values: int = 0
    differences: list[Difference] = []
    explained: list[Difference] = []
    duplicates: list[Duplicate] = []
    orphans: list[Orphan] = []

    @property
    def sound(self) -> bool:
        """Whether both sides agree on everything that nothing explains otherwise."""
        return not (self.differences or self.duplicates or self.orphans)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down about the pairs of a chunk."""

    waiting: frozenset[tuple[str, str]]
    contested: frozenset[tuple[str, str]]
    troubles: Mapping[str, str]
    own: Mapping[Side, frozenset[str]]
    read_until: Mapping[Side, datetime]
    undone: bool


async def verify(session: Session, names: Sequence[str]) -> Verification:
    """Compare all pairs of these mappings; reads both sides, writes nothing."""
    found = Verification()
    for name in names:
        ready = await ready_mapping(session, name)
        if ready.mapping.kind == "options":
            await _verify_options(session, ready, found)
        else:
            await _verify_records(session, ready, found)
    return found


async def _verify_records(session: Session, ready: Ready, found: Verification) -> None:
    mapping = ready.mapping.name
    codec = await open_codec(session.connection, mapping, field_names([f.mapping for f in ready.table.fields]))
    uncoupled = await _uncoupled(session, ready)
    forms = plain_forms(ready)
    waiting = frozenset((w.business_central_id, w.field) for w in await pending.waiting(session.connection, mapping))
    total = await couplings.count(session.connection, mapping)
    done = 0
    async for chunk in couplings.stream(session.connection, mapping):
        await session.connection.commit()
        pairs = [pair async for pair in _read(session, ready, chunk, found)]
        known = await _known(session, ready, pairs, waiting)
        await _compare(session, ready, forms, codec, pairs, known, found)
        _look_for_twins(ready, pairs, uncoupled, found)
        done += len(chunk)
        session.progress(mapping, "verifying", done, total)


async def _read(
    session: Session, ready: Ready, chunk: Sequence[Coupling], found: Verification
) -> AsyncIterator[tuple[Coupling, Record, Record]]:
    """The pairs of a chunk as they are now; where one record is missing, that is noted."""
    sides: dict[Side, dict[str, Record]] = {}
    for side in SIDES:
        end, ids = ready.end(side), [_id(coupling, side) for coupling in chunk]
        rows = (await session.systems[side].by_ids(end.schema.name, end.columns, ids)).values()
        sides[side] = {record.id: record for record in (await compute(session, ready, side, list(rows)))[0]}
    for coupling in chunk:
        ours, theirs = (sides[side].get(_id(coupling, side)) for side in SIDES)
        if ours and theirs:
            yield coupling, ours, theirs
        else:
            gone = tuple(side for side, record in zip(SIDES, (ours, theirs), strict=True) if record is None)
            found.orphans.append(orphan_of(ready.mapping.name, coupling, gone))


def _id(coupling: Coupling, side: Side) -> str:
    return coupling.business_central_id if side == "business_central" else coupling.dataverse_id


async def _compare(
    session: Session,
    ready: Ready,
    forms: Sequence[Plain],
    codec: Codec,
    pairs: Sequence[tuple[Coupling, Record, Record]],
    known: _Known,
    found: Verification,
) -> None:
    business_central, dataverse = [pair[1] for pair in pairs], [pair[2] for pair in pairs]
    resolved = await references(session, ready, business_central, dataverse)
    found.compared += len(pairs)
    found.values += len(pairs) * len(forms)
    for pair in pairs:
        for plain in forms:
            if not plain.alike(pair[1], pair[2], resolved):
                base = decode(codec, pair[0].base) if pair[0].base else None
                difference = _difference(ready, plain.field, pair, _explained(ready, plain, pair, base, known))
                (found.explained if difference.explained else found.differences).append(difference)


def _difference(ready: Ready, field: Field, pair: tuple[Coupling, Record, Record], explained: str) -> Difference:
    return Difference(
        mapping=ready.mapping.name,
        name=ready.business_central.name_of(pair[1]),
        business_central_id=pair[1].id,
        dataverse_id=pair[2].id,
        field=field.name,
        business_central=pair[1].values[field.index],
        dataverse=pair[2].values[field.index],
        explained=explained,
    )


def _explained(ready: Ready, plain: Plain, pair: tuple[Coupling, Record, Record], base: Bases, known: _Known) -> str:
    """Why the two values differ, as far as it is written down or follows from the mapping; empty: for no reason."""
    coupling, ours, theirs = pair
    field = plain.field
    for group in (field.name, field.mapping.group):
        if (ours.id, group) in known.contested:
            return "a conflict that waits for a decision"
    if (ours.id, field.name) in known.waiting:
        return "waits until its reference is coupled"
    if reason := known.troubles.get(ours.id) or known.troubles.get(theirs.id):
        return reason
    for side, record in (("business_central", ours), ("dataverse", theirs)):
        reason = _of_record(ready, side, record, coupling, known)  # type: ignore[arg-type]
        if reason:
            return reason
    if _is_default(ready.mapping, "business_central", plain, ours) or _is_default(
        ready.mapping, "dataverse", plain, theirs
    ):
        return "a value that the mapping gives to new records"
    if known.undone and base is not None and UNKNOWN in (base[0][field.index], base[1][field.index]):
        return "taken back by `koppel undo`, until the next run"
    return _of_field(plain, ours, theirs, base, field.mapping.drift or ready.mapping.drift)


def _is_default(mapping: TableMapping, side: Side, plain: Plain, record: Record) -> bool:
    """Whether a record holds what the mapping itself writes into this column of new records."""
    end, column = mapping.endpoint(side), plain.field.end(side).column
    given = [end.create, *(template.values for template in end.templates)]
    return any(column in values and values[column] == record.values[plain.field.index] for values in given)


def _of_record(ready: Ready, side: Side, record: Record, coupling: Coupling, known: _Known) -> str:
    passes = ready.end(side).passes
    if passes is not None and not passes(record):
        return "outside the mapping's filter"
    version = coupling.business_central_version if side == "business_central" else coupling.dataverse_version
    if record.version == version:
        return ""
    if record.modified_by in known.own.get(side, ()):
        # Without a version it was not read since Koppel itself wrote it.
        return "changed by the connection's own user" if version else ""
    until = known.read_until.get(side)
    edited = parse_instant(record.modified_at) if record.modified_at else None
    # Dataverse tells the time of an edit in whole seconds.
    return "changed since the last run" if until is None or (edited and edited >= until.replace(microsecond=0)) else ""


def _of_field(plain: Plain, ours: Record, theirs: Record, base: Bases, drift: Drift) -> str:
    """What the field mapping itself allows: a side that only receives may drift, a blank may be kept out."""
    field, index = plain.field, plain.field.index
    if base is None:
        return "coupled, but not synchronised yet"
    if field.mapping.direction == "both":
        blank = field.mapping.keep_blank and None in (
            plain.form("business_central", ours.values[index]),
            plain.form("dataverse", theirs.values[index]),
        )
        return "a blank does not overwrite" if blank else ""
    to_dataverse = field.mapping.direction == "to_dataverse"
    here, there = SIDES if to_dataverse else SIDES[::-1]
    source, target = (ours, theirs) if to_dataverse else (theirs, ours)
    agreed, received = (base[0], base[1]) if to_dataverse else (base[1], base[0])
    if field.mapping.keep_blank and plain.form(here, source.values[index]) is None:
        return "a blank does not overwrite"
    if not field.end("dataverse" if to_dataverse else "business_central").updatable:
        return "cannot be changed any more once it is created"
    # A run that kept the drift has put it into the base.
    moved = plain.form(there, received[index]) != plain.form(there, target.values[index])
    if (drift == "keep" or moved) and plain.form(here, agreed[index]) == plain.form(here, source.values[index]):
        return "changed on the side that only receives it"
    return ""


async def _known(
    session: Session,
    ready: Ready,
    pairs: Sequence[tuple[Coupling, Record, Record]],
    waiting: frozenset[tuple[str, str]],
) -> _Known:
    mapping, connection = ready.mapping.name, session.connection
    open_ = await conflicts.of_pairs(connection, mapping, [ours.id for _, ours, _ in pairs])
    troubles: dict[str, str] = {}
    for side in SIDES:
        records = [ours if side == "business_central" else theirs for _, ours, theirs in pairs]
        held = await refused(session, ready, side, records, new=False)
        failed = await failures.by_ids(connection, mapping, side, [record.id for record in records])
        troubles |= {id: f"does not synchronise: {refusal.message}" for id, refusal in held.items()}
        troubles |= {id: f"{_STATES[failure.state]}: {failure.message}" for id, failure in failed.items()}
    return _Known(
        waiting=waiting,
        contested=frozenset((id, conflict.field) for id, found in open_.items() for conflict in found),
        troubles=troubles,
        own=await own_users(session) if ready.mapping.ignore_integration_user else {},
        read_until={side: until for side in SIDES if (until := await _read_until(session, mapping, side))},
        undone=any(
            [(c := await cursors.get(connection, mapping, side)) and c.digest == cursors.UNDONE for side in SIDES]
        ),
    )


async def _is_undone(session: Session, mapping: str) -> bool:
    """Whether a job was taken back and no run has come by since."""
    found = [await cursors.get(session.connection, mapping, side) for side in SIDES]
    return any(cursor.digest == cursors.UNDONE for cursor in found if cursor)


async def _read_until(session: Session, mapping: str, side: Side) -> datetime | None:
    """When the job began that read a side's changes last, by the side's clock: later edits are not its business."""
    cursor = await cursors.get(session.connection, mapping, side)
    moved = cursor.moved_at if cursor else None
    latest = await jobs.recent(session.connection, mapping=mapping)
    began = next((job.started for job in latest if moved and job.started <= moved), moved)
    return began and began + timedelta(seconds=session.systems[side].counters.ahead)


_STATES = {"active": "failed", "skipped": "skipped"}

Twins = Mapping[Hashable, str]
"""Uncoupled Dataverse records by id, and by (group, match key)."""


async def _uncoupled(session: Session, ready: Ready) -> Twins:
    found: dict[Hashable, str] = {}
    for id, keys in (await uncoupled_keys(session, ready, "dataverse")).items():
        found[id] = id
        found.update({(group, key): id for group, key in enumerate(keys) if key is not None})
    return found


def _look_for_twins(
    ready: Ready, pairs: Sequence[tuple[Coupling, Record, Record]], uncoupled: Twins, found: Verification
) -> None:
    """Uncoupled Dataverse records that have a coupled record's match key, or the id it was to be created with."""
    keys = keys_on(ready, "dataverse")
    for _, ours, theirs in pairs if uncoupled else ():
        marks: list[tuple[Hashable, str]] = [(ours.id, "it has the id of the Business Central record")]
        marks += [((group, key), "it has the same match key") for group, key in enumerate(keys(theirs))]
        twins = {uncoupled[mark]: why for mark, why in marks if mark in uncoupled}
        found.duplicates += [
            Duplicate(mapping=ready.mapping.name, side="dataverse", id=id, twin=theirs.id, why=why)
            for id, why in twins.items()
        ]


async def _verify_options(session: Session, ready: Ready, found: Verification) -> None:
    """Each coupled option still is there, and its label is the code."""
    dataverse, end = session.systems["dataverse"], ready.business_central
    assert isinstance(dataverse, Dataverse)
    labels = await dataverse.options(ready.dataverse.schema.name, ready.mapping.dataverse.column)
    pages = session.systems["business_central"].query(end.schema.name, end.columns)
    codes = {record.id: end.name_of(record) async for page in pages for record in page.records}
    for option in await options.every(session.connection, ready.mapping.name):
        ids = {"business_central_id": option.business_central_id, "dataverse_id": str(option.value)}
        code, label = codes.get(option.business_central_id), labels.get(option.value)
        found.compared += 1
        found.values += 1
        if code is None or label is None:
            missing = tuple(side for side, text in zip(SIDES, (code, label), strict=True) if text is None)
            found.orphans.append(Orphan(mapping=ready.mapping.name, name=option.code, missing=missing, **ids))
        elif code.casefold() != label.casefold():
            found.differences.append(
                Difference(
                    mapping=ready.mapping.name, name=code, field="code", business_central=code, dataverse=label, **ids
                )
            )

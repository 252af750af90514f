"""From what history holds of a job to the actions that reverse it, and to what has to stay because others went on.

A value comes back only where the job's is still there: whatever somebody changed since is told and left, and so are
the other fields of its group. Nothing here writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from koppel.engine.action import Action, Bases, Change
from koppel.engine.fields import Field
from koppel.engine.plan import other
from koppel.engine.values import UNKNOWN, Unknown
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store import couplings
from koppel.store.couplings import Coupling
from koppel.store.history import Entry
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.scope import Scope, base_of, coupled_id, read_side, recorded_version
from koppel.sync.session import Session, own_users

Read = Mapping[Side, Mapping[str, Record]]
Users = Mapping[Side, frozenset[str]]
"""Records as they are now, by side and id."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a job wrote and that stays, with the reason. ``field`` is empty for the whole record."""

    mapping: str
    name: str
    side: Side
    record_id: str
    field: str = ""
    reason: str

    def __str__(self) -> str:
        what = f"{self.field} in {SPOKEN[self.side]}" if self.field else f"the record in {SPOKEN[self.side]}"
        return f"{self.name or self.record_id}: {what} stays as it is, {self.reason}"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of a job, the last one first. ``since``: by side and record, and by field, the job that wrote later."""

    job: int
    entries: Sequence[Entry]
    since: Mapping[tuple[Side, str], Mapping[str, int]] = {}

    def by(self, *actions: str) -> list[Entry]:
        """The entries of these kinds about the mapping's own records."""
        return [entry for entry in self.entries if entry.action in actions and not entry.table_name]

    def later(self, ids: Mapping[Side, str]) -> int | None:
        """The job that wrote last to either record of a pair after this one."""
        return max((job for side, id in ids.items() for job in self.since.get((side, id), {}).values()), default=None)


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """What taking back a part of a job comes to: what is to be done, and what is left as it is."""

    actions: list[Action] = []
    left: list[Left] = []

    def leave(self, entry: Entry, reason: str) -> None:
        """Tell that what an entry says stays."""
        self.left.append(
            Left(
                mapping=entry.mapping,
                name=entry.record_name,
                side=entry.side,
                record_id=entry.record_id,
                field=entry.field,
                reason=reason,
            )
        )


async def plan_updates(session: Session, scope: Scope, past: Past, side: Side, *, parted: bool = False) -> Reversal:
    """Bring back the values that updates on ``side`` overwrote; ``parted``: of the pairs that the job uncoupled, which
    have to be coupled again before."""
    found = Reversal(actions=[], left=[])
    made = {(entry.side, entry.record_id) for entry in past.by("create", "delete")}
    apart = {_parted_id(entry, side): entry for entry in past.by("uncouple")}
    written: dict[str, list[Entry]] = defaultdict(list)
    for entry in past.by("update"):
        if entry.side == side and (side, entry.record_id) not in made and (entry.record_id in apart) is parted:
            written[entry.record_id].append(entry)
    if not written:
        return found
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, side, written)
    if parted and not session.job:  # a preview, so they are still apart
        coupled = {id: _as_it_was(apart[id]) for id in written} | coupled
    read = await _read(session, scope, list(coupled.values()))
    for id, entries in written.items():
        pair = coupled.get(id)
        records = _records(read, pair) if pair else None
        if pair is None or records is None:
            for entry in entries:
                found.leave(entry, _why_alone(pair))
        else:
            _plan_update(scope, past, side, pair, records, entries, found)
    return found


def _parted_id(entry: Entry, side: Side) -> str:
    return entry.record_id if side == "dataverse" else str(entry.old)


def _as_it_was(entry: Entry) -> Coupling:
    return Coupling(str(entry.old), entry.record_id, base=entry.base)


def _why_alone(pair: Coupling | None) -> str:
    return "its record or the partner is deleted" if pair else "it is not coupled, or a rule wrote it"


async def _read(session: Session, scope: Scope, pairs: Sequence[Coupling]) -> Read:
    return {side: await read_side(session, scope, side, [coupled_id(pair, side) for pair in pairs]) for side in SIDES}


def _records(read: Read, pair: Coupling) -> tuple[Record, Record] | None:
    ours, theirs = (read[side].get(coupled_id(pair, side)) for side in SIDES)
    return (ours, theirs) if ours and theirs else None


class _Field(msgspec.Struct):
    """A field that a job wrote: what it is now, what the job left there, and what was there before."""

    entry: Entry
    column: str
    field: Field | None
    now: Scalar
    new: Scalar
    old: Scalar
    reason: str = ""

    def same(self, one: Scalar, two: Scalar, side: Side) -> bool:
        form = self.field.end(side).canonical if self.field else None
        return form(one) == form(two) if form else one == two


def _plan_update(
    scope: Scope,
    past: Past,
    side: Side,
    pair: Coupling,
    records: tuple[Record, Record],
    entries: Sequence[Entry],
    found: Reversal,
) -> None:
    record = records[SIDES.index(side)]
    fields = _fields(scope.ready, side, record, entries, found)
    later = past.since.get((side, record.id), {})
    for one in fields:
        one.reason = _why_left(one, side, later.get(one.entry.field))
    _keep_groups_whole(fields)
    for one in fields:
        if one.reason and not one.same(one.now, one.old, side):
            found.leave(one.entry, one.reason)
    back = [one for one in fields if not one.reason and not one.same(one.now, one.old, side)]
    if back:
        found.actions.append(_update(scope, past, side, pair, records, back))


def _fields(ready: Ready, side: Side, record: Record, entries: Sequence[Entry], found: Reversal) -> list[_Field]:
    """Each field once, from the value before its first write to that after the last one."""
    known = {field.name: field for field in ready.table.fields}
    end, fields = ready.end(side), dict[str, _Field]()
    for entry in entries:
        field = known.get(entry.field)
        column = field.end(side).column if field else entry.field
        if column not in end.places:
            found.leave(entry, "the mapping has no such field any more")
        elif entry.field in fields:
            fields[entry.field].old = _scalar(entry.old)
        else:
            place = field.index if field else end.places[column]
            now, new, old = record.values[place], _scalar(entry.new), _scalar(entry.old)
            fields[entry.field] = _Field(entry, column, field, now, new, old)
    return list(fields.values())


def _scalar(value: object) -> Scalar:
    assert value is None or isinstance(value, str | int | float | bool), value
    return value


def _why_left(one: _Field, side: Side, later: int | None) -> str:
    if later is not None:
        return f"job {later} wrote it since"
    if not one.same(one.now, one.new, side):
        return "somebody changed it since"
    if one.field and not one.field.end(side).updatable:
        return "it cannot be changed any more"
    return ""


def _keep_groups_whole(fields: Sequence[_Field]) -> None:
    """What merges as one value comes back as one, or not at all."""
    groups: dict[str, list[_Field]] = defaultdict(list)
    for one in fields:
        if one.field and one.field.mapping.group:
            groups[one.field.mapping.group].append(one)
    for group in groups.values():
        if reason := next((one.reason for one in group if one.reason), ""):
            for one in group:
                one.reason = one.reason or f"it belongs together with another: {reason}"


def _update(
    scope: Scope, past: Past, side: Side, pair: Coupling, records: tuple[Record, Record], back: Sequence[_Field]
) -> Action:
    """Write the old values. Of the other side nothing is agreed on any more there, as it was before the job: the next
    run carries over what it holds."""
    why = f"job {past.job} taken back"
    unknown = scope.ready.table.unknown
    before = base_of(scope.codec, pair.base) if pair.base else (unknown, unknown)
    bases: tuple[list[Scalar | Unknown], list[Scalar | Unknown]] = (list(before[0]), list(before[1]))
    places = [one.field.index for one in back if one.field]
    number = SIDES.index(side)
    for one in back:
        if one.field:
            bases[number][one.field.index] = one.old
            bases[1 - number][one.field.index] = UNKNOWN
    action = Action(
        kind="update",
        mapping=scope.ready.mapping.name,
        name=scope.ready.business_central.name_of(records[0]),
        reason=why,
        business_central_id=pair.business_central_id,
        dataverse_id=pair.dataverse_id,
        written={side: tuple(places)},
        changes=tuple(Change(one.entry.field, side, one.now, one.old, why) for one in back),
        base=(tuple(bases[0]), tuple(bases[1])),
        base_before=before,
        records=records,
    )
    return msgspec.structs.replace(action, **{f"to_{side}": {one.column: one.old for one in back}})


async def plan_removals(session: Session, scope: Scope, past: Past) -> Reversal:
    """Delete what was created, and take apart what was coupled."""
    found = Reversal(actions=[], left=[])
    await _plan_deletions(session, scope, past, found)
    await _plan_parting(session, scope, past, found)
    return found


async def _plan_deletions(session: Session, scope: Scope, past: Past, found: Reversal) -> None:
    """A record that the job created goes, if it and its partner are as the last synchronisation left them."""
    mapping = scope.ready.mapping.name
    own = await own_users(session)
    for side in SIDES:
        created = {entry.record_id: entry for entry in past.by("create") if entry.side == side}
        if not created:
            continue
        coupled = await couplings.by_ids(session.connection, mapping, side, created)
        read = await _read(session, scope, list(coupled.values()))
        alone = await read_side(session, scope, side, [id for id in created if id not in coupled])
        for id, entry in created.items():
            pair = coupled.get(id)
            if pair is None:
                if id in alone:
                    found.leave(entry, "it is not coupled any more")
                continue
            if id not in read[side]:
                found.actions.append(_parting(scope, pair, "deleted already"))
                continue
            reason = _why_kept(scope, past, pair, read, side, own)
            if reason:
                found.leave(entry, reason)
            else:
                found.actions.append(_deletion(scope, past, pair, read, side))


def _why_kept(scope: Scope, past: Past, pair: Coupling, read: Read, side: Side, own: Users) -> str:
    """Why a created record is not deleted; empty when nobody touched the pair."""
    ids = {each: coupled_id(pair, each) for each in SIDES}
    if later := past.later(ids):
        return f"job {later} wrote to it or its partner since"
    record = read[side][ids[side]]
    if own[side] and record.modified_by and record.modified_by not in own[side]:
        return "somebody changed it since"
    for each in (side, other(side)):
        touched = read[each].get(ids[each])
        who = "it" if each == side else f"its partner in {SPOKEN[each]}"
        if touched is None:
            return f"{who} is deleted"
        if _is_touched(scope, pair, each, touched, own[each]):
            return f"somebody changed {who} since"
    return ""


def _is_touched(scope: Scope, pair: Coupling, side: Side, record: Record, own: frozenset[str]) -> bool:
    """Whether a record is another one than that recorded, in its version or in a value that was agreed on.

    Where it was not read since Koppel wrote it, no version is recorded: then who edited it last tells.
    """
    recorded = recorded_version(pair, side)
    if record.version != recorded and (recorded or record.modified_by not in (own or {""})):
        return True
    base = base_of(scope.codec, pair.base)[SIDES.index(side)] if pair.base else scope.ready.table.unknown
    return any(
        not isinstance(then := base[field.index], Unknown)
        and field.end(side).canonical(then) != field.end(side).canonical(record.values[field.index])
        for field in scope.ready.table.fields
    )


def _deletion(scope: Scope, past: Past, pair: Coupling, read: Read, side: Side) -> Action:
    records = _records(read, pair)
    assert records is not None
    return Action(
        kind="delete",
        mapping=scope.ready.mapping.name,
        name=scope.ready.business_central.name_of(records[0]),
        reason=f"job {past.job} created it",
        side=side,
        business_central_id=pair.business_central_id,
        dataverse_id=pair.dataverse_id,
        records=records,
    )


async def _plan_parting(session: Session, scope: Scope, past: Past, found: Reversal) -> None:
    """A coupling that the job made goes, if no other job used it since."""
    made = {entry.record_id: entry for entry in past.by("couple")}
    coupled = await couplings.by_ids(session.connection, scope.ready.mapping.name, "dataverse", made) if made else {}
    for id, pair in coupled.items():
        if pair.business_central_id != made[id].new:
            found.leave(made[id], "it has another partner by now")
        elif later := past.later({"business_central": pair.business_central_id, "dataverse": id}):
            found.leave(made[id], f"job {later} wrote to the pair since, and so it stays coupled")
        else:
            found.actions.append(_parting(scope, pair, f"job {past.job} coupled it"))


def _parting(scope: Scope, pair: Coupling, reason: str) -> Action:
    return Action(
        kind="uncouple",
        mapping=scope.ready.mapping.name,
        name=pair.business_central_key,
        reason=reason,
        business_central_id=pair.business_central_id,
        dataverse_id=pair.dataverse_id,
    )


def bases_of(scope: Scope, entry: Entry) -> Bases:
    """What a pair had agreed on when it was uncoupled."""
    unknown = scope.ready.table.unknown
    return base_of(scope.codec, entry.base) if entry.base else (unknown, unknown)

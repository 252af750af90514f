"""Merging one pair of records, field group by field group, into one action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from koppel.engine.action import Action, ActionKind, Bases, Change, Conflict, Refusal, held
from koppel.engine.fields import Field, Group, Steps, steps_of
from koppel.engine.merge import Verdict, first_verdict, to_side, verdict
from koppel.engine.translate import AllReferences, TooLong, Translated, Unfit, Waiting, reference_of, translate
from koppel.engine.values import UNKNOWN, Base, Unknown, canonical, empty_in_business_central
from koppel.mapping.model import Direction, TableMapping
from koppel.odata.records import SPOKEN, Record, Scalar, Side

_SIDES: tuple[Side, Side] = ("business_central", "dataverse")
_OTHER: Mapping[Side, Side] = {"business_central": "dataverse", "dataverse": "business_central"}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table mapping made ready: its fields by place and by group."""

    mapping: TableMapping
    fields: tuple[Field, ...]
    groups: tuple[Group, ...]
    creations: dict[Side, Steps] = {}

    def __post_init__(self) -> None:
        """How partners are created follows from the fields."""
        creations = {side: steps_of(self.fields, side, self.mapping.drift) for side in _SIDES}
        msgspec.structs.force_setattr(self, "creations", creations)

    def towards(self, side: Side) -> Steps:
        """How records of ``side`` are created."""
        return self.creations[side]

    @property
    def unknown(self) -> Base:
        """The base of a side that never was synchronised."""
        return (UNKNOWN,) * len(self.fields)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two coupled records as they are now, with the base. ``base`` is ``None`` when they never were synchronised.

    ``own``: sides last edited by the connection's own user in another way than by Koppel; their changes are left
    alone.
    ``decisions``: groups whose conflict a person has decided, with the side that wins. ``incomplete``: parts of it are
    still to come, and what is written last waits for them. ``ahead``: how many seconds the
    clock of Business Central is ahead of Dataverse's, 0 if they agree.
    """

    business_central: Record
    dataverse: Record
    base: Bases | None = None
    own: frozenset[Side] = frozenset()
    decisions: Mapping[str, Side] = {}
    name: str = ""
    incomplete: bool = False
    ahead: float = 0.0


class _Draft:
    """The action in the making: what the groups add to it."""

    def __init__(self, table: Table, pair: Pair) -> None:
        before = pair.base or (table.unknown, table.unknown)
        self.before = before
        self.bases: tuple[list[Scalar | Unknown], list[Scalar | Unknown]] = (list(before[0]), list(before[1]))
        self.writes: dict[Side, dict[str, Scalar]] = {"business_central": {}, "dataverse": {}}
        self.written: dict[Side, list[int]] = {"business_central": [], "dataverse": []}
        self.changes: list[Change] = []
        self.conflicts: list[Conflict] = []
        self.waiting: list[Waiting] = []
        self.warnings: list[str] = []
        self.faults: list[TooLong | Unfit] = []
        self.own_change = False

    def agree(self, field: Field, business_central: Scalar | Unknown, dataverse: Scalar | Unknown) -> None:
        self.bases[0][field.index] = business_central
        self.bases[1][field.index] = dataverse

    def write(self, field: Field, side: Side, old: Scalar, new: Scalar, why: str) -> None:
        self.writes[side][field.end(side).column] = new
        self.changes.append(Change(field.name, side, old, new, why))


def merge_pair(table: Table, pair: Pair, references: AllReferences) -> Action:
    """Merge one pair. Same input, same action; nothing is written here."""
    draft = _Draft(table, pair)
    touched = _touched(pair, draft.before)
    for group in table.groups:
        if pair.incomplete and group.last:
            continue
        if group.led_by or group.name in pair.decisions or not touched.isdisjoint(group.places):
            _merge_group(table, group, pair, references, draft)
    return _finish(table, pair, draft)


def _touched(pair: Pair, before: Bases) -> set[int]:
    """Places whose raw values are not those of the base: in a record with one edit, all there is to look at."""
    now = zip(before[0], pair.business_central.values, before[1], pair.dataverse.values, strict=False)
    return {place for place, (b0, b, d0, d) in enumerate(now) if b != b0 or d != d0}


def _merge_group(table: Table, group: Group, pair: Pair, references: AllReferences, draft: _Draft) -> None:
    changed = _changed_sides(group, pair, draft.before)
    found = _decide(table, group, pair, references, changed)
    match found:
        case Verdict.NOTHING:
            _refresh(group, pair, draft)
        case Verdict.AGREE | Verdict.DRIFT:
            _accept(group, pair, draft, drifted=found is Verdict.DRIFT)
        case Verdict.CONFLICT:
            draft.conflicts.append(_conflict(group, pair, draft.before))
        case Verdict.TO_DATAVERSE:
            _write(group, pair, "business_central", references, draft, _why(table, group, pair, changed))
        case Verdict.TO_BUSINESS_CENTRAL:
            _write(group, pair, "dataverse", references, draft, _why(table, group, pair, changed))


def _decide(
    table: Table, group: Group, pair: Pair, references: AllReferences, changed: Sequence[Side] | None
) -> Verdict:
    decided = pair.decisions.get(group.name)
    # Whether both sides hold the same is only looked at where it matters: that keeps an edit of one field cheap.
    looked_at = changed != () or group.led_by is not None or decided is not None
    alike = looked_at and all(_is_alike(field, pair, references) for field in group.fields)
    if decided:
        return Verdict.AGREE if alike else to_side(_OTHER[decided])
    if changed is None:
        return first_verdict(group.direction, alike=alike, initial=table.mapping.initial)
    led_by = group.led_by if not alike and (group.constant or not (changed or pair.own)) else None
    return verdict(
        group.direction,
        business_central_changed="business_central" in changed or led_by == "business_central",
        dataverse_changed="dataverse" in changed or led_by == "dataverse",
        alike=alike,
        policy=group.policy,
        newer=_newer(pair) if group.policy == "newest" else None,
        drift=group.drift,
    )


def _why(table: Table, group: Group, pair: Pair, changed: Sequence[Side] | None) -> str:
    if group.name in pair.decisions:
        return f"conflict decided for {pair.decisions[group.name]}"
    if changed is None:
        wins = f", {table.mapping.initial} wins" if group.direction == "both" else ""
        return f"first synchronisation{wins}"
    if len(changed) == 2:
        return f"both changed, policy {group.policy}"
    if changed and not _is_edited(group, pair, changed[0]):
        return "what it refers to was coupled"
    return f"changed in {SPOKEN[changed[0]]}" if changed else "the mapping says so"


def _is_edited(group: Group, pair: Pair, side: Side) -> bool:
    """Whether anything but references that were waited for is another value than was agreed on."""
    before = (pair.base or ((), ()))[_SIDES.index(side)]
    return any(
        before[field.index] is not UNKNOWN or reference_of(field) is None
        for field in group.fields
        if _differs(side, field, pair, pair.base or ((), ()))
    )


def _source(direction: Direction) -> Side:
    """The side that leads a one-way field, and by which the references of a two-way field are compared."""
    return "dataverse" if direction == "from_dataverse" else "business_central"


def _changed_sides(group: Group, pair: Pair, before: Bases) -> tuple[Side, ...] | None:
    """The sides whose edits ask to be carried over; none when the group, or what is new in it, was never synchronised.

    A field that joined a group later tells nothing of edits; it goes the way of the others.
    """
    known = [f for f in group.fields if before[0][f.index] is not UNKNOWN or before[1][f.index] is not UNKNOWN]
    if not known:
        return None
    changed = tuple(side for side in _SIDES if _is_changed(side, known, pair, before))
    return None if not changed and len(known) < len(group.fields) else changed


def _is_changed(side: Side, known: Sequence[Field], pair: Pair, before: Bases) -> bool:
    return side not in pair.own and any(
        _differs(side, field, pair, before) and not _blank_kept(field, pair, side) for field in known
    )


def _differs(side: Side, field: Field, pair: Pair, before: Bases) -> bool:
    now = _values(side, pair)[field.index]
    then = before[0 if side == "business_central" else 1][field.index]
    if now is then or now == then:
        return False
    if isinstance(then, Unknown):
        return True
    form = field.end(side).canonical
    return form(now) != form(then)


def _values(side: Side, pair: Pair) -> Sequence[Scalar]:
    return pair.business_central.values if side == "business_central" else pair.dataverse.values


def _is_alike(field: Field, pair: Pair, references: AllReferences) -> bool:
    business_central = pair.business_central.values[field.index]
    dataverse = pair.dataverse.values[field.index]
    if field.copied:
        return _is_same(field, business_central, dataverse)
    # A value that lost something on its way is not asked to bring it back: either side may be what the other leads to.
    two_ways = field.mapping.direction == "both" and reference_of(field) is None
    sides = _SIDES if two_ways else (_source(field.mapping.direction),)
    return any(_leads_to(field, pair, side, references) for side in sides)


def _leads_to(field: Field, pair: Pair, source: Side, references: AllReferences) -> bool:
    """Whether the other side holds what the value of ``source`` would become there."""
    wanted = translate(field, _values(source, pair)[field.index], source, references)
    if isinstance(wanted, Waiting | TooLong | Unfit):
        return False
    form = field.end(_OTHER[source]).canonical
    return form(wanted) == form(_values(_OTHER[source], pair)[field.index])


def _is_same(field: Field, business_central: Scalar, dataverse: Scalar) -> bool:
    ours, theirs = field.business_central, field.dataverse
    if business_central == dataverse and ours.kind == theirs.kind:
        return True
    form = theirs.canonical(dataverse)
    # Business Central knows no null: its zero is all that a null number of Dataverse can become there.
    return ours.canonical(business_central) == (
        ours.canonical(empty_in_business_central(ours.kind)) if form is None else form
    )


_moment = canonical("datetime")
_CLOCK_ERROR = 2.0
"""Seconds by which the difference of two clocks may be wrong."""


def _newer(pair: Pair) -> Side | None:
    return newer(pair.business_central.modified_at, pair.dataverse.modified_at, pair.ahead)


def newer(business_central_time: str, dataverse_time: str, ahead: float = 0.0) -> Side | None:
    """The side that was edited last; none when it cannot be told. ``ahead``: see ``Pair``.

    Dataverse tells whole seconds, so where one side lacks the fraction, two edits within a second have no order.
    """
    times = business_central_time, dataverse_time
    business_central, dataverse = map(_moment, times)
    if not isinstance(business_central, datetime) or not isinstance(dataverse, datetime):
        return None
    if ahead:
        gap = (business_central - dataverse).total_seconds() - ahead
        return None if abs(gap) < _CLOCK_ERROR else "business_central" if gap > 0 else "dataverse"
    if not all("." in time for time in times):
        business_central, dataverse = business_central.replace(microsecond=0), dataverse.replace(microsecond=0)
    if business_central == dataverse:
        return None
    return "business_central" if business_central > dataverse else "dataverse"


def _refresh(group: Group, pair: Pair, draft: _Draft) -> None:
    """Nothing to do: take the present spelling of equal values, so that the next look is quick."""
    for field in group.fields:
        for number, side in enumerate(_SIDES):
            if _differs(side, field, pair, draft.before) and not _blank_kept(field, pair, side):
                draft.own_change = True
            else:
                draft.bases[number][field.index] = _values(side, pair)[field.index]


def _accept(group: Group, pair: Pair, draft: _Draft, *, drifted: bool) -> None:
    for field in group.fields:
        if drifted and not _blank_kept(field, pair, _source(field.mapping.direction)):
            draft.warnings.append(f"{field.name}: changed on the side that only receives it; kept")
            if group.led_by and not group.constant:
                continue  # what is kept must not look like a change of the table that is looked up in
        draft.agree(field, pair.business_central.values[field.index], pair.dataverse.values[field.index])


def _blank_kept(field: Field, pair: Pair, source: Side) -> bool:
    """Whether ``source`` holds a blank that must not go over to the other side; one that could not go there drifts."""
    said = field.mapping
    leads = said.direction == "both" or _source(said.direction) == source
    return said.keep_blank and leads and field.end(source).canonical(_values(source, pair)[field.index]) is None


def _conflict(group: Group, pair: Pair, before: Bases) -> Conflict:
    def known(base: Base) -> dict[str, Scalar]:
        return {f.name: v for f in group.fields if not isinstance(v := base[f.index], Unknown)}

    return Conflict(
        group.name,
        known(before[0]),
        known(before[1]),
        {f.name: pair.business_central.values[f.index] for f in group.fields},
        {f.name: pair.dataverse.values[f.index] for f in group.fields},
    )


def _write(group: Group, pair: Pair, source: Side, references: AllReferences, draft: _Draft, why: str) -> None:
    carried = len(draft.changes)
    for field in group.fields:
        if not field.end(_OTHER[source]).column:  # it goes the other way only, with its group
            draft.agree(field, pair.business_central.values[field.index], pair.dataverse.values[field.index])
            continue
        if field.transformed and _is_alike(field, pair, references):
            # The rest of its group differs: what is another spelling of the same stays as somebody typed it.
            draft.agree(field, pair.business_central.values[field.index], pair.dataverse.values[field.index])
            continue
        wanted = translate(field, _values(source, pair)[field.index], source, references)
        _write_field(field, pair, source, wanted, draft, why)
    if len(draft.changes) > carried:
        draft.written[_OTHER[source]] += [field.index for field in group.fields]
        if source == "dataverse":
            _resend(group, pair, draft.writes["business_central"])


def _resend(group: Group, pair: Pair, writes: dict[str, Scalar]) -> None:
    """What Business Central would find anew goes along, in the order of the fields."""
    for field in (field for field in group.fields if field.mapping.resend):
        column = field.business_central.column
        writes[column] = writes.pop(column, pair.business_central.values[field.index])


def _write_field(field: Field, pair: Pair, source: Side, wanted: Translated, draft: _Draft, why: str) -> None:
    side = _OTHER[source]
    end, now = field.end(side), _values(side, pair)[field.index]
    values = pair.business_central.values[field.index], pair.dataverse.values[field.index]
    if isinstance(wanted, Waiting):
        _wait(field, source, wanted, values, draft)
        if wanted.empty and end.canonical(now) is not None:
            draft.write(
                field, side, now, empty_in_business_central(end.kind) if side == "business_central" else None, why
            )
    elif isinstance(wanted, Unfit) or (
        isinstance(wanted, TooLong) and end.canonical(wanted.value) != end.canonical(now)
    ):
        draft.faults.append(wanted)
    elif isinstance(wanted, TooLong) or _is_there(field, pair, source, wanted, now):
        draft.agree(field, *values)
    elif not end.updatable and field.mapping.on_locked == "fail":
        draft.faults.append(_locked(field, source, wanted, now))
    elif not end.updatable:
        draft.warnings.append(f"{field.name}: cannot be changed any more in {SPOKEN[side]}; left as it is")
        draft.agree(field, *values)
    else:
        draft.agree(field, *((values[0], wanted) if side == "dataverse" else (wanted, values[1])))
        draft.write(field, side, now, wanted, why)


def _locked(field: Field, source: Side, wanted: Scalar, now: Scalar) -> Unfit:
    there = SPOKEN[_OTHER[source]]
    message = f"is {now} in {there}, which takes no other value any more, and has to be {wanted}"
    remedy = f"bring {SPOKEN[source]} back in line, or delete the record in {there} and have it created again"
    return Unfit(field.name, source, str(wanted), message, remedy, "locked")


def _is_there(field: Field, pair: Pair, source: Side, wanted: Scalar, now: Scalar) -> bool:
    form = field.end(_OTHER[source]).canonical
    if wanted == now or form(wanted) == form(now) or _blank_kept(field, pair, source):
        return True
    return field.mapping.keep_blank and form(wanted) is None


def _wait(field: Field, source: Side, waiting: Waiting, values: tuple[Scalar, Scalar], draft: _Draft) -> None:
    """The source's value stays unknown to the base, so that it is written as soon as the reference is coupled."""
    draft.waiting.append(waiting)
    if source == "business_central":
        draft.agree(field, UNKNOWN, None if waiting.empty else values[1])
    else:
        draft.agree(field, "" if waiting.empty else values[0], UNKNOWN)
    if waiting.empty:
        draft.warnings.append(f"{field.name}: {waiting.reference!r} has no counterpart in {waiting.via}; left empty")


def _finish(table: Table, pair: Pair, draft: _Draft) -> Action:
    writes = draft.writes["business_central"] or draft.writes["dataverse"]
    kind: ActionKind = (
        "update" if writes else "hold" if draft.conflicts else "couple" if pair.base is None else "nothing"
    )
    action = Action(
        kind=kind,
        mapping=table.mapping.name,
        name=pair.name,
        reason=_reason(draft, kind),
        business_central_id=pair.business_central.id,
        dataverse_id=pair.dataverse.id,
        to_business_central=draft.writes["business_central"],
        to_dataverse=draft.writes["dataverse"],
        written={side: tuple(indices) for side, indices in draft.written.items() if indices},
        changes=tuple(draft.changes),
        conflicts=tuple(draft.conflicts),
        waiting=tuple(draft.waiting),
        warnings=tuple(draft.warnings),
        base=(tuple(draft.bases[0]), tuple(draft.bases[1])),
        base_before=draft.before,
        records=(pair.business_central, pair.dataverse),
    )
    refusal = refusal_of(draft.waiting, draft.faults)
    return held(action, refusal) if refusal else action


def _reason(draft: _Draft, kind: ActionKind) -> str:
    if draft.conflicts:
        return "both sides changed " + ", ".join(conflict.group for conflict in draft.conflicts)
    if kind == "nothing":
        return "changed by the connection's own user" if draft.own_change else "equal"
    return next((change.why for change in draft.changes), "values agree")


def refusal_of(waiting: Sequence[Waiting], faults: Sequence[TooLong | Unfit]) -> Refusal | None:
    """The first reason why the whole record must wait, if any."""
    for item in waiting:
        if item.required:
            return Refusal(
                message=f"{item.field} {item.reference} is not coupled in {item.via}",
                remedy=f"couple or synchronise {item.reference} in {item.via}, then this record goes through by itself",
                code="not-coupled",
                field=item.field,
                value=item.reference,
                kind="dependency",
                side=item.side,
                via=item.via,
            )
    for fault in faults:
        return _too_long(fault) if isinstance(fault, TooLong) else _unfit(fault)
    return None


def _too_long(text: TooLong) -> Refusal:
    return Refusal(
        message=f"{text.field} has {text.length} characters, {SPOKEN[text.side]} takes {text.room}",
        remedy=f"shorten it to {text.room} characters on the side where it was typed: {text.value!r}",
        code="too-long",
        field=text.field,
        value=text.value,
        side=_OTHER[text.side],
    )


def _unfit(found: Unfit) -> Refusal:
    return Refusal(
        message=f"{found.field} {found.message}",
        remedy=found.remedy,
        code=found.code,
        field=found.field,
        value=found.value,
        side=found.source,
    )

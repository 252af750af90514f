"""What to do about a record that is not simply a pair: new ones, matched ones, and those whose partner is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from koppel.engine.action import Action, ActionKind, Bases, Refusal, base_after, held
from koppel.engine.fields import Field, Step
from koppel.engine.pair import Table, refusal_of
from koppel.engine.translate import AllReferences, TooLong, Translated, Unfit, Waiting, translate
from koppel.engine.values import UNKNOWN, Unknown
from koppel.mapping.model import Direction, TableMapping, Template
from koppel.odata.records import SPOKEN, Record, Scalar, Side


def other(side: Side) -> Side:
    """The opposite side."""
    return "dataverse" if side == "business_central" else "business_central"


def plan_creation(
    table: Table,
    source: Side,
    record: Record,
    references: AllReferences,
    *,
    id: str,
    name: str,
    missing: Mapping[str, Scalar],
    nested: Mapping[str, Sequence[Mapping[str, Scalar]]] = {},
    template: Template | None = None,
    reason: str = "",
) -> Action:
    """Create the partner of ``record`` on the other side.

    ``id``: the partner's id to ask for, empty where the system chooses. Mapped values go before the ``missing`` parts
    that rules supply, these before the ``template``, and that before the constants of the mapping's ``create``; only a
    template that overwrites goes before all. ``nested``: rows below the partner, also by rules.
    """
    side = other(source)
    draft = _Partner(table, source, record)
    defaults = table.mapping.endpoint(side).create
    if template:
        defaults = {**defaults, **template.values}
    draft.values |= {**defaults, **missing}
    steps = table.towards(side)
    draft.fill(steps.steps, record, references)
    if template and template.overwrite:
        draft.values |= template.values
    draft.agree(steps.places, defaults)
    action = Action(
        kind="create",
        mapping=table.mapping.name,
        name=name,
        side=side,
        reason=reason or f"new in {SPOKEN[source]}",
        business_central_id=record.id if source == "business_central" else id,
        dataverse_id=record.id if source == "dataverse" else id,
        to_business_central=draft.values if side == "business_central" else {},
        to_dataverse=draft.values if side == "dataverse" else {},
        written={side: tuple(draft.written)},
        waiting=tuple(draft.waiting),
        later=draft.later,
        nested=nested,
        warnings=tuple(
            f"{w.field}: {w.reference!r} has no counterpart in {w.via}; left empty" for w in draft.waiting if w.empty
        ),
        base=draft.base,
        records=(record, None) if source == "business_central" else (None, record),
    )
    refusal = refusal_of(draft.waiting, draft.faults)
    return held(action, refusal) if refusal else action


class _Partner:
    """The partner in the making: its columns, and what both sides will agree on once it is there."""

    def __init__(self, table: Table, source: Side, record: Record) -> None:
        self.source = source
        self.side = other(source)
        self.leads = table.mapping.initial == source
        self.values: dict[str, Scalar] = {}
        self.later: dict[str, Scalar] = {}
        self.own: list[Scalar | Unknown] = list(record.values[: len(table.fields)])
        self.partner: list[Scalar | Unknown] = list(table.towards(self.side).left_empty)
        self.written: list[int] = []
        self.waiting: list[Waiting] = []
        self.faults: list[TooLong | Unfit] = []

    def fill(self, steps: Sequence[Step], record: Record, references: AllReferences) -> None:
        for step in steps:
            value = record.values[step.place]
            if step.as_it_is and (not value or (type(value) is str and len(value) <= step.room)):
                # Most values of most records: texts that the other side takes as they are.
                if value and not value.isspace():  # type: ignore[union-attr]
                    self._write(step, value)
            else:
                self._add(step, translate(step.field, value, self.source, references))

    def _add(self, step: Step, wanted: Translated) -> None:
        if isinstance(wanted, Waiting):
            self.waiting.append(wanted)
            self.own[step.place] = UNKNOWN
        elif isinstance(wanted, TooLong | Unfit):
            self.faults.append(wanted)
        elif step.constant or step.end.canonical(wanted) is not None or self._comes_last(step):
            self._write(step, wanted)

    def _comes_last(self, step: Step) -> bool:
        """Whether the value takes the place of what the creation puts there, a blank too."""
        return step.field.mapping.last and step.end.column in self.values

    def _write(self, step: Step, wanted: Scalar) -> None:
        if not step.end.creatable or step.field.mapping.last:
            # It can only be written later: as long as it is not, there is no agreement about it.
            self.own[step.place] = UNKNOWN
            direction = step.field.mapping.direction
            if (self.leads and direction == "both") or direction == "from_dataverse":
                # What the system puts there by itself is no edit, and the record is looked at once it was read there.
                self.partner[step.place] = UNKNOWN
            if step.end.updatable:
                self.later[step.end.column] = wanted
            return
        self.values[step.end.column] = wanted
        self.partner[step.place] = wanted
        self.written.append(step.place)

    def agree(self, places: Mapping[str, int], defaults: Mapping[str, Scalar]) -> None:
        """A default that stands in a mapped column is no edit: both sides agree as they are."""
        for column, value in defaults.items():
            if column in places and self.values[column] == value:
                self.partner[places[column]] = value

    @property
    def base(self) -> Bases:
        ours, theirs = tuple(self.own), tuple(self.partner)
        return (ours, theirs) if self.side == "dataverse" else (theirs, ours)


def hold(
    mapping: TableMapping, source: Side, record: Record, refusal: Refusal, *, name: str, partner_id: str = ""
) -> Action:
    """Leave a record alone for a reason that a person should know."""
    ours = source == "business_central"
    return Action(
        kind="hold",
        mapping=mapping.name,
        name=name,
        reason=refusal.message,
        refusal=refusal,
        business_central_id=record.id if ours else partner_id,
        dataverse_id=partner_id if ours else record.id,
        records=(record, None) if ours else (None, record),
    )


def nothing(mapping: TableMapping, source: Side, record: Record, reason: str, *, name: str) -> Action:
    """A record that is none of this mapping's business."""
    ours = source == "business_central"
    return Action(
        kind="nothing",
        mapping=mapping.name,
        name=name,
        reason=reason,
        business_central_id=record.id if ours else "",
        dataverse_id="" if ours else record.id,
    )


def plan_partner_gone(
    table: Table,
    survivor: Side,
    record: Record | None,
    ids: tuple[str, str],
    base: Bases | None,
    *,
    name: str,
    outside: bool = False,
) -> Action:
    """The coupled partner of ``record`` was deleted (or both were): follow the mapping's deletion policy.

    ``restore`` is planned by the caller as a creation, where the direction allows it. ``outside``: the survivor is
    outside the filter, and so nothing is written.
    """
    gone = other(survivor)
    common = Action(
        kind="uncouple",
        mapping=table.mapping.name,
        name=name,
        business_central_id=ids[0],
        dataverse_id=ids[1],
        records=(record, None) if survivor == "business_central" else (None, record),
    )
    if record is None:
        return msgspec.structs.replace(common, reason="deleted on both sides")
    if table.mapping.deletions in ("uncouple", "leave"):
        return msgspec.structs.replace(common, reason=deleted_in(gone))
    if table.mapping.coupled_in:
        return held(common, _left_there(table.mapping.coupled_in, gone, ids[0]))
    refusal = _not_followed(table, survivor, record, base, outside)
    if refusal:
        return held(common, refusal)
    return msgspec.structs.replace(common, kind="delete", side=survivor, reason=deleted_in(gone))


def _left_there(mapping: str, gone: Side, id: str) -> Refusal:
    """The record takes part as long as it is coupled in ``mapping``: what becomes of it is decided there."""
    remedy = f"koppel uncouple {mapping!r} {id}; its partner here is deleted in the next run"
    return msgspec.structs.replace(_deleted(gone, "", remedy), kind="data")


def deleted_in(side: Side) -> str:
    """Why a pair is taken apart whose record on ``side`` is gone."""
    return f"deleted in {SPOKEN[side]}"


def may_restore(mapping: TableMapping, gone: Side) -> bool:
    """Whether what was deleted on ``gone`` is created there again."""
    return mapping.deletions == "restore" and mapping.writes_to(gone)


def _not_followed(table: Table, survivor: Side, record: Record, base: Bases | None, outside: bool) -> Refusal | None:
    """Why the survivor is not deleted too, and the pair waits for a person; ``None`` when it may be."""
    gone, mapping = other(survivor), table.mapping
    uncouple = f"koppel uncouple {mapping.name!r} {record.id}"
    if mapping.deletions == "none":
        return _deleted(gone, "", f"{uncouple}, or set `deletions` in the mapping")
    if outside:
        why = f"; it is outside the filter of {SPOKEN[survivor]}, and so left alone"
        return msgspec.structs.replace(_deleted(gone, why, uncouple), skip=True)
    if mapping.deletions == "restore" or not mapping.writes_to(survivor):
        written = gone if mapping.deletions == "restore" else survivor
        why = f"; the mapping's direction does not allow to {mapping.deletions} anything in {SPOKEN[written]}"
        return _deleted(gone, why, f"{uncouple}, or put it right by hand")
    edited = _edited(table, survivor, record, base)
    if edited and mapping.deletions != "delete_edited":
        what = ", ".join(edited) if base else "it never was synchronised and may have"
        why = f"; {what} changed in {SPOKEN[survivor]} meanwhile, so it is not deleted there"
        return _deleted(gone, why, f"delete it in {SPOKEN[survivor]} by hand, or keep it: {uncouple}")
    return None


def _deleted(gone: Side, why: str, remedy: str) -> Refusal:
    message = f"the coupled record was deleted in {SPOKEN[gone]}{why}"
    return Refusal(message=message, remedy=remedy, code="deleted", kind="conflict")


def _edited(table: Table, side: Side, record: Record, base: Bases | None) -> list[str]:
    """The fields of a record that are not what was agreed last, or that nothing is agreed about."""
    then = base[0 if side == "business_central" else 1] if base else table.unknown
    return [field.name for field in table.fields if _is_edited(field, side, then[field.index], record)]


def _is_edited(field: Field, side: Side, then: Scalar | Unknown, record: Record) -> bool:
    form, now = field.end(side).canonical, record.values[field.index]
    return isinstance(then, Unknown) or form(then) != form(now)


def towards(action: Action, direction: Direction) -> Action:
    """The part of an action that writes in ``direction``; what is not written stays as it was in the base."""
    if direction == "both":
        return action
    blocked: Side = "business_central" if direction == "to_dataverse" else "dataverse"
    parts = action.kind == "uncouple" or (action.replaces and action.kind in ("couple", "update"))
    if (parts and any(write.side == blocked for write in action.before)) or (
        action.kind in ("create", "delete") and action.side == blocked
    ):
        return held(
            action, Refusal(message=f"this run does not write to {SPOKEN[blocked]}", code="direction", skip=True)
        )
    if not action.writes(blocked):
        return action
    left = msgspec.structs.replace(
        action,
        base=base_after(action, (blocked,)),
        written={side: places for side, places in action.written.items() if side != blocked},
        changes=tuple(change for change in action.changes if change.side != blocked),
        before=tuple(write for write in action.before if write.side != blocked),
        after=tuple(write for write in action.after if write.side != blocked),
        left_alone={**action.left_alone, other(blocked): ""},  # to be looked at again
        **{f"to_{blocked}": {}},
    )
    return left if left.writes(other(blocked)) else msgspec.structs.replace(left, kind=_kind_without_writes(left))


def _kind_without_writes(action: Action) -> ActionKind:
    if action.conflicts:
        return "hold"
    known = any(value is not UNKNOWN for base in action.base_before or () for value in base)
    return "nothing" if known else "couple"

"""What to do about codes and options; nothing here asks or writes anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from koppel.engine.action import Action, ActionKind, Change, Refusal
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store.options import Option, option_id
from koppel.sync.prepare import Ready


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What there is: the codes inside the filter, the options by value, who is coupled, and coupled codes (by id) that
    do not exist any more. ``parted``: the ids of codes or options that lost their counterpart for good."""

    records: Sequence[Record]
    coupled: Sequence[Option]
    labels: Mapping[int, str]
    gone: Collection[str]
    parted: Collection[str] = ()


def plan_options(ready: Ready, found: Choices) -> list[Action]:
    """One action for each code, or, where the mapping runs from Dataverse, for each option."""
    if ready.mapping.direction == "from_dataverse":
        return _plan_from_dataverse(ready, found)
    known = {option.business_central_id: option for option in found.coupled}
    taken = {option.value for option in found.coupled}
    free = {label.casefold(): value for value, label in found.labels.items() if value not in taken}
    actions = [_plan_code(ready, record, known.get(record.id), free, found.labels) for record in found.records]
    return [
        _left_alone(made) if made.kind == "create" and made.business_central_id in found.parted else made
        for made in actions
    ]


def _plan_code(
    ready: Ready,
    record: Record,
    known: Option | None,
    free: dict[str, int],
    labels: Mapping[int, str],
) -> Action:
    code = ready.business_central.name_of(record)
    made = _action(ready, "create", code, "dataverse", record.id, None, code, "no option bears the code")
    if known is not None and known.value not in labels:
        return _partner_gone(ready, known, "dataverse", made)
    if known is not None:
        if labels[known.value].casefold() == code.casefold():
            return _action(ready, "nothing", code, "dataverse", record.id, known.value, code, "equal")
        why = f"the code is now {code}"
        renamed = _action(ready, "update", code, "dataverse", record.id, known.value, code, why)
        return msgspec.structs.replace(renamed, changes=(Change("label", "dataverse", labels[known.value], code, why),))
    if code.casefold() in free:
        value = free.pop(code.casefold())
        return _action(ready, "couple", code, "dataverse", record.id, value, code, "the option's label is the code")
    return made


def _plan_from_dataverse(ready: Ready, found: Choices) -> list[Action]:
    known = {option.value: option for option in found.coupled}
    taken = {option.business_central_id for option in found.coupled}
    free = {ready.business_central.name_of(r).casefold(): r for r in found.records if r.id not in taken}
    actions = {
        value: _plan_option(ready, value, label, known.get(value), free, found.gone)
        for value, label in found.labels.items()
    }
    return [
        _left_alone(made) if not made.business_central_id and option_id(value) in found.parted else made
        for value, made in actions.items()
    ]


def _plan_option(
    ready: Ready,
    value: int,
    label: str,
    known: Option | None,
    free: dict[str, Record],
    gone: Collection[str],
) -> Action:
    made = _new_code(ready, value, label)
    if known is not None and known.business_central_id in gone:
        return _partner_gone(ready, known, "business_central", made)
    if known is not None:
        why = (
            "equal"
            if label.casefold() == known.code.casefold()
            else f"the option is called {label} now, the code stays"
        )
        return _action(ready, "nothing", known.code, "business_central", known.business_central_id, value, label, why)
    record = free.pop(label.strip().casefold(), None)
    if record is not None:
        code = ready.business_central.name_of(record)
        return _action(
            ready, "couple", code, "business_central", record.id, value, label, "the option's label is the code"
        )
    return made


def _new_code(ready: Ready, value: int, label: str) -> Action:
    """The creation of an option's code; held when the label is too long for one: two of them could begin alike."""
    key = ready.mapping.business_central.key
    code = label.strip().upper()
    length = ready.business_central.schema.columns[key].max_length
    made = _action(ready, "create", code, "business_central", "", value, label, "no code is the option's label")
    if length is not None and len(code) > length:
        refusal = Refusal(
            code="too_long",
            message=f"the label {label!r} is too long for a code of {length} characters",
            remedy="Shorten the label in Dataverse, or couple the option to a code by naming the code like it.",
            field=key,
            value=label,
        )
        return msgspec.structs.replace(made, kind="hold", reason=refusal.message, refusal=refusal)
    values: dict[str, Scalar] = {**ready.mapping.business_central.create, key: code}
    return msgspec.structs.replace(made, to_business_central=values)


def _left_alone(made: Action) -> Action:
    """Instead of the counterpart of a code or an option that lost one by ``deletions: uncouple``."""
    why = f"its {'option' if made.side == 'dataverse' else 'code'} was deleted; a full synchronisation creates it again"
    return msgspec.structs.replace(made, kind="nothing", reason=why, refusal=None)


def _partner_gone(ready: Ready, known: Option, side: Side, restored: Action) -> Action:
    """The counterpart on ``side`` is gone: what the mapping's ``deletions`` say (ENG-187)."""
    told = f"{'option ' + str(known.value) if side == 'dataverse' else known.code} is gone from {SPOKEN[side]}"
    if ready.mapping.deletions == "restore" and restored.refusal is None:
        return msgspec.structs.replace(
            restored, replaces=True, dataverse_id=str(known.value), reason=f"{told}, restored"
        )
    kind: ActionKind = "uncouple" if ready.mapping.deletions == "uncouple" else "hold"
    action = _action(ready, kind, known.code, side, known.business_central_id, known.value, known.label, told)
    if kind == "uncouple":
        return action
    remedy = f"koppel uncouple {ready.mapping.name!r} {known.code!r}, or set the mapping's `deletions`"
    return msgspec.structs.replace(action, refusal=Refusal(code="option_gone", message=told, remedy=remedy))


def _action(
    ready: Ready, kind: ActionKind, code: str, side: Side, id: str, value: int | None, label: str, reason: str
) -> Action:
    return Action(
        kind=kind,
        mapping=ready.mapping.name,
        name=code,
        side=side,
        reason=reason,
        business_central_id=id,
        to_dataverse={"value": value, "label": label},
    )

"""Coupled records that left the mapping's filter: what becomes of the pair, and what is said of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from koppel.engine.action import Action, Bases, Change, Refusal, held
from koppel.engine.plan import other
from koppel.mapping.model import TableMapping
from koppel.odata.records import SPOKEN, Record, Scalar, Side

SIDES: tuple[Side, Side] = ("business_central", "dataverse")


class Outside(NamedTuple):
    """A pair of which a record is ``outside`` the filter of its side. ``changed``: sides with another version than the
    one recorded last. ``now``: the columns by which the mapping deactivates, as they are, by side. ``new``: the two are
    not coupled yet."""

    records: tuple[Record, Record]
    outside: Collection[Side]
    changed: Collection[Side]
    now: Mapping[Side, Mapping[str, Scalar]]
    base: Bases | None
    new: bool = False


def plan_outside(mapping: TableMapping, pair: Outside, *, name: str, tell: bool) -> Action:
    """Follow the mapping's ``left_filter``. No field is merged as long as a record is outside; only what filters ask
    for is, by the caller, if the mapping carries it. What waits outside as a matter of course is not told.

    ``tell``: say it also of a record that was outside already.
    """
    ours, theirs = pair.records
    where = " and ".join(SPOKEN[side] for side in SIDES if side in pair.outside)
    action = Action(
        kind="nothing",
        mapping=mapping.name,
        name=name,
        reason=f"outside the filter of {where}",
        business_central_id=ours.id,
        dataverse_id=theirs.id,
    )
    if pair.new:
        return held(action, _exists(where))
    if mapping.left_filter == "uncouple":
        gone = next(iter(pair.outside)) if len(pair.outside) == 1 else None
        reason = f"left the filter of {where}"
        return msgspec.structs.replace(action, kind="uncouple", side=gone, reason=reason, records=(ours, theirs))
    told = any(side in pair.changed for side in pair.outside) or tell
    if mapping.left_filter == "wait":
        return action
    if mapping.left_filter == "deactivate" and len(pair.outside) == 1:
        return _deactivated(mapping, pair, action, told)
    if mapping.left_filter == "carry":
        return _told(action, "stays coupled, and only what the filter asks for is carried over" if told else "")
    return _told(action, "stays coupled and as it is" if told else "")


def _exists(where: str) -> Refusal:
    return Refusal(
        code="outside-filter",
        message=f"the record that it belongs to is there already, outside the filter of {where}",
        remedy="bring that one back inside the filter, or delete it",
    )


def _deactivated(mapping: TableMapping, pair: Outside, action: Action, told: bool) -> Action:
    side = next(side for side in SIDES if side not in pair.outside)
    wanted = mapping.endpoint(side).deactivate
    now = pair.now[side]
    changes = {column: value for column, value in wanted.items() if now.get(column) != value}
    if not wanted or not mapping.writes_to(side):
        return _told(action, "stays coupled and as it is" if told else "")
    if not changes:
        return _told(action, f"the partner in {SPOKEN[side]} is deactivated" if told else "")
    if side in pair.changed and not any(left in pair.changed for left in pair.outside):
        return _told(action, f"bring it back by hand: the partner in {SPOKEN[side]} is active again")
    why = f"left the filter of {SPOKEN[other(side)]}"
    return msgspec.structs.replace(
        _told(action, f"deactivated in {SPOKEN[side]}"),
        kind="update",
        reason=why,
        changes=tuple(
            Change(column, side, pair.now[side].get(column), value, why) for column, value in changes.items()
        ),
        base=pair.base,
        base_before=pair.base,
        records=pair.records,
        **{f"to_{side}": changes},
    )


def _told(action: Action, what: str) -> Action:
    return msgspec.structs.replace(action, warnings=(f"{action.reason}; {what}",) if what else ())

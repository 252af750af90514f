"""What a run would do, as values: actions with their reasons, and what became of the base if they succeed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from koppel.engine.translate import Waiting
from koppel.engine.values import UNKNOWN, Base
from koppel.errors import Kind
from koppel.odata.records import Nested, Record, Scalar, Side

ActionKind = Literal["create", "update", "couple", "uncouple", "delete", "nothing", "hold"]
Bases = tuple[Base, Base]
"""(Business Central, Dataverse), each in field order."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record must not synchronise: one message with the remedy. ``skip``: as intended, so not counted as failed.

    ``code`` names the reason for machines (a rule id, a short word); with ``field`` it tells whether a failure
    repeats. ``side``: whose record it is about. ``via``: the mapping whose coupling of ``value`` it waits for, by its
    key in Business Central if ``by_key``. ``outside``: as long as the reason holds, the record counts as outside the
    filter.
    """

    message: str
    remedy: str = ""
    code: str = ""
    field: str = ""
    value: str = ""
    kind: Kind = "data"
    skip: bool = False
    side: Side | None = None
    via: str = ""
    by_key: bool = False
    outside: bool = False


class Change(msgspec.Struct, frozen=True):
    """One field that a write changes on ``side``; values as they go over the wire."""

    field: str
    side: Side
    old: Scalar
    new: Scalar
    why: str = ""


class Conflict(msgspec.Struct, frozen=True):
    """A field or group that both sides changed differently; values by field name."""

    group: str
    base_business_central: dict[str, Scalar]
    base_dataverse: dict[str, Scalar]
    business_central: dict[str, Scalar]
    dataverse: dict[str, Scalar]


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """A write that a rule wants beside those of a record: columns of one row of any table.

    ``create``: the row is made; ``delete``: it is deleted, if it is there. ``record``: the id of the record that it
    precedes or follows, which is held or tried again when it fails.
    """

    side: Side
    table: str
    id: str
    values: Mapping[str, Scalar]
    record: str
    create: bool = False
    delete: bool = False
    name: str = ""
    reason: str = ""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do about one pair of records.

    ``side``: where a create or delete happens, or where the record of an uncoupled pair left the filter. ``writes``:
    columns by side. ``base``: what both sides agree on once every write succeeded; ``base_before``: the same before,
    for the side whose write fails. ``written``: indices of the fields whose base hangs on each side's write: those that
    it carries, and the others of their groups.
    ``records``: what was read, (Business Central, Dataverse). ``replaces``: the created record takes the place of a
    deleted partner. ``left_alone``: sides that the connection's own user edited otherwise than by Koppel, with the
    version recorded before: it stays recorded, so that these edits are left alone until a person edits the record.
    ``couples``: the two were not coupled before. ``before``: what has to be written first. ``later``: columns
    of a created record that can only be written once it exists. ``nested``: rows below it that are made with it.
    ``after``: in a preview, what will be written beside the record once that is done.
    """

    kind: ActionKind
    mapping: str
    name: str = ""
    reason: str = ""
    side: Side | None = None
    business_central_id: str = ""
    dataverse_id: str = ""
    to_business_central: dict[str, Scalar] = {}
    to_dataverse: dict[str, Scalar] = {}
    written: dict[Side, tuple[int, ...]] = {}
    changes: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    warnings: tuple[str, ...] = ()
    refusal: Refusal | None = None
    base: Bases | None = None
    base_before: Bases | None = None
    records: tuple[Record | None, Record | None] = (None, None)
    replaces: bool = False
    left_alone: dict[Side, str] = {}
    couples: bool = False
    before: tuple[FollowUp, ...] = ()
    later: dict[str, Scalar] = {}
    nested: Nested = {}
    after: tuple[FollowUp, ...] = ()

    def writes(self, side: Side) -> dict[str, Scalar]:
        """The columns to write on ``side``; empty when it is not written."""
        return self.to_business_central if side == "business_central" else self.to_dataverse

    def record(self, side: Side) -> Record | None:
        """What was read on ``side``."""
        return self.records[0] if side == "business_central" else self.records[1]

    def id(self, side: Side) -> str:
        """The record's id on ``side``; empty when there is none yet."""
        return self.business_central_id if side == "business_central" else self.dataverse_id


def held(action: Action, refusal: Refusal) -> Action:
    """The same action, held back for a reason: nothing of it is written, and nothing agreed."""
    return msgspec.structs.replace(
        action,
        kind="hold",
        refusal=refusal,
        reason=refusal.message,
        to_business_central={},
        to_dataverse={},
        written={},
        changes=(),
        conflicts=(),
        waiting=(),
        base=None,
        before=(),
        later={},
        nested={},
        after=(),
    )


def base_after(action: Action, failed: Collection[Side]) -> Bases | None:
    """The base to record: the planned one, with the fields of every side whose write ``failed`` as they were."""
    if not failed or action.base is None:
        return action.base
    lost = frozenset(index for side in failed for index in action.written.get(side, ()))
    before = action.base_before or tuple((UNKNOWN,) * len(base) for base in action.base)
    return _mixed(action.base[0], before[0], lost), _mixed(action.base[1], before[1], lost)


def _mixed(after: Base, before: Base, lost: frozenset[int]) -> Base:
    return tuple(before[index] if index in lost else value for index, value in enumerate(after))

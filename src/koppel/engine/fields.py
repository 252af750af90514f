"""Field mappings made ready for the merge: how to compare, how to convert, what may be written when.

``sync`` builds these once a run from a mapping and the two schemas; nothing here looks at either again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec

from koppel.engine.values import UNKNOWN, Canonical, Unknown, ValueKind, empty_in_business_central
from koppel.mapping.model import Direction, Drift, FieldMapping, Policy
from koppel.mapping.steps import LookUp
from koppel.mapping.transforms import Apply
from koppel.odata.records import Scalar, Side


class FieldEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a field: its column (empty: the value is a constant or computed), kind, length in characters, and
    whether a create or an update may carry it. ``scale``: decimals kept."""

    column: str
    kind: ValueKind
    canonical: Canonical
    length: int | None = None
    scale: int | None = None
    creatable: bool = True
    updatable: bool = True


Stage = Apply | LookUp
"""A step of a transformation, ready; a look-up waits for the rows."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field mapping, ready. ``index`` is its place in ``Record.values`` and in the base, on both sides.

    ``to_dataverse``, ``to_business_central``: what a value goes through on its way there.
    """

    index: int
    mapping: FieldMapping
    business_central: FieldEnd
    dataverse: FieldEnd
    to_dataverse: tuple[Stage, ...] = ()
    to_business_central: tuple[Stage, ...] = ()

    def end(self, side: Side) -> FieldEnd:
        """The field on ``side``."""
        return self.business_central if side == "business_central" else self.dataverse

    @property
    def name(self) -> str:
        """The field as people call it."""
        return self.mapping.name

    def stages(self, source: Side) -> tuple[Stage, ...]:
        """What a value of ``source`` goes through."""
        return self.to_dataverse if source == "business_central" else self.to_business_central

    @property
    def copied(self) -> bool:
        """Whether both sides hold the same value, each in its own spelling."""
        said = self.mapping
        return said.constant is None and not (said.lookup or said.options or self.transformed)

    @property
    def transformed(self) -> bool:
        """Whether values go through steps, on one way at least."""
        return bool(self.to_dataverse or self.to_business_central)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that merge as one value: a named group, or one field alone.

    ``places``: the fields' indices. ``constant``: the one field is a constant, or computed from no column of its own,
    and is missing whenever the value is another.
    ``led_by``: the side whose values lead where nobody edited anything and the values differ all the same: that of a
    constant, and of what is looked up in a table that changed. ``last``: it waits until all parts are there.
    """

    name: str
    direction: Direction
    policy: Policy
    fields: tuple[Field, ...]
    places: frozenset[int]
    constant: bool
    led_by: Side | None = None
    drift: Drift = "keep"
    last: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one field does in a creation. ``end``: the side that is created. ``as_it_is``: a text of at most ``room``
    characters is taken over unchanged. ``constant``: written even if it is empty."""

    place: int
    field: Field
    end: FieldEnd
    as_it_is: bool
    room: int
    constant: bool


class Steps(msgspec.Struct, frozen=True):
    """How records of one side are created. ``left_empty``: what a field without a value reads as at first.
    ``places``: of the fields by the column that they write."""

    steps: tuple[Step, ...]
    left_empty: tuple[Scalar | Unknown, ...]
    places: dict[str, int]


def steps_of(fields: tuple[Field, ...], side: Side, drift: Drift) -> Steps:
    """How records of ``side`` are created from these fields."""
    blocked = "from_dataverse" if side == "dataverse" else "to_dataverse"
    going = [f for f in fields if f.mapping.direction != blocked and f.end(side).column]
    leading = {f.index for f in fields if f.mapping.direction == blocked and f.end(side).column}
    # What the other side only receives overwrites what it brought along, as soon as the new record is read.
    unread = {f.index for f in fields if f.index in leading and (f.mapping.drift or drift) == "overwrite"}
    # So does a constant that the record from which it is made has to get.
    unread |= {f.index for f in fields if f.mapping.direction == blocked and f.mapping.fixed}
    left_empty = tuple(UNKNOWN if f.index in unread else _left_empty(f, side) for f in fields)
    places = {f.end(side).column: f.index for f in going}
    return Steps(tuple(_step(f, side) for f in going), left_empty, places)


def _step(field: Field, side: Side) -> Step:
    said, end = field.mapping, field.end(side)
    as_it_is = field.business_central.kind == field.dataverse.kind == "text"
    return Step(
        place=field.index,
        field=field,
        end=end,
        as_it_is=as_it_is and field.copied and not said.required,
        room=sys.maxsize if end.length is None else end.length,
        constant=said.fixed,
    )


def _left_empty(field: Field, side: Side) -> Scalar:
    """What a new record holds where nothing is written, so that its first reading is no edit."""
    end = field.end(side)
    return empty_in_business_central(end.kind) if side == "business_central" and end.column else None


def in_groups(fields: tuple[Field, ...], default: Policy, drift: Drift = "keep") -> tuple[Group, ...]:
    """Fields by their group, in the order of their first member; a field without one stands alone, a constant always.

    Nobody edits a constant: putting it back must not bring along what people wrote beside it. What a rule computes from
    no column goes along with what people edit.
    """
    members: dict[str, list[Field]] = {}
    edited = {field.mapping.group for field in fields if not field.mapping.dictated}
    for field in fields:
        grouped = field.mapping.group if field.mapping.group in edited and not field.mapping.fixed else ""
        members.setdefault(grouped or f"\0{field.index}", []).append(field)
    return tuple(_group(key, found, default, drift) for key, found in members.items())


def _group(key: str, found: list[Field], default: Policy, drift: Drift) -> Group:
    return Group(
        name=found[0].name if key.startswith("\0") else key,
        direction=found[0].mapping.direction,
        policy=next((field.mapping.policy for field in found if field.mapping.policy), default),
        fields=tuple(found),
        places=frozenset(field.index for field in found),
        constant=found[0].mapping.dictated,
        led_by=_led_by(found),
        drift=next((field.mapping.drift for field in found if field.mapping.drift), drift),
        last=any(field.mapping.last for field in found),
    )


def _led_by(found: list[Field]) -> Side | None:
    first = found[0].mapping
    if first.dictated:
        return "dataverse" if first.direction == "from_dataverse" else "business_central"
    sides: tuple[Side, Side] = ("business_central", "dataverse")
    return next((side for side in sides if any(map(looks_up, (f.stages(side) for f in found)))), None)


def looks_up(stages: Iterable[Stage]) -> bool:
    """Whether a chain looks something up."""
    return any(isinstance(stage, LookUp) for stage in stages)

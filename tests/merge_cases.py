"""Random pairs to merge, and what is true of them, told without the engine: who edited, what should arrive.

A case is one table and one pair. Values come from small alphabets, so that sides often agree, differ only in spelling,
refer to what is not coupled, or do not fit; bases are often what is there now, and sometimes unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import msgspec
from hypothesis import strategies as st

from engine_samples import REFERENCES, field, lookup, merge, option, table
from koppel.engine.action import Action, Bases
from koppel.engine.fields import Field, Group
from koppel.engine.pair import Table
from koppel.engine.translate import AllReferences
from koppel.engine.values import UNKNOWN
from koppel.mapping.model import Direction
from koppel.odata.records import Scalar, Side, Values

SIDES: tuple[Side, Side] = ("business_central", "dataverse")
WAITS = object()
"""What should arrive where the reference is not coupled."""

TIMES = ("", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.250Z", "2024-05-01T10:00:01Z", "2024-05-01T12:00:00.5Z")
ALPHABETS: dict[str, tuple[tuple[Scalar, ...], tuple[Scalar, ...]]] = {
    "text": (("", "a", "a ", "b"), (None, "", "a", "b", "c")),
    "cut": (("", "abc", "abcde", "xyz"), (None, "abc", "abd", "xyz")),
    "code": (("", "X", " x", "Y"), (None, "x ", "Y", "Z")),
    "number": ((0, 1, 2, 1.004), (None, 0, 1, 2.0)),
    "boolean": ((False, True), (None, False, True)),
    "date": (("0001-01-01", "2024-01-01", "2024-02-02"), (None, "2024-01-01", "2024-02-02")),
    "lookup": (("", "JR", "jr", "PS", "XX"), (None, "user-jr", "USER-JR", "user-ps", "user-xx")),
    "option": (("", "30D", "60D", "14D"), (None, 1, 2, 9)),
    "constant": (("Person", "Company", ""), ("Person", "Company", None)),
}


class Case(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A pair about to be merged; ``times`` are those of the last edits."""

    table: Table
    business_central: Values
    dataverse: Values
    base: Bases | None
    own: frozenset[Side] = frozenset()
    decisions: Mapping[str, Side] = {}
    times: tuple[str, str] = ("", "")
    references: AllReferences = msgspec.field(default_factory=lambda: REFERENCES)

    def __repr__(self) -> str:
        """What a person needs to replay the case, a line for each field."""
        mapping = self.table.mapping
        lines = [f"initial={mapping.initial} drift={mapping.drift} own={set(self.own)} times={self.times}"]
        lines.append(f"decisions={self.decisions} never synchronised={self.base is None}")
        for group in self.table.groups:
            lines.append(f"{group.name}: {group.direction} {group.policy}")
            for one in group.fields:
                values = [*self.before, self.business_central, self.dataverse]
                b0, d0, b, d = (found[one.index] for found in values)
                lock = "" if one.dataverse.updatable else " create-only"
                blank = " keep_blank" if one.mapping.keep_blank else ""
                lines.append(f"  {one.name}:{blank}{lock} ({b0!r}, {d0!r}) -> ({b!r}, {d!r})")
        return "\n".join(lines)

    def merge(self, **changed: Any) -> Action:
        """What the engine makes of it, or of the same case with some things changed."""
        case = msgspec.structs.replace(self, **changed)
        return merge(
            case.table,
            case.business_central,
            case.dataverse,
            case.base,
            own=case.own,
            decisions=case.decisions,
            times=case.times,
            references=case.references,
        )

    @cached_property
    def action(self) -> Action:
        """What the engine makes of it."""
        return self.merge()

    @property
    def before(self) -> Bases:
        """The base, unknown throughout where there is none."""
        return self.base or (self.table.unknown, self.table.unknown)

    def now(self, side: Side, field: Field) -> Scalar:
        """The value of a field."""
        return (self.business_central if side == "business_central" else self.dataverse)[field.index]

    def form(self, side: Side, field: Field) -> object:
        """The value of a field in canonical form."""
        return field.end(side).canonical(self.now(side, field))


def other(side: Side) -> Side:
    """The opposite side."""
    return "dataverse" if side == "business_central" else "business_central"


def is_new(case: Case, field: Field) -> bool:
    """Whether the field never was synchronised."""
    return all(base[field.index] is UNKNOWN for base in case.before)


def is_edited(case: Case, side: Side, field: Field) -> bool:
    """Whether somebody, or the connection's own user, edited the field on ``side`` in a way that asks to be kept."""
    then = case.before[SIDES.index(side)][field.index]
    goes = field.mapping.direction != ("to_dataverse" if side == "dataverse" else "from_dataverse")
    if is_new(case, field) or (field.mapping.keep_blank and goes and case.form(side, field) is None):
        return False
    return then is UNKNOWN or case.form(side, field) != field.end(side).canonical(then)


def edits(case: Case, side: Side, group: Group) -> bool:
    """Whether a person edited the group on ``side``."""
    return side not in case.own and any(is_edited(case, side, field) for field in group.fields)


def arriving(case: Case, source: Side, field: Field) -> object:
    """What the value on ``source`` should become on the other side, in canonical form; ``WAITS`` where that is open."""
    mapping, form = field.mapping, field.end(other(source)).canonical
    value = case.form(source, field)
    if mapping.constant is not None:
        return form(mapping.constant)
    if value is None or case.now(source, field) is None:
        return form(_empty(field, source))
    if not (mapping.lookup or mapping.options):
        return form(case.now(source, field))
    known = case.references["TERMS", "option"] if mapping.options else case.references["SALESPEOPLE", "key"]
    table_: Mapping[Any, Scalar] = known.to_dataverse if source == "business_central" else known.to_business_central
    key = case.now(source, field) if mapping.options and source == "dataverse" else value
    return form(table_[key]) if key in table_ else WAITS


def _empty(field: Field, source: Side) -> Scalar:
    """What an empty value becomes: Business Central knows no null, its numbers are zero then."""
    return 0 if source == "dataverse" and field.business_central.kind == "number" else None


def agrees(case: Case, field: Field) -> bool:
    """Whether both sides hold the same."""
    source: Side = "dataverse" if field.mapping.direction == "from_dataverse" else "business_central"
    found = arriving(case, source, field)
    if field.mapping.constant is None and not (field.mapping.lookup or field.mapping.options):
        theirs = case.form("dataverse", field)
        return case.form("business_central", field) == (_empty(field, "dataverse") if theirs is None else theirs)
    return found is not WAITS and found == case.form(other(source), field)


def _field(draw: st.DrawFn, number: int, kinds: tuple[str, ...], direction: Direction, **mapping: Any) -> Field:
    kind = draw(st.sampled_from([k for k in kinds if k != "constant" or direction != "both"]))
    name = f"{kind}{number}"
    mapping |= {"direction": direction}
    frozen = {"updatable": False} if draw(st.integers(0, 9)) == 9 else {}
    match kind:
        case "lookup":
            return lookup(name, required=draw(st.sampled_from([False, False, True])), **mapping)
        case "option":
            return option(name, on_missing=draw(st.sampled_from(["empty", "empty", "fail"])), **mapping)
        case "constant":
            return field(name, constant="Person", **mapping)
        case "cut":
            return field(name, lengths=(6, 3), **mapping)
        case "number":
            return field(name, "number", scale=2, keep_blank=False, **mapping)
        case _:
            keep_blank = draw(st.integers(0, 4)) == 4
            return field(name, cast(Any, kind), keep_blank=keep_blank, dataverse=frozen, **mapping)


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(ALPHABETS)) -> Table:
    """Up to three groups of up to three fields; a group goes one way and is decided one way."""
    fields: list[Field] = []
    for group in range(draw(st.integers(1, 3))):
        direction: Direction = draw(st.sampled_from(["both", "both", "to_dataverse", "from_dataverse"]))
        policies = [None, "ask", "business_central", "dataverse", "newest", "newest"] if direction == "both" else [None]
        size = draw(st.sampled_from([1, 1, 2, 3]))
        shared = {"policy": draw(st.sampled_from(policies)), "group": f"group{group}" if size > 1 else ""}
        fields += [_field(draw, len(fields) + number, kinds, direction, **shared) for number in range(size)]
    return table(
        *fields,
        conflicts=draw(st.sampled_from(["ask", "newest"])),
        initial=draw(st.sampled_from(SIDES)),
        drift=draw(st.sampled_from(["keep", "overwrite"])),
    )


def _alphabet(found: Field, number: int) -> st.SearchStrategy[Scalar]:
    return st.sampled_from(ALPHABETS[found.name.removeprefix("cr_").rstrip("0123456789")][number])


def _values(draw: st.DrawFn, fields: tuple[Field, ...], number: int) -> Values:
    return tuple(draw(_alphabet(f, number)) if f.end(SIDES[number]).column else None for f in fields)


def _bases(draw: st.DrawFn, case: Case) -> Bases:
    """For each field: what is there now on neither, one or both sides; never synchronised; or waiting on one side."""
    found: tuple[list[Any], list[Any]] = ([], [])
    for one in case.table.fields:
        shape = draw(st.sampled_from(["now", "now", "old", "old", "one", "two", "new", "waiting"]))
        for number, side in enumerate(SIDES):
            kept = shape == "now" or shape == ("one", "two")[number]
            old = draw(_alphabet(one, number)) if one.end(side).column and not kept else case.now(side, one)
            found[number].append(UNKNOWN if shape == "new" else old)
        is_reference = one.mapping.lookup or one.mapping.options
        if shape == "waiting" and is_reference:
            sources = {"both": (0, 1), "to_dataverse": (0,), "from_dataverse": (1,)}[one.mapping.direction]
            found[draw(st.sampled_from(sources))][-1] = UNKNOWN
    return tuple(found[0]), tuple(found[1])


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(ALPHABETS)) -> Case:
    """A pair to merge: coupled before or just now, edited by people or by the connection's own user."""
    made = draw(tables(kinds))
    case = Case(
        table=made,
        business_central=_values(draw, made.fields, 0),
        dataverse=_values(draw, made.fields, 1),
        base=None,
        times=(draw(st.sampled_from(TIMES)), draw(st.sampled_from(TIMES))),
    )
    if draw(st.integers(0, 4)) == 4:
        return case
    own: frozenset[Side] = draw(st.sampled_from([frozenset(), frozenset(), frozenset(SIDES[:1]), frozenset(SIDES[1:])]))
    decided = made.groups[0].name if draw(st.integers(0, 4)) == 4 and made.groups[0].direction == "both" else ""
    return msgspec.structs.replace(
        case,
        base=_bases(draw, case),
        own=own,
        decisions={decided: draw(st.sampled_from(SIDES))} if decided else {},
    )

"""The laws of transformations: what can be undone comes back, and what cannot is written once and not again."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine_samples import after_writes, field, merge, table
from koppel.engine.fields import Field
from koppel.engine.values import ValueKind, canonical
from koppel.mapping.cultures import CULTURES
from koppel.mapping.model import Direction, FieldMapping
from koppel.mapping.steps import (
    FormatDate,
    FormatDateTime,
    FormatDecimal,
    Kind,
    ParseDate,
    ParseDateTime,
    ParseDecimal,
    Replace,
    ReplacePattern,
    Round,
    Step,
    Substring,
    TitleCase,
)
from koppel.mapping.transforms import chain, compiled, fits, inverse
from koppel.odata.records import Scalar

PATTERNS = ["dd-MM-yyyy", "yyyyMMdd", "M/d/yyyy", "d.M.yyyy", "'on' yyyy-MM-dd"]
TIMES = ["yyyy-MM-dd HH:mm:ss", "M/d/yyyy h:mm:ss tt", "yyyyMMddHHmmss"]
cultures = st.sampled_from(sorted(CULTURES))
dates = st.dates(date(1, 1, 2)).map(date.isoformat)
moments = st.datetimes(datetime(1, 1, 2)).map(lambda when: when.replace(microsecond=0).isoformat() + "Z")
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)


formats: st.SearchStrategy[tuple[Step, Scalar]] = st.one_of(
    st.tuples(st.builds(lambda c: FormatDecimal(culture=c), cultures), numbers),
    st.tuples(st.builds(lambda c: FormatDate(culture=c), cultures), dates),
    st.tuples(st.builds(lambda f: FormatDate(format=f), st.sampled_from(PATTERNS)), dates),
    st.tuples(st.builds(lambda c: FormatDateTime(culture=c), cultures), moments),
    st.tuples(st.builds(lambda f: FormatDateTime(format=f), st.sampled_from(TIMES)), moments),
    st.tuples(st.just("to_unix_time"), moments),
)
"""A step that has an inverse, from something to its text, and a value for it."""


@given(formats)
def test_what_can_be_undone_comes_back(found: tuple[Step, Scalar]) -> None:
    step, value = found
    back = inverse(step)
    assert back is not None
    assert inverse(back) == step
    there = compiled(step)(value)
    returned = compiled(back)(there)
    kinds: dict[type, ValueKind] = {FormatDecimal: "number", FormatDate: "date"}
    kind = kinds.get(type(step), "datetime")
    assert canonical(kind)(returned) == canonical(kind)(value)
    assert compiled(step)(returned) == there


@given(st.integers(-(10**10), 10**10))
def test_seconds_come_back(seconds: int) -> None:
    assert compiled("to_unix_time")(compiled("unix_time")(seconds)) == seconds


@given(st.sampled_from(["yy-MM-dd", "yyyy-MM", "MM yyyy", "yyyy"]))
def test_a_pattern_that_leaves_something_out_cannot_be_undone(pattern: str) -> None:
    assert inverse(ParseDate(format=pattern)) is None
    assert inverse(FormatDate(format=pattern)) is None
    assert inverse(FormatDateTime(format=pattern)) is None


@given(cultures, st.integers(0, 10**9), st.integers(0, 99))
def test_thousands_are_read_as_a_culture_writes_them(name: str, whole: int, cents: int) -> None:
    culture = CULTURES[name]
    text = f"{whole:,}".replace(",", culture.groups[0]) + f"{culture.decimal}{cents:02}"
    assert compiled(ParseDecimal(culture=name))(text) == float(f"{whole}.{cents:02}")


@given(
    st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9),
    st.sampled_from([0.01, 0.05, 1, 10, 0.25]),
    st.sampled_from(["nearest", "up", "down"]),
)
def test_rounding_twice_is_rounding_once(value: float, precision: float, direction: Any) -> None:
    step = compiled(Round(precision=precision, direction=direction))
    assert step(step(value)) == step(value)


LOSSY: list[Step] = [
    "upper",
    "lower",
    "trim",
    "alphanumeric",
    TitleCase(),
    Substring(start=2, length=3),
    Substring(after="-"),
    Replace(find="a", by="bb"),
    ReplacePattern(pattern="[0-9]", by=""),
]
texts = st.text("aAbB -1", max_size=8)


def transformed(direction: Direction, there: tuple[Step, ...], back: tuple[Step, ...] = ()) -> Field:
    """A text field with steps, as ``sync`` makes it ready."""
    said = FieldMapping(
        business_central="note", dataverse="cr_note", direction=direction, to_dataverse=there, from_dataverse=back
    )
    plain = field("note", direction=direction, to_dataverse=there, from_dataverse=back)
    kind: Kind = "text"
    last = partial(fits, kind=kind)
    return msgspec.structs.replace(
        plain,
        mapping=said,
        to_dataverse=(*(compiled(step) for step in chain(said, "business_central")), last),
        to_business_central=(*(compiled(step) for step in chain(said, "dataverse")), last),
    )


@given(
    st.sampled_from(["both", "to_dataverse", "from_dataverse"]),
    st.lists(st.sampled_from(LOSSY), min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from(LOSSY), max_size=2).map(tuple),
    texts,
    texts,
    st.none() | st.tuples(texts, texts),
    st.sampled_from(["ask", "newest", "business_central", "dataverse"]),
)
def test_a_second_run_writes_nothing(
    direction: Direction,
    there: tuple[Step, ...],
    back: tuple[Step, ...],
    ours: str,
    theirs: str,
    base: tuple[str, str] | None,
    policy: Any,
) -> None:
    """Whatever the steps lose: after a merge, another one finds nothing to do, even where the base is not known."""
    made = table(transformed(direction, there, back), conflicts=policy)
    before = None if base is None else ((base[0],), (base[1],))
    first = merge(made, (ours,), (theirs,), before)
    if first.conflicts or first.base is None:
        return
    now = after_writes(made, first)
    again = merge(made, *now, first.base)
    assert not again.to_business_central
    assert not again.to_dataverse
    if first.changes:
        anew = merge(made, *now, None)
        assert not anew.to_business_central
        assert not anew.to_dataverse


@given(st.sampled_from([FormatDate(culture="nl-NL"), FormatDate(culture="en-US")]), dates, st.integers(1, 400))
def test_an_edit_on_either_side_arrives_on_the_other(step: FormatDate, day: str, later: int) -> None:
    said = field("day", to_dataverse=(step,))
    made = msgspec.structs.replace(
        said,
        business_central=msgspec.structs.replace(said.business_central, kind="date", canonical=canonical("date")),
        to_dataverse=(compiled(step), partial(fits, kind="text")),
        to_business_central=(
            *(compiled(back) for back in chain(said.mapping, "dataverse")),
            partial(fits, kind="date"),
        ),
    )
    fields = table(made)
    first = merge(fields, (day,), (None,), None)
    (_, text), base = (after_writes(fields, first)[0], *after_writes(fields, first)[1]), first.base
    moved = (date.fromisoformat(day) - timedelta(days=later) if day > "0002-03" else date(2000, 1, 1)).isoformat()
    edited = compiled(step)(moved)
    back = merge(fields, (day,), (edited,), base)
    assert back.to_business_central == ({} if edited == text else {"day": moved})
    assert not back.to_dataverse
    assert merge(fields, (moved,), (text,), base).to_dataverse == ({} if edited == text else {"cr_day": edited})


def test_every_inverse_has_an_inverse() -> None:
    steps: list[Step] = [ParseDecimal(), ParseDate(culture="nl-NL"), ParseDateTime(culture="nl-NL"), "unix_time"]
    for step in steps:
        back = inverse(step)
        assert back is not None
        assert inverse(back) == step


def test_an_edit_beside_it_respells_nothing() -> None:
    """Fields of a group are written together; one that is what the other side leads to already is left as typed."""
    note = transformed("both", (Replace(find="v", by="q"),), (Replace(find="q", by="v"),))
    note = msgspec.structs.replace(note, mapping=msgspec.structs.replace(note.mapping, group="g"))
    made = table(note, field("city", group="g"))
    action = merge(made, ("v1", "Delft"), ("v1", "Gouda"), (("v1", "Gouda"), ("v1", "Gouda")))
    assert (action.to_dataverse, action.to_business_central) == ({"cr_city": "Delft"}, {})

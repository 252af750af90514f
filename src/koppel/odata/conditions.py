"""The query functions of Dataverse that need neither clock nor user: ``In``, ``Between``, ``On``, ``ContainValues`` ...

All their values come as texts and are compared with what the column holds: numbers as numbers, dates as dates, else as
texts without regard to case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from koppel.errors import FilterError
from koppel.odata.literals import comparable_instant

Getter = Callable[[Any], Any]
Predicate = Callable[[Any], bool]
Build = Callable[[Getter, Sequence[str]], Predicate]
"""Makes the predicate of a query function from the reader of its column and its values."""


def _in(get: Getter, values: Sequence[str]) -> Predicate:
    wanted = frozenset(value.lower() for value in values)
    numbers = frozenset(float(value) for value in values if _is_number(value))

    def test(row: Any) -> bool:
        value = get(row)
        if isinstance(value, str):
            return value.lower() in wanted
        if isinstance(value, bool) or value is None:
            return str(value).lower() in wanted and value is not None
        return value in numbers

    return test


def _between(get: Getter, values: Sequence[str]) -> Predicate:
    if len(values) != 2:
        raise FilterError(f"Between takes two values, not {len(values)}")
    low, high = values

    def test(row: Any) -> bool:
        value = get(row)
        if value is None:
            return False
        if isinstance(value, str):
            return _key(low) <= _key(value) <= _key(high)
        return float(low) <= float(value) <= float(high)

    return test


def _on(get: Getter, values: Sequence[str]) -> Predicate:
    day = _single(values)[:10]
    return lambda row: bool((value := get(row)) is not None and value[:10] == day)


def _on_or_after(get: Getter, values: Sequence[str]) -> Predicate:
    day = _single(values)[:10]
    return lambda row: bool((value := get(row)) is not None and value[:10] >= day)


def _on_or_before(get: Getter, values: Sequence[str]) -> Predicate:
    day = _single(values)[:10]
    return lambda row: bool((value := get(row)) is not None and value[:10] <= day)


def _contain_values(get: Getter, values: Sequence[str]) -> Predicate:
    wanted = frozenset(values)
    return lambda row: bool((value := get(row)) is not None and not wanted.isdisjoint(str(value).split(",")))


def _negated(build: Build) -> Build:
    def build_negated(get: Getter, values: Sequence[str]) -> Predicate:
        test = build(get, values)
        return lambda row: not test(row)

    return build_negated


BUILDERS: Mapping[str, Build] = {
    "In": _in,
    "NotIn": _negated(_in),
    "Between": _between,
    "NotBetween": _negated(_between),
    "On": _on,
    "OnOrAfter": _on_or_after,
    "OnOrBefore": _on_or_before,
    "ContainValues": _contain_values,
    "DoesNotContainValues": _negated(_contain_values),
}


def _single(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise FilterError(f"a query function for dates takes one value, not {len(values)}")
    return values[0]


def _key(text: str) -> str:
    return comparable_instant(text) if text[10:11] == "T" else text.lower()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

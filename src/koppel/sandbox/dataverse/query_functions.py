"""The query functions that depend on the time or on the caller: ``Today``, ``LastXDays``, ``EqualUserId`` ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from koppel.odata.conditions import Build, Getter, Predicate
from koppel.odata.literals import comparable_instant, format_instant
from koppel.sandbox.dataverse import errors

_SPANS = {"Hours": timedelta(hours=1), "Days": timedelta(days=1), "Weeks": timedelta(weeks=1)}
_AGES = {**_SPANS, "Minutes": timedelta(minutes=1)}


def query_functions(now: datetime, user: str, business_unit: str) -> Mapping[str, Build]:
    """The functions as they stand at this moment for this caller."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    day = timedelta(days=1)
    month = today.replace(day=1)
    year = month.replace(month=1)
    week = today - day * ((today.weekday() + 1) % 7)  # weeks begin on Sunday
    spans = {
        "Today": (today, today + day),
        "Yesterday": (today - day, today),
        "Tomorrow": (today + day, today + day * 2),
        "ThisWeek": (week, week + day * 7),
        "LastWeek": (week - day * 7, week),
        "ThisMonth": (month, (month + day * 32).replace(day=1)),
        "LastMonth": ((month - day).replace(day=1), month),
        "ThisYear": (year, year.replace(year=year.year + 1)),
        "LastYear": (year.replace(year=year.year - 1), year),
        "Last7Days": (today - day * 7, now),
        "Next7Days": (now, today + day * 8),
    }
    functions: dict[str, Build] = {name: _within(begin, end) for name, (begin, end) in spans.items()}
    for unit, length in _SPANS.items():
        functions[f"LastX{unit}"] = _counted(lambda number, length=length: (now - length * number, now))  # type: ignore[misc]
        functions[f"NextX{unit}"] = _counted(lambda number, length=length: (now, now + length * number))  # type: ignore[misc]
    for unit, length in _AGES.items():
        functions[f"OlderThanX{unit}"] = _counted(lambda number, length=length: (None, now - length * number))  # type: ignore[misc]
    return {
        **functions,
        "EqualUserId": lambda get, values: lambda row: get(row) == user,
        "NotEqualUserId": lambda get, values: lambda row: get(row) != user,
        "EqualBusinessId": lambda get, values: lambda row: get(row) == business_unit,
    }


def _within(begin: datetime | None, end: datetime) -> Build:
    low = "" if begin is None else comparable_instant(format_instant(begin))
    high = comparable_instant(format_instant(end))

    def build(get: Getter, values: Sequence[str]) -> Predicate:
        def test(row: Any) -> bool:
            value = get(row)
            return value is not None and low <= comparable_instant(value) < high

        return test

    return build


def _counted(span: Callable[[int], tuple[datetime | None, datetime]]) -> Build:
    def build(get: Getter, values: Sequence[str]) -> Predicate:
        if len(values) != 1 or not values[0].isdigit():
            raise errors.bad_query("The query function takes one whole number as PropertyValue.")
        return _within(*span(int(values[0])))(get, values)

    return build

"""Checks of single values: a function for each column, made once, that returns what is stored or refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from koppel.odata.literals import format_instant, is_guid, parse_instant
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.choices import OptionSet
from koppel.sandbox.dataverse.schema import CHOICES, Column

Check = Callable[[Any], Any]

_WHOLE_SECONDS_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_INTEGER_LIMITS = {"Edm.Int32": 2**31, "Edm.Int64": 2**63}


def check_of(table: str, column: Column, option_sets: dict[str, OptionSet]) -> Check:
    """The check of a column's value as it comes in a JSON body."""
    if column.kind in CHOICES and column.option_set:
        return _choice(table, column, option_sets[column.option_set])
    match column.edm:
        case "Edm.String":
            return _text(table, column)
        case "Edm.Boolean":
            return _boolean(column)
        case "Edm.Int32" | "Edm.Int64":
            return _number(table, column, whole=True)
        case "Edm.Decimal" | "Edm.Double":
            return _number(table, column, whole=False)
        case "Edm.Date":
            return _date(column)
        case "Edm.DateTimeOffset":
            return _instant(column)
        case _:
            return _guid(column)


def _text(table: str, column: Column) -> Check:
    limit = column.max_length or 2**30
    name = column.logical

    def check(value: Any) -> str | None:
        if type(value) is str:
            if len(value) > limit:
                raise errors.too_long(table, name, limit)
            return value or None  # the platform keeps no empty texts
        if value is None:
            return None
        raise errors.wrong_type(name, value, "Edm.String")

    return check


def _boolean(column: Column) -> Check:
    def check(value: Any) -> bool | None:
        if value is None or type(value) is bool:
            return value
        raise errors.wrong_type(column.logical, value, "Edm.Boolean")

    return check


def _number(table: str, column: Column, *, whole: bool) -> Check:
    low = -float("inf") if column.minimum is None else column.minimum
    high = float("inf") if column.maximum is None else column.maximum
    room = _INTEGER_LIMITS.get(column.edm, 0)

    def check(value: Any) -> float | None:
        if value is None:
            return None
        kind = type(value)
        if kind is not int and (whole or kind is not float):
            raise errors.wrong_type(column.logical, value, column.edm)
        if whole and not -room <= value < room:
            raise errors.wrong_type(column.logical, value, column.edm)
        if not low <= value <= high:
            raise errors.out_of_range(table, column.logical, value, whole)
        return value  # type: ignore[no-any-return]

    return check


def _choice(table: str, column: Column, options: OptionSet) -> Check:
    def check(value: Any) -> int | None:
        if value is None:
            return None
        if type(value) is not int:
            raise errors.wrong_type(column.logical, value, "Edm.Int32")
        if value not in options.current:
            raise errors.not_an_option(table, column.logical, value, options.current)
        return value

    return check


def _date(column: Column) -> Check:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        try:
            if len(value) == 10:
                return date.fromisoformat(value).isoformat()
        except (TypeError, ValueError):
            pass
        raise errors.wrong_type(column.logical, value, "Edm.Date")

    return check


def _instant(column: Column) -> Check:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        try:
            moment = parse_instant(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise errors.wrong_type(column.logical, value, "Edm.DateTimeOffset") from error
        return value if _WHOLE_SECONDS_UTC.fullmatch(value) else format_instant(moment)

    return check


def _guid(column: Column) -> Check:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        if type(value) is str and is_guid(value):
            return value.lower()
        raise errors.wrong_type(column.logical, value, "Edm.Guid")

    return check

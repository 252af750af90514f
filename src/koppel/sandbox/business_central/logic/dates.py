"""Date formulas such as ``30D``, ``CM`` (end of the month), ``1M+CM-2D``."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

from koppel.sandbox.business_central import errors

_TERM = re.compile(r"([+-]?)(?:C([DWMQY])|(\d+)([DWMQY]))")
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_DAYS = {"D": 1, "W": 7}


def after(start: str, formula: str) -> str:
    """The date that a formula gives, counted from a date. ``ServiceError`` for a formula that cannot be read."""
    moment, place, text = date.fromisoformat(start), 0, formula.replace(" ", "").upper()
    while place < len(text):
        found = _TERM.match(text, place)
        if found is None:
            raise errors.cannot_evaluate(f"The value '{formula}' can't be evaluated into type DateFormula.")
        moment = _moved(moment, *found.groups())
        place = found.end()
    return moment.isoformat()


def _moved(moment: date, sign: str, current: str | None, number: str | None, unit: str | None) -> date:
    if current is not None:
        return _end_of(moment, current) if sign != "-" else _start_of(moment, current)
    amount = int(number or 0) * (-1 if sign == "-" else 1)
    unit = unit or "D"
    return moment + timedelta(amount * _DAYS[unit]) if unit in _DAYS else _months(moment, amount * _MONTHS[unit])


def _months(moment: date, number: int) -> date:
    year, month = divmod(moment.year * 12 + moment.month - 1 + number, 12)
    return date(year, month + 1, min(moment.day, monthrange(year, month + 1)[1]))


def _start_of(moment: date, unit: str) -> date:
    if unit in _DAYS:
        return moment - timedelta(moment.weekday() if unit == "W" else 0)
    return _months(moment.replace(day=1), -((moment.month - 1) % _MONTHS[unit]))


def _end_of(moment: date, unit: str) -> date:
    if unit in _DAYS:
        return _start_of(moment, unit) + timedelta(_DAYS[unit] - 1)
    return _months(_start_of(moment, unit), _MONTHS[unit]) - timedelta(1)

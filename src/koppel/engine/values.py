"""The canonical form of values: what "the same" means between two systems (design section 3).

Blank text, null, the zero GUID, the blank enum member and the empty date are all *none*. Text is cut to the shorter
of the two lengths, codes are trimmed and upper-cased, decimals rounded to the coarser precision, date-times brought
to UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Literal

import msgspec

from koppel.odata.records import ZERO_GUID, Scalar

ValueKind = Literal["text", "code", "number", "boolean", "date", "datetime", "guid", "enum"]
Canonical = Callable[[Scalar], Hashable]


UNKNOWN = msgspec.UNSET
"""The one marker for "no agreed value" in a base; equal to no value."""

Unknown = msgspec.UnsetType
Base = tuple[Scalar | Unknown, ...]

BLANK_ENUM = "_x0020_"
EMPTY_DATE = "0001-01-01"

_EMPTY_OF_BUSINESS_CENTRAL: dict[ValueKind, Scalar] = {
    "text": "",
    "code": "",
    "number": 0,
    "boolean": False,
    "date": EMPTY_DATE,
    "datetime": "0001-01-01T00:00:00Z",
    "guid": ZERO_GUID,
    "enum": BLANK_ENUM,
}


def empty_in_business_central(kind: ValueKind) -> Scalar:
    """What Business Central wants for "no value": it knows no null (spec 7.1)."""
    return _EMPTY_OF_BUSINESS_CENTRAL[kind]


def canonical(kind: ValueKind, *, length: int | None = None, scale: int | None = None) -> Canonical:
    """The function that brings a wire value of ``kind`` into canonical form; ``None`` means none.

    ``length``: the shorter of the two lengths. ``scale``: the coarser number of decimals.
    """
    match kind:
        case "text":
            return _text(length)
        case "code":
            return _code(length)
        case "number":
            return _number(scale)
        case "date":
            return _date
        case "datetime":
            return _datetime
        case "guid":
            return _guid
        case "enum":
            return _enum
        case "boolean":
            return _boolean


def _text(length: int | None) -> Canonical:
    def form(value: Scalar) -> Hashable:
        text = "" if value is None else str(value)
        return text[:length].rstrip() or None

    return form


def _code(length: int | None) -> Canonical:
    def form(value: Scalar) -> Hashable:
        text = "" if value is None else str(value)
        return text.strip().upper()[:length].rstrip() or None

    return form


def _number(scale: int | None) -> Canonical:
    quantum = None if scale is None else Decimal(1).scaleb(-scale)

    def form(value: Scalar) -> Hashable:
        if value is None or value == "":
            return None
        try:
            number = Decimal(str(value))
            return number if quantum is None else number.quantize(quantum, ROUND_HALF_UP)
        except InvalidOperation:
            return str(value)

    return form


def rounded(value: float, scale: int) -> float:
    """A decimal as a column with ``scale`` decimals stores it: half away from zero, as written and not as in binary."""
    try:
        return float(Decimal(str(value)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP))
    except InvalidOperation:
        return value  # so large that no decimals are left in it


def _boolean(value: Scalar) -> Hashable:
    return bool(value)


def _date(value: Scalar) -> Hashable:
    text = str(value)[:10] if value else ""
    return None if text in ("", EMPTY_DATE) else text


def _datetime(value: Scalar) -> Hashable:
    if not value or str(value).startswith(EMPTY_DATE):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _guid(value: Scalar) -> Hashable:
    """A lookup may be written with the set of its row: ``teams(...)``."""
    text = "" if value is None else str(value).lower().rpartition("(")[2].rstrip(")")
    return None if text in ("", ZERO_GUID) else text


def _enum(value: Scalar) -> Hashable:
    text = "" if value is None else str(value)
    return None if text.strip() in ("", BLANK_ENUM) else text

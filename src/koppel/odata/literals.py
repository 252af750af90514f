"""OData literals: how values are written in addresses and how points in time are read and compared."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_BARE_KINDS = frozenset({"guid", "lookup", "date", "datetime"})


def is_guid(text: str) -> bool:
    """Whether the text is a GUID in its usual form, without braces, in any case."""
    return _GUID.fullmatch(text) is not None


def quote(value: str | int | float | bool | Decimal | UUID | date | None, kind: str = "text") -> str:
    """The value as an OData literal.

    A string is quoted, its quotes doubled, unless ``kind`` (a ``ColumnKind``) says that it holds a GUID or a date.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value if kind in _BARE_KINDS else "'" + value.replace("'", "''") + "'"
        case datetime():
            return format_instant(value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


def format_instant(moment: datetime, *, milliseconds: bool = False) -> str:
    """ISO 8601 in UTC with ``Z``: whole seconds as Dataverse sends them, or milliseconds as Business Central does."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text.replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """A point in time from ISO 8601; without a zone it is UTC. ``ValueError`` when it is none."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def comparable_instant(text: str) -> str:
    """A form of an ISO date or date-time in which later sorts after earlier, as text.

    No zone, no trailing zeros, no midnight: a date equals the date-time at which it begins.
    """
    if len(text) == 10:
        return text
    plain = text[:-1] if text.endswith("Z") else _to_utc(text)
    if len(plain) == 16:
        plain += ":00"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain[:10] if plain.endswith("T00:00:00") else plain


def _to_utc(text: str) -> str:
    try:
        return parse_instant(text).replace(tzinfo=None).isoformat()
    except (ValueError, OverflowError):
        return text

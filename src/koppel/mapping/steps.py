"""The steps of a transformation, as a mapping file says them, and what kinds of values each takes and gives.

A step is a word (``upper``) or has settings (``{do: substring, start: 4}``). Steps that follow each other are a chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from koppel.odata.records import Scalar, Side

Word = Literal["upper", "lower", "trim", "alphanumeric", "unix_time", "to_unix_time"]
Otherwise = Literal["fail", "empty", "keep"]
Kind = Literal["text", "number", "date", "datetime", "boolean"]
"""What a step takes or gives; codes, enum members and ids are text."""


class TitleCase(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="title_case"):
    """Every word with a capital, as ``culture`` does it."""

    culture: str = "invariant"


class Substring(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="substring"):
    """A part of the text: from position ``start`` (the first is 1) or ``after`` a text, for ``length`` characters or
    ``before`` a text. Texts that do not occur give a blank."""

    start: int | None = None
    after: str = ""
    length: int | None = None
    before: str = ""


class Replace(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="replace"):
    """Every ``find``, as it is written, becomes ``by``."""

    find: str
    by: str = ""


class ReplacePattern(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="replace_pattern"):
    r"""Every match of a regular expression becomes ``by``, which may refer to groups (``\1``)."""

    pattern: str
    by: str = ""


class MatchPattern(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="match_pattern"):
    """What the groups of a regular expression hold, of every match, one after the other; without groups the matches."""

    pattern: str


class ParseDate(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="parse_date"):
    """Text to date, by a pattern or as a culture writes it."""

    format: str = ""
    culture: str = ""
    otherwise: Otherwise = "fail"


class FormatDate(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="format_date"):
    """Date to text."""

    format: str = ""
    culture: str = ""


class ParseDateTime(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="parse_datetime"):
    """Text to date and time (UTC), by a pattern or as a culture writes it."""

    format: str = ""
    culture: str = ""
    otherwise: Otherwise = "fail"


class FormatDateTime(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="format_datetime"):
    """Date and time (UTC) to text."""

    format: str = ""
    culture: str = ""


class ParseDecimal(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="parse_decimal"):
    """Text to number, as a culture writes it."""

    culture: str = "invariant"
    otherwise: Otherwise = "fail"


class FormatDecimal(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="format_decimal"):
    """Number to text, in as many digits as it has."""

    culture: str = "invariant"


class Round(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="round"):
    """To a multiple of ``precision``: the nearest, or ``up`` (away from zero), or ``down`` (towards zero)."""

    precision: float
    direction: Literal["nearest", "up", "down"] = "nearest"


class Extract(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="extract"):
    """The ``part`` of a date or a moment, as a number."""

    part: Literal["day", "month", "year"]


class MapValues(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="map"):
    """What ``values`` say of a value, as it is written (``true``, ``0``, ``NET 30``); ``rest`` for all others."""

    values: dict[str, Scalar]
    rest: Scalar = None


class LookUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="look_up"):
    """The column ``take`` of the first record of a ``table`` of ``side`` whose column ``where`` holds the value."""

    table: str
    where: str
    take: str
    side: Side = "business_central"
    otherwise: Otherwise = "fail"


class Call(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="call"):
    """What a Python function (``module:function``) makes of the value."""

    function: str


Step = (
    Word
    | TitleCase
    | Substring
    | Replace
    | ReplacePattern
    | MatchPattern
    | ParseDate
    | FormatDate
    | ParseDateTime
    | FormatDateTime
    | ParseDecimal
    | FormatDecimal
    | Round
    | Extract
    | MapValues
    | LookUp
    | Call
)

_TEXT: frozenset[Kind] = frozenset({"text"})
_NUMBER: frozenset[Kind] = frozenset({"number"})
_DATE: frozenset[Kind] = frozenset({"date"})
_MOMENT: frozenset[Kind] = frozenset({"datetime"})
ANY: frozenset[Kind] = frozenset(get_args(Kind))

_KINDS: Mapping[str, tuple[frozenset[Kind], frozenset[Kind]]] = {
    "unix_time": (_NUMBER, _MOMENT),
    "to_unix_time": (_MOMENT, _NUMBER),
    "parse_date": (_TEXT, _DATE),
    "format_date": (_DATE, _TEXT),
    "parse_datetime": (_TEXT, _MOMENT),
    "format_datetime": (_MOMENT, _TEXT),
    "parse_decimal": (_TEXT, _NUMBER),
    "format_decimal": (_NUMBER, _TEXT),
    "round": (_NUMBER, _NUMBER),
    "extract": (_DATE | _MOMENT, _NUMBER),
    "map": (ANY, ANY),
    "look_up": (ANY, ANY),
    "call": (ANY, ANY),
}
LOSSY = frozenset(
    ("upper", "lower", "trim", "alphanumeric", "title_case", "substring", "match_pattern", "round", "extract")
)
"""Steps after which nobody can tell what was before."""


def name_of(step: Step) -> str:
    """How the file calls the step."""
    return step if isinstance(step, str) else str(step.__struct_config__.tag)


def takes(step: Step) -> frozenset[Kind]:
    """The kinds of values that the step can do something with."""
    return _KINDS.get(name_of(step), (_TEXT, _TEXT))[0]


def gives(step: Step) -> frozenset[Kind]:
    """The kinds of values that may come out; any, where only the value itself can tell."""
    if isinstance(step, MapValues):
        return frozenset(map(_kind_of, (*step.values.values(), *(() if step.rest is None else (step.rest,)))))
    given = _KINDS.get(name_of(step), (_TEXT, _TEXT))[1]
    return given | takes(step) if getattr(step, "otherwise", "") == "keep" else given


def _kind_of(value: Scalar) -> Kind:
    return "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "text"

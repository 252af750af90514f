"""Regular expressions that cannot hang a run.

Python's matching tries one way after the other, and some patterns have endlessly many: ``(a+)+$`` takes years for 40
letters. How many ways a pattern has can be told beforehand, from its repeats: with ``k`` open-ended ones, a text of
``n`` characters has about ``n**k / k!``; an open-ended repeat of something that itself can match in several ways has no
bound. So each pattern gets the length of text for which it stays quick, and is refused when that is next to none.
"""

from __future__ import annotations

import re
from importlib import import_module
from math import comb
from typing import Any, NamedTuple

from koppel.errors import MappingError

LONGEST = 10_000
SHORTEST = 40
"""A pattern that is quick only for less than this is refused."""
_STEPS = 10**8
_MANY = 1_000
"""Repeats that may come so often count as open-ended."""

_parser: Any = import_module("re._parser")


class SafePattern(NamedTuple):
    """A compiled pattern, and the length of text up to which it is quick."""

    pattern: re.Pattern[str]
    longest: int

    def fits(self, text: str) -> str:
        """The text; ``ValueError`` when it is too long."""
        if len(text) > self.longest:
            raise ValueError(f"has {len(text)} characters, the pattern is quick for {self.longest} at most")
        return text


class _Ways(NamedTuple):
    """In how many ways a part can match: ``factor`` times those of sharing the text among ``open`` repeats."""

    factor: int = 1
    open: int = 0


_ONE = _Ways()


def read_regex(text: str) -> SafePattern:
    """Compile a pattern, without regard to case. ``MappingError`` if it is none, or may take for ever."""
    try:
        pattern = re.compile(text, re.IGNORECASE)
        parsed = list(_parser.parse(text, re.IGNORECASE))
    except (re.error, RecursionError, OverflowError) as error:
        raise MappingError(f"`{text}` is no regular expression: {error}", remedy="See Python's `re`.") from None
    longest = _longest(parsed, several=bool(pattern.flags & re.MULTILINE))
    if longest < SHORTEST:
        raise MappingError(
            f"`{text}` may take for ever: it repeats what can match in several ways, or has too many repeats",
            remedy="Make repeats possessive (`a++`, `a*+`) or put them into an atomic group (`(?>...)`).",
        )
    return SafePattern(pattern, longest)


def _longest(parsed: list[Any], *, several: bool) -> int:
    """The longest text within the budget of steps; 0 when there is none. ``several``: it may begin at any line."""
    parts: list[_Ways] = []
    outer = _sequence(parsed, parts)
    if outer is None:
        return 0
    anchored = bool(parsed) and str(parsed[0][0]) == "AT" and str(parsed[0][1]).startswith("AT_BEGINNING")
    starts = 0 if anchored and not several else 1
    low, high = 0, LONGEST
    while low < high:
        middle = (low + high + 1) // 2
        steps = sum(ways.factor * comb(middle + ways.open + starts, ways.open + starts) for ways in (outer, *parts))
        low, high = (middle, high) if steps <= _STEPS else (low, middle - 1)
    return low


def _sequence(parsed: Any, parts: list[_Ways]) -> _Ways | None:
    """The ways of parts one after the other; ``None`` for endless. ``parts`` collects what is decided for good."""
    total = _ONE
    for operation, argument in parsed:
        ways = _node(str(operation), argument, parts)
        if ways is None:
            return None
        total = _Ways(min(total.factor * ways.factor, _STEPS * 2), total.open + ways.open)
    return total


def _node(operation: str, argument: Any, parts: list[_Ways]) -> _Ways | None:
    match operation:
        case "MAX_REPEAT" | "MIN_REPEAT":
            return _repeat(argument, parts)
        case "SUBPATTERN":
            return _sequence(argument[-1], parts)
        case "BRANCH":
            return _branches([_sequence(branch, parts) for branch in argument[1]])
        case "POSSESSIVE_REPEAT":
            return _once(_each(_sequence(argument[2], parts)), parts)
        case "ATOMIC_GROUP":
            return _once(_sequence(argument, parts), parts)
        case "ASSERT" | "ASSERT_NOT":
            return _once(_sequence(argument[1], parts), parts)
        case "GROUPREF_EXISTS":
            return _branches([_sequence(branch or [], parts) for branch in argument[1:]])
    return _ONE


def _once(ways: _Ways | None, parts: list[_Ways]) -> _Ways | None:
    """What is matched once and not taken back: its ways count by themselves, not with those of the rest."""
    if ways is None:
        return None
    parts.append(ways)
    return _ONE


def _each(ways: _Ways | None) -> _Ways | None:
    """Each round of a possessive repeat is matched once by itself."""
    return None if ways is None else _Ways(ways.factor, ways.open + 1)


def _branches(found: list[_Ways | None]) -> _Ways | None:
    ways = [each for each in found if each is not None]
    if len(ways) < len(found):
        return None
    return _Ways(sum(each.factor for each in ways), max(each.open for each in ways))


def _repeat(argument: Any, parts: list[_Ways]) -> _Ways | None:
    least, most, body = argument
    inner = _sequence(body, parts)
    if inner is None:
        return None
    if inner == _ONE:
        return _Ways(1, 1) if most >= _MANY and most > least else _Ways(min(most, _MANY) - min(least, _MANY) + 1)
    if most >= _MANY:
        return None
    return _Ways(min(_powers(inner.factor, least, most), _STEPS * 2), inner.open * most)


def _powers(factor: int, least: int, most: int) -> int:
    total = 0
    for times in range(least, most + 1):
        total += factor**times
        if total > _STEPS:
            break
    return total

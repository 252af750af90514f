"""Regular expressions that would hang a run are refused, and the others know for what length of text they are quick."""

from __future__ import annotations

import pytest

from koppel.errors import MappingError
from koppel.mapping.patterns import LONGEST, SHORTEST, read_regex
from koppel.mapping.steps import MatchPattern, ReplacePattern
from koppel.mapping.transforms import compiled


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a*)*$",
        r"(a|a)*$",
        r"(a|ab)*c",
        r"(\w+\s)*$",
        r"(?:a?)+$",
        r"(x+x+)+y",
        r"((a{0,5}){0,5})*b",
        "a?" * 30 + "a" * 30,
        "(a|b)?" * 40,
        ".*" * 8 + "=",
        r"(?=(a+)+b)a",
        r"(a)(?(1)(b+)+|c)",
    ],
)
def test_a_pattern_without_bound_is_refused(pattern: str) -> None:
    with pytest.raises(MappingError, match="may take for ever") as caught:
        read_regex(pattern)
    assert "possessive" in caught.value.remedy


@pytest.mark.parametrize(
    ("pattern", "at_least"),
    [
        (r"\s+", LONGEST),
        (r"[^0-9+]", LONGEST),
        (r"^(van|de|der)\b", LONGEST),
        (r"(\w++\s)*+x", 5_000),
        (r"(?>(a|ab)c)+d", 5_000),
        (r"(?P<year>\d{4})-(?P<month>\d\d)", LONGEST),
        (r"^(\S+)\s+(.*)$", 500),
        (r"a{2,5}b?c{0,3}", LONGEST),
        (r"(ab|cd)x", LONGEST),
    ],
)
def test_a_pattern_of_every_day_is_taken(pattern: str, at_least: int) -> None:
    assert read_regex(pattern).longest >= at_least


def test_a_text_that_is_too_long_for_the_pattern_fails() -> None:
    step = compiled(MatchPattern(pattern=r"(\S+)\s+(\S+)\s+(\S+)"))
    assert step("a b c") == "abc"
    with pytest.raises(ValueError, match="has 5000 characters, the pattern is quick for"):
        step("a" * 5000)


@pytest.mark.parametrize(
    ("pattern", "unit"), [(r"\s+$", " "), (r"^(\w+)\s?(\w+)\s?(\w+)!", "a"), (r"(?:\w++,?)++!", "a")]
)
def test_the_worst_text_of_the_longest_length_is_done(pattern: str, unit: str) -> None:
    """Without the limit this takes hours."""
    longest = read_regex(pattern).longest
    assert longest >= SHORTEST
    text = unit * (longest - 1) + "?"
    assert compiled(ReplacePattern(pattern=pattern, by="x"))(text) == text

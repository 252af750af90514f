"""What each step of a transformation makes of a value, and what it says when it can make nothing of it."""

from __future__ import annotations

import re

import pytest

from koppel.errors import MappingError
from koppel.mapping.steps import (
    Extract,
    FormatDate,
    FormatDateTime,
    FormatDecimal,
    LookUp,
    MapValues,
    MatchPattern,
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
from koppel.mapping.transforms import compiled, fits
from koppel.odata.records import Scalar


@pytest.mark.parametrize(
    ("step", "value", "result"),
    [
        ("upper", "Straße 1", "STRASSE 1"),
        ("lower", "ÉCLAIR", "éclair"),
        ("trim", "  a b \t", "a b"),
        ("alphanumeric", "NL-12.34 é_x", "NL1234éx"),
        (TitleCase(), "jan van der MEER o'neill IBM", "Jan Van Der MEER O'neill IBM"),
        (TitleCase(culture="nl-NL"), "ijsbrand", "IJsbrand"),
        (TitleCase(culture="tr-TR"), "istanbul Iğdır", "İstanbul Iğdır"),
        (TitleCase(), "istanbul", "Istanbul"),
        (Substring(start=4, length=3), "abcdefgh", "def"),
        (Substring(start=4), "abcdefgh", "defgh"),
        (Substring(start=9), "abcdefgh", ""),
        (Substring(length=2), "abcdefgh", "ab"),
        (Substring(after="c", before="f"), "abcdefgh", "de"),
        (Substring(after="c", length=2), "abcdefgh", "de"),
        (Substring(start=2, before="f"), "abcdefgh", "bcde"),
        (Substring(after="x"), "abcdefgh", None),
        (Substring(before="x"), "abcdefgh", None),
        (Replace(find="NOTPROVIDED"), "NOTPROVIDED", ""),
        (Replace(find="a", by="b"), "aAa", "bAb"),
        (ReplacePattern(pattern=r"\s+", by=" "), "a  b\t c", "a b c"),
        (ReplacePattern(pattern=r"(\w+), (\w+)", by=r"\2 \1"), "Doe, Jo", "Jo Doe"),
        (ReplacePattern(pattern="a", by="x"), "aA", "xx"),
        (ReplacePattern(pattern="(?-i:a)", by="x"), "aA", "xA"),
        (ParseDate(format="dd-MM-yyyy"), "31-01-2024", "2024-01-31"),
        (ParseDate(format="yyyyMMdd"), "20240131", "2024-01-31"),
        (ParseDate(culture="en-US"), "1/31/2024", "2024-01-31"),
        (ParseDate(culture="nl-NL"), "31-01-2024", "2024-01-31"),
        (ParseDate(format="d.M.yy"), "1.2.49", "2049-02-01"),
        (ParseDate(format="d.M.yy"), "1.2.50", "1950-02-01"),
        (FormatDate(format="d MM 'of' yyyy"), "2024-01-31", "31 01 of 2024"),
        (FormatDate(culture="en-US"), "2024-01-31", "1/31/2024"),
        (ParseDateTime(culture="en-US"), "1/31/2024 3:04:05 pm", "2024-01-31T15:04:05Z"),
        (ParseDateTime(culture="en-US"), "1/31/2024 12:04:05 AM", "2024-01-31T00:04:05Z"),
        (ParseDateTime(format="yyyy-MM-dd'T'HH:mm"), "2024-01-31T15:04", "2024-01-31T15:04:00Z"),
        (FormatDateTime(culture="en-US"), "2024-01-31T00:04:05Z", "1/31/2024 12:04:05 AM"),
        (FormatDateTime(format="HH:mm dd-MM-yyyy"), "2024-01-31T15:04:05.123+01:00", "14:04 31-01-2024"),
        (ParseDecimal(culture="da-DK"), "1.234.567,89", 1234567.89),
        (ParseDecimal(culture="fr-FR"), "1 234,5", 1234.5),
        (ParseDecimal(culture="fr-FR"), "1\u202f234,5", 1234.5),
        (ParseDecimal(culture="de-CH"), "-1’234.50", -1234.5),
        (ParseDecimal(), " 12 ", 12),
        (FormatDecimal(culture="da-DK"), 1234567.89, "1234567,89"),
        (FormatDecimal(culture="da-DK"), 1234.0, "1234"),
        (FormatDecimal(), 1e-07, "0.0000001"),
        (FormatDecimal(), 100, "100"),
        (Round(precision=0.05), 1.225, 1.25),
        (Round(precision=0.01), 2.675, 2.68),
        (Round(precision=0.01), -2.675, -2.68),
        (Round(precision=0.01, direction="up"), 1.001, 1.01),
        (Round(precision=0.01, direction="up"), -1.001, -1.01),
        (Round(precision=0.01, direction="down"), -1.009, -1.0),
        (Round(precision=10), 15, 20),
        (MapValues(values={"true": 1, "false": 0}), True, 1),
        (MapValues(values={"true": 1, "false": 0}), False, 0),
        (MapValues(values={"0": False}, rest=True), 0, False),
        (MapValues(values={"0": False}, rest=True), 0.0, False),
        (MapValues(values={"0": False}, rest=True), 3, True),
        (MapValues(values={"1.5": "A"}), 1.5, "A"),
        (MapValues(values={"NET 30": "30 days"}), "NET 30", "30 days"),
        (Extract(part="day"), "2024-01-31", 31),
        (Extract(part="month"), "2024-01-31T10:00:00Z", 1),
        (Extract(part="year"), "2024-01-31", 2024),
        ("unix_time", 1706695445, "2024-01-31T10:04:05Z"),
        ("unix_time", -1, "1969-12-31T23:59:59Z"),
        ("to_unix_time", "2024-01-31T10:04:05Z", 1706695445),
        ("to_unix_time", "2024-01-31T10:04:05.5Z", 1706695445.5),
    ],
)
def test_a_step(step: Step, value: Scalar, result: Scalar) -> None:
    found = compiled(step)(value)
    assert (found, type(found)) == (result, type(result))


@pytest.mark.parametrize(
    ("pattern", "text", "result"),
    [
        (r"(\d+)-(\d+)", "12-34 and 56-78", "12345678"),
        (r"\d+", "a 12 b", "12"),
        (r"\d+", "a 12 b 34", "1234"),
        (r"\d+", "none", ""),
        (r"(a)|(b)", "b", "b"),
        (r"([a-z])\d", "X1 y2", "Xy"),
    ],
)
def test_a_match_without_the_quirk_of_the_first_one(pattern: str, text: str, result: str) -> None:
    """ENG-109: there, a pattern without groups gives nothing, and only later matches bring along their whole text."""
    assert compiled(MatchPattern(pattern=pattern))(text) == result


@pytest.mark.parametrize(
    ("step", "value", "said"),
    [
        (ParseDecimal(culture="da-DK"), "1.23", "is no number as this culture writes it"),
        (ParseDecimal(culture="en-US"), "1,23", "is no number as this culture writes it"),
        (ParseDecimal(culture="en-US"), "1234,567", "is no number as this culture writes it"),
        (ParseDecimal(), "12 pcs", "is no number as this culture writes it"),
        (ParseDecimal(), "", "is no number as this culture writes it"),
        (ParseDecimal(), "12345678901234567.89", "has more digits than a number can keep"),
        (ParseDecimal(), 12, "is no text"),
        (FormatDecimal(), "12", "is no number"),
        (ParseDate(format="dd-MM-yyyy"), "1-2-2024", "is not written like dd-MM-yyyy"),
        (ParseDate(format="dd-MM-yyyy"), "31-02-2024", "is no day or time that there is"),
        (ParseDate(culture="en-US"), "31/1/2024", "is no day or time that there is"),
        (ParseDate(format="dd-MM-yyyy"), "31-01-2024 10:00", "is not written like dd-MM-yyyy"),
        (ParseDateTime(format="yyyy-MM-dd h:mm tt"), "2024-01-31 13:00 PM", "is no day or time that there is"),
        (FormatDate(culture="nl-NL"), "soon", "is no date"),
        (Round(precision=1), "1", "is no number"),
        (Round(precision=0.01), 1e26, "has too many digits to be rounded"),
        (Round(precision=1), True, "is no number"),
        (Extract(part="day"), "soon", "is no date"),
        (MapValues(values={"a": 1, "b": 2}), "c", "is none of a, b"),
        ("upper", 1, "is no text"),
        ("unix_time", "1", "is no number"),
        ("unix_time", 1e20, "is no time in seconds since 1970"),
        ("to_unix_time", "soon", "is no date"),
    ],
)
def test_a_step_that_can_do_nothing(step: Step, value: Scalar, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compiled(step)(value)


@pytest.mark.parametrize("step", [ParseDecimal, ParseDate, ParseDateTime])
def test_what_becomes_of_it_is_said_by_the_mapping(step: type[ParseDecimal | ParseDate | ParseDateTime]) -> None:
    settings = {} if step is ParseDecimal else {"culture": "nl-NL"}
    assert compiled(step(otherwise="empty", **settings))("soon") is None
    assert compiled(step(otherwise="keep", **settings))("soon") == "soon"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (TitleCase(culture="nl-NK"), "there is no culture `nl-NK`.*Did you mean `nl-NL`"),
        (ParseDecimal(culture="danish"), "there is no culture `danish`"),
        (FormatDecimal(culture="xx"), "there is no culture `xx`"),
        (Substring(), "the substring is the whole text"),
        (Substring(start=0), "positions and lengths are 1 or more"),
        (Substring(start=-1), "positions and lengths are 1 or more"),
        (Substring(start=1, length=0), "positions and lengths are 1 or more"),
        (Substring(start=1, after="a"), "`start` and `after` exclude each other"),
        (Substring(length=1, before="a"), "`length` and `before` exclude each other"),
        (Replace(find=""), "`find` is blank"),
        (ReplacePattern(pattern="("), "is no regular expression"),
        (ReplacePattern(pattern="a", by=r"\1"), "`by` does not go with the pattern: invalid group reference"),
        (MatchPattern(pattern="[z-a]"), "is no regular expression: bad character range"),
        (ParseDate(), "by a `format` or as in a `culture`"),
        (ParseDate(format="yyyy", culture="nl-NL"), "by a `format` or as in a `culture`"),
        (ParseDate(format="dd MMM yyyy"), "`dd MMM yyyy` says a part twice"),
        (ParseDate(format="dd-mm-jjjj"), "cannot be read at `j`"),
        (ParseDate(format="dd-MM"), "has no year"),
        (FormatDateTime(format="yyyy h"), "has hours of half a day"),
        (FormatDateTime(format="yyyy H tt"), "has hours of half a day"),
        (Round(precision=0), "`precision` must be more than nothing"),
        (Round(precision=-1), "`precision` must be more than nothing"),
    ],
)
def test_settings_that_make_no_sense(step: Step, said: str) -> None:
    with pytest.raises(MappingError) as caught:
        compiled(step)
    assert caught.value.remedy
    assert re.search(said, f"{caught.value.message}\n{caught.value.remedy}", re.DOTALL)


def test_a_look_up_has_nothing_to_get_wrong_by_itself() -> None:
    assert callable(compiled(LookUp(table="countriesRegions", where="code", take="displayName")))


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (1, "text", "is no text"),
        ("1", "number", "is no number"),
        (True, "number", "is no number"),
        (1, "boolean", "is neither true nor false"),
        ("soon", "date", "is no date"),
        (5, "date", "is no"),
        ("soon", "datetime", "is no date"),
    ],
)
def test_a_result_that_the_column_cannot_hold(value: Scalar, kind: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fits(value, kind)  # type: ignore[arg-type]

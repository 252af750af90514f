"""Canonical forms: what "the same" means between two systems."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from koppel.engine.values import ValueKind, canonical, empty_in_business_central, rounded
from koppel.odata.records import ZERO_GUID, Scalar

KINDS: tuple[ValueKind, ...] = ("text", "code", "number", "boolean", "date", "datetime", "guid", "enum")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", None),
        ("text", ""),
        ("text", "   "),
        ("code", None),
        ("code", " "),
        ("number", None),
        ("number", ""),
        ("date", None),
        ("date", "0001-01-01"),
        ("datetime", None),
        ("datetime", "0001-01-01T00:00:00Z"),
        ("guid", None),
        ("guid", ZERO_GUID),
        ("enum", None),
        ("enum", " "),
        ("enum", "_x0020_"),
    ],
)
def test_none_has_many_spellings(kind: ValueKind, value: Scalar) -> None:
    assert canonical(kind)(value) is None


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        ("text", "Contoso", "Contoso  "),
        ("code", " nl ", "NL"),
        ("number", 1, 1.0),
        ("number", 12.5, "12.50"),
        ("number", 0, -0.0),
        ("boolean", None, False),
        ("date", "2024-02-29", "2024-02-29T00:00:00Z"),
        ("datetime", "2024-05-01T10:00:00Z", "2024-05-01T12:00:00+02:00"),
        ("datetime", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000Z"),
        ("datetime", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00"),
        ("guid", "ABCD0000-0000-0000-0000-000000000001", "abcd0000-0000-0000-0000-000000000001"),
    ],
)
def test_different_spellings_of_one_value_are_the_same(kind: ValueKind, one: Scalar, two: Scalar) -> None:
    assert canonical(kind)(one) == canonical(kind)(two)
    assert canonical(kind)(one) is not None


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        ("text", "contoso", "Contoso"),
        ("text", " Contoso", "Contoso"),
        ("code", "NL", "N L"),
        ("number", 1, 1.0000001),
        ("number", 0, None),
        ("boolean", True, False),
        ("date", "2024-02-29", "2024-02-28"),
        ("datetime", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00+02:00"),
        ("datetime", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.001Z"),
        ("enum", "Item", "item"),
    ],
)
def test_different_values_stay_different(kind: ValueKind, one: Scalar, two: Scalar) -> None:
    assert canonical(kind)(one) != canonical(kind)(two)


def test_text_is_cut_to_the_shorter_length_and_the_cut_leaves_no_blank_behind() -> None:
    form = canonical("text", length=5)
    assert form("Contoso") == form("Conto") == "Conto"
    assert form("Cont oso") == "Cont"


def test_codes_are_cut_after_they_are_trimmed() -> None:
    assert canonical("code", length=3)("  abcd") == "ABC"


@pytest.mark.parametrize(
    ("value", "rounded"), [(1.005, "1.01"), (1000.005, "1000.01"), (2.675, "2.68"), (-1.005, "-1.01"), (1.004, "1.00")]
)
def test_decimals_round_half_up_as_written_not_as_stored_in_binary(value: float, rounded: str) -> None:
    assert canonical("number", scale=2)(value) == Decimal(rounded)


def test_whole_numbers_compare_without_decimals() -> None:
    assert canonical("number", scale=0)(2.4) == Decimal(2)


def test_date_times_are_brought_to_utc() -> None:
    assert canonical("datetime")("2024-05-01T12:30:00.5+02:00") == datetime(2024, 5, 1, 10, 30, 0, 500_000, UTC)


@pytest.mark.parametrize(("kind", "value"), [("datetime", "yesterday"), ("number", "a lot")])
def test_what_cannot_be_read_equals_only_itself(kind: ValueKind, value: str) -> None:
    form = canonical(kind)
    assert form(value) == form(value) == value
    assert form(value) != form("other")


@pytest.mark.parametrize("kind", KINDS)
def test_business_centrals_empty_value_means_no_value(kind: ValueKind) -> None:
    form = canonical(kind)
    blank = empty_in_business_central(kind)
    assert blank is not None
    if kind == "number":
        assert form(blank) == 0
    else:
        assert form(blank) == form(None)


def test_a_number_without_decimals_to_round_stays() -> None:
    assert rounded(1e26, 4) == 1e26


@pytest.mark.parametrize(
    ("value", "scale", "expected"),
    [(2.5, 0, 3), (-2.5, 0, -3), (0.125, 2, 0.13), (2.675, 2, 2.68), (1.004, 2, 1.0), (7.0, 3, 7.0)],
)
def test_a_column_stores_halves_away_from_zero(value: float, scale: int, expected: float) -> None:
    assert rounded(value, scale) == expected


def test_a_moment_without_a_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert canonical("datetime")("2024-05-01T10:00:00") == datetime(2024, 5, 1, 10, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_code_that_is_cut_ends_without_a_blank() -> None:
    assert canonical("code", length=3)("ab cd") == "AB"

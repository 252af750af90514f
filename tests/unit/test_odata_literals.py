from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from koppel.odata.literals import comparable_instant, format_instant, is_guid, parse_instant, quote

GUID = "0d1e0001-0000-4000-8000-00000000000a"


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("O'Hara", "'O''Hara'"),
        ("", "''"),
        (GUID, f"'{GUID}'"),
        (UUID(GUID), GUID),
        (5, "5"),
        (-2.5, "-2.5"),
        (Decimal("1.10"), "1.10"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (date(2023, 1, 2), "2023-01-02"),
        (datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC), "2023-01-02T03:04:05Z"),
    ],
)
def test_quote(value: str | int | float | bool | Decimal | UUID | date | None, literal: str) -> None:
    assert quote(value) == literal


def test_guids_and_dates_held_in_texts_are_bare_when_their_kind_is_known() -> None:
    assert quote(GUID, "guid") == GUID
    assert quote("2023-01-02T03:04:05Z", "datetime") == "2023-01-02T03:04:05Z"


def test_is_guid() -> None:
    assert is_guid(GUID)
    assert is_guid(GUID.upper())
    assert not is_guid(f"{{{GUID}}}")
    assert not is_guid(GUID[1:])


def test_instants_are_utc() -> None:
    moment = parse_instant("2023-04-07T23:59:01.5+02:00")
    assert format_instant(moment) == "2023-04-07T21:59:01Z"
    assert format_instant(moment, milliseconds=True) == "2023-04-07T21:59:01.500Z"
    assert parse_instant("2023-04-07T21:59:01").tzinfo is UTC


def test_comparable_instants_sort_like_time() -> None:
    ordered = [
        "0001-01-01T00:00:00Z",
        "2023-04-07",
        "2023-04-07T00:00:00.003Z",
        "2023-04-07T00:00:01Z",
        "2023-04-07T02:00:01.5+02:00",
        "2023-04-07T00:01Z",
        "2023-04-08",
    ]
    keys = [comparable_instant(text) for text in ordered]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert comparable_instant("2023-04-07T00:00:00.000Z") == comparable_instant("2023-04-07")

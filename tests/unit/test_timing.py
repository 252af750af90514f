"""How often something runs: minutes and cron expressions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from koppel.mapping.timing import Timing, is_timing, next_after, timing_of

NOW = datetime(2026, 11, 25, 10, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timing", "due"),
    [
        (30, datetime(2026, 11, 25, 10, 37, tzinfo=UTC)),
        (1440, datetime(2026, 11, 26, 10, 7, tzinfo=UTC)),
        ("*/15 * * * *", datetime(2026, 11, 25, 10, 15, tzinfo=UTC)),
        ("0 6 * * mon", datetime(2026, 11, 30, 6, 0, tzinfo=UTC)),
    ],
)
def test_when_it_is_due_next(timing: Timing, due: datetime) -> None:
    assert is_timing(timing)
    assert next_after(timing, NOW) == due


@pytest.mark.parametrize("timing", [0, -5, "", "soon", "* * * *", "61 * * * *", "* * * * * *", "@daily"])
def test_what_is_no_timing(timing: Timing) -> None:
    assert not is_timing(timing)


def test_what_people_write() -> None:
    assert timing_of(" 30 ") == 30
    assert timing_of("0 6 * * mon-fri ") == "0 6 * * mon-fri"

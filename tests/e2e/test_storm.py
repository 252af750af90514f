"""A small storm of notifications: few runs, and every edit arrives."""

from __future__ import annotations

import pytest
from command_line import SECRET

from soak import WEBHOOK_SECRET
from storm import serving, storm

SECONDS, RATE = 2, 300
MOST_RUNS = 8


def test_many_notifications_lead_to_few_runs_and_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SECRET, WEBHOOK_SECRET):
        monkeypatch.setenv(name, "for the storm to set")
    with serving(customers=200) as soak:
        told = storm(soak, SECONDS, RATE)
    assert told.wrong == []
    assert told.refused == 0
    assert told.notifications >= SECONDS * RATE
    assert told.edits > 0
    assert 0 < sum(told.runs.values()) <= MOST_RUNS

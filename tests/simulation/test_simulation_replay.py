"""A seed replays: what happens depends on nothing else."""

from __future__ import annotations

from .twice import differences


def test_a_seed_tells_the_same_story_each_time(postgres: str) -> None:
    assert differences(postgres, range(6)) == {}

"""The first seeds of the simulation, as part of every test run."""

from __future__ import annotations

import pytest

from koppel.store.database import Database

from .play import play

SEEDS, BATCH = 100, 20


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_everything_that_happened_ends_well(simulated: Database, first: int) -> None:
    for seed in range(first, first + BATCH):
        play(simulated, seed)

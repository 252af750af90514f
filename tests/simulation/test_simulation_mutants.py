"""Tests of the simulation: an engine that breaks a promise does not get through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from koppel.engine import pair
from koppel.engine.action import Action
from koppel.engine.merge import Verdict, verdict
from koppel.odata.records import Side
from koppel.store import couplings
from koppel.store.couplings import Coupling
from koppel.store.database import Connection, Database
from koppel.sync import carry, passes, run, write
from koppel.sync.prepare import Ready
from koppel.sync.read import Changes, read_changes, save_cursor
from koppel.sync.scope import Incoming
from koppel.sync.session import Session

from . import trouble
from .checks import BrokenError
from .play import play

SEEDS = 60


def is_caught(database: Database, *likely: int) -> bool:
    """Whether an invariant fails within the first seeds; ``likely`` ones come first, to save time."""
    for seed in (*likely, *range(SEEDS)):
        try:
            play(database, seed)
        except BrokenError:
            return True
    return False


def test_a_merge_that_goes_the_wrong_way(simulated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any, **told: Any) -> Verdict:
        found = verdict(*args, **told)
        return Verdict.TO_DATAVERSE if found is Verdict.TO_BUSINESS_CENTRAL else found

    monkeypatch.setattr(pair, "verdict", wrong)
    assert is_caught(simulated, 2)


def test_a_merge_that_asks_nobody(simulated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any, **told: Any) -> Verdict:
        found = verdict(*args, **told)
        return Verdict.TO_BUSINESS_CENTRAL if found is Verdict.CONFLICT else found

    monkeypatch.setattr(pair, "verdict", wrong)
    assert is_caught(simulated, 1)


def test_updates_whatever_the_version(simulated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def any_version(action: Action, side: Side) -> str:
        return "*"

    monkeypatch.setattr(write, "_version", any_version)
    assert is_caught(simulated, 23)


def test_couplings_that_are_not_recorded(simulated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    right = couplings.save

    async def forgetful(connection: Connection, mapping: str, found: Sequence[Coupling], *, new: bool = False) -> None:
        await right(connection, mapping, found[1:], new=new)

    monkeypatch.setattr(couplings, "save", forgetful)
    assert is_caught(simulated, 1)


def test_cursors_that_move_before_the_work_is_done(simulated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(session: Session, ready: Ready, changes: Changes) -> AsyncIterator[Incoming]:
        pages = [page async for page in read_changes(session, ready, changes)]
        await save_cursor(session, ready, changes)
        for page in pages:
            yield page

    monkeypatch.setattr(passes, "read_changes", hasty)
    monkeypatch.setattr(trouble, "TROUBLES", (trouble._death,))
    assert is_caught(simulated, 58)


def test_creations_that_are_not_written_down(simulated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*args: Any) -> list[Action]:
        return []

    for module in (run, passes):
        monkeypatch.setattr(module, "recover", nothing)
    monkeypatch.setattr(carry, "intend", nothing)
    assert is_caught(simulated, 3)

"""A test of the tests: whichever cell of the verdict table is wrong, a law of the merge is broken."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from test_merge_laws import LAWS

from koppel.engine import pair
from koppel.engine.merge import Verdict, first_verdict, verdict
from merge_cases import SIDES, Case, cases

CORPUS = 1500
CHANGED = ((False, False), (True, False), (False, True), (True, True))
EQUAL_ANYWAY = (Verdict.TO_DATAVERSE, Verdict.TO_BUSINESS_CENTRAL)
"""Where both sides hold the same, writing either of them writes nothing."""


class Cell(NamedTuple):
    """A cell of the verdict table: which arguments lead to it."""

    direction: str
    changed: tuple[bool, bool]
    alike: bool
    more: tuple[tuple[str, Any], ...] = ()

    def holds(self, direction: str, arguments: dict[str, Any]) -> bool:
        changed = arguments["business_central_changed"], arguments["dataverse_changed"]
        here = (direction, changed, arguments["alike"]) == self[:3]
        return here and all(arguments[name] == value for name, value in self.more)


def _cells() -> Iterator[Cell]:
    for direction, changed, alike in product(("both", "to_dataverse", "from_dataverse"), CHANGED, (True, False)):
        if not any(changed) and alike:
            continue  # nobody looks whether they are alike when nobody changed anything
        if direction == "both" and all(changed) and not alike:
            yield from (Cell(direction, changed, alike, (("policy", found),)) for found in ("ask", *SIDES))
            yield from (
                Cell(direction, changed, alike, (("policy", "newest"), ("newer", side))) for side in (None, *SIDES)
            )
        elif direction == "both" or alike or not any(changed):
            yield Cell(direction, changed, alike)
        else:
            yield from (Cell(direction, changed, alike, (("drift", found),)) for found in ("keep", "overwrite"))


@pytest.fixture(scope="module")
def corpus() -> list[Case]:
    found: list[Case] = []

    @settings(
        max_examples=CORPUS,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: Case) -> None:
        if case.action.refusal is None:
            found.append(case)

    collect()
    return found


def is_caught(corpus: list[Case], hits: list[object]) -> bool:
    """Whether a law fails for a case that comes to the broken cell (``hits`` grows)."""
    for case in corpus:
        hits.clear()
        fresh = msgspec.structs.replace(case)
        if fresh.action.refusal is not None or not hits:
            continue
        try:
            for law in LAWS:
                law(fresh)
        except AssertionError:
            return True
    return False


def test_the_corpus_keeps_every_law(corpus: list[Case]) -> None:
    assert len(corpus) > CORPUS / 2
    assert not is_caught(corpus, _AlwaysHit())


class _AlwaysHit(list[object]):
    def __bool__(self) -> bool:
        return True


@pytest.mark.parametrize("cell", list(_cells()), ids=str)
def test_a_wrong_cell_is_caught(cell: Cell, corpus: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    hits: list[object] = []
    for wrong in Verdict:

        def broken(direction: Any, wrong: Verdict = wrong, **arguments: Any) -> Verdict:
            right = verdict(direction, **arguments)
            if wrong is right or not cell.holds(direction, arguments) or (cell.alike and wrong in EQUAL_ANYWAY):
                return right
            hits.append(cell)
            return wrong

        monkeypatch.setattr(pair, "verdict", broken)
        right = _right(cell)
        if wrong is not right and not (cell.alike and wrong in EQUAL_ANYWAY):
            assert is_caught(corpus, hits), f"{wrong} for {right} in {cell}"


def _right(cell: Cell) -> Verdict:
    arguments: dict[str, Any] = {"policy": "ask", "newer": None, "drift": "keep", **dict(cell.more)}
    ours, theirs = cell.changed
    direction: Any = cell.direction
    return verdict(direction, business_central_changed=ours, dataverse_changed=theirs, alike=cell.alike, **arguments)


@pytest.mark.parametrize("direction", ["both", "to_dataverse", "from_dataverse"])
@pytest.mark.parametrize("initial", SIDES)
@pytest.mark.parametrize("alike", [True, False])
def test_a_wrong_first_verdict_is_caught(
    direction: Any, initial: Any, alike: bool, corpus: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = first_verdict(direction, alike=alike, initial=initial)
    hits: list[object] = []
    for wrong in Verdict:
        if wrong is right or (alike and wrong in EQUAL_ANYWAY):
            continue

        def broken(found: Any, wrong: Verdict = wrong, **arguments: Any) -> Verdict:
            if (found, arguments["alike"], arguments["initial"]) != (direction, alike, initial):
                return first_verdict(found, **arguments)
            hits.append(found)
            return wrong

        monkeypatch.setattr(pair, "first_verdict", broken)
        assert is_caught(corpus, hits), f"{wrong} for {right}"

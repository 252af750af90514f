"""The verdict table of the merge, every cell."""

from __future__ import annotations

from itertools import product

import pytest

from koppel.engine.merge import Verdict, first_verdict, to_side, verdict
from koppel.mapping.model import Direction, Drift, Policy
from koppel.odata.records import Side

DIRECTIONS: tuple[Direction, ...] = ("both", "to_dataverse", "from_dataverse")
POLICIES: tuple[Policy, ...] = ("ask", "business_central", "dataverse", "newest")
NEWER: tuple[Side | None, ...] = (None, "business_central", "dataverse")
DRIFTS: tuple[Drift, ...] = ("keep", "overwrite")

NOTHING, AGREE, DRIFT, CONFLICT = Verdict.NOTHING, Verdict.AGREE, Verdict.DRIFT, Verdict.CONFLICT
TO_DATAVERSE, TO_BUSINESS_CENTRAL = Verdict.TO_DATAVERSE, Verdict.TO_BUSINESS_CENTRAL

# (direction, drift): nobody changed, only Business Central, only Dataverse, both; where the values now differ.
# None: decided by the policy.
DIFFERENT: dict[tuple[Direction, Drift], tuple[Verdict, Verdict, Verdict, Verdict | None]] = {
    ("both", "keep"): (NOTHING, TO_DATAVERSE, TO_BUSINESS_CENTRAL, None),
    ("both", "overwrite"): (NOTHING, TO_DATAVERSE, TO_BUSINESS_CENTRAL, None),
    ("to_dataverse", "keep"): (NOTHING, TO_DATAVERSE, DRIFT, TO_DATAVERSE),
    ("to_dataverse", "overwrite"): (NOTHING, TO_DATAVERSE, TO_DATAVERSE, TO_DATAVERSE),
    ("from_dataverse", "keep"): (NOTHING, DRIFT, TO_BUSINESS_CENTRAL, TO_BUSINESS_CENTRAL),
    ("from_dataverse", "overwrite"): (NOTHING, TO_BUSINESS_CENTRAL, TO_BUSINESS_CENTRAL, TO_BUSINESS_CENTRAL),
}
ALIKE = (NOTHING, AGREE, AGREE, AGREE)
CONTESTED: dict[tuple[Policy, Side | None], Verdict] = {
    ("ask", None): CONFLICT,
    ("ask", "business_central"): CONFLICT,
    ("ask", "dataverse"): CONFLICT,
    ("business_central", None): TO_DATAVERSE,
    ("business_central", "business_central"): TO_DATAVERSE,
    ("business_central", "dataverse"): TO_DATAVERSE,
    ("dataverse", None): TO_BUSINESS_CENTRAL,
    ("dataverse", "business_central"): TO_BUSINESS_CENTRAL,
    ("dataverse", "dataverse"): TO_BUSINESS_CENTRAL,
    ("newest", None): CONFLICT,
    ("newest", "business_central"): TO_DATAVERSE,
    ("newest", "dataverse"): TO_BUSINESS_CENTRAL,
}
CHANGED = ((False, False), (True, False), (False, True), (True, True))


@pytest.mark.parametrize(("direction", "drift"), DIFFERENT)
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("column", range(4), ids=["none", "business_central", "dataverse", "both"])
def test_every_cell(direction: Direction, drift: Drift, alike: bool, column: int) -> None:
    ours, theirs = CHANGED[column]
    expected = ALIKE[column] if alike else DIFFERENT[direction, drift][column]
    for policy, newer in product(POLICIES, NEWER):
        found = verdict(
            direction,
            business_central_changed=ours,
            dataverse_changed=theirs,
            alike=alike,
            policy=policy,
            newer=newer,
            drift=drift,
        )
        assert found is (expected or CONTESTED[policy, newer]), (policy, newer)


def test_without_a_word_conflicts_are_asked_and_drift_is_kept() -> None:
    assert verdict("both", business_central_changed=True, dataverse_changed=True, alike=False) is CONFLICT
    assert verdict("to_dataverse", business_central_changed=False, dataverse_changed=True, alike=False) is DRIFT


def test_the_table_has_a_row_for_everything() -> None:
    assert set(DIFFERENT) == set(product(DIRECTIONS, DRIFTS))
    assert set(CONTESTED) == set(product(POLICIES, NEWER))


@pytest.mark.parametrize(
    ("direction", "initial", "expected"),
    [
        ("both", "business_central", TO_DATAVERSE),
        ("both", "dataverse", TO_BUSINESS_CENTRAL),
        ("to_dataverse", "business_central", TO_DATAVERSE),
        ("to_dataverse", "dataverse", TO_DATAVERSE),
        ("from_dataverse", "business_central", TO_BUSINESS_CENTRAL),
        ("from_dataverse", "dataverse", TO_BUSINESS_CENTRAL),
    ],
)
def test_the_first_synchronisation_writes_away_from_the_side_that_wins(
    direction: Direction, initial: Side, expected: Verdict
) -> None:
    assert first_verdict(direction, alike=False, initial=initial) is expected
    assert first_verdict(direction, alike=True, initial=initial) is AGREE


def test_the_verdict_that_writes_to_a_side() -> None:
    assert to_side("business_central") is TO_BUSINESS_CENTRAL
    assert to_side("dataverse") is TO_DATAVERSE

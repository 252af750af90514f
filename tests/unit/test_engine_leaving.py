"""Coupled records outside the mapping's filter: what becomes of the pair, and what is said of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from engine_samples import field, record, table
from koppel.engine.action import Action, Bases
from koppel.engine.leaving import Outside, plan_outside
from koppel.mapping.model import Direction, LeftFilter, TableMapping
from koppel.odata.records import SPOKEN, Scalar, Side

SIDES: tuple[Side, Side] = ("business_central", "dataverse")
RECORDS = record("n"), record("n", id="d-1")
BASE: Bases = ("n",), ("n",)
BLOCKED: dict[Side, dict[str, Scalar]] = {
    "business_central": {"blocked": "All"},
    "dataverse": {"statecode": 1, "statuscode": 2},
}
ACTIVE: dict[Side, dict[str, Scalar]] = {
    "business_central": {"blocked": "_x0020_"},
    "dataverse": {"statecode": 0, "statuscode": 2},
}


def mapping(left_filter: LeftFilter, direction: Direction = "both", *, without: Side | None = None) -> TableMapping:
    found = table(field("name"), left_filter=left_filter, direction=direction).mapping
    ends = {
        side: msgspec.structs.replace(found.endpoint(side), deactivate={} if side == without else BLOCKED[side])
        for side in SIDES
    }
    return msgspec.structs.replace(found, **ends)


def plan(
    found: TableMapping,
    *outside: Side,
    changed: Collection[Side] = (),
    now: dict[Side, dict[str, Scalar]] = ACTIVE,
    tell: bool = False,
    new: bool = False,
) -> Action:
    pair = Outside(RECORDS, outside, changed, now, BASE, new)
    return plan_outside(found, pair, name="C1", tell=tell)


def writes(action: Action) -> dict[str, dict[str, Scalar]]:
    return {side: action.writes(side) for side in SIDES if action.writes(side)}


@pytest.mark.parametrize(
    ("outside", "where"),
    [(SIDES[:1], "Business Central"), (SIDES[1:], "Dataverse"), (SIDES, "Business Central and Dataverse")],
)
class TestWhere:
    def test_a_kept_pair_is_left_as_it_is(self, outside: tuple[Side, ...], where: str) -> None:
        action = plan(mapping("keep"), *outside, changed=SIDES)
        assert (action.kind, action.reason, writes(action)) == ("nothing", f"outside the filter of {where}", {})
        assert action.warnings == (f"outside the filter of {where}; stays coupled and as it is",)
        assert (action.mapping, action.name) == ("CUSTOMER", "C1")
        assert (action.business_central_id, action.dataverse_id) == ("b-1", "d-1")
        assert action.base is None, "no field is merged, so nothing is agreed"

    def test_uncoupling_writes_nothing_either(self, outside: tuple[Side, ...], where: str) -> None:
        action = plan(mapping("uncouple"), *outside)
        assert (action.kind, action.reason, writes(action)) == ("uncouple", f"left the filter of {where}", {})
        assert action.side == (outside[0] if len(outside) == 1 else None)
        assert action.records == RECORDS
        assert action.warnings == ()

    @pytest.mark.parametrize("left_filter", ["keep", "uncouple", "deactivate"])
    def test_what_is_not_coupled_yet_is_not_coupled_now(
        self, outside: tuple[Side, ...], where: str, left_filter: LeftFilter
    ) -> None:
        action = plan(mapping(left_filter), *outside, new=True)
        assert (action.kind, writes(action)) == ("hold", {})
        assert action.refusal is not None
        assert action.refusal.code == "outside-filter"
        assert (
            action.refusal.message == f"the record that it belongs to is there already, outside the filter of {where}"
        )
        assert action.refusal.remedy == "bring that one back inside the filter, or delete it"


def test_what_the_filter_asks_for_is_the_callers_business() -> None:
    action = plan(mapping("carry"), "business_central", changed=SIDES)
    assert (action.kind, writes(action)) == ("nothing", {})
    where = "outside the filter of Business Central"
    assert action.warnings == (f"{where}; stays coupled, and only what the filter asks for is carried over",)


def test_what_waits_for_its_return_is_not_told() -> None:
    action = plan(mapping("wait"), "business_central", changed=SIDES)
    assert (action.kind, writes(action), action.warnings) == ("nothing", {}, ())


@pytest.mark.parametrize("left_filter", ["keep", "carry", "deactivate"])
class TestTold:
    """Once when it left and with every edit there, not at every look; a person who asks is always told."""

    def told(self, left_filter: LeftFilter, **more: Any) -> bool:
        return bool(plan(mapping(left_filter), "dataverse", now=BLOCKED, **more).warnings)

    def test_a_record_that_was_outside_before_is_not_told_again(self, left_filter: LeftFilter) -> None:
        assert not self.told(left_filter)
        assert not self.told(left_filter, changed=["business_central"])

    def test_one_that_changed_is(self, left_filter: LeftFilter) -> None:
        assert self.told(left_filter, changed=["dataverse"])

    def test_whoever_asks_is(self, left_filter: LeftFilter) -> None:
        assert self.told(left_filter, tell=True)


@pytest.mark.parametrize(("left", "stays"), [SIDES, SIDES[::-1]])
class TestDeactivate:
    def test_the_partner_gets_what_it_lacks_of_the_mappings_values(self, left: Side, stays: Side) -> None:
        action = plan(mapping("deactivate"), left, changed=[left])
        lacks = {column: value for column, value in BLOCKED[stays].items() if column != "statuscode"}
        why = f"left the filter of {SPOKEN[left]}"
        assert (action.kind, action.reason, writes(action)) == ("update", why, {stays: lacks})
        assert [(c.field, c.side, c.old, c.new, c.why) for c in action.changes] == [
            (column, stays, ACTIVE[stays][column], value, why) for column, value in lacks.items()
        ]
        assert action.warnings == (f"outside the filter of {SPOKEN[left]}; deactivated in {SPOKEN[stays]}",)

    def test_the_base_stays_so_that_edits_on_either_side_are_seen_when_it_comes_back(
        self, left: Side, stays: Side
    ) -> None:
        action = plan(mapping("deactivate"), left, changed=[left])
        assert action.base == action.base_before == BASE
        assert action.records == RECORDS

    def test_a_column_that_is_not_known_yet_is_written(self, left: Side, stays: Side) -> None:
        action = plan(mapping("deactivate"), left, changed=[left], now={stays: {}, left: {}})
        assert writes(action) == {stays: BLOCKED[stays]}
        assert {change.old for change in action.changes} == {None}

    def test_it_is_not_done_twice(self, left: Side, stays: Side) -> None:
        action = plan(mapping("deactivate"), left, now=BLOCKED, changed=[left])
        assert (action.kind, writes(action)) == ("nothing", {})
        assert action.warnings == (
            f"outside the filter of {SPOKEN[left]}; the partner in {SPOKEN[stays]} is deactivated",
        )

    def test_somebody_who_activates_the_partner_is_not_overruled(self, left: Side, stays: Side) -> None:
        action = plan(mapping("deactivate"), left, changed=[stays])
        assert (action.kind, writes(action)) == ("nothing", {})
        assert action.warnings == (
            f"outside the filter of {SPOKEN[left]}; "
            f"bring it back by hand: the partner in {SPOKEN[stays]} is active again",
        )

    def test_unless_the_record_outside_changed_as_well(self, left: Side, stays: Side) -> None:
        assert writes(plan(mapping("deactivate"), left, changed=SIDES)).keys() == {stays}

    def test_a_side_that_says_nothing_of_deactivation_is_kept(self, left: Side, stays: Side) -> None:
        action = plan(mapping("deactivate", without=stays), left, changed=[left])
        assert (action.kind, writes(action)) == ("nothing", {})
        assert action.warnings == (f"outside the filter of {SPOKEN[left]}; stays coupled and as it is",)
        assert plan(mapping("deactivate", without=stays), left).warnings == ()

    def test_so_is_one_that_the_direction_does_not_write_to(self, left: Side, stays: Side) -> None:
        away: Direction = "to_dataverse" if left == "dataverse" else "from_dataverse"
        action = plan(mapping("deactivate", away), left, changed=[left])
        assert (action.kind, writes(action)) == ("nothing", {})
        assert action.warnings == (f"outside the filter of {SPOKEN[left]}; stays coupled and as it is",)


def test_a_pair_that_is_outside_on_both_sides_has_no_partner_to_deactivate() -> None:
    action = plan(mapping("deactivate"), *SIDES, changed=SIDES)
    assert (action.kind, writes(action)) == ("nothing", {})
    assert action.warnings == ("outside the filter of Business Central and Dataverse; stays coupled and as it is",)

"""Units of measure as unit groups of one unit."""

from __future__ import annotations

import pytest

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import RULES
from koppel.odata.records import Scalar
from koppel.rules import unit
from rule_batches import Tables, batch_of, fetched

ACTIVE, INACTIVE = 0, 1


def dataverse(*groups: tuple[str, int, list[str]]) -> Tables:
    """Unit groups: name, state, names of their units."""
    return {
        "uomschedule": [{"uomscheduleid": f"id {name}", "name": name, "statecode": state} for name, state, _ in groups],
        "uom": [
            {"uomid": f"id {name} {unit}", "name": unit, "uomscheduleid": f"id {name}"}
            for name, _, units in groups
            for unit in units
        ],
    }


def refusals(codes: list[Scalar], there: Tables, **parameters: Scalar) -> list[Refusal | None]:
    batch = batch_of({"code": codes}, **parameters)
    return unit.one_active_unit(fetched(RULES["unit.one_active_unit"], batch, there))


def renames(codes: list[Scalar], there: Tables, **parameters: Scalar) -> list[FollowUp]:
    batch = batch_of({"code": codes}, **parameters)
    return unit.rename_unit(fetched(RULES["unit.rename_unit"], batch, there))


@pytest.mark.rule("UOM-02")
def test_the_groups_name_is_a_prefix_and_the_code() -> None:
    assert unit.group_name(batch_of({"code": ["BOX", "PCS"]})) == ["NAV BOX", "NAV PCS"]
    assert unit.group_name(batch_of({"code": ["BOX"]}, prefix="BC")) == ["BC BOX"]


@pytest.mark.rule("UOM-03")
def test_a_new_group_and_an_active_one_with_one_unit_are_fine() -> None:
    there = dataverse(("NAV BOX", ACTIVE, ["BOX"]), ("NAV SET", ACTIVE, []), ("BOX", INACTIVE, ["a", "b"]))
    assert refusals(["BOX", "SET", "PCS"], there) == [None, None, None]


@pytest.mark.rule("UOM-04")
def test_an_inactive_group_fails() -> None:
    fine, found = refusals(["PCS", "BOX"], dataverse(("NAV BOX", INACTIVE, ["BOX"])))
    assert fine is None
    assert found is not None
    assert (found.code, found.skip) == ("UOM-04", False)
    assert found.message == "unit group NAV BOX exists but is inactive"


@pytest.mark.rule("UOM-05")
def test_a_group_of_several_units_fails() -> None:
    [found] = refusals(["BOX"], dataverse(("NAV BOX", ACTIVE, ["BOX", "HALF"])))
    assert found is not None
    assert found.code == "UOM-05"
    assert found.message == "unit group NAV BOX contains more than one unit and cannot be used"


def test_the_prefix_counts_for_checks_too() -> None:
    [found] = refusals(["BOX"], dataverse(("BC BOX", INACTIVE, ["BOX"])), prefix="BC")
    assert found is not None


@pytest.mark.rule("UOM-06")
class TestUnitNames:
    def test_a_unit_of_another_name_is_renamed(self) -> None:
        [up] = renames(["BOX", "PCS"], dataverse(("NAV BOX", ACTIVE, ["Box of ten"]), ("NAV PCS", ACTIVE, ["PCS"])))
        assert (up.side, up.table, up.id, up.values) == ("dataverse", "uom", "id NAV BOX Box of ten", {"name": "BOX"})
        assert up.name == "Box of ten"

    def test_a_group_without_a_unit_has_nothing_to_rename(self) -> None:
        assert renames(["BOX"], dataverse(("NAV BOX", ACTIVE, []))) == []

    def test_nor_has_a_code_without_a_group(self) -> None:
        assert renames(["BOX"], dataverse()) == []

    def test_case_counts_in_names(self) -> None:
        assert len(renames(["BOX"], dataverse(("NAV BOX", ACTIVE, ["Box"])))) == 1

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


def uom(name: str, group: str = "id NAV BOX", **values: Scalar) -> dict[str, Scalar]:
    row: dict[str, Scalar] = {
        "uomid": f"id {name}",
        "name": name,
        "uomscheduleid": group,
        "quantity": 1,
        "isschedulebaseuom": True,
    }
    return {**row, **values}


def used(code: str, *units: dict[str, Scalar], coupled: bool = True, state: int | None = ACTIVE) -> Scalar | Refusal:
    """What the base unit of an item stands for."""
    group: dict[str, Scalar] = {"uomscheduleid": "id NAV BOX", "name": "NAV BOX", "statecode": state}
    there: Tables = {
        "UNIT OF MEASURE": [{"key": "BOX", "dataverse_id": "id NAV BOX"}] if coupled else [],
        "uomschedule": [] if state is None else [group],
        "uom": units,
    }
    [found] = unit.base_unit(fetched(RULES["unit.base_unit"], batch_of({"baseUnitOfMeasureCode": [code]}), there))
    return found


@pytest.mark.rule("UOM-07")
class TestUse:
    def test_a_code_stands_for_the_only_unit_of_its_group(self) -> None:
        assert used("BOX", uom("BOX")) == "id BOX"

    def test_a_blank_stays_blank(self) -> None:
        assert used("", uom("BOX")) is None

    def test_what_is_not_coupled_is_waited_for(self) -> None:
        found = used("BOX", coupled=False)
        assert isinstance(found, Refusal)
        assert (found.kind, found.via, found.value) == ("dependency", "UNIT OF MEASURE", "BOX")
        assert found.message == "unit of measure BOX is not coupled in UNIT OF MEASURE"

    @pytest.mark.parametrize(
        ("units", "state", "message"),
        [
            ([], None, "the unit group of BOX does not exist in Dataverse any more"),
            ([uom("BOX")], INACTIVE, "unit group NAV BOX is inactive"),
            ([], ACTIVE, "unit group NAV BOX contains no unit"),
            ([uom("BOX"), uom("HALF")], ACTIVE, "unit group NAV BOX contains 2 units"),
            ([uom("carton")], ACTIVE, "the unit of unit group NAV BOX is called carton, not BOX"),
            ([uom("BOX", isschedulebaseuom=False)], ACTIVE, "the unit of unit group NAV BOX is not its base unit"),
            ([uom("BOX", quantity=12)], ACTIVE, "the unit of unit group NAV BOX has the quantity 12, not 1"),
        ],
    )
    def test_each_flaw_has_a_message_of_its_own(
        self, units: list[dict[str, Scalar]], state: int | None, message: str
    ) -> None:
        found = used("BOX", *units, state=state)
        assert isinstance(found, Refusal)
        assert (found.code, found.message, found.field) == ("UOM-07", message, "baseUnitOfMeasureCode")


@pytest.mark.rule("PROD-15")
def test_what_is_made_of_a_product_gets_the_code_of_its_unit_group() -> None:
    batch = batch_of({"defaultuomscheduleid": ["g-1", "g-2", None]})
    there: Tables = {"UNIT OF MEASURE": [{"key": "BOX", "dataverse_id": "g-1"}]}
    assert unit.of_product(fetched(RULES["unit.of_product"], batch, there)) == [
        {"baseUnitOfMeasureCode": "BOX"},
        {},
        {},
    ]

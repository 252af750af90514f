"""Units of measure or unit groups: one of the two setups is on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from switches import UNIT_GROUPS, switch


def mistakes(folder: Path) -> list[str]:
    """The lines of the error, without the folder, and without the lines of standard files, which move."""
    with pytest.raises(MappingError) as caught:
        load_mappings([folder])
    said = str(caught.value).replace(f"{folder}/", "")
    return re.sub(r"(standard/[a-z-]+\.yaml):\d+", r"\1", said).split("\n")


@pytest.mark.rule("UOM-08")
def test_unit_groups_take_the_place_of_units_of_measure(tmp_path: Path) -> None:
    mappings = load_mappings([switch(tmp_path, **UNIT_GROUPS)])
    names = ("UNIT OF MEASURE", "UNIT GROUP", "ITEM UOM", "RESOURCE UOM")
    assert [mappings[name].enabled for name in names] == [False, True, True, True]


@pytest.mark.rule("UOM-08")
def test_a_mapping_that_is_switched_on_switches_off_the_one_in_its_place() -> None:
    groups = ("UNIT GROUP", "ITEM UOM", "RESOURCE UOM")
    mappings = load_mappings(enabled=dict.fromkeys(groups, True))
    assert [mappings[name].enabled for name in ("UNIT OF MEASURE", *groups)] == [False, True, True, True]
    assert "product_unit.of_item" in [field.compute for field in mappings["ITEM-PRODUCT"].fields]
    with pytest.raises(MappingError, match="`UNIT OF MEASURE` is on, too, and only one of the two can be"):
        load_mappings(enabled={**dict.fromkeys(groups, True), "UNIT OF MEASURE": True})


@pytest.mark.rule("UOM-08")
def test_both_setups_at_once_are_a_mistake(tmp_path: Path) -> None:
    assert mistakes(switch(tmp_path, on=("unit-group",))) == [
        "unit-group.yaml:5: `UNIT OF MEASURE` is on, too, and only one of the two can be",
        "  Write `enabled: {UNIT OF MEASURE: false}` in koppel.yaml, or `enabled: false` here.",
    ]


@pytest.mark.rule("UOM-08")
def test_no_setup_is_a_mistake_where_anything_needs_one(tmp_path: Path) -> None:
    found = mistakes(switch(tmp_path, off=("unit-of-measure",)))
    assert [line for line in found if "neither" in line] == [
        "standard/item-product.yaml: neither `UNIT OF MEASURE` nor `ITEM UOM` is on",
        "standard/resource-product.yaml: neither `UNIT OF MEASURE` nor `RESOURCE UOM` is on",
    ]
    assert "  Write `enabled: {UNIT OF MEASURE: true}` in koppel.yaml, or switch `ITEM-PRODUCT` off, too." in found
    load_mappings([switch(tmp_path, off=("unit-of-measure", "item-product", "resource-product"))])


@pytest.mark.rule("UOM-09")
def test_the_mappings_of_unit_groups_are_on_together(tmp_path: Path) -> None:
    found = mistakes(switch(tmp_path, on=("unit-group", "item-unit"), off=("unit-of-measure",)))
    assert found[0] == "standard/resource-product.yaml: neither `UNIT OF MEASURE` nor `RESOURCE UOM` is on"

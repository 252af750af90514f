"""Units of measure or unit groups: one of the two setups is on."""

from __future__ import annotations

import re

import pytest

from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from switches import UNIT_GROUPS


def mistakes(**enabled: bool) -> list[str]:
    """The lines of the error, without the lines of standard files, which move."""
    with pytest.raises(MappingError) as caught:
        load_mappings(enabled={name.replace("_", " "): on for name, on in enabled.items()})
    return re.sub(r"(standard/[a-z-]+\.yaml):\d+", r"\1", str(caught.value)).split("\n")


@pytest.mark.rule("UOM-08")
def test_unit_groups_take_the_place_of_units_of_measure() -> None:
    mappings = load_mappings(enabled=UNIT_GROUPS)
    assert [mappings[name].enabled for name in ("UNIT OF MEASURE", *UNIT_GROUPS)] == [False, True, True, True]
    assert "product_unit.of_item" in [field.compute for field in mappings["ITEM-PRODUCT"].fields]


@pytest.mark.rule("UOM-08")
def test_both_setups_at_once_are_a_mistake() -> None:
    assert mistakes(UNIT_GROUP=True, UNIT_OF_MEASURE=True) == [
        "standard/unit-group.yaml: `UNIT OF MEASURE` is on, too, and only one of the two can be",
        "  Write `enabled: {UNIT OF MEASURE: false}` in koppel.yaml, or `enabled: false` here.",
    ]


@pytest.mark.rule("UOM-08")
def test_no_setup_is_a_mistake_where_anything_needs_one() -> None:
    found = mistakes(UNIT_OF_MEASURE=False)
    assert [line for line in found if "neither" in line] == [
        "standard/item-product.yaml: neither `UNIT OF MEASURE` nor `ITEM UOM` is on",
        "standard/resource-product.yaml: neither `UNIT OF MEASURE` nor `RESOURCE UOM` is on",
    ]
    assert "  Write `enabled: {UNIT OF MEASURE: true}` in koppel.yaml, or switch `ITEM-PRODUCT` off, too." in found
    load_mappings(enabled=dict.fromkeys(("UNIT OF MEASURE", "ITEM-PRODUCT", "RESOURCE-PRODUCT"), False))


@pytest.mark.rule("UOM-09")
def test_the_mappings_of_unit_groups_are_on_together() -> None:
    found = mistakes(UNIT_GROUP=True, ITEM_UOM=True)
    assert found[0] == "standard/resource-product.yaml: neither `UNIT OF MEASURE` nor `RESOURCE UOM` is on"

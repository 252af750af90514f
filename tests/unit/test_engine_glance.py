"""A look at one side tells whether the pair has to be merged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine_samples import field, lookup, table
from koppel.engine.action import Bases
from koppel.engine.glance import glance
from koppel.engine.values import UNKNOWN
from koppel.odata.records import ZERO_GUID, Scalar, Side

OWNER = table(field("name"), lookup("owner", direction="to_dataverse", keep_blank=True, code=True))


@pytest.mark.parametrize("side", ["business_central", "dataverse"])
def test_values_of_the_base_need_no_merge_and_change_nothing(side: Side) -> None:
    base: Bases = (("A", "JR"), ("A", "user-jr"))
    now = ("A", "JR" if side == "business_central" else "user-jr", "a column that is no field")
    assert glance(OWNER, side)(base, now) is base


@pytest.mark.parametrize(
    ("side", "now"), [("dataverse", ("B", "user-jr")), ("dataverse", ("A", "user-ps")), ("business_central", ("A", ""))]
)
def test_another_value_does(side: Side, now: tuple[Scalar, ...]) -> None:
    assert glance(OWNER, side)((("A", "JR"), ("A", "user-jr")), now) is None


def test_what_the_system_fills_in_where_the_source_is_blank_belongs_to_the_base() -> None:
    assert glance(OWNER, "dataverse")((("A", " "), ("A", None)), ("A", "koppel")) == (("A", " "), ("A", "koppel"))


def test_and_so_it_does_in_business_central() -> None:
    limit = table(field("name"), field("limit", direction="from_dataverse", keep_blank=True))
    base: Bases = (("A", ""), ("A", None))
    assert glance(limit, "business_central")(base, ("A", "koppel")) == (("A", "koppel"), ("A", None))
    assert glance(limit, "dataverse")(base, ("A", "koppel")) is None
    assert glance(OWNER, "business_central")((("A", ""), ("A", None)), ("A", "JR")) is None


@pytest.mark.parametrize(
    ("side", "direction", "source", "filled"),
    [("dataverse", "to_dataverse", "_x0020_", "d"), ("business_central", "from_dataverse", ZERO_GUID, "b")],
)
def test_a_blank_is_what_its_own_side_means_by_it(side: Side, direction: str, source: str, filled: str) -> None:
    kinds = {"business_central": field("f", "enum").business_central, "dataverse": field("f", "guid").dataverse}
    looked_at = table(msgspec.structs.replace(field("f", direction=direction, keep_blank=True), **kinds))
    base: Bases = ((source,), (None,)) if side == "dataverse" else (("",), (source,))
    assert glance(looked_at, side)(base, (filled,)) is not None


def test_a_group_is_always_merged_as_a_whole() -> None:
    flow: dict[str, Any] = {"direction": "to_dataverse", "keep_blank": True, "group": "who"}
    found = table(field("name", **flow), field("note", **flow))
    assert glance(found, "dataverse")((("A", ""), ("A", None)), ("A", "new")) is None


def test_a_base_of_other_fields_is_no_base() -> None:
    with pytest.raises(ValueError, match=r"argument 2 is"):
        glance(OWNER, "dataverse")((("A",), ("A",)), ("B", "user-jr"))


def test_beside_another_change_it_does_not_count() -> None:
    assert glance(OWNER, "dataverse")((("A", ""), ("A", None)), ("B", "koppel")) is None


@pytest.mark.parametrize("source", ["JR", UNKNOWN])
def test_nor_does_it_where_the_source_has_a_value_or_none_that_is_known(source: Scalar) -> None:
    assert glance(OWNER, "dataverse")((("A", source), ("A", None)), ("A", "koppel")) is None


@pytest.mark.parametrize(
    "more", [{"direction": "both", "keep_blank": True}, {"direction": "to_dataverse"}, {"direction": "from_dataverse"}]
)
def test_other_fields_are_always_merged(more: dict[str, Any]) -> None:
    other = table(field("name"), field("note", **more))
    assert glance(other, "dataverse")((("A", ""), ("A", None)), ("A", "new")) is None

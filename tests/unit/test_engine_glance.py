"""A look at one side tells whether the pair has to be merged."""

from __future__ import annotations

from typing import Any

import pytest

from engine_samples import field, lookup, table
from koppel.engine.action import Bases
from koppel.engine.glance import glance
from koppel.engine.values import UNKNOWN
from koppel.odata.records import Scalar, Side

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

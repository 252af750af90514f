"""Field mappings made ready: what is copied, what a creation does with each field, and which fields merge as one."""

from __future__ import annotations

import sys

import msgspec
import pytest

from engine_samples import field, lookup, option, table
from koppel.engine.fields import Field, Step, in_groups
from koppel.engine.pair import Table
from koppel.engine.values import UNKNOWN
from koppel.mapping.model import Direction, Drift
from koppel.mapping.steps import LookUp
from koppel.odata.records import Scalar, Side

COUNTRY = LookUp(table="countriesRegions", where="code", take="displayName")


def upper(value: Scalar) -> Scalar:
    return str(value).upper()


def steps(made: Table, side: Side) -> dict[str, Step]:
    return {step.field.name: step for step in made.towards(side).steps}


class TestCopied:
    def test_the_same_value_on_both_sides(self) -> None:
        assert field("name").copied
        assert field("limit", "number").copied

    @pytest.mark.parametrize(
        "found",
        [
            lookup(),
            option(),
            field("kind", constant="Person", direction="to_dataverse"),
            msgspec.structs.replace(field("name"), to_dataverse=(upper,)),
            msgspec.structs.replace(field("name"), to_business_central=(upper,)),
        ],
        ids=["lookup", "option", "constant", "step there", "step back"],
    )
    def test_what_is_translated_is_not(self, found: Field) -> None:
        assert not found.copied


class TestSteps:
    ways = field("here", direction="to_dataverse"), field("there", direction="from_dataverse"), field("both")

    def test_a_creation_carries_what_may_go_there(self) -> None:
        made = table(*self.ways)
        assert steps(made, "dataverse").keys() == {"here", "both"}
        assert steps(made, "business_central").keys() == {"there", "both"}

    def test_each_knows_its_place_and_its_column_there(self) -> None:
        made = table(*self.ways)
        assert made.towards("dataverse").places == {"cr_here": 0, "cr_both": 2}
        assert made.towards("business_central").places == {"there": 1, "both": 2}
        assert {step.place: step.end.column for step in made.towards("dataverse").steps} == {0: "cr_here", 2: "cr_both"}

    @pytest.mark.parametrize(
        ("found", "as_it_is"),
        [
            (field("f"), True),
            (field("f", "code"), False),
            (field("f", "number"), False),
            (field("f", required=True), False),
            (msgspec.structs.replace(field("f"), to_dataverse=(upper,)), False),
            (lookup("f"), False),
            (option("f"), False),
        ],
        ids=["text", "code", "number", "required", "transformed", "lookup", "option"],
    )
    def test_only_plain_text_is_taken_over_as_it_is(self, found: Field, as_it_is: bool) -> None:
        assert steps(table(found), "dataverse")["f"].as_it_is is as_it_is

    def test_where_only_one_side_holds_text_it_is_not(self) -> None:
        mixed = field("f")
        code = msgspec.structs.replace(mixed, business_central=field("f", "code").business_central)
        assert not steps(table(code), "dataverse")["f"].as_it_is

    def test_each_side_has_its_own_room(self) -> None:
        made = table(field("cut", lengths=(10, 5)), field("name"))
        assert {name: step.room for name, step in steps(made, "dataverse").items()} == {"cut": 5, "name": sys.maxsize}
        assert steps(made, "business_central")["cut"].room == 10

    def test_a_constant_is_written_whatever_it_is(self) -> None:
        made = table(field("kind", constant="", direction="from_dataverse"), field("name"))
        assert {name: step.constant for name, step in steps(made, "business_central").items()} == {
            "kind": True,
            "name": False,
        }


class TestLeftEmpty:
    kinds = table(field("name"), field("limit", "number"), field("from", "date"), field("blocked", "boolean"))

    def test_business_central_fills_in_its_own_empty_values(self) -> None:
        assert self.kinds.towards("business_central").left_empty == ("", 0, "0001-01-01", False)

    def test_dataverse_leaves_nothing(self) -> None:
        assert self.kinds.towards("dataverse").left_empty == (None,) * 4

    def test_a_constant_of_the_record_it_is_made_from_is_merged_as_soon_as_that_is_read(self) -> None:
        made = table(field("kind", constant="Person", direction="to_dataverse"))
        assert made.towards("business_central").left_empty == (UNKNOWN,)

    @pytest.mark.parametrize(
        ("direction", "led"), [("to_dataverse", "business_central"), ("from_dataverse", "dataverse")]
    )
    @pytest.mark.parametrize(("drift", "unread"), [("overwrite", True), ("keep", False)])
    def test_what_the_new_side_leads_is_read_first_where_drift_is_overwritten(
        self, direction: Direction, led: Side, drift: Drift, unread: bool
    ) -> None:
        """Else the merge that follows the creation would take the system's own value for nobody's edit."""
        made = table(field("f", direction=direction), field("name"), drift=drift)
        first, second = made.towards(led).left_empty
        assert (first is UNKNOWN, second is UNKNOWN) == (unread, False)
        follows: Side = "dataverse" if led == "business_central" else "business_central"
        assert UNKNOWN not in made.towards(follows).left_empty


class TestGroups:
    fields = tuple(
        msgspec.structs.replace(found, index=index)
        for index, found in enumerate(
            [
                field("street", group="address"),
                field("name", policy="newest"),
                field("city", group="address", policy="dataverse"),
                field("kind", constant="Person", direction="to_dataverse", group="address"),
            ]
        )
    )

    def test_fields_of_a_group_are_together_and_the_others_alone(self) -> None:
        groups = in_groups(self.fields, "ask")
        assert [(group.name, [f.name for f in group.fields], group.places) for group in groups] == [
            ("address", ["street", "city"], frozenset({0, 2})),
            ("name", ["name"], frozenset({1})),
            ("cr_kind", ["cr_kind"], frozenset({3})),
        ]

    def test_a_policy_of_any_member_is_the_groups_and_the_mappings_is_the_rest(self) -> None:
        assert [group.policy for group in in_groups(self.fields, "ask")] == ["dataverse", "newest", "ask"]

    def test_a_constant_is_told_apart(self) -> None:
        groups = in_groups(self.fields, "ask")
        assert [(group.constant, group.direction) for group in groups] == [
            (False, "both"),
            (False, "both"),
            (True, "to_dataverse"),
        ]

    @pytest.mark.parametrize(
        ("found", "led_by"),
        [
            (field("kind", constant="Person", direction="to_dataverse"), "business_central"),
            (field("kind", constant="Person", direction="from_dataverse"), "dataverse"),
            (msgspec.structs.replace(field("f"), to_dataverse=(upper, COUNTRY)), "business_central"),
            (msgspec.structs.replace(field("f"), to_business_central=(COUNTRY, upper)), "dataverse"),
            (msgspec.structs.replace(field("f"), to_dataverse=(upper,)), None),
            (field("f"), None),
        ],
        ids=["constant there", "constant here", "looked up there", "looked up here", "steps", "copied"],
    )
    def test_a_constant_and_a_table_that_is_looked_up_in_lead_without_an_edit(
        self, found: Field, led_by: Side | None
    ) -> None:
        assert [group.led_by for group in in_groups((found,), "ask")] == [led_by]

    def test_one_member_that_looks_something_up_is_enough(self) -> None:
        plain = msgspec.structs.replace(field("name", group="g"), index=0)
        looks = msgspec.structs.replace(field("f", group="g"), index=1, to_dataverse=(COUNTRY,))
        assert [group.led_by for group in in_groups((plain, looks), "ask")] == ["business_central"]

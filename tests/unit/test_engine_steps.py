"""Transformations on the way: chains of steps, look-ups, and what a value that they fail at becomes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine_samples import field, merge, record, table
from koppel.engine.action import Action
from koppel.engine.fields import Field, Stage
from koppel.engine.plan import plan_creation
from koppel.engine.translate import References, TooLong, Unfit, rows_of, through, translate
from koppel.mapping.steps import LookUp
from koppel.odata.records import Scalar, Side


def upper(value: Scalar) -> Scalar:
    return str(value).upper()


def first(value: Scalar) -> Scalar:
    return str(value)[:1]


def blank(value: Scalar) -> Scalar:
    return ""


def number(value: Scalar) -> Scalar:
    if not str(value).isdecimal():
        raise ValueError("is no number")
    return int(str(value))


def passing(
    *there: Stage, back: tuple[Stage, ...] = (), lengths: tuple[int | None, int | None] = (None, None), **more: Any
) -> Field:
    return msgspec.structs.replace(field("name", lengths=lengths, **more), to_dataverse=there, to_business_central=back)


COUNTRY = LookUp(table="countriesRegions", where="code", take="displayName")
ROWS = {rows_of(COUNTRY): References({"NL": "Netherlands"})}


class TestChain:
    def test_steps_are_taken_one_after_the_other(self) -> None:
        assert through((first, upper), "adatum", {}) == "A"
        assert through((), "adatum", {}) == "adatum"

    @pytest.mark.parametrize("value", ["", None])
    def test_a_blank_stays_one(self, value: Scalar) -> None:
        assert through((number,), value, {}) is None

    def test_what_comes_to_a_blank_goes_no_further(self) -> None:
        assert through((blank, number), "adatum", {}) is None

    def test_zero_is_no_blank(self) -> None:
        assert through((upper,), 0, {}) == "0"

    def test_a_step_that_fails_says_at_what(self) -> None:
        with pytest.raises(ValueError, match=r"^is no number$"):
            through((number,), "adatum", {})
        with pytest.raises(ValueError, match=r"^became 'A', which is no number$"):
            through((upper, first, number), "adatum", {})


class TestLookUp:
    def test_rows_are_known_by_table_and_columns(self) -> None:
        assert rows_of(COUNTRY) == ("business_central/countriesRegions", "code/displayName")

    def test_the_column_of_the_row_is_taken_and_goes_on(self) -> None:
        assert through((COUNTRY,), "NL", ROWS) == "Netherlands"
        assert through((upper, COUNTRY, upper), "nl", ROWS) == "NETHERLANDS"

    def test_nothing_comes_of_a_row_that_leaves_it_blank(self) -> None:
        assert through((COUNTRY, number), "NL", {rows_of(COUNTRY): References({"NL": None})}) is None

    @pytest.mark.parametrize("references", [ROWS, {}])
    def test_a_value_without_a_row_fails_unless_the_mapping_says_otherwise(self, references: Any) -> None:
        with pytest.raises(ValueError, match=r"^is no code of countriesRegions in Business Central$"):
            through((COUNTRY,), "XX", references)
        empty, keep = (msgspec.structs.replace(COUNTRY, otherwise=said) for said in ("empty", "keep"))
        assert through((empty,), "XX", references) is None
        assert through((keep,), "XX", references) == "XX"


class TestTranslated:
    @pytest.mark.parametrize(("source", "expected"), [("business_central", "ADATUM"), ("dataverse", "a")])
    def test_each_direction_has_its_own_steps(self, source: Side, expected: str) -> None:
        assert translate(passing(upper, back=(first,)), "adatum", source, {}) == expected

    def test_a_reference_of_a_step_is_looked_up(self) -> None:
        assert translate(passing(COUNTRY), "NL", "business_central", ROWS) == "Netherlands"

    @pytest.mark.parametrize(("source", "expected"), [("business_central", None), ("dataverse", "")])
    @pytest.mark.parametrize("steps", [(blank,), (lambda _: "  ",)], ids=["empty", "blanks"])
    def test_what_comes_to_a_blank_is_the_other_sides_blank(
        self, source: Side, expected: Scalar, steps: tuple[Stage, ...]
    ) -> None:
        assert translate(passing(*steps, back=steps), "adatum", source, {}) == expected

    @pytest.mark.parametrize(("value", "expected"), [("", "unknown"), ("xx", "unknown"), ("nl", "NL")])
    def test_a_constant_stands_in_for_a_blank(self, value: str, expected: str) -> None:
        found = passing(lambda value: upper(value) if value == "nl" else "", direction="to_dataverse")
        said = msgspec.structs.replace(found.mapping, business_central="name", dataverse="cr_name", constant="unknown")
        assert translate(msgspec.structs.replace(found, mapping=said), value, "business_central", {}) == expected

    @pytest.mark.parametrize(
        ("value", "was", "message"),
        [
            ("", "", "is blank, and is required"),
            (None, "", "is blank, and is required"),
            ("adatum", "adatum", "comes to a blank from 'adatum', and is required"),
        ],
    )
    def test_a_required_field_takes_no_blank(self, value: Scalar, was: str, message: str) -> None:
        found = translate(passing(blank, required=True), value, "business_central", {})
        assert found == Unfit(
            "name", "business_central", was, message, "give it a value in Business Central", "required"
        )

    @pytest.mark.parametrize(
        ("source", "spoken"), [("business_central", "Business Central"), ("dataverse", "Dataverse")]
    )
    def test_a_value_that_a_step_fails_at_is_told(self, source: Side, spoken: str) -> None:
        remedy = f"correct it in {spoken}, or the steps of the field in the mapping"
        assert translate(passing(number, back=(number,)), "adatum", source, {}) == Unfit(
            "name", source, "adatum", "'adatum' is no number", remedy, "transformation"
        )

    @pytest.mark.parametrize(("source", "side"), [("business_central", "dataverse"), ("dataverse", "business_central")])
    def test_what_comes_out_has_to_fit(self, source: Side, side: Side) -> None:
        def twice(value: Scalar) -> Scalar:
            return f"{value} {value}"

        lengths = (20, 10) if side == "dataverse" else (10, 20)
        found = passing(twice, back=(twice,), lengths=lengths)
        assert translate(found, "abc", source, {}) == "abc abc"
        assert translate(found, "adatum", source, {}) == TooLong("name", side, "adatum adatum", 13, 10)

    def test_a_blank_is_what_the_destination_means_by_it(self) -> None:
        enum = msgspec.structs.replace(
            passing(back=(lambda _: "_x0020_",)), business_central=field("f", "enum").end("business_central")
        )
        assert translate(enum, "Open", "dataverse", {}) == "_x0020_"
        required = msgspec.structs.replace(enum, mapping=msgspec.structs.replace(enum.mapping, required=True))
        assert isinstance(translate(required, "Open", "dataverse", {}), Unfit)


class TestMerged:
    """A value that lost something on its way is not asked to bring it back."""

    two_ways = table(passing(upper, back=(first, upper)))

    @pytest.mark.parametrize("decisions", [{}, {"name": "dataverse"}])
    @pytest.mark.parametrize(("ours", "theirs"), [("adatum", "ADATUM"), ("A", "adatum")])
    def test_either_side_may_be_what_the_other_leads_to(
        self, ours: str, theirs: str, decisions: dict[str, Side]
    ) -> None:
        action = merge(self.two_ways, (ours,), (theirs,), decisions=decisions)
        assert (action.kind, action.changes) == ("couple", ())

    def test_where_neither_is_they_differ(self) -> None:
        assert merge(self.two_ways, ("adatum",), ("Adatum",)).to_dataverse == {"cr_name": "ADATUM"}

    @pytest.mark.parametrize("direction", ["to_dataverse", "from_dataverse"])
    def test_a_one_way_field_agrees_with_what_leads_it_alone(self, direction: str) -> None:
        found = table(passing(upper, back=(upper,), direction=direction))
        lower, same = merge(found, ("adatum",), ("adatum",)), merge(found, ("ADATUM",), ("ADATUM",))
        there = direction == "to_dataverse"
        assert (lower.to_dataverse, lower.to_business_central) == (
            ({"cr_name": "ADATUM"}, {}) if there else ({}, {"name": "ADATUM"})
        )
        assert same.kind == "couple"

    def test_one_way_it_is_not_asked_what_the_other_leads_to(self) -> None:
        from_dataverse = table(passing(back=(upper,), direction="from_dataverse"))
        assert merge(from_dataverse, ("adatum",), ("adatum",)).to_business_central == {"name": "ADATUM"}
        to_dataverse = table(passing(upper, direction="to_dataverse"))
        assert merge(to_dataverse, ("adatum",), ("adatum",)).to_dataverse == {"cr_name": "ADATUM"}

    def test_a_table_that_changed_leads_where_nobody_edited(self) -> None:
        found = table(passing(COUNTRY, direction="to_dataverse"))
        base = ("NL",), ("Holland",)
        action = merge(found, ("NL",), ("Holland",), base, references=ROWS)
        assert (action.to_dataverse, action.reason) == ({"cr_name": "Netherlands"}, "the mapping says so")
        assert merge(found, ("NL",), ("Netherlands",), (("NL",), ("Netherlands",)), references=ROWS).kind == "nothing"

    def test_what_drifted_stays_kept_at_the_next_look(self) -> None:
        found = table(passing(COUNTRY, direction="to_dataverse"))
        base = ("NL",), ("Netherlands",)
        action = merge(found, ("NL",), ("Holland",), base, references=ROWS)
        assert (action.to_dataverse, action.base) == ({}, base)
        assert action.warnings == ("name: changed on the side that only receives it; kept",)

    def test_every_member_of_a_group_that_drifted_is_told(self) -> None:
        flow: dict[str, Any] = {"direction": "to_dataverse", "group": "address"}
        found = table(passing(COUNTRY, **flow), field("city", **flow))
        base = ("NL", "Delft"), ("Netherlands", "Delft")
        action = merge(found, ("NL", "Delft"), ("Holland", "Gouda"), base, references=ROWS)
        assert len(action.warnings) == 2

    @pytest.mark.parametrize("own", ["business_central", "dataverse"])
    def test_an_edit_of_the_connections_own_user_is_no_change_of_the_table(self, own: Side) -> None:
        found = table(passing(COUNTRY, direction="to_dataverse"))
        action = merge(found, ("NL",), ("Holland",), (("NL",), ("Holland",)), references=ROWS, own=frozenset({own}))
        assert action.to_dataverse == {}

    def test_a_value_that_a_step_fails_at_holds_the_record(self) -> None:
        found = table(passing(number), field("city"))
        action = merge(found, ("adatum", "new"), ("1", "c"), (("1", "c"), ("1", "c")))
        assert_held(action, "name 'adatum' is no number")
        action = plan_creation(found, "business_central", record("adatum", "new"), {}, id="b-1", name="", missing={})
        assert_held(action, "name 'adatum' is no number")

    def test_one_that_is_there_already_and_still_fails_is_not_alike(self) -> None:
        """Nobody touched it: the record synchronises, the field does not."""
        found = table(passing(number), field("city"))
        action = merge(found, ("adatum", "new"), ("1", "c"), (("adatum", "c"), ("1", "c")))
        assert action.to_dataverse == {"cr_city": "new"}


def assert_held(action: Action, message: str) -> None:
    assert (action.kind, action.written, action.reason) == ("hold", {}, message)
    assert action.refusal is not None
    assert (action.refusal.field, action.refusal.value, action.refusal.code) == ("name", "adatum", "transformation")
    assert (action.refusal.side, action.refusal.kind) == ("business_central", "data")
    assert action.refusal.remedy == "correct it in Business Central, or the steps of the field in the mapping"

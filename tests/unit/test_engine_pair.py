"""Merging one pair: who is written, what is kept, what is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from engine_samples import after_writes, field, lookup, merge, option, table
from koppel.engine.action import base_after
from koppel.engine.values import UNKNOWN
from koppel.odata.records import Scalar, Side

NAME = table(field("name"))
ONE_WAY = table(field("name", direction="to_dataverse"), direction="to_dataverse")


def upper(value: Scalar) -> Scalar:
    return str(value).upper()


def test_a_change_goes_to_the_other_side_alone() -> None:
    action = merge(NAME, ("new",), ("old",), (("old",), ("old",)))
    assert action.kind == "update"
    assert (action.to_dataverse, action.to_business_central) == ({"cr_name": "new"}, {})
    assert [(c.field, c.side, c.old, c.new, c.why) for c in action.changes] == [
        ("name", "dataverse", "old", "new", "changed in Business Central")
    ]
    assert action.base == (("new",), ("new",))
    assert action.written == {"dataverse": (0,)}
    back = merge(NAME, ("old",), ("new",), (("old",), ("old",)))
    assert (back.to_dataverse, back.to_business_central) == ({}, {"name": "new"})
    assert back.reason == "changed in Dataverse"


def test_a_pair_that_needs_its_reference_says_which_and_where() -> None:
    refusal = merge(table(lookup(required=True)), ("XX",), (None,)).refusal
    assert refusal is not None
    assert (refusal.side, refusal.via, refusal.value) == ("business_central", "SALESPEOPLE", "XX")
    assert refusal.remedy == "couple or synchronise XX in SALESPEOPLE, then this record goes through by itself"


def test_a_new_spelling_in_a_group_is_agreed_and_the_rest_of_it_written() -> None:
    loud = msgspec.structs.replace(
        field("street", group="address"), to_dataverse=(upper,), to_business_central=(upper,)
    )
    address = table(loud, field("city", group="address"))
    action = merge(address, ("Dam", "new"), ("DAM", "old"), (("dam", "old"), ("DAM", "old")))
    assert action.to_dataverse == {"cr_city": "new"}
    assert action.base == (("Dam", "new"), ("DAM", "new"))


def test_what_comes_last_waits_until_all_parts_are_there() -> None:
    document = table(field("name"), field("status", last=True, direction="to_dataverse"))
    values = ("new", "Open"), ("old", "Draft"), (("old", "Draft"), ("old", "Draft"))
    waiting = merge(document, *values, incomplete=True)
    assert (waiting.to_dataverse, waiting.base) == ({"cr_name": "new"}, (("new", "Draft"), ("new", "Draft")))
    assert merge(document, *values).to_dataverse == {"cr_name": "new", "cr_status": "Open"}


def test_a_group_waits_with_any_of_its_members() -> None:
    document = table(field("status", last=True, group="state"), field("reason", group="state"))
    values = ("Open", "new"), ("Draft", "old"), (("Draft", "old"), ("Draft", "old"))
    assert merge(document, *values, incomplete=True).kind == "nothing"
    assert merge(document, *values).kind == "update"


def test_the_action_names_the_pair_and_what_was_read() -> None:
    action = merge(NAME, ("new",), ("old",), (("old",), ("old",)), name="C1")
    assert (action.mapping, action.name) == ("CUSTOMER", "C1")
    assert (action.business_central_id, action.dataverse_id) == ("b-1", "d-1")
    assert [found.values for found in action.records if found] == [("new",), ("old",)]
    assert action.base_before == (("old",), ("old",))


def test_nothing_changed_means_nothing_to_do() -> None:
    action = merge(NAME, ("same",), ("same",), (("same",), ("same",)))
    assert (action.kind, action.reason, action.written, action.changes) == ("nothing", "equal", {}, ())


def test_values_that_always_differed_stay_as_they_are() -> None:
    action = merge(NAME, ("here",), ("there",), (("here",), ("there",)))
    assert (action.kind, action.base) == ("nothing", (("here",), ("there",)))


def test_a_new_spelling_of_the_same_value_is_no_change_and_becomes_the_base() -> None:
    codes = table(field("country", "code"))
    action = merge(codes, ("NL",), (" nl ",), (("NL",), ("NL",)))
    assert (action.kind, action.base) == ("nothing", (("NL",), (" nl ",)))


def test_the_same_change_on_both_sides_is_agreement() -> None:
    action = merge(NAME, ("new",), ("new",), (("old",), ("old",)))
    assert (action.kind, action.base, action.changes) == ("nothing", (("new",), ("new",)), ())


def test_different_fields_changed_on_different_sides_cross() -> None:
    two = table(field("name"), field("city"))
    action = merge(two, ("new", "old"), ("old", "new"), (("old", "old"), ("old", "old")))
    assert (action.to_dataverse, action.to_business_central) == ({"cr_name": "new"}, {"city": "new"})
    assert action.base == (("new", "new"), ("new", "new"))


class TestConflicts:
    base = (("old",), ("old",))

    def test_ask_holds_the_field_and_keeps_its_base(self) -> None:
        action = merge(NAME, ("ours",), ("theirs",), self.base)
        assert (action.kind, action.written, action.base) == ("hold", {}, self.base)
        (conflict,) = action.conflicts
        assert (conflict.group, conflict.business_central, conflict.dataverse) == (
            "name",
            {"name": "ours"},
            {"name": "theirs"},
        )
        assert conflict.base_business_central == conflict.base_dataverse == {"name": "old"}

    def test_clean_fields_go_through(self) -> None:
        two = table(field("name"), field("city"))
        action = merge(two, ("ours", "new"), ("theirs", "old"), (("old", "old"), ("old", "old")))
        assert (action.kind, action.to_dataverse) == ("update", {"cr_city": "new"})
        assert action.base == (("old", "new"), ("old", "new"))
        assert [conflict.group for conflict in action.conflicts] == ["name"]
        assert action.reason == "both sides changed name"

    @pytest.mark.parametrize(
        ("policy", "written", "overruled"),
        [("business_central", "dataverse", "theirs"), ("dataverse", "business_central", "ours")],
    )
    def test_a_policy_overrules_on_record(self, policy: str, written: Side, overruled: str) -> None:
        action = merge(table(field("name"), conflicts=policy), ("ours",), ("theirs",), self.base)
        (change,) = action.changes
        assert (change.side, change.old, change.why) == (written, overruled, f"both changed, policy {policy}")

    def test_a_fields_policy_goes_before_the_mappings(self) -> None:
        found = table(field("name", policy="dataverse"), conflicts="business_central")
        assert merge(found, ("ours",), ("theirs",), self.base).to_business_central == {"name": "theirs"}

    @pytest.mark.parametrize(
        ("ours", "theirs", "winner"),
        [
            ("2024-05-01T10:00:01Z", "2024-05-01T10:00:00Z", "ours"),
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z", "theirs"),
            ("2024-05-01T10:00:01.123Z", "2024-05-01T10:00:00Z", "ours"),
            ("2024-05-01T10:00:00.999Z", "2024-05-01T10:00:01Z", "theirs"),
            ("2024-05-01T10:00:00.2Z", "2024-05-01T10:00:00.1234567Z", "ours"),
            ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:01Z", "theirs"),
        ],
    )
    def test_newest(self, ours: str, theirs: str, winner: str) -> None:
        found = table(field("name"), conflicts="newest")
        action = merge(found, ("ours",), ("theirs",), self.base, times=(ours, theirs))
        assert after_writes(found, action) == ((winner,), (winner,))

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000Z"),
            ("", "2024-05-01T10:00:00Z"),
            ("2024-05-01T10:00:00Z", ""),
            ("not a time", "2024-05-01T10:00:00Z"),
        ],
    )
    def test_newest_holds_where_it_cannot_be_told(self, ours: str, theirs: str) -> None:
        found = table(field("name"), conflicts="newest")
        action = merge(found, ("ours",), ("theirs",), self.base, times=(ours, theirs))
        assert (action.kind, len(action.conflicts)) == ("hold", 1)

    def test_newest_does_not_read_a_whole_second_as_its_first_millisecond(self) -> None:
        """Dataverse tells seconds: an edit at .900 reads as older than one at .500 (no edit lost)."""
        found = table(field("name"), conflicts="newest")
        times = ("2024-05-01T10:00:00.500Z", "2024-05-01T10:00:00Z")
        assert merge(found, ("ours",), ("theirs",), self.base, times=times).kind == "hold"

    @pytest.mark.parametrize(
        ("seconds", "ahead", "winner"),
        [
            (303, 300, "ours"),
            (302, 300, "ours"),
            (301, 300, None),
            (300, 300, None),
            (299, 300, None),
            (298, 300, "theirs"),
            (10, 300, "theirs"),
            (-10, -300, "ours"),
            (-302, -300, "theirs"),
        ],
    )
    def test_newest_allows_for_clocks_that_are_apart(self, seconds: int, ahead: float, winner: str | None) -> None:
        found = table(field("name"), conflicts="newest")
        noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
        times = (noon + timedelta(seconds=seconds)).isoformat(), noon.isoformat()
        action = merge(found, ("ours",), ("theirs",), self.base, times=times, ahead=ahead)
        assert action.kind == ("update" if winner else "hold")
        if winner:
            assert after_writes(found, action) == ((winner,), (winner,))

    def test_all_that_is_contested_is_named(self) -> None:
        two = table(field("name"), field("city"))
        action = merge(two, ("ours", "a"), ("theirs", "b"), (("old", "old"), ("old", "old")))
        assert (action.kind, action.reason) == ("hold", "both sides changed name, city")

    def test_another_spelling_is_no_rival_of_an_edit(self) -> None:
        found = table(option())
        action = merge(found, (" 30d ",), (2,), (("30D",), (1,)))
        assert (action.conflicts, action.to_business_central) == ((), {"terms": "60D"})

    @pytest.mark.parametrize(("winner", "value"), [("business_central", "ours"), ("dataverse", "theirs")])
    def test_a_person_decides(self, winner: Side, value: str) -> None:
        action = merge(NAME, ("ours",), ("theirs",), self.base, decisions={"name": winner})
        assert after_writes(NAME, action) == ((value,), (value,))
        assert action.base == ((value,), (value,))
        assert action.changes[0].why == f"conflict decided for {winner}"

    def test_a_decision_for_what_meanwhile_agrees_writes_nothing(self) -> None:
        action = merge(NAME, ("same",), ("same",), self.base, decisions={"name": "dataverse"})
        assert (action.written, action.base) == ({}, (("same",), ("same",)))

    def test_a_decision_about_another_field_changes_nothing(self) -> None:
        assert merge(NAME, ("ours",), ("theirs",), self.base, decisions={"city": "dataverse"}).kind == "hold"


class TestGroups:
    address = table(field("street", group="address"), field("city", group="address"), field("name"))
    base = (("Old 1", "Delft", "n"), ("Old 1", "Delft", "n"))

    def test_halves_never_mix(self) -> None:
        action = merge(self.address, ("New 2", "Delft", "n"), ("Old 1", "Gouda", "n"), self.base)
        (conflict,) = action.conflicts
        assert (conflict.group, action.written) == ("address", {})
        assert conflict.business_central == {"street": "New 2", "city": "Delft"}
        assert conflict.dataverse == {"street": "Old 1", "city": "Gouda"}

    @pytest.mark.parametrize("policy", ["business_central", "dataverse"])
    def test_the_whole_group_of_one_side_wins(self, policy: str) -> None:
        found = table(field("street", group="address", policy=policy), field("city", group="address"))
        action = merge(found, ("New 2", "Delft"), ("Old 1", "Gouda"), (("Old 1", "Delft"), ("Old 1", "Delft")))
        winner = ("New 2", "Delft") if policy == "business_central" else ("Old 1", "Gouda")
        assert after_writes(found, action) == (winner, winner)

    def test_a_change_of_one_member_brings_along_members_that_differ(self) -> None:
        base = (("Old 1", "Delft", "n"), ("Old 1", "Gouda", "n"))
        action = merge(self.address, ("New 2", "Delft", "n"), ("Old 1", "Gouda", "n"), base)
        assert action.to_dataverse == {"cr_street": "New 2", "cr_city": "Delft"}

    def test_only_members_that_differ_are_written(self) -> None:
        action = merge(self.address, ("New 2", "Delft", "n"), ("Old 1", "Delft", "n"), self.base)
        assert action.to_dataverse == {"cr_street": "New 2"}

    def test_members_in_another_spelling_are_not_written(self) -> None:
        coded = table(field("street", group="address"), field("country", "code", group="address"), option())
        base = ("Old 1", "NL", "30D"), ("Old 1", "nl", 1)
        action = merge(coded, ("New 2", "NL", "30D"), ("Old 1", " nl", 1), base)
        assert action.to_dataverse == {"cr_street": "New 2"}

    def test_nor_are_references_that_stand_for_the_same(self) -> None:
        found = table(field("name", group="g"), option(group="g"))
        action = merge(found, ("old", " 30d "), ("new", 1), (("old", " 30d "), ("old", 1)))
        assert action.to_business_central == {"name": "new"}

    def test_a_decision_is_about_the_whole_group(self) -> None:
        values = ("New 2", "Delft", "n"), ("Old 1", "Gouda", "n")
        action = merge(self.address, *values, self.base, decisions={"address": "dataverse"})
        assert action.to_business_central == {"street": "Old 1", "city": "Gouda"}

    def test_a_member_added_later_is_no_conflict_when_nobody_edited(self) -> None:
        base = (("Old 1", UNKNOWN, "n"), ("Old 1", UNKNOWN, "n"))
        action = merge(self.address, ("Old 1", "Delft", "n"), ("Old 1", "Gouda", "n"), base)
        assert (action.conflicts, action.to_dataverse) == ((), {"cr_city": "Delft"})

    def test_a_member_added_later_goes_with_the_side_that_was_edited(self) -> None:
        base = (("Old 1", UNKNOWN, "n"), ("Old 1", UNKNOWN, "n"))
        action = merge(self.address, ("Old 1", "Delft", "n"), ("New 2", "Gouda", "n"), base)
        assert (action.conflicts, action.to_business_central) == ((), {"street": "New 2", "city": "Gouda"})


class TestFirstSynchronisation:
    def test_equal_values_couple_without_a_write(self) -> None:
        action = merge(NAME, ("same",), ("same",))
        assert (action.kind, action.reason, action.base) == ("couple", "values agree", (("same",), ("same",)))

    @pytest.mark.parametrize(("initial", "value"), [("business_central", "ours"), ("dataverse", "theirs")])
    def test_the_initial_side_wins_on_record(self, initial: Side, value: str) -> None:
        found = table(field("name"), initial=initial)
        action = merge(found, ("ours",), ("theirs",))
        assert after_writes(found, action) == ((value,), (value,))
        (change,) = action.changes
        assert {change.old, change.new} == {"ours", "theirs"}
        assert change.why == f"first synchronisation, {initial} wins"

    @pytest.mark.parametrize("initial", ["business_central", "dataverse"])
    def test_one_way_fields_keep_their_way(self, initial: Side) -> None:
        found = table(field("a", direction="to_dataverse"), field("b", direction="from_dataverse"), initial=initial)
        action = merge(found, ("ours", "ours"), ("theirs", "theirs"))
        assert (action.to_dataverse, action.to_business_central) == ({"cr_a": "ours"}, {"b": "theirs"})
        assert {change.why for change in action.changes} == {"first synchronisation"}

    def test_zero_and_no_number_are_the_same_to_business_central(self) -> None:
        assert merge(table(field("limit", "number")), (0,), (None,)).kind == "couple"
        assert merge(table(field("limit", "number")), (5,), (None,)).to_dataverse == {"cr_limit": 5}

    def test_a_field_added_to_a_mapping_later_is_synchronised_for_the_first_time(self) -> None:
        two = table(field("name"), field("city"))
        action = merge(two, ("n", "Delft"), ("n", "Gouda"), (("n", UNKNOWN), ("n", UNKNOWN)))
        assert (action.conflicts, action.to_dataverse) == ((), {"cr_city": "Delft"})
        assert action.base == (("n", "Delft"), ("n", "Delft"))


class TestDrift:
    base = (("old",), ("old",))

    def test_the_receiving_sides_edit_is_kept_and_told(self) -> None:
        action = merge(ONE_WAY, ("old",), ("edited",), self.base)
        assert (action.kind, action.base) == ("nothing", (("old",), ("edited",)))
        assert action.warnings == ("name: changed on the side that only receives it; kept",)

    def test_it_is_told_once(self) -> None:
        assert merge(ONE_WAY, ("old",), ("edited",), (("old",), ("edited",))).warnings == ()

    def test_it_is_overwritten_by_the_next_edit_on_record(self) -> None:
        action = merge(ONE_WAY, ("new",), ("edited",), (("old",), ("edited",)))
        assert [(c.old, c.new) for c in action.changes] == [("edited", "new")]

    def test_overwrite_puts_it_back(self) -> None:
        found = table(field("name", direction="to_dataverse"), drift="overwrite")
        action = merge(found, ("old",), ("edited",), self.base)
        assert action.to_dataverse == {"cr_name": "old"}

    def test_from_dataverse_drifts_in_business_central(self) -> None:
        found = table(field("name", direction="from_dataverse"))
        action = merge(found, ("edited",), ("old",), self.base)
        assert (action.kind, action.base) == ("nothing", (("edited",), ("old",)))


class TestOwnUser:
    """GEN-01 as promised to users: left alone, yet not lost."""

    base = (("old", "x"), ("old", "x"))
    two = table(field("name"), field("city"))

    def test_changes_of_the_connections_user_are_left_alone(self) -> None:
        action = merge(self.two, ("old", "x"), ("own", "x"), self.base, own=frozenset({"dataverse"}))
        assert (action.kind, action.written, action.base) == ("nothing", {}, self.base)
        assert action.reason == "changed by the connection's own user"

    def test_they_are_seen_when_somebody_else_edits_the_record_next(self) -> None:
        first = merge(self.two, ("old", "x"), ("own", "x"), self.base, own=frozenset({"dataverse"}))
        second = merge(self.two, ("old", "x"), ("own", "y"), first.base)
        assert second.to_business_central == {"name": "own", "city": "y"}

    def test_the_other_sides_changes_still_flow(self) -> None:
        action = merge(self.two, ("old", "new"), ("own", "x"), self.base, own=frozenset({"dataverse"}))
        assert (action.to_dataverse, action.to_business_central) == ({"cr_city": "new"}, {})
        assert action.base == (("old", "new"), ("old", "new"))

    def test_they_yield_to_a_persons_edit_on_record(self) -> None:
        action = merge(self.two, ("new", "x"), ("own", "x"), self.base, own=frozenset({"dataverse"}))
        assert [(c.side, c.old, c.new) for c in action.changes] == [("dataverse", "own", "new")]


class TestKeepBlank:
    owner = table(field("name", keep_blank=True))

    def test_a_blank_never_overwrites(self) -> None:
        action = merge(self.owner, ("",), ("kept",), (("old",), ("kept",)))
        assert (action.kind, action.written, action.warnings) == ("nothing", {}, ())

    def test_a_blank_never_overwrites_the_first_time(self) -> None:
        action = merge(self.owner, ("",), ("kept",))
        assert (action.written, action.base) == ({}, (("",), ("kept",)))

    def test_a_value_overwrites(self) -> None:
        assert merge(self.owner, ("new",), ("kept",), (("",), ("kept",))).to_dataverse == {"cr_name": "new"}

    def test_the_other_sides_edit_is_no_drift_worth_telling_while_it_is_blank(self) -> None:
        found = table(field("name", keep_blank=True, direction="to_dataverse"))
        assert merge(found, ("",), ("edited",), (("",), ("kept",))).warnings == ()

    def test_nor_is_one_in_business_central(self) -> None:
        found = table(field("name", keep_blank=True, direction="from_dataverse"))
        assert merge(found, ("edited",), (None,), (("kept",), (None,))).warnings == ()

    def test_a_blank_on_the_side_that_only_receives_is_drift(self) -> None:
        found = table(field("name", keep_blank=True, direction="to_dataverse"))
        action = merge(found, ("kept",), ("",), (("kept",), ("kept",)))
        assert action.warnings == ("name: changed on the side that only receives it; kept",)

    def test_a_blank_is_no_rival_of_an_edit(self) -> None:
        action = merge(self.owner, ("",), ("edited",), (("old",), ("old",)))
        assert (action.conflicts, action.to_business_central) == ((), {"name": "edited"})


class TestConstants:
    def test_a_constant_is_put_back(self) -> None:
        found = table(field("kind", constant="Person", direction="to_dataverse"))
        action = merge(found, (None,), ("Company",), ((None,), ("Person",)))
        assert action.to_dataverse == {"cr_kind": "Person"}

    @pytest.mark.rule("CONT-11")
    def test_a_constant_of_business_central_is_put_back_too(self) -> None:
        found = table(field("kind", constant="Person", direction="from_dataverse"))
        action = merge(found, ("Company",), (None,), (("Person",), (None,)))
        assert action.to_business_central == {"kind": "Person"}
        assert action.reason == "changed in Business Central"

    def test_a_constant_changed_in_the_mapping_is_written(self) -> None:
        found = table(field("kind", constant=4, direction="to_dataverse", kind="number"))
        action = merge(found, (None,), (3,), ((None,), (3,)))
        assert (action.to_dataverse, action.base) == ({"cr_kind": 4}, ((None,), (4,)))
        assert action.reason == "the mapping says so"

    def test_a_constant_stands_alone_even_in_a_group(self) -> None:
        """Putting it back brings along nothing that people wrote beside it."""
        flow: dict[str, Any] = {"direction": "from_dataverse", "group": "who"}
        found = table(field("name", **flow), field("kind", constant="Person", **flow))
        action = merge(found, ("kept", "Company"), ("", None), (("kept", "Person"), ("", None)))
        assert action.to_business_central == {"kind": "Person"}

    def test_a_constant_in_place_is_nothing_to_do(self) -> None:
        found = table(field("kind", constant="Person", direction="to_dataverse"))
        assert merge(found, (None,), ("Person",), ((None,), ("Person",))).kind == "nothing"


class TestLocked:
    """A change that comes to a column which takes values only in a creation."""

    def test_it_is_left_as_it_is_with_a_warning(self) -> None:
        found = table(field("code", dataverse={"updatable": False}, direction="to_dataverse"))
        action = merge(found, ("new",), ("old",), (("old",), ("old",)))
        assert (action.kind, action.to_dataverse) == ("nothing", {})
        assert action.warnings == ("code: cannot be changed any more in Dataverse; left as it is",)

    @pytest.mark.rule("PL-04")
    def test_or_holds_the_record(self) -> None:
        found = table(field("code", dataverse={"updatable": False}, direction="to_dataverse", on_locked="fail"))
        action = merge(found, ("new",), ("old",), (("old",), ("old",)))
        assert action.refusal is not None
        assert (action.kind, action.refusal.code, action.refusal.field) == ("hold", "locked", "code")
        assert action.refusal.message == (
            "code is old in Dataverse, which takes no other value any more, and has to be new"
        )
        assert action.refusal.remedy == (
            "bring Business Central back in line, or delete the record in Dataverse and have it created again"
        )
        assert (action.refusal.side, action.refusal.value) == ("business_central", "new")

    def test_what_is_right_is_no_matter(self) -> None:
        found = table(field("code", dataverse={"updatable": False}, direction="to_dataverse", on_locked="fail"))
        assert merge(found, ("old",), ("old",)).kind == "couple"


class TestComputed:
    def test_what_is_computed_from_no_column_is_put_back_as_a_constant_is(self) -> None:
        said = field("list", compute="price.default_list", direction="to_dataverse")
        alone = msgspec.structs.replace(said, mapping=msgspec.structs.replace(said.mapping, business_central=""))
        action = merge(table(alone), ("l-1",), ("l-2",), (("l-1",), ("l-1",)))
        assert action.to_dataverse == {"cr_list": "l-1"}

    def test_what_is_computed_from_one_is_kept_as_an_edit_is(self) -> None:
        said = field("price", compute="product.price", direction="to_dataverse")
        action = merge(table(said), ("1",), ("2",), (("1",), ("1",)))
        assert (action.to_dataverse, action.warnings) == (
            {},
            ("price: changed on the side that only receives it; kept",),
        )


class TestBaseAfter:
    two = table(field("name"), field("city"), field("fax"))
    before = (("n", "c", "f"), ("n", "c", "f"))

    def test_success_records_what_was_agreed(self) -> None:
        action = merge(self.two, ("new", "c", "f"), ("n", "new", "f"), self.before)
        assert base_after(action, ()) == (("new", "new", "f"), ("new", "new", "f"))

    @pytest.mark.parametrize(
        ("failed", "expected"), [("dataverse", ("n", "new", "same")), ("business_central", ("new", "c", "same"))]
    )
    def test_a_failed_side_keeps_its_base_and_is_tried_again(self, failed: Side, expected: tuple[str, ...]) -> None:
        values = ("new", "c", "same"), ("n", "new", "same")
        action = merge(self.two, *values, self.before)
        assert base_after(action, (failed,)) == (expected, expected)
        ours, theirs = after_writes(self.two, action)
        now = (ours, values[1]) if failed == "dataverse" else (values[0], theirs)
        again = merge(self.two, now[0], now[1], base_after(action, (failed,)))
        assert again.writes(failed) == action.writes(failed)
        assert set(again.written) == {failed}

    def test_a_first_synchronisation_that_failed_stays_the_first(self) -> None:
        action = merge(NAME, ("ours",), ("theirs",))
        assert base_after(action, {"dataverse"}) == ((UNKNOWN,), (UNKNOWN,))

    def test_what_was_refused_leaves_no_base(self) -> None:
        action = merge(table(lookup(required=True)), ("XX",), (None,))
        assert base_after(action, {"dataverse"}) is None

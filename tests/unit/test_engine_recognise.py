from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from koppel.engine.recognise import Look, recognise

ADATUM = {"name": "Adatum", "phone": "1", "city": "Utrecht"}
VALUES = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from("ab") for name in ("name", "phone", "city", "street", "fax")}
)


def test_what_still_holds_everything_is_it() -> None:
    assert recognise([ADATUM], [{"name": "Other", "fax": "9"}, {**ADATUM, "fax": "9"}]).made == {0: 1}
    assert recognise([{"name": "Adatum"}], [{"name": "Adatum", "fax": "9", "phone": "1"}]).made == {0: 0}


def test_what_holds_everything_of_one_and_most_of_another_is_not_guessed() -> None:
    told = recognise([{"name": "Adatum"}, ADATUM], [{**ADATUM, "city": "Delft"}])
    assert told.made == {}
    assert told.unsure == {0: frozenset({0}), 1: frozenset({0})}


def test_more_than_were_sent_cannot_be_told_apart() -> None:
    told = recognise([ADATUM], [ADATUM, ADATUM])
    assert told.made == {}
    assert told.unsure == {0: frozenset({0, 1})}


def test_each_is_doubted_for_its_own_reason() -> None:
    moved = {**ADATUM, "city": "Delft"}
    told = recognise([ADATUM, moved], [ADATUM, ADATUM, moved, moved])
    assert told.unsure == {0: frozenset({0, 1}), 1: frozenset({2, 3})}


def test_as_many_as_were_sent_are_taken_in_any_order() -> None:
    assert recognise([ADATUM, ADATUM], [ADATUM, ADATUM]).made == {0: 0, 1: 1}


def test_of_two_alike_one_of_which_was_edited_each_has_its_own() -> None:
    assert recognise([ADATUM, ADATUM], [{**ADATUM, "name": "New"}, ADATUM]).made == {0: 1, 1: 0}


def test_an_edited_one_is_known_by_the_rest() -> None:
    assert recognise([ADATUM], [{**ADATUM, "name": "New"}]).made == {0: 0}


def test_somebody_else_is_not_it() -> None:
    told = recognise([ADATUM], [{"name": "Fabrikam", "phone": "2", "city": "Utrecht", "street": "x"}])
    assert (told.made, told.unsure) == ({}, {})


def test_what_the_system_fills_in_tells_nothing() -> None:
    found = {"name": "New", "phone": "1", "currency": "EUR"}
    intended = {"name": "Adatum", "phone": "1"}
    assert recognise([intended], [found], frozenset({"currency"})).unsure == {0: frozenset({0})}
    assert recognise([{**intended, "city": "U"}], [{**found, "city": "U"}], frozenset({"currency"})).made == {0: 0}


def test_where_nothing_was_said_nothing_can_be_told() -> None:
    assert recognise([{}], [ADATUM]).unsure == {0: frozenset({0})}


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_no_record_is_taken_twice_nor_taken_and_doubted(intended: list[Look], found: list[Look]) -> None:
    told = recognise(intended, found)
    taken = list(told.made.values())
    assert len(set(taken)) == len(taken)
    assert not told.made.keys() & told.unsure.keys()
    assert all(places and not places & set(taken) for places in told.unsure.values())


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(0, 3), st.sampled_from(["name", "phone", "city"]))
def test_what_was_made_and_edited_once_is_never_made_again(intended: list[Look], which: int, column: str) -> None:
    """However alike the others are: it is found, or there is no telling."""
    place = which % len(intended)
    found = [dict(look) for look in intended]
    found[place][column] = "edited"
    told = recognise(intended, found)
    assert set(range(len(intended))) == told.made.keys() | told.unsure.keys()

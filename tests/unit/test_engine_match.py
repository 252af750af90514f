"""Finding the same record on the other side."""

from __future__ import annotations

import pytest

from koppel.engine.match import Form, Keys, form_of, match, match_key
from koppel.mapping.model import MatchPair, Normaliser
from koppel.odata.records import Scalar


def plain() -> Form:
    return form_of(MatchPair("name", "name"))


def key(*parts: Scalar) -> object:
    return match_key(parts, [plain()] * len(parts))


def keys(*groups: str | None) -> Keys:
    return tuple(None if group is None else match_key([group], [plain()]) for group in groups)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Contoso", "CONTOSO"),
        ("Contoso", "  Contoso "),
        ("Contoso Ltd", "Contoso  Ltd"),
        ("Contoso\tLtd", "contoso ltd"),
        ("Straße", "STRASSE"),
        (10000, "10000"),
    ],
)
def test_case_and_blanks_do_not_matter(ours: Scalar, theirs: Scalar) -> None:
    assert key(ours) == key(theirs)


@pytest.mark.parametrize(("ours", "theirs"), [("Contoso", "Con toso"), ("Contoso", "Contoso."), ("1", "01")])
def test_everything_else_does(ours: str, theirs: str) -> None:
    assert key(ours) != key(theirs)


@pytest.mark.parametrize("parts", [[None], [""], ["  "], ["Contoso", None], ["", "1234 AB"]])
def test_a_blank_part_matches_nothing(parts: list[Scalar]) -> None:
    assert key(*parts) is None


def test_parts_do_not_run_into_each_other() -> None:
    assert key("a b", "c") != key("a", "b c")


@pytest.mark.parametrize(
    ("normalise", "ours", "theirs"),
    [
        (["accents"], "Café Zürich", "cafe zurich"),
        (["accents"], "Łódź", "Łodz"),
        (["punctuation"], "O'Neill & Sons, Ltd.", "o neill sons ltd"),
        (["punctuation"], "A-B_C", "A B C"),
        (["company"], "Adatum Ltd.", "ADATUM, Inc"),
        (["company"], "Fabrikam B.V.", "Fabrikam"),
        (["company"], "Contoso GmbH & Co. KG", "Contoso"),
        (["company"], "Contoso (Ltd.)", "Contoso"),
        (["company"], "Adatum Foods, Ltd.", "Adatum Foods"),
        (["accents", "punctuation", "company"], "Société Générale, S.A.", "Societe Generale"),
        (["digits"], "+31 (0)20 123-4567", "0031201234567"),
        (["digits"], "(020) 123 45 67", "0201234567"),
        (["digits"], "0031 (0)20 123 45 67", "+31 20 123 45 67"),
        (["digits"], "tel. 0031 20 123 45 67", "+31 20 123 45 67"),
    ],
)
def test_what_a_normaliser_leaves_out_does_not_matter(normalise: list[Normaliser], ours: str, theirs: str) -> None:
    form = form_of(MatchPair("name", "name", normalise=tuple(normalise)))
    assert form(ours) == form(theirs) != ""
    assert plain()(ours) != plain()(theirs)


@pytest.mark.parametrize(
    ("normalise", "ours", "theirs"),
    [
        (["accents"], "Cafe!", "Cafe"),
        (["company"], "Incline", "line"),
        (["company"], "Ltd", "Inc"),
        (["company"], "Inc Adatum", "Adatum"),
        (["punctuation"], "ab", "a b"),
        (["digits"], "1-2", "1-3"),
        (["digits"], "0201234567", "201234567"),
        (["digits"], "(0)201234567", "201234567"),
    ],
)
def test_and_nothing_else_is_left_out(normalise: list[Normaliser], ours: str, theirs: str) -> None:
    form = form_of(MatchPair("name", "name", normalise=tuple(normalise)))
    assert form(ours) != form(theirs)


@pytest.mark.parametrize(("normalise", "value"), [(["digits"], "none"), (["punctuation"], "..."), ([], "  ")])
def test_a_value_of_which_nothing_is_left_matches_nothing(normalise: list[Normaliser], value: str) -> None:
    form = form_of(MatchPair("name", "name", normalise=tuple(normalise)))
    assert match_key([value], [form]) is None


@pytest.mark.parametrize(
    ("normalise", "value", "left"),
    [
        ([], " Adatum \t Corp ", "adatum corp"),
        ([], None, ""),
        ([], 10000, "10000"),
        (["accents"], "Café  Zürich", "cafe zurich"),
        (["company"], "Adatum  Foods Ltd.", "adatum foods"),
        (["punctuation"], "O'Neill & Sons", "o neill sons"),
        (["digits"], "+31 (0)20 12", "312012"),
        (["digits"], None, ""),
    ],
)
def test_what_is_left_of_a_value(normalise: list[Normaliser], value: Scalar, left: str) -> None:
    assert form_of(MatchPair("name", "name", normalise=tuple(normalise)))(value) == left


def test_a_key_has_a_part_for_each_pair_of_columns() -> None:
    with pytest.raises(ValueError, match=r"argument 2 is"):
        match_key(["Contoso"], [plain(), plain()])


def test_capitals_count_where_the_pair_says_so() -> None:
    form = form_of(MatchPair("name", "name", case=True))
    assert form("Adatum") != form("ADATUM")
    assert form(" Adatum  Corp ") == form("Adatum Corp")


def test_a_match_seen_from_both_sides_is_unique() -> None:
    found = match({"b": keys("Contoso")}, {"d": keys("CONTOSO"), "e": keys("Fabrikam")})
    assert (found.unique, found.group) == ({"b": "d"}, {"b": 0})
    assert not found.ambiguous_business_central
    assert not found.ambiguous_dataverse


def test_groups_are_alternatives_tried_in_order() -> None:
    found = match(
        {"b": keys("C1", "Contoso"), "c": keys(None, "Fabrikam")}, {"d": keys("C1", "x"), "e": keys("C2", "Fabrikam")}
    )
    assert (found.unique, found.group) == ({"b": "d", "c": "e"}, {"b": 0, "c": 1})


def test_what_a_group_matched_is_taken_for_the_next() -> None:
    found = match({"b": keys("C1", "Contoso"), "c": keys("C2", "Contoso")}, {"d": keys("C1", "Contoso")})
    assert found.unique == {"b": "d"}
    assert not found.ambiguous_business_central


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"b": keys("X")}, {"d": keys("X"), "e": keys("x")}),
        ({"b": keys("X"), "c": keys("x")}, {"d": keys("X")}),
        ({"b": keys("X"), "c": keys("x")}, {"d": keys("X"), "e": keys("x")}),
    ],
    ids=["one to two", "two to one", "two to two"],
)
def test_ambiguity_from_either_side_is_left_alone_with_its_rivals_named(
    ours: dict[str, Keys], theirs: dict[str, Keys]
) -> None:
    found = match(ours, theirs)
    assert found.unique == {}
    assert found.ambiguous_business_central == {id: tuple(theirs) for id in ours}
    assert found.ambiguous_dataverse == {id: tuple(ours) for id in theirs}


def test_ambiguous_records_are_not_given_away_by_a_later_group() -> None:
    found = match({"b": keys("X", "1")}, {"d": keys("X", "1"), "e": keys("X", "2")})
    assert found.unique == {}


def test_rivals_of_one_side_alone_are_no_ambiguity() -> None:
    found = match({"b": keys("X"), "c": keys("X")}, {"d": keys("Y")})
    assert not found.ambiguous_business_central


def test_the_same_id_on_both_sides_names_two_records() -> None:
    """A record that Koppel creates gets its partner's id; uncoupled again, the two are only strangers."""
    found = match({"x": keys("1", None), "y": keys(None, "2")}, {"z": keys("1", None), "x": keys(None, "2")})
    assert found.unique == {"x": "z", "y": "x"}


def test_nothing_matches_nothing() -> None:
    assert match({}, {"d": keys("X")}).unique == {}
    assert match({"b": keys("X")}, {}).unique == {}

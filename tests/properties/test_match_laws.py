"""The laws of matching: one to one, symmetric, and exactly what looking at every pair would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from koppel.engine.match import Keys, Matches, match

GROUPS = 3
# Both sides draw from the same ids: a record that Koppel created bears its partner's.
SIDES = st.dictionaries(
    st.sampled_from("pqrstuvw"),
    st.tuples(*[st.sampled_from([None, "k", "l", "m"])] * GROUPS),
    max_size=8,
)


def pair_by_pair(ours: dict[str, Keys], theirs: dict[str, Keys]) -> Matches:
    """The same by definition: in each group every pair that shares a key, taken when neither has another."""
    found = Matches({}, {}, {}, {})
    for group in range(GROUPS):
        pairs = [
            (b, d)
            for b in ours
            for d in theirs
            if ours[b][group] is not None
            and ours[b][group] == theirs[d][group]
            and b not in found.unique
            and b not in found.ambiguous_business_central
            and d not in found.unique.values()
            and d not in found.ambiguous_dataverse
        ]
        for b, d in pairs:
            rivals_of_ours = tuple(other for this, other in pairs if this == b)
            rivals_of_theirs = tuple(this for this, other in pairs if other == d)
            if len(rivals_of_ours) == len(rivals_of_theirs) == 1:
                found.unique[b], found.group[b] = d, group
            else:
                found.ambiguous_business_central[b] = rivals_of_ours
                found.ambiguous_dataverse[d] = rivals_of_theirs
    return found


@given(SIDES, SIDES)
def test_it_finds_what_looking_at_every_pair_finds(ours: dict[str, Keys], theirs: dict[str, Keys]) -> None:
    assert match(ours, theirs) == pair_by_pair(ours, theirs)


@given(SIDES, SIDES)
def test_matches_are_one_to_one_and_never_ambiguous(ours: dict[str, Keys], theirs: dict[str, Keys]) -> None:
    found = match(ours, theirs)
    assert len(set(found.unique.values())) == len(found.unique)
    assert found.unique.keys().isdisjoint(found.ambiguous_business_central)
    assert set(found.unique.values()).isdisjoint(found.ambiguous_dataverse)
    assert found.group.keys() == found.unique.keys()


@given(SIDES, SIDES)
def test_matching_is_symmetric(ours: dict[str, Keys], theirs: dict[str, Keys]) -> None:
    found, mirror = match(ours, theirs), match(theirs, ours)
    assert mirror.unique == {theirs: ours for ours, theirs in found.unique.items()}
    assert mirror.ambiguous_business_central == found.ambiguous_dataverse
    assert mirror.ambiguous_dataverse == found.ambiguous_business_central

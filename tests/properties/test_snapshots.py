from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.errors import StoreError
from koppel.mapping.model import FieldMapping
from koppel.odata.records import Scalar
from koppel.store import snapshots
from koppel.store.snapshots import UNKNOWN, Aligned

VALUES: st.SearchStrategy[Scalar | msgspec.UnsetType] = st.one_of(
    st.just(UNKNOWN),
    st.sampled_from(["[]", "[", '"[]"']),
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
NAMES = st.lists(st.sampled_from([f"field{number}" for number in range(12)]), unique=True, max_size=12).map(tuple)


def codec(fields: tuple[str, ...], dictionaries: dict[int, bytes] | None = None) -> snapshots.Codec:
    return snapshots.make_codec("CUSTOMER", fields, {1: fields}, dictionaries or {})


def typed(values: Any) -> list[tuple[type, Any]]:
    return [(type(value), value) for value in values]


@st.composite
def bases(draw: st.DrawFn, width: int | None = None) -> tuple[Aligned, Aligned]:
    size = draw(st.integers(0, 12)) if width is None else width
    values = st.lists(VALUES, min_size=size, max_size=size).map(tuple)
    return draw(values), draw(values)


@given(bases())
def test_a_base_comes_back_to_the_type(base: tuple[Aligned, Aligned]) -> None:
    plain = codec(tuple(f"field{number}" for number in range(len(base[0]))))
    read = snapshots.decode(plain, snapshots.encode(plain, *base))
    assert [typed(values) for values in read] == [typed(values) for values in base]


@given(st.data(), NAMES, NAMES)
def test_a_field_keeps_its_value_through_a_change_of_the_list(
    data: st.DataObject, old: tuple[str, ...], new: tuple[str, ...]
) -> None:
    base = data.draw(bases(len(old)))
    written = snapshots.encode(codec(old), *base)
    today = snapshots.make_codec("CUSTOMER", new, {1: old, 2: new} if old != new else {1: old}, {})
    for values, read in zip(base, snapshots.decode(today, written), strict=True):
        before = dict(zip(old, values, strict=True))
        assert typed(read) == typed(before.get(name, UNKNOWN) for name in new)


def likely(number: int) -> tuple[Aligned, Aligned]:
    values = (f"C{number:05}", f"Customer {number * 7919 % 1000}", f"{number} Main Street", "Seattle", "US", number / 7)
    return values, values


@pytest.fixture(scope="module")
def dictionary() -> bytes:
    return snapshots.make_dictionary([likely(number) for number in range(500)])


@given(base=bases(6))
def test_a_dictionary_changes_no_value(dictionary: bytes, base: tuple[Aligned, Aligned]) -> None:
    plain, trained = codec(tuple("abcdef")), codec(tuple("abcdef"), {1: dictionary})
    assert snapshots.decode(trained, snapshots.encode(trained, *base)) == base
    # What was written before there was a dictionary stays readable.
    assert snapshots.decode(trained, snapshots.encode(plain, *base)) == base


def test_a_dictionary_makes_bases_smaller(dictionary: bytes) -> None:
    plain, trained = codec(tuple("abcdef")), codec(tuple("abcdef"), {1: dictionary})
    unseen = likely(777)
    assert len(snapshots.encode(trained, *unseen)) <= len(snapshots.encode(plain, *unseen)) / 2


@given(bases(3), st.binary(max_size=12))
def test_damage_is_noticed_or_harmless(base: tuple[Aligned, Aligned], noise: bytes) -> None:
    plain = codec(("a", "b", "c"))
    written = snapshots.encode(plain, *base)
    with pytest.raises(StoreError, match="cannot be read"):
        snapshots.decode(plain, noise[:3])
    with pytest.raises(StoreError, match="cannot be read"):
        snapshots.decode(plain, b"\x09\x00\x00\x00" + written[4:])
    with pytest.raises(StoreError, match="cannot be read"):
        snapshots.decode(plain, written[:-1])


def test_field_names_are_unique_though_a_pair_occurs_twice() -> None:
    fields = [FieldMapping(business_central="name", dataverse="name")] * 2 + [FieldMapping(dataverse="telephone1")]
    assert snapshots.field_names(fields) == ("name|name", "name|name|2", "|telephone1")

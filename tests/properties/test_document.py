"""Whatever a file holds, reading it ends in a mapping or in problems with places, never in another error."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from koppel.document import read
from koppel.mapping.load import LOADED, MappingFile
from koppel.mapping.schema import DESCRIPTIONS

WORDS = st.sampled_from(
    [
        "no",
        "on",
        "010",
        "1.50",
        "0x1F",
        "~",
        "2024-01-31",
        "12:30",
        "to_dataverse",
        "both",
        "true",
        "a b",
        "é",
        "'",
        '"',
        "#",
    ]
)
KEYS = st.sampled_from(sorted({key.partition(".")[2] for key in DESCRIPTIONS})) | WORDS
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | WORDS
)
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
)
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    document = read(text, "f.yaml", MappingFile, hidden=LOADED)
    assert (document.value is None) == bool(document.problems)
    assert all(problem.line >= 1 and problem.message for problem in document.problems)


@given(TREES)
def test_any_shape_is_read_or_refused(tree: Any) -> None:
    document = read(json.dumps(tree), "f.yaml", MappingFile, hidden=LOADED)
    assert (document.value is None) == bool(document.problems)


@given(PLAIN, st.none() | st.booleans() | st.integers() | PLAIN)
def test_values_arrive_as_they_were_written(caption: str, value: Any) -> None:
    tree = {
        "mapping": "M",
        "caption": caption,
        "business_central": {"table": "t", "create": {"x": value}},
        "dataverse": {"table": "t"},
    }
    document = read(yaml.safe_dump(tree), "f.yaml", MappingFile, hidden=LOADED)
    assert document.problems == []
    assert document.value is not None
    assert document.value.caption == caption
    assert document.value.business_central.create == {"x": value}

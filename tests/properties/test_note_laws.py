"""Notes: what people type in Business Central is the same after a journey through Dataverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.rules.note import marked_up, plain

LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40), max_size=4)


@pytest.mark.rule("NOTE-02")
@given(LINES.map("\n".join))
def test_what_is_typed_comes_back(typed: str) -> None:
    assert plain(marked_up(typed)) == typed.strip()


@pytest.mark.rule("NOTE-02")
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div><p>Call <b>Ann</b></p><p>at 5 &amp; 6</p></div>", "Call Ann\nat 5 & 6"),
        ("one<br/>two", "one\ntwo"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("a &lt;b&gt; c", "a <b> c"),
        ("", ""),
    ],
)
def test_the_text_of_html(html: str, text: str) -> None:
    assert plain(html) == text

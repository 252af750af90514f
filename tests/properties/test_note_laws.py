"""Notes: what people type in Business Central is the same after a journey through Dataverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.rules.note import marked_up, plain

PIECES = (
    "<p>",
    "</p>",
    "<b",
    "<",
    ">",
    "<br/>",
    "&amp;",
    "&",
    "lt;",
    "<!--",
    "-->",
    "<style>",
    "</style>",
    '"',
    "'",
    "a",
)


@pytest.mark.rule("NOTE-02")
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_what_is_typed_comes_back(typed: str) -> None:
    assert plain(marked_up(typed)) == typed.strip()


@pytest.mark.rule("NOTE-02")
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<>&"), min_size=1, max_size=9), max_size=5))
def test_paragraphs_are_lines(lines: list[str]) -> None:
    html = "".join(f'<p style="color:red"><b>{line}</b></p>' for line in lines)
    assert plain(f"<div>{html}</div>") == "\n".join(lines).strip()


@pytest.mark.rule("NOTE-02")
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div><p>Call <b>Ann</b></p><p>at 5 &amp; 6</p></div>", "Call Ann\nat 5 & 6"),
        ("one<br/>two<BR>three", "one\ntwo\nthree"),
        ("<div>one</div><div><br></div><div>two</div>", "one\n\ntwo"),
        ("<p>one</p><p>&nbsp;</p><p>two</p>", "one\n\xa0\ntwo"),
        ("<p>To do:</p><ul><li>one</li><li>two</li></ul><p>Bye</p>", "To do:\none\ntwo\nBye"),
        ('<img src="x.png" alt="a > b"><a href=\'y\' title="1>0">here</a>', "here"),
        ("<style>p > b {}</style><!-- <p>hidden</p> -->seen<o:p></o:p>", "seen"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("x<y and y>z", "x<y and y>z"),
        ("<p>Ann &lt;ann@example.com&gt;</p>", "Ann <ann@example.com>"),
        ("Ann <ann@example.com>, <https://example.com>", "Ann <ann@example.com>, <https://example.com>"),
        ("Dear <your name>", "Dear <your name>"),
        ("a &lt;b&gt; c &amp;lt; d", "a <b> c &lt; d"),
        ("https://example.com/?id=1&copy=2&lt=3", "https://example.com/?id=1&copy=2&lt=3"),
        ("R&D; &euro;5 &#8364;5 &#x20AC;5", "R&D; €5 €5 €5"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_text_of_html(html: str, text: str) -> None:
    assert plain(html) == text


@pytest.mark.rule("NOTE-02")
@pytest.mark.parametrize("piece", ['<p "', "<style>", "<script ", "<!--", "<br '", '<p a="<', "</div ", "&amp"])
def test_what_nothing_closes_is_text_however_long(piece: str) -> None:
    text = piece * 50_000
    assert plain(text) == text.strip()

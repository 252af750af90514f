"""Notes of sales orders and quotes: whose they are, and HTML against plain text (NOTE-…)."""

from __future__ import annotations

import re
from html import escape, unescape

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, complete, compute, refuse
from koppel.odata.records import Scalar
from koppel.rules.document import ORDERS_BOTH

ORDERS, QUOTES = "SALESORDER-ORDER", "SALESQUOTE-QUOTE"
_TAKEN_OVER = (1, 2)
"""The states of quotes that go to Business Central: active and won."""
TITLE = 250
"""Characters that Business Central has room for in the description of a note."""

_BLOCKS = r"p|div|li|tr|h[1-6]|blockquote|pre|ul|ol|table"
_NAMES = (
    rf"{_BLOCKS}|a|abbr|address|article|aside|audio|b|bdi|bdo|big|body|br|button|caption|center|cite|code|col|colgroup|"
    r"data|dd|del|details|dfn|dl|dt|em|figcaption|figure|font|footer|form|head|header|hr|html|i|iframe|img|input|ins|kbd|"
    r"label|link|main|map|mark|meta|nav|o:p|object|picture|q|s|samp|section|small|source|span|strike|strong|sub|summary|"
    r"sup|svg|tbody|td|tfoot|th|thead|time|title|tt|u|var|video|wbr"
)
_REST = r"""(?:[\s/](?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)?>"""
_UNSEEN = (
    (re.compile("<!--"), re.compile("-->")),
    *((re.compile(rf"<{name}{_REST}", re.I), re.compile(rf"</{name}\s*>", re.I)) for name in ("style", "script")),
)
"""What begins and ends what HTML does not show."""
_END = re.compile(rf"(?:<br{_REST}|</(?:{_BLOCKS})\s*>)(?:\s*</(?:{_BLOCKS})\s*>)*", re.I)
_TAG = re.compile(rf"</?(?:{_NAMES}){_REST}", re.I)
_ENTITY = re.compile(r"&#?\w{1,31};")
_SPECIAL = re.compile(r"[<>&]")


def plain(text: str) -> str:
    """The text of HTML: a line for each paragraph, no tags, no entities, no blanks around it (NOTE-02).

    What people type stays, since only what is a tag or an entity is taken for one: ``3 < 4``, ``<ann@example.com>``,
    ``?id=1&copy=2``.
    """
    for begin, end in _UNSEEN:
        text = _without(text, begin, end)
    text = _TAG.sub("", _END.sub("\n", text))
    return _ENTITY.sub(lambda found: unescape(found[0]), text).strip()


def _without(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str:
    """The text without what stands between; one expression for it all would look for each missing end to the last."""
    kept, at = "", 0
    while (opening := begin.search(text, at)) and (closing := end.search(text, opening.end())):
        kept += text[at : opening.start()]
        at = closing.end()
    return kept + text[at:]


def marked_up(text: str) -> str:
    """Plain text as Dataverse shows it, and as ``plain`` reads it again; most is the same in both."""
    if not _SPECIAL.search(text):
        return text
    return "".join(f"<p>{escape(line, quote=False)}</p>" for line in text.split("\n"))


def _documents(mapping: str, column: str) -> Need:
    """The couplings of the documents that ``column`` names."""
    key = "business_central_id" if column == "documentId" else "dataverse_id"
    return Need(name="documents", couplings=mapping, key=key, of=lambda batch: batch.column(column))


def _refused(batch: Batch, column: str, word: str, key: str = "dataverse_id") -> list[Refusal | None]:
    coupled = {row[key] for row in batch.table("documents")}
    return [None if id in coupled else _alone(str(id or ""), word) for id in batch.column(column)]


def _alone(document: str, word: str) -> Refusal:
    return Refusal(
        code="NOTE-03",
        message=f"its {word} is not coupled",
        remedy=f"nothing is to be done: the note follows once its {word} is coupled",
        field="documentId",
        value=document,
        skip=True,
    )


@refuse(reads=("documentId",), needs=(_documents(ORDERS, "documentId"),))
def of_coupled_order(batch: Batch) -> list[Refusal | None]:
    """Notes of orders that are not coupled stay where they are (NOTE-03)."""
    return _refused(batch, "documentId", "order", "business_central_id")


@refuse(side="dataverse", reads=("objectid_salesorder",), needs=(_documents(ORDERS, "objectid_salesorder"),))
def on_coupled_order(batch: Batch) -> list[Refusal | None]:
    """Annotations of orders that are not coupled stay where they are (NOTE-04)."""
    return _refused(batch, "objectid_salesorder", "order")


@refuse(reads=("documentId",), needs=(_documents(ORDERS_BOTH, "documentId"),))
def of_order_both(batch: Batch) -> list[Refusal | None]:
    """The same where orders go both ways (SO-45)."""
    return _refused(batch, "documentId", "order", "business_central_id")


@refuse(side="dataverse", reads=("objectid_salesorder",), needs=(_documents(ORDERS_BOTH, "objectid_salesorder"),))
def on_order_both(batch: Batch) -> list[Refusal | None]:
    """The same of annotations (SO-45)."""
    return _refused(batch, "objectid_salesorder", "order")


@refuse(
    side="dataverse",
    reads=("objectid_quote",),
    needs=(
        _documents(QUOTES, "objectid_quote"),
        Need(
            name="quotes",
            side="dataverse",
            table="quote",
            columns=("quoteid", "statecode"),
            key="quoteid",
            of=lambda batch: batch.column("objectid_quote"),
        ),
    ),
)
def on_coupled_quote(batch: Batch) -> list[Refusal | None]:
    """Annotations of quotes that are not coupled, and will not be as they are, stay where they are (QUOTE-04)."""
    coming = {row["quoteid"] for row in batch.table("quotes") if row["statecode"] in _TAKEN_OVER}
    refusals = zip(batch.column("objectid_quote"), _refused(batch, "objectid_quote", "quote"), strict=True)
    return [None if id in coming else refusal for id, refusal in refusals]


@compute(side="dataverse", reads=("notetext",))
def text(batch: Batch) -> list[Scalar | Refusal]:
    """The text of an annotation without its mark-up (NOTE-02)."""
    return [plain(str(found or "")) for found in batch.column("notetext")]


@complete(reads=("description", "note"))
def annotation(batch: Batch) -> list[dict[str, Scalar]]:
    """Subject and text of a new annotation; later changes of the note do not follow (NOTE-03, NOTE-05)."""
    columns = zip(batch.column("description"), batch.column("note"), strict=True)
    return [{"subject": title or None, "notetext": marked_up(str(note or ""))} for title, note in columns]


@complete(side="dataverse", reads=("subject", "createdon"), writes={"": ("description", "created")})
def note(batch: Batch) -> list[dict[str, Scalar]]:
    """Description and time of a new note (NOTE-01)."""
    columns = zip(batch.column("subject"), batch.column("createdon"), strict=True)
    return [{"description": str(title or "")[:TITLE].rstrip(), "created": made} for title, made in columns]

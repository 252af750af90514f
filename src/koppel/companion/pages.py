"""The companion pages as AL has them: each column with what it shows and what writing to it does.

What the catalogue tells of a page and what ``pages.yaml`` adds to it come together here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml

from koppel.catalogue.pages import Catalogue, Field, Page, catalogue
from koppel.companion.syntax import name, variable, words

ALWAYS = ("id", "lastModifiedDateTime", "systemCreatedAt", "systemModifiedBy", "systemRowVersion")
"""What every page shows."""
ROUTE = "companion"
_EXTENSION = 40
"""Object numbers between a page and the extension of its table."""
_OF_BUFFERS = 8000
"""Fields of buffer tables from this number on are no fields of the tables behind them."""

_OF_SYSTEM = 2_000_000_000
_NAMED = re.compile(r'(?:Database::|lookup\()(?:"([^"]+)"|(\w+))')

_TYPES = {
    "text": "Text",
    "code": "Code",
    "integer": "Integer",
    "decimal": "Decimal",
    "boolean": "Boolean",
    "date": "Date",
    "datetime": "DateTime",
    "guid": "Guid",
}


class Codeunit(msgspec.Struct, frozen=True, rename={"folder": "with"}):
    """A codeunit that statements call; ``folder`` of ``al/`` that has it, empty for one of Business Central."""

    name: str
    folder: str = ""


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column in ``pages.yaml``, which explains the words."""

    field: tuple[int, str] | None = None
    flow: tuple[int, str, str] | None = None
    blob: str = ""
    value: str = ""
    type: str = ""
    calc: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    fixed: bool = False
    lacks: str = ""


class _PageFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"folder": "with"}):
    id: int = 0
    extends: int = 0
    lacks: str = ""
    name: str = ""
    source: str = ""
    of: str = ""
    view: str = ""
    folder: str = ""
    reads: tuple[str, ...] = ()
    keeper: str = ""
    buffered: bool = False
    new: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    actions: dict[str, str] = {}
    parts: dict[str, str] = {}
    columns: dict[str, _Facts] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    range: dict[str, int]
    codeunits: dict[str, Codeunit]
    tables: dict[str, _PageFacts]


class Flow(msgspec.Struct, frozen=True):
    """A field that the extension adds to a table: looked up in another one whenever it is read."""

    number: int
    name: str
    formula: str
    type: str


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A control of a page. ``shows``: a field of the row or a variable, which is then of ``type``.

    ``read``: statements that fill the variable; ``write``: what writing to it does, with ``local`` variables.
    """

    name: str
    caption: str
    shows: str
    editable: bool
    type: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    flow: Flow | None = None

    @property
    def filterable(self) -> bool:
        """Whether Business Central can look for rows by it: it knows nothing of variables."""
        return not self.type


class AlPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page to be written.

    ``key``: the primary key, where a caller may change it, which renames the row. ``parts``: by set name, how rows of
    pages below it are linked. ``tables``: those that it reads besides its own, for permissions; ``data``: its own, as
    the database knows it. ``lacks``: columns that it cannot show, and why.
    """

    page: Page
    id: int
    extends: int = 0
    name: str
    source: str
    data: str
    view: str
    keeper: str
    folders: tuple[str, ...]
    codeunits: Mapping[str, Codeunit]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    new: tuple[str, ...]
    insert: tuple[str, ...]
    actions: Mapping[str, str]
    parts: Mapping[str, str]
    tables: tuple[str, ...]
    lacks: Mapping[str, str]

    @property
    def extension_id(self) -> int:
        """Number of its table's extension, which pages of the same table share."""
        return self.extends or self.id + _EXTENSION


@cache
def _facts() -> _File:
    text = (files("koppel.companion") / "pages.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), _File, strict=False)


def object_range() -> tuple[int, int]:
    """The first and the last number that objects may have."""
    return _facts().range["from"], _facts().range["to"]


def why_not(table: str) -> str:
    """Why a table has no page; empty when it has one."""
    return _facts().tables[table].lacks


def al_page(table: str, used: Collection[str]) -> AlPage:
    """The page of a table with the columns in use, in the page's order; those that it does not know are left out."""
    known = catalogue()
    page, facts = known.pages[ROUTE][table], _facts().tables[table]
    source = facts.source or page.table.caption
    wanted = [field for field in page.fields.values() if field.name in used or field.name in ALWAYS]
    lacks = {field.name: reason for field in wanted if (reason := _lacking(field, page, facts))}
    columns = tuple(_column(field, page, facts, known) for field in wanted if field.name not in lacks)
    called: list[str] = [text for column in columns for text in (*column.read, *column.write)]
    called += [*facts.insert, *facts.actions.values(), f"{facts.keeper}."]
    codeunits = {each: unit for each, unit in _facts().codeunits.items() if any(f"{each}." in text for text in called)}
    flows = [column.flow.formula for column in columns if column.flow]
    folders = [facts.folder, *(unit.folder for unit in codeunits.values())]
    return AlPage(
        page=page,
        id=facts.id,
        extends=facts.extends,
        name=facts.name or f"Koppel {words(table)}",
        source=source,
        data=facts.of or source,
        view=facts.view,
        keeper=facts.keeper,
        folders=tuple(dict.fromkeys(filter(None, folders))),
        codeunits=codeunits,
        columns=columns,
        key=_key(page, facts),
        new=facts.new,
        insert=facts.insert,
        actions={action: facts.actions[action] for action in page.actions},
        parts=facts.parts,
        tables=tuple(sorted({*_tables((*called, *flows)), *facts.reads} - {source})),
        lacks=lacks,
    )


def _lacking(field: Field, page: Page, facts: _PageFacts) -> str:
    """Why the page cannot show a column; empty when it can."""
    if own := facts.columns.get(field.name):
        return own.lacks
    if _paired(field, page, facts):
        return ""
    if field.number is None:
        return "it is no field of the table"
    return "only API v2.0 has it" if facts.buffered and _OF_BUFFERS <= field.number < _OF_SYSTEM else ""


def _paired(field: Field, page: Page, facts: _PageFacts) -> str:
    """The table of the row whose id this column holds beside its code, if the row itself holds the code only."""
    return page.table.relations[page.table.pairs[field.name]] if _is_pair(field, page, facts) else ""


def _is_pair(field: Field, page: Page, facts: _PageFacts) -> bool:
    return facts.buffered and field.name in page.table.pairs


def _column(field: Field, page: Page, facts: _PageFacts, known: Catalogue) -> Column:
    own = facts.columns.get(field.name, _Facts())
    caption, stored = words(field.name), _stored(field, facts)
    editable = field.editable and (page.insert or page.modify) and not own.fixed
    if own.flow:
        flow = Flow(*own.flow, type=_type(field))
        shows = f"Rec.{name(flow.name)}"
        return _control(field, caption, shows, editable and bool(own.set), write=own.set, flow=flow)
    if own.blob:
        return _long_text(field, caption, own.blob, editable)
    if own.value:
        return _computed(field, caption, own, editable)
    if related := _paired(field, page, facts):
        code = _stored(page.fields[page.table.pairs[field.name]], facts)
        return _id_of_code(field, caption, code, known.tables[related].caption, editable)
    if field.name == page.table.local_currency:
        return _currency(field, caption, stored, editable)
    return _control(field, caption, stored, editable, write=own.set)


def _stored(field: Field, facts: _PageFacts) -> str:
    own = facts.columns.get(field.name, _Facts()).field
    return f"Rec.{name(own[1] if own else field.caption)}"


def _control(field: Field, caption: str, shows: str, editable: bool, **more: Any) -> Column:
    if not editable:
        more |= {"write": (), "local": ()}
    return Column(name=field.name, caption=caption, shows=shows, editable=editable, **more)


def _in_variable(field: Field, caption: str, value: str, editable: bool, **more: Any) -> Column:
    """A column whose value the page computes when a row is read; ``calc``: fields of the row to calculate before."""
    shows = variable(field.name)
    calculated = ", ".join(map(name, more.pop("calc", ())))
    read = (*([f"Rec.CalcFields({calculated})"] if calculated else []), f"{shows} := {value}")
    kind = more.pop("type", "") or _type(field)
    return _control(field, caption, shows, editable, type=kind, read=read, **more)


def _computed(field: Field, caption: str, own: _Facts, editable: bool) -> Column:
    given = {"type": own.type, "calc": own.calc, "write": own.set}
    return _in_variable(field, caption, own.value, editable and bool(own.set), **given)


def _currency(field: Field, caption: str, stored: str, editable: bool) -> Column:
    """A blank code shows as the local currency's, and that one is stored blank."""
    write = f"{_validate(stored)}, Values.CurrencyStored({variable(field.name)}))"
    return _in_variable(field, caption, f"Values.CurrencyShown({stored})", editable, type="Code[10]", write=(write,))


def _id_of_code(field: Field, caption: str, stored: str, related: str, editable: bool) -> Column:
    """The id of a reference that the row holds as a code."""
    table = f"Database::{name(related)}"
    write = f"{_validate(stored)}, Values.CodeOf({table}, {variable(field.name)}))"
    return _in_variable(field, caption, f"Values.IdOf({table}, {stored})", editable, write=(write,))


def _long_text(field: Field, caption: str, blob: str, editable: bool) -> Column:
    stored = f"Rec.{name(blob)}"
    write = (
        f"Clear({stored})",
        f"{stored}.CreateOutStream(Target, TextEncoding::UTF8)",
        f"Target.WriteText({variable(field.name)})",
        "if Rec.Modify() then",  # a change of such a field alone might not be noticed; a new row is not there yet
    )
    read = f"Values.TextOf(Rec, Rec.FieldNo({name(blob)}))"
    return _in_variable(field, caption, read, editable, write=write, local=("Target: OutStream;",))


def _validate(stored: str) -> str:
    """``Rec."Currency Code"`` as ``Rec.Validate("Currency Code"``."""
    return f"Rec.Validate({stored.removeprefix('Rec.')}"


def _type(field: Field) -> str:
    if field.type == "Edm.Int64":
        return "BigInteger"
    kind = _TYPES[field.kind]
    return f"{kind}[{field.max_length}]" if field.max_length and kind in ("Text", "Code") else kind


def _key(page: Page, facts: _PageFacts) -> tuple[str, ...]:
    """The fields of the primary key, where the page lets callers change any of them."""
    fields = [page.fields[column] for column in page.table.key]
    changeable = page.modify and not facts.buffered and not facts.keeper and any(field.editable for field in fields)
    return tuple(field.caption for field in fields) if changeable else ()


def _tables(texts: Iterable[str]) -> set[str]:
    """The tables that statements and formulas name."""
    found = {match[1] or match[2] for text in texts for match in _NAMED.finditer(text)}
    shown = any("Values.Currency" in text for text in texts)
    return found | ({"General Ledger Setup"} if shown else set())

"""Pages of JSON into records: decoded straight into a struct made for the columns that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from koppel.errors import DataError
from koppel.odata.records import Record, Values

LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
"""The annotation that tells which table a polymorphic lookup of Dataverse points to."""


class Wanted(msgspec.Struct, frozen=True):
    """A column to read under its name on the wire; ``""`` reads as ``None``.

    ``only_table``: the value counts only when the lookup points to this table.
    """

    name: str
    only_table: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """A page as it came: its records, the ids reported as deleted, and where reading goes on."""

    records: list[Record]
    deleted: list[str]
    next_link: str
    delta_link: str


@lru_cache(maxsize=256)
def decoder_for(wanted: tuple[Wanted, ...], id_column: str, modified_at: str = "", modified_by: str = "") -> Decoder:
    """The ``Decoder`` of these columns; to make one takes longer than to read a small page with it."""
    return Decoder(wanted, id_column, modified_at, modified_by)


class Decoder:
    """Reads pages and single records of one table in the columns asked for."""

    def __init__(self, wanted: Sequence[Wanted], id_column: str, modified_at: str = "", modified_by: str = "") -> None:
        fields = _Fields()
        self._make = _maker(fields, wanted, id_column, modified_at, modified_by)
        self._removed = attrgetter(fields.add("@odata.context"), fields.add("id"))
        row_type = msgspec.defstruct("Row", fields.definitions, rename=fields.wire_names, gc=False)
        page_type = msgspec.defstruct(
            "Page",
            [("value", list[row_type]), ("next_link", str, ""), ("delta_link", str, "")],  # type: ignore[valid-type]
            rename={"next_link": "@odata.nextLink", "delta_link": "@odata.deltaLink"},
        )
        self._row: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row_type)
        self._page: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page_type)

    def page(self, body: bytes | msgspec.Raw) -> Envelope:
        """A page of a collection. ``DataError`` when the body is none."""
        page = _decoded(self._page, body)
        return Envelope(list(map(self._make, page.value)), [], page.next_link, page.delta_link)

    def changes(self, body: bytes) -> Envelope:
        """A page of changes, where a row that says so in its context was deleted."""
        page = _decoded(self._page, body)
        records, deleted = [], []
        for row in page.value:
            context, key = self._removed(row)
            if context is not None and context.endswith("$deletedEntity"):
                deleted.append(key.lower())
            else:
                records.append(self._make(row))
        return Envelope(records, deleted, page.next_link, page.delta_link)

    def record(self, body: bytes | msgspec.Raw) -> Record:
        """A single record."""
        return self._make(_decoded(self._row, body))


class _Fields:
    """The fields of the struct to be: a valid name for each name on the wire, each but once."""

    def __init__(self) -> None:
        self.wire_names: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def add(self, wire_name: str) -> str:
        name = self._names.setdefault(wire_name, f"f{len(self._names)}")
        self.wire_names[name] = wire_name
        return name

    @property
    def definitions(self) -> list[tuple[str, Any, Any]]:
        return [(name, Any, None) for name in self.wire_names]


def _maker(
    fields: _Fields, wanted: Sequence[Wanted], id_column: str, modified_at: str, modified_by: str
) -> Callable[[Any], Record]:
    head = attrgetter(*map(fields.add, (id_column, "@odata.etag", modified_at, modified_by)))
    values = _values(fields, wanted)

    def make(row: Any) -> Record:
        key, version, changed, editor = head(row)
        return Record(key.lower(), version or "", values(row), changed or "", editor or "")

    return make


def _values(fields: _Fields, wanted: Sequence[Wanted]) -> Callable[[Any], Values]:
    names = [fields.add(column.name) for column in wanted]
    pointed = [
        (number, fields.add(f"{column.name}@{LOOKUP_TABLE}"), column.only_table)
        for number, column in enumerate(wanted)
        if column.only_table
    ]
    if not pointed:
        return _tuple_of(names)
    all_values = _tuple_of(names)

    def values(row: Any) -> Values:
        found = list(all_values(row))
        for number, annotation, table in pointed:
            if getattr(row, annotation) != table:
                found[number] = None
        return tuple(found)

    return values


def _tuple_of(names: list[str]) -> Callable[[Any], Values]:
    if not names:
        return lambda row: ()
    if len(names) == 1:
        get = attrgetter(names[0])
        return lambda row: (get(row),)
    return attrgetter(*names)


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise DataError(f"the system's answer cannot be read: {error}") from error

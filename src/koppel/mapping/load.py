"""Mapping files: the standard ones that come with Koppel and those of the user's folders, checked as one set."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from koppel.document import Document, Where, did_you_mean, read, read_file, report
from koppel.errors import MappingError
from koppel.mapping import checks
from koppel.mapping.contradictions import contradictions
from koppel.mapping.finding import SIDES
from koppel.mapping.functions import source_of
from koppel.mapping.model import Direction, Endpoint, FieldMapping, Hooks, TableMapping
from koppel.mapping.transforms import functions_of
from koppel.odata.records import Side

LOADED = frozenset({"line", "called", "file", "functions", "digest"})
"""Fields of the model that loading sets, not the file."""

ORDER = (
    "SALESPEOPLE",
    "CURRENCY",
    "UNIT OF MEASURE",
    "UNIT GROUP",
    "ITEM UOM",
    "RESOURCE UOM",
    "PAYMENT TERMS",
    "SHIPMENT METHOD",
    "SHIPPING AGENT",
    "CUSTOMER",
    "VENDOR",
    "CONTACT",
    "ITEM-PRODUCT",
    "RESOURCE-PRODUCT",
    "CUSTPRCGRP-PRICE",
    "SALESPRC-PRODPRICE",
    "OPPORTUNITY",
    "SALESORDER-ORDER",
    "SALESORDER-ORDER-TWO-WAY",
    "SOLINE-ORDERDETAIL",
    "POSTEDSALESINV-INV",
    "POSTEDSALESLINE-INV",
    "SALES ORDER NOTES",
    "SALES ORDER NOTES-TWO-WAY",
    "SALESQUOTE-QUOTE",
    "SALES QUOTE NOTES",
    "ACCOUNT STATISTICS",
)
"""The standard order, where dependencies leave a choice."""
ALL_AS_THEY_ARE: Mapping[str, bool] = MappingProxyType({})

_TOWARDS: dict[str, Direction] = {"business_central": "from_dataverse", "dataverse": "to_dataverse"}


class MappingFile(TableMapping, frozen=True, kw_only=True):
    """What a mapping file may say: the model, its name under ``mapping``, and whether it replaces a standard one."""

    name: str = msgspec.field(name="mapping")
    overrides: Literal["standard"] | None = None


Read = Document[MappingFile]


def load_mappings(
    folders: Sequence[Path] = (),
    *,
    known_rules: Mapping[str, set[str]] | None = None,
    functions: Path | None = None,
    enabled: Mapping[str, bool] = ALL_AS_THEY_ARE,
) -> dict[str, TableMapping]:
    """The standard mappings and those of the folders (``*.yaml``, one mapping each), by name in dependency order.

    ``known_rules``: names of rule functions by kind (``compute``, ``references``, ``refuse``, ``complete``,
    ``follow``); without it they are not checked. ``functions``: the folder of Python functions for transformations.
    ``enabled``: which mappings are on, whatever their files say. Raises one ``MappingError`` that lists every mistake
    of every file by line.
    """
    standard = [msgspec.structs.replace(document, problems=[*document.problems]) for document in _standard()]
    own = [document for folder in folders for document in _read_folder(folder)]
    documents = _chosen(standard, own)
    _switch(documents, enabled)
    folder = "" if functions is None else str(functions)
    on = {m.name for document in documents if (m := document.value) and m.enabled}
    mappings = {m.name: _completed(m, document, folder, on) for document in documents if (m := document.value)}
    _check(documents, mappings, known_rules)
    report((problem for document in documents for problem in document.problems), MappingError)
    return {mapping.name: mapping for mapping in in_dependency_order(mappings.values())}


def in_dependency_order(mappings: Iterable[TableMapping]) -> list[TableMapping]:
    """Each mapping after those it depends on; where that leaves a choice, in the standard order, then as given.

    Dependencies that are not among ``mappings`` are taken as met.
    """
    rank = {name: place for place, name in enumerate(ORDER)}
    waiting = sorted(mappings, key=lambda mapping: rank.get(mapping.name, len(ORDER)))
    ordered: list[TableMapping] = []
    while waiting:
        names = {mapping.name for mapping in waiting}
        ready = next(mapping for mapping in waiting if not names & set(mapping.depends_on))
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def digest(mapping: TableMapping) -> str:
    """A hash of what decides which records take part and what they hold; captions, comments and policies do not."""
    ends = [_said_of(mapping.endpoint(side)) for side in SIDES]
    enabled = [field for field in mapping.fields if field.enabled]
    fields = [msgspec.structs.replace(field, line=0, called="", policy=None, drift=None) for field in enabled]
    functions = [source_of(name, mapping.functions) for field in fields for name in functions_of(field)]
    left = mapping.left_filter, [end.deactivate for end in (mapping.business_central, mapping.dataverse)]
    said = (mapping.kind, ends, mapping.direction, mapping.parameters, mapping.rules, fields, functions, left)
    more = [mapping.coupled_in] if mapping.coupled_in else []
    return hashlib.sha256(msgspec.json.encode((*said, *more), order="sorted")).hexdigest()[:16]


def _said_of(end: Endpoint) -> tuple[object, ...]:
    watch = [(watch.table, watch.column, watch.key) for watch in end.watch]
    return (end.table, end.key, end.filter, end.new, end.column, *watch)


@cache
def _standard() -> tuple[Read, ...]:
    """The files that come with the program, which do not change while it runs."""
    folder = resources.files("koppel.mapping") / "standard"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return tuple(read(f.read_text("utf-8"), f"standard/{f.name}", MappingFile, hidden=LOADED) for f in files)


def _read_folder(folder: Path) -> list[Read]:
    """The mapping files of a folder, in the order of their names."""
    if not folder.is_dir():
        raise MappingError(
            "there is no such folder of mappings", place=str(folder), remedy="Create it, or take it out of `mappings`."
        )
    files = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    return [read_file(path, MappingFile, hidden=LOADED) for path in files]


def _chosen(standard: Sequence[Read], own: Sequence[Read]) -> list[Read]:
    """The documents that count: own ones, and standard ones that none of them overrides. Clashes become problems."""
    ours = {_name(document): document for document in standard}
    first: dict[str, Read] = {}
    for document in own:
        name = _name(document)
        if name and name in first:
            _clash(document, first[name], "Rename or delete one of them.")
        elif document.value and document.value.overrides and name not in ours:
            document.add(("overrides",), f"there is no standard mapping `{name}`", did_you_mean(name, ours))
        elif document.value and not document.value.overrides and name in ours:
            _clash(document, ours[name], "Write `overrides: standard` if yours is to replace it.")
        elif document.value and document.value.overrides:
            _keep_filters(document, ours[name])
        first.setdefault(name, document)
    return [*(document for name, document in ours.items() if name not in first), *own]


def _switch(documents: Iterable[Read], enabled: Mapping[str, bool]) -> None:
    """Switch mappings on and off. One that takes another one's place switches that off."""
    read = {_name(document): document for document in documents}
    for name in enabled:
        if name not in read:
            raise MappingError(f"there is no mapping `{name}`", place="enabled", remedy=did_you_mean(name, read))
    found = {name: document.value for name, document in read.items() if document.value}
    replaced = {mapping.instead_of: False for name, mapping in found.items() if enabled.get(name)}
    for name, on in {**replaced, **enabled}.items():
        if mapping := found.get(name):
            read[name].value = msgspec.structs.replace(mapping, enabled=on)


def _clash(document: Read, other: Read, remedy: str) -> None:
    place = f"{other.file}:{other.line(('mapping',))}"
    document.add(("mapping",), f"mapping `{_name(document)}` is defined in {place} too", remedy)


def _keep_filters(document: Read, standard: Read) -> None:
    """Filters that a standard mapping cannot do without stay as they are."""
    if not (document.value and standard.value and standard.value.fixed_filters):
        return
    for side in SIDES:
        kept, found = standard.value.endpoint(side), document.value.endpoint(side)
        for key in ("filter", "new"):
            if getattr(found, key) != getattr(kept, key):
                message = f"the `{key}` of {document.value.name} is fixed: it relies on it"
                document.add((side, key), message, f"Write `{key}: {getattr(kept, key)}`.")


def _name(document: Read) -> str:
    """The mapping's name, also where the rest of its file is broken; empty if even that is."""
    node = document.places.get(("mapping",))
    return str(node.value) if node is not None and isinstance(node.value, str) else ""


def _completed(mapping: MappingFile, document: Read, functions: str, on: Collection[str]) -> TableMapping:
    """The mapping with everything that the file leaves to defaults and places, and to the mappings that are ``on``."""
    values = {name: getattr(mapping, name) for name in TableMapping.__struct_fields__}
    values["file"], values["functions"] = document.file, functions
    fields = [_field(mapping, field, ("fields", index), document) for index, field in enumerate(mapping.fields)]
    values["fields"] = tuple(_called(index, fields) for index in range(len(fields)))
    for name, variant in mapping.when_on.items():
        if name in on:
            values["fields"] = _replaced(mapping, name, values["fields"], document)
            kinds = {kind: rules for kind in Hooks.__struct_fields__ if (rules := getattr(variant.rules, kind))}
            values["rules"] = msgspec.structs.replace(values["rules"], **kinds)
    for side in SIDES:
        values[side] = _endpoint(mapping, side, document)
    before = filter(None, [mapping.part_of, mapping.coupled_in])
    values["depends_on"] = tuple(dict.fromkeys((*mapping.depends_on, *before)))
    loaded = TableMapping(**values)
    return msgspec.structs.replace(loaded, digest=digest(loaded))


def _endpoint(mapping: MappingFile, side: Side, document: Read) -> Endpoint:
    """One side, its templates and watches with their lines; what names an option is the choice itself."""
    end = mapping.endpoint(side)
    templates = tuple(
        msgspec.structs.replace(template, line=document.line((side, "templates", index)))
        for index, template in enumerate(end.templates)
    )
    watch = tuple(
        msgspec.structs.replace(watch, line=document.line((side, "watch", index)))
        for index, watch in enumerate(end.watch)
    )
    return msgspec.structs.replace(end, templates=templates, watch=watch, key=end.key or end.column)


def _field(mapping: MappingFile, field: FieldMapping, where: Where, document: Read) -> FieldMapping:
    """A field with its line; without a direction it goes where its constant points, else where the mapping goes."""
    direction = field.direction
    if (*where, "direction") not in document.places:
        named = [side for side in _TOWARDS if getattr(field, side)]
        direction = _TOWARDS[named[0]] if field.fixed and len(named) == 1 else mapping.direction
    return msgspec.structs.replace(field, direction=direction, line=document.line(where))


def _called(index: int, fields: Sequence[FieldMapping]) -> FieldMapping:
    """A field with a name of its own."""
    field = fields[index]
    called = field.dataverse if field.name in {each.name for each in fields[:index]} else ""
    return msgspec.structs.replace(field, called=called)


def _replaced(
    mapping: MappingFile, name: str, fields: Sequence[FieldMapping], document: Read
) -> tuple[FieldMapping, ...]:
    """The fields while the mapping ``name`` is on."""
    other = {
        field.dataverse: _field(mapping, field, ("when_on", name, "fields", index), document)
        for index, field in enumerate(mapping.when_on[name].fields)
    }
    return tuple(msgspec.structs.replace(other.get(field.dataverse, field), called=field.called) for field in fields)


def _check(
    documents: Sequence[Read], mappings: Mapping[str, TableMapping], known_rules: Mapping[str, set[str]] | None
) -> None:
    """Note in each sound document what is wrong with its mapping, alone and among the others."""
    kinds = {_name(document): document.value.kind if document.value else "" for document in documents}
    by_name = {document.value.name: document for document in documents if document.value}
    for name, document in by_name.items():
        mapping = mappings[name]
        findings = [*checks.within(mapping), *contradictions(mapping), *checks.among(mapping, kinds)]
        findings += [*checks.parts(mappings, mapping), *checks.alternatives(mappings, mapping)]
        findings += checks.rule_names(mapping, known_rules) if known_rules is not None else ()
        for finding in findings:
            document.add(finding.where, finding.message, finding.remedy, offset=finding.offset)
    if ring := checks.cycle(mappings):
        where = ("depends_on", mappings[ring[0]].depends_on.index(ring[1]))
        by_name[ring[0]].add(where, f"mappings depend on each other: {' -> '.join(ring)}", "Take one of these out.")

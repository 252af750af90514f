"""All files of the extension: its description, pages, fields of tables, permissions, and a page for administrators."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

import msgspec

from koppel.catalogue.pages import catalogue
from koppel.companion.page_text import GROUP, PUBLISHER, VERSION, page_text
from koppel.companion.pages import ROUTE, AlPage, Column, Flow, al_page, object_range, why_not
from koppel.companion.syntax import block, name
from koppel.companion.used import Use, columns_by_table
from koppel.errors import MappingError

APP_ID = "6a0f4f5c-6f0e-5b1c-9f3a-7d2c1e8b4a90"
"""Tells the extension from all others, for ever."""
APP = "app.json"
README = "README.md"
SOURCE = "src"
HEAD = "// Written by `koppel companion`: changes are lost when it writes anew."
PERMISSION_SET = "Koppel Sync"
_PERMISSION_ID = 79100
_ADDRESS = f"{PUBLISHER}/{GROUP}/{VERSION}"


class Extension(msgspec.Struct, frozen=True):
    """What is to be written. ``files``: by path, without ``app.json``; ``left_out``: what is in use and not exposed."""

    pages: tuple[AlPage, ...]
    files: Mapping[str, str]
    left_out: tuple[str, ...]


def extension_for(uses: Sequence[Use]) -> Extension:
    """The extension that exposes the columns in use. ``MappingError`` for a table that the companion cannot have."""
    columns = columns_by_table(uses)
    for table, used in columns.items():
        _require_page(table, next(iter(used.values())))
    pages = tuple(al_page(table, columns[table]) for table in catalogue().pages[ROUTE] if table in columns)
    return Extension(pages, _files(pages), tuple(dict.fromkeys(_left_out(pages, uses))))


def _require_page(table: str, use: Use) -> None:
    if table not in catalogue().pages[ROUTE]:
        raise MappingError(
            f"the companion knows no table {table!r} of Business Central",
            place=use.place,
            remedy="check the name; a table of another API bears its route, as contoso/app/v1.0/machines",
        )
    if reason := why_not(table):
        raise MappingError(f"the companion cannot expose {table}: {reason}", place=use.place)


def _left_out(pages: Sequence[AlPage], uses: Sequence[Use]) -> Iterator[str]:
    by_table = {page.page.set_name: page for page in pages}
    for use in uses:
        page = by_table[use.table]
        shown = {column.name: column for column in page.columns}
        if use.column in page.lacks:
            yield f"{use.table}.{use.column}: {page.lacks[use.column]}, used by {use.place}"
        elif use.column not in shown:
            yield f"{use.table}.{use.column}: Business Central has no such field, used by {use.place}"
        elif use.asked and not shown[use.column].filterable:
            yield f"{use.table}.{use.column}: it can be read, but rows cannot be looked for by it, used by {use.place}"


def _files(pages: Sequence[AlPage]) -> dict[str, str]:
    found = {f"{SOURCE}/{_file(page.name)}.Page.al": page_text(page, pages) for page in pages}
    for source, flows in _flows(pages).items():
        page = next(page for page in pages if page.source == source)
        found[f"{SOURCE}/{_file(_extension_name(page))}.TableExt.al"] = _table_extension(page, flows)
    for folder in dict.fromkeys(folder for page in pages for folder in page.folders):
        found |= {f"{SOURCE}/{file}": text.splitlines() for file, text in _fixed(folder)}
    found[f"{SOURCE}/{_file(PERMISSION_SET)}.PermissionSet.al"] = _permissions(pages)
    texts = {path: "\n".join([HEAD, *lines]) + "\n" for path, lines in sorted(found.items())}
    return {**texts, README: _readme(pages)}


def _flows(pages: Sequence[AlPage]) -> dict[str, list[Flow]]:
    """The fields that tables get, each once: pages may share a table."""
    found: dict[str, list[Flow]] = {}
    for page in pages:
        for flow in (column.flow for column in page.columns if column.flow):
            flows = found.setdefault(page.source, [])
            if flow not in flows:
                flows.append(flow)
    return found


def _file(title: str) -> str:
    return "".join(filter(str.isalnum, title))


def _fixed(folder: str) -> list[tuple[str, str]]:
    entries = sorted((files("koppel.companion") / "al" / folder).iterdir(), key=lambda entry: entry.name)
    return [(entry.name, entry.read_text("utf-8")) for entry in entries]


def _extension_name(page: AlPage) -> str:
    return f"Koppel {page.source}"


def _table_extension(page: AlPage, flows: Sequence[Flow]) -> list[str]:
    fields = [line for flow in flows for line in _flow(flow)]
    head = f"tableextension {page.extension_id} {name(_extension_name(page))} extends {name(page.source)}"
    return block(head, block("fields", fields))


def _flow(flow: Flow) -> list[str]:
    said = [
        f"Caption = '{flow.name}', Locked = true;",
        "FieldClass = FlowField;",
        f"CalcFormula = {flow.formula};",
    ]
    return block(f"field({flow.number}; {name(flow.name)}; {flow.type})", said)


def _permissions(pages: Sequence[AlPage]) -> list[str]:
    """What Koppel's user may do: the pages, and with their tables what the pages allow."""
    rights: dict[str, set[str]] = {}
    for page in pages:
        allowed = {"I": page.page.insert, "M": page.page.modify, "D": page.page.delete}
        rights.setdefault(page.data, {"R"}).update(letter for letter, may in allowed.items() if may)
        for table in page.tables:
            rights.setdefault(table, {"R"})
    tables = sorted(rights.items())
    said = [f"page {name(page.name)} = X" for page in pages]
    said += [f"codeunit {name(unit)} = X" for unit in _own_codeunits(pages)]
    said += [f"tabledata {name(table)} = {''.join(filter(may.__contains__, 'RIMD'))}" for table, may in tables]
    body = [
        "Assignable = true;",
        "Caption = 'Koppel Sync', Locked = true;",
        "Permissions =",
        *(f"    {line}{';' if line is said[-1] else ','}" for line in said),
    ]
    return block(f"permissionset {_PERMISSION_ID} {name(PERMISSION_SET)}", body)


def _own_codeunits(pages: Sequence[AlPage]) -> list[str]:
    return sorted({unit.name for page in pages for unit in page.codeunits.values() if unit.folder})


def app_json(version: str) -> str:
    """The description of the extension, for the compiler."""
    first, last = object_range()
    said = {
        "id": APP_ID,
        "name": "Koppel Companion",
        "publisher": "Koppel",
        "version": version,
        "brief": "API pages for Koppel.",
        "description": f"Exposes to Koppel what the mappings in use need, as {_ADDRESS}.",
        "dependencies": [],
        "platform": "24.0.0.0",
        "application": "24.0.0.0",
        "runtime": "13.0",
        "idRanges": [{"from": first, "to": last}],
        "features": ["NoImplicitWith"],
        "resourceExposurePolicy": {"allowDebugging": True, "allowDownloadingSource": True},
    }
    return json.dumps(said, indent=2) + "\n"


def _readme(pages: Sequence[AlPage]) -> str:
    template = (files("koppel.companion") / "README.template.md").read_text("utf-8")
    rows = [f"| `{page.page.set_name}` | {page.source} | {_verbs(page)} | {_columns(page.columns)} |" for page in pages]
    first, last = object_range()
    values = {"address": _ADDRESS, "permissions": PERMISSION_SET, "first": first, "last": last}
    return template.format(**values, pages="\n".join(rows))


def _verbs(page: AlPage) -> str:
    may = {"insert": page.page.insert, "modify": page.page.modify, "delete": page.page.delete}
    return ", ".join(["read", *(verb for verb, allowed in may.items() if allowed), *page.actions])


def _columns(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)

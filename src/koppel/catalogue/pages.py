"""The tables that Koppel knows and the pages that show them, read from the data files.

Both routes show the same tables. A page says which fields of its table a route shows and what a caller may do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec
import yaml

Kind = Literal["text", "code", "integer", "decimal", "boolean", "date", "datetime", "guid", "enum", "stream"]
RouteName = str
"""``v2.0``, ``companion``, or ``publisher/group/version`` of custom pages."""

ZERO_GUID = "00000000-0000-0000-0000-000000000000"
ZERO_DATE = "0001-01-01"
ZERO_TIME = "0001-01-01T00:00:00Z"
NAMESPACE = "Microsoft.NAV."

_KINDS: dict[str, Kind] = {
    "Edm.String": "text",
    "Edm.Int32": "integer",
    "Edm.Int64": "integer",
    "Edm.Decimal": "decimal",
    "Edm.Boolean": "boolean",
    "Edm.Date": "date",
    "Edm.DateTimeOffset": "datetime",
    "Edm.Guid": "guid",
    "Edm.Stream": "stream",
}
_EMPTIES: dict[Kind, Any] = {
    "text": "",
    "code": "",
    "integer": 0,
    "decimal": 0,
    "boolean": False,
    "date": ZERO_DATE,
    "datetime": ZERO_TIME,
    "guid": ZERO_GUID,
    "stream": "",
}


_LINK = re.compile(r'SystemId = field\("?([^")]+)"?\)')
_PARENT_LINK = re.compile(r'"([^"]+)" = field\((?:Id|SystemId)\)')


class Field(msgspec.Struct, frozen=True):
    """A field of a page.

    ``caption`` is the table field's name and ``number`` its number (``None``: no field of the table), ``members`` are
    those of an enum, ``empty`` is what a blank shows. ``stored`` is the name under which rows hold it, where that is
    another one.
    """

    name: str
    type: str
    kind: Kind
    empty: Any
    editable: bool
    nullable: bool
    max_length: int | None = None
    caption: str = ""
    number: int | None = None
    members: tuple[str, ...] = ()
    stored: str = ""

    @property
    def source(self) -> str:
        """The name under which rows hold it."""
        return self.stored or self.name


class Navigation(msgspec.Struct, frozen=True):
    """A way from a row to others of an entity type.

    ``by`` is the field that holds the id, if it leads to one row; ``child`` that of the other rows which holds this
    one's id, if it leads to its lines.
    """

    name: str
    entity: str
    collection: bool
    by: str
    child: str = ""


class TableInfo(msgspec.Struct, frozen=True):
    """A table: its key and what its fields refer to. See companion.yaml for the words.

    ``of``: the table whose rows it shows, with figures of theirs. ``blank``: fields of the key that may be blank.
    ``code_pairs`` is ``pairs`` the other way round: code field -> id field of the same reference.
    """

    name: str
    caption: str
    key: tuple[str, ...]
    blank: frozenset[str]
    relations: dict[str, str]
    pairs: dict[str, str]
    code_pairs: dict[str, str]
    initial: dict[str, Any]
    indexes: tuple[str, ...]
    local_currency: str
    fields: dict[str, Field]
    computed: bool
    of: str = ""


class Page(msgspec.Struct, frozen=True, eq=False):
    """What a route shows of a table.

    ``names`` are those of the fields that stand in a row, in order; ``unchecked`` the relations that it does not check;
    ``parent`` the field by which, or by id, it must be read; ``actions`` what may be done to a row, without namespace.
    """

    route: RouteName
    set_name: str
    entity: str
    table: TableInfo
    key: str
    fields: dict[str, Field]
    names: tuple[str, ...]
    navigation: dict[str, Navigation]
    insert: bool
    modify: bool
    delete: bool
    unchecked: frozenset[str] = frozenset()
    parent: str = ""
    actions: tuple[str, ...] = ()

    @property
    def type_name(self) -> str:
        """The qualified name of the entity type."""
        return NAMESPACE + self.entity


class Catalogue(msgspec.Struct, frozen=True, eq=False):
    """All tables and pages, the enums, and the v2.0 sets that have no table here."""

    tables: dict[str, TableInfo]
    pages: dict[RouteName, dict[str, Page]]
    enums: dict[str, dict[str, int]]
    unsupported: frozenset[str]

    def page_of_entity(self, route: RouteName, entity: str) -> Page | None:
        """The page that shows an entity type, if the route has one."""
        return next((page for page in self.pages[route].values() if page.entity == entity), None)


COMPANIES = "companies"
SYSTEM_FIELDS: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "type": type, "nullable": name != "id", "editable": False, "field": [number, caption]}
    for name, type, number, caption in (
        ("id", "Edm.Guid", 2000000000, "SystemId"),
        ("lastModifiedDateTime", "Edm.DateTimeOffset", 2000000003, "SystemModifiedAt"),
        ("systemCreatedAt", "Edm.DateTimeOffset", 2000000001, "SystemCreatedAt"),
        ("systemModifiedBy", "Edm.Guid", 2000000004, "SystemModifiedBy"),
        ("systemRowVersion", "Edm.Int64", 0, "SystemRowVersion"),
    )
)
"""What every table has: the first two stand on each page, the others on those that show them."""


@cache
def catalogue() -> Catalogue:
    """The data files, read once."""
    standard, companion = _read("business-central-api-v2.yaml"), _read("companion.yaml")
    enums: dict[str, dict[str, int]] = {
        name: {member["name"]: member["value"] for member in members} for name, members in standard["enums"].items()
    } | companion["enums"]
    entities = {entity["entitySet"]: entity for entity in standard["entities"]}
    described = {COMPANIES: {"key": ["name"]}, **companion["tables"]}
    v2, own, tables = {}, {}, {}
    for name, facts in described.items():
        entity = entities.get(name)
        system = () if name == COMPANIES or facts.get("computed") else SYSTEM_FIELDS[2:]
        shown = _fields(entity["fields"] if entity else SYSTEM_FIELDS[:2], facts, enums)
        copied = _copied(facts["like"], entities, described) if "like" in facts else []
        added = _fields([*copied, *facts.get("fields", ()), *system], facts, enums)
        standard_fields, hidden = _stored(shown, facts)
        tables[name] = _table(name, facts, entity, shown | added | hidden)
        if entity:
            v2[name] = _page("v2.0", tables[name], entity, facts, standard_fields)
        own[name] = _page("companion", tables[name], entity, facts, _companion_fields(shown, added, facts))
    unsupported = frozenset(entities) - frozenset(v2)
    return Catalogue(tables, {"v2.0": v2, "companion": own}, enums, unsupported)


def _copied(like: dict[str, Any], entities: dict[str, Any], described: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of another entity set, those of every table excepted: to be read only."""
    name, without = like["set"], {"id", "lastModifiedDateTime", *like.get("without", ())}
    facts = [*entities[name]["fields"], *described.get(name, {}).get("fields", ())]
    return [{**fact, "editable": False} for fact in facts if fact["name"] not in without]


def _stored(shown: dict[str, Field], facts: dict[str, Any]) -> tuple[dict[str, Field], dict[str, Field]]:
    """The fields as API v2.0 shows them, and those that it takes from under another name."""
    renamed = facts.get("stored", {})
    hidden = {stored: msgspec.structs.replace(shown[name], name=stored) for name, stored in renamed.items()}
    return shown | {
        name: msgspec.structs.replace(shown[name], stored=stored) for name, stored in renamed.items()
    }, hidden


def _read(name: str) -> dict[str, Any]:
    text = (files("koppel.catalogue") / "data" / name).read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    facts: dict[str, Any] = yaml.load(text, Loader=loader)
    return facts


def read_fields(facts: Iterable[dict[str, Any]]) -> dict[str, Field]:
    """Fields of a table without enums."""
    return _fields(facts, {}, {})


def _fields(
    facts: Iterable[dict[str, Any]], table: dict[str, Any], enums: dict[str, dict[str, int]]
) -> dict[str, Field]:
    return {fact["name"]: _field(fact, fact["name"] in table.get("codes", ()), enums) for fact in facts}


def _field(fact: dict[str, Any], code: bool, enums: dict[str, dict[str, int]]) -> Field:
    members = enums.get(fact["type"].removeprefix(NAMESPACE), {}) if fact["type"].startswith(NAMESPACE) else {}
    kind: Kind = "enum" if members else _KINDS[fact["type"]]
    if code or fact.get("code"):
        kind = "code"
    return Field(
        name=fact["name"],
        type=fact["type"],
        kind=kind,
        empty=next((name for name, value in members.items() if value == 0), "") if members else _EMPTIES[kind],
        editable=fact["editable"],
        nullable=fact.get("nullable", True),
        max_length=fact.get("maxLength"),
        caption=fact["field"][1] if "field" in fact else fact["name"],
        number=fact["field"][0] if "field" in fact else None,
        members=tuple(members),
    )


def _table(name: str, facts: dict[str, Any], entity: dict[str, Any] | None, fields: dict[str, Field]) -> TableInfo:
    return TableInfo(
        name=name,
        caption=entity["sourceTable"]["name"] if entity else facts["source"],
        key=tuple(facts["key"]),
        blank=frozenset(facts.get("blank", ())),
        relations=facts.get("relations", {}),
        pairs=facts.get("pairs", {}),
        code_pairs={code: key for key, code in facts.get("pairs", {}).items()},
        initial=facts.get("initial", {}),
        indexes=tuple(facts.get("indexes", ())),
        local_currency=facts.get("local_currency", ""),
        fields=fields,
        computed=facts.get("computed", False),
        of=facts.get("of", ""),
    )


def _page(
    route: RouteName, table: TableInfo, entity: dict[str, Any] | None, facts: dict[str, Any], fields: dict[str, Field]
) -> Page:
    rights = {verb: bool(entity and entity[verb]) for verb in ("insert", "modify", "delete")}
    if route == "companion":
        rights |= {verb: facts[verb] for verb in rights if verb in facts}
    steps = entity.get("navigation", ()) if entity else facts.get("navigation", ())
    return Page(
        route=route,
        set_name=table.name,
        entity=entity["entity"] if entity else facts["entity"],
        table=table,
        key=entity["key"][0] if entity else "id",
        fields=fields,
        names=tuple(field.name for field in fields.values() if field.kind != "stream"),
        navigation={step["name"]: _navigation(step, fields) for step in steps},
        **rights,
        unchecked=frozenset(facts.get("unchecked", ())) if route == "companion" else frozenset(),
        parent=facts.get("parent", "") if route == "v2.0" else "",
        actions=_actions(route, entity, facts),
    )


def _actions(route: RouteName, entity: dict[str, Any] | None, facts: dict[str, Any]) -> tuple[str, ...]:
    if route == "companion":
        return tuple(facts.get("actions", ()))
    return tuple(name.removeprefix(NAMESPACE) for name in entity.get("actions", ())) if entity else ()


def _navigation(step: dict[str, Any], fields: dict[str, Field]) -> Navigation:
    """A part that links to a SystemId is a reference by the field that holds it; one linked to ours are lines."""
    by, link = step.get("by", "").partition("=")[0], step.get("link", "")
    if found := _LINK.fullmatch(link):
        by = next(field.name for field in fields.values() if field.caption == found[1])
    lines = _PARENT_LINK.fullmatch(link) if step["collection"] else None
    return Navigation(step["name"], step["to"], step["collection"], by, _camel(lines[1]) if lines else "")


def _camel(caption: str) -> str:
    """``Document Id`` as ``documentId``."""
    first, *others = caption.split()
    return first.lower() + "".join(others)


def _companion_fields(shown: dict[str, Field], added: dict[str, Field], facts: dict[str, Any]) -> dict[str, Field]:
    """All fields, the time of the last change last but for the system fields; the id may be chosen."""
    fields = {name: field for name, field in shown.items() if name != "lastModifiedDateTime"} | added
    if "lastModifiedDateTime" in shown:
        own = {name: fields.pop(name) for name in list(fields) if name.startswith("system")}
        fields |= {"lastModifiedDateTime": shown["lastModifiedDateTime"]} | own
    own_id = () if facts.get("server_ids") else ("id",)
    for name in (*own_id, *facts.get("editable", ())):
        if name in fields and facts.get("insert", True):
            fields[name] = msgspec.structs.replace(fields[name], editable=True)
    for name in facts.get("read_only", ()):
        fields[name] = msgspec.structs.replace(fields[name], editable=False)
    return fields

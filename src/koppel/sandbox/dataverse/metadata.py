"""``EntityDefinitions`` and its kin, ``$metadata`` and the service document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from koppel.errors import FilterError
from koppel.odata.filter import compile_filter
from koppel.odata.literals import is_guid
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.addresses import split_key
from koppel.sandbox.dataverse.messages import Request, Response, json_response
from koppel.sandbox.dataverse.metadata_shapes import (
    NAMESPACE,
    Definition,
    column_definition,
    metadata_id,
    option_set,
    relations,
    table_definition,
)
from koppel.sandbox.dataverse.query import filter_refusal, split_list
from koppel.sandbox.dataverse.schema import Column, TableSchema

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_NAMED = re.compile(r"(\w+)\s*=\s*'([^']*)'")
_LISTS = frozenset({"Attributes", "Keys", "ManyToOneRelationships", "OneToManyRelationships"})
_ADDITIONS = re.compile(r'\s+(?:xmlns:x|x:\w+)="[^"]*"|<x:OptionSets>.*</x:OptionSets>|<!--.*?-->', re.S)


def service_document(dataverse: Dataverse, request: Request) -> Response:
    """Every entity set."""
    sets = [{"name": name, "kind": "EntitySet", "url": name} for name in dataverse.schema.names_by_set]
    return json_response(200, {"@odata.context": f"{request.base}$metadata", "value": sets})


def csdl(dataverse: Dataverse, request: Request) -> Response:
    """``$metadata``: the document without what was added to it."""
    if request.options.get("annotations", "false") != "false":
        raise errors.not_implemented("annotations in $metadata")
    return Response(200, _csdl(dataverse.document), {"Content-Type": "application/xml"})


@cache
def _csdl(document: str) -> bytes:
    return _ADDITIONS.sub("", document).encode()


def definitions(dataverse: Dataverse, request: Request) -> Response:
    """``GET``, ``POST`` and ``DELETE`` below ``EntityDefinitions``."""
    segments = request.segments
    name, key = split_key(segments[0])
    if key is None:
        if len(segments) > 1 or request.method != "GET":
            raise errors.not_implemented(f"{request.method} {'/'.join(segments)}")
        strong = _is_strong(request)
        tables = [table_definition(dataverse, table, strong) for table in dataverse.schema.tables.values()]
        return _list(request, name, tables)
    table = _table(dataverse, key)
    if request.method == "POST" and segments[1:] == ["Keys"]:
        return _create_key(dataverse, table, request)
    if request.method == "DELETE" and len(segments) == 2 and segments[1].startswith("Keys("):
        return _delete_key(dataverse, table, segments[1])
    if request.method != "GET":
        raise errors.not_implemented(f"{request.method} {'/'.join(segments)}")
    return _below(dataverse, table, request)


def relationship_definitions(dataverse: Dataverse, request: Request) -> Response:
    """``GET RelationshipDefinitions``."""
    if request.method != "GET" or len(request.segments) > 1 or "(" in request.segments[0]:
        raise errors.not_implemented(f"{request.method} {'/'.join(request.segments)}")
    return _list(request, "RelationshipDefinitions", relations(dataverse))


def global_option_sets(dataverse: Dataverse, request: Request) -> Response:
    """``GET GlobalOptionSetDefinitions`` and ``GET GlobalOptionSetDefinitions(Name='x')``."""
    if request.method != "GET" or len(request.segments) > 1:
        raise errors.not_implemented(f"{request.method} {'/'.join(request.segments)}")
    strong = _is_strong(request)
    found = [
        Definition("OptionSetMetadata", option_set(options, strong))
        for options in dataverse.option_sets.values()
        if options.is_global
    ]
    _, key = split_key(request.segments[0])
    if key is None:
        return _list(request, "GlobalOptionSetDefinitions", found)
    return _one(request, "GlobalOptionSetDefinitions", _pick(found, key, "Name"))


def _is_strong(request: Request) -> bool:
    return request.headers.get("consistency", "").lower() == "strong"


def _table(dataverse: Dataverse, key: str) -> TableSchema:
    named = _NAMED.fullmatch(key.strip())
    for table in dataverse.schema.tables.values():
        if named and named[1] == "LogicalName" and table.name == named[2]:
            return table
        if is_guid(key) and metadata_id(table.name) == key.lower():
            return table
    wanted = named[2] if named else key
    raise errors.ServiceError(404, "0x80041102", f"Could not find an entity with the name or id '{wanted}'.")


def _below(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    """``EntityDefinitions(…)`` and what hangs on it: a list or one of its items, cast to a type, or a part of that."""
    context = f"EntityDefinitions('{table.name}')"
    current = table_definition(dataverse, table, _is_strong(request))
    found: list[Definition] | None = None
    for segment in request.segments[1:]:
        name, key = split_key(segment)
        context += f"/{name}"
        if name.startswith(NAMESPACE + "."):
            kind = name.removeprefix(NAMESPACE + ".")
            if found is not None:
                found = [item for item in found if _is_kind(item, kind)]
            elif not _is_kind(current, kind):
                raise errors.no_segment(segment)
        elif found is None and name in _LISTS and name in current.parts:
            column = _column(table, key) if name == "Attributes" and key else None
            if column is not None:  # one is asked for in every run: spared are the definitions of all
                current, key = column_definition(dataverse, table, column, _is_strong(request)), None
            else:
                found = current.parts[name]()
        elif found is None and name in current.parts:
            part = current.parts[name]()
            return json_response(200, {"@odata.context": request.context(context), **(part or {})})
        else:
            raise errors.not_implemented(f"metadata at {'/'.join(request.segments)}")
        if key is not None and found is not None:
            current, found = _pick(found, key, "LogicalName"), None
    return _one(request, context, current) if found is None else _list(request, context, found)


def _column(table: TableSchema, key: str) -> Column | None:
    """The column with this logical name, if it is told by that."""
    named = _NAMED.fullmatch(key.strip())
    if not named or named[1] != "LogicalName":
        return None
    return next((column for column in table.columns.values() if column.logical == named[2]), None)


def _is_kind(item: Definition, kind: str) -> bool:
    if kind == "EnumAttributeMetadata":
        raise errors.bad_query(f"The type '{NAMESPACE}.{kind}' is abstract and cannot be cast to.")
    return item.type == kind


def _pick(items: Iterable[Definition], key: str, name: str) -> Definition:
    named = _NAMED.fullmatch(key.strip())
    for item in items:
        properties = item.properties
        if properties["MetadataId"] == key.lower() or (named and named[1] == name and properties[name] == named[2]):
            return item
    raise errors.ServiceError(404, "0x80041103", f"Could not find a metadata item with the key {key}.")


def _list(request: Request, context: str, items: list[Definition]) -> Response:
    for option in ("$top", "$count", "$orderby"):
        if option in request.options:
            raise errors.bad_query(f"The query parameter {option} is not supported.")
    text = request.options.get("$filter", "")
    value = [_shown(item, request.options) for item in _filtered(items, text)]
    context += _shape(request.options)
    return json_response(200, {"@odata.context": request.context(context), "value": value})


def _one(request: Request, context: str, item: Definition) -> Response:
    context += f"{_shape(request.options)}/$entity"
    return json_response(200, {"@odata.context": request.context(context), **_shown(item, request.options)})


def _shape(options: dict[str, str]) -> str:
    return f"({options['$select']})" if options.get("$select") else ""


def _filtered(items: list[Definition], text: str) -> list[Definition]:
    if not text or not items:
        return items
    try:
        fits = compile_filter(text, read=_reader(items))
        return [item for item in items if fits(item.properties)]
    except FilterError as error:
        raise filter_refusal(error) from error


def _reader(items: list[Definition]) -> Any:
    known = {name for item in items for name in item.properties}

    def read(path: str) -> Any:
        name, slash, inner = path.partition("/")
        if name not in known:
            raise errors.not_implemented(f"the metadata property {name}")
        if not slash:
            return lambda properties: properties.get(name)
        return lambda properties: (properties.get(name) or {}).get(inner)

    return read


def _shown(item: Definition, options: dict[str, str]) -> dict[str, Any]:
    """An item with the properties selected and the parts expanded."""
    names = [name.strip() for name in options.get("$select", "").split(",") if name.strip()]
    for name in names:
        if name not in item.properties and name not in item.parts:
            raise errors.not_implemented(f"the property {name} of {item.type}")
    kind = {} if item.type == "EntityMetadata" else {"@odata.type": f"#{NAMESPACE}.{item.type}"}
    if not names:
        shown = {**kind, **item.properties}
    else:
        shown = {**kind, **{name: item.properties[name] for name in names if name in item.properties}}
        shown["MetadataId"] = item.properties["MetadataId"]
    for part in split_list(options.get("$expand", "")):
        name, _, rest = part.strip().partition("(")
        if name not in item.parts:
            raise errors.no_property(name, item.type)
        shown[name] = _shown_part(item.parts[name](), rest.removesuffix(")"))
    return shown


def _shown_part(part: Any, text: str) -> Any:
    options = dict(pair.strip().partition("=")[::2] for pair in split_list(text, ";"))
    if isinstance(part, list):
        return [_shown(item, options) for item in _filtered(part, options.get("$filter", ""))]
    if part is None or "$select" not in options:
        return part
    names = [name.strip() for name in options["$select"].split(",")]
    return {"MetadataId": part["MetadataId"], **{name: part.get(name) for name in names}}


def _create_key(dataverse: Dataverse, table: TableSchema, request: Request) -> Response:
    body = request.json()
    name, columns = (body.get("SchemaName"), body.get("KeyAttributes")) if isinstance(body, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(columns, list) or not columns:
        raise errors.bad_body("An alternate key needs 'SchemaName' and 'KeyAttributes'.")
    unknown = [column for column in columns if column not in table.by_logical]
    if unknown:
        text = f"The entity with a name = '{table.name}' does not contain an attribute with name = '{unknown[0]}'."
        raise errors.ServiceError(400, "0x80041103", text)
    if any(key.name.lower() == name.lower() for key in dataverse.keys.of(table.name)):
        raise errors.exists()
    read_names = tuple(table.by_logical[column].name for column in columns)
    key = dataverse.keys.define(table.name, name, read_names, tuple(columns), body.get("DisplayName"))
    url = f"{request.base}EntityDefinitions(LogicalName='{table.name}')/Keys({key.metadata_id})"
    return Response(204, headers={"OData-EntityId": url, "Location": url})


def _delete_key(dataverse: Dataverse, table: TableSchema, segment: str) -> Response:
    _, wanted = split_key(segment)
    named = _NAMED.fullmatch(wanted or "")
    for key in dataverse.keys.of(table.name):
        if key.metadata_id == (wanted or "").lower() or (named and key.name.lower() == named[2].lower()):
            dataverse.keys.drop(key)
            return Response(204)
    raise errors.ServiceError(404, "0x80040217", f"The alternate key {wanted} does not exist.")

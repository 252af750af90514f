"""Addresses below the service root: their segments, the keys in parentheses, and which row they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from koppel.odata.literals import is_guid
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.schema import TableSchema
from koppel.sandbox.dataverse.values import check_of

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Dataverse

_KEY_PART = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*('(?:[^']|'')*'|[^,']+?)\s*(?:,|$)")
_SERVICE_ROOT = re.compile(r".*/api/data/v9\.\d+/")
_BY_ID = re.compile(r"/?(\w+)\(([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\)")
_SEGMENT = re.compile(r"((?:'(?:[^']|'')*'|[^/'])*)(?:/|$)")


class Key(msgspec.Struct, frozen=True):
    """What stands in the parentheses: the row's id, or values of an alternate key by read name."""

    id: str = ""
    values: Mapping[str, Any] = {}


def segments_of(path: str) -> list[str]:
    """The parts of a path between the slashes, decoded; slashes within quotes do not count."""
    if "'" not in path and "%27" not in path:
        return [unquote(part) for part in path.strip("/").split("/")]
    found = _SEGMENT.findall(unquote(path.strip("/")))
    return found[:-1] if len(found) > 1 and found[-1] == "" else found


def split_key(segment: str) -> tuple[str, str | None]:
    """``name(key)`` in its two parts; the key is None without parentheses."""
    name, bracket, rest = segment.partition("(")
    if not bracket:
        return name, None
    if not rest.endswith(")"):
        raise errors.bad_query(f"Bad Request - Error in query syntax: '{segment}'.")
    return name, rest[:-1]


def read_key(dataverse: Dataverse, table: TableSchema, text: str) -> Key:
    """The key in a pair of parentheses. 400 when it is not one of the table."""
    if is_guid(text):
        return Key(text.lower())
    parts = _KEY_PART.findall(text)
    if not parts or "".join(_KEY_PART.sub("", text).split()):
        raise errors.not_a_key(table.name)
    if len(parts) == 1 and parts[0][0] == table.id_column and not table.is_principal and is_guid(parts[0][1]):
        return Key(parts[0][1].lower())
    return Key(values={name: _key_value(dataverse, table, name, value) for name, value in parts})


def _key_value(dataverse: Dataverse, table: TableSchema, name: str, text: str) -> Any:
    column = table.columns.get(name)
    if column is None:
        raise errors.not_a_key(table.name)
    value: Any = text[1:-1].replace("''", "'") if text.startswith("'") else text
    if column.edm in ("Edm.Int32", "Edm.Int64"):
        value = int(text) if text.lstrip("-").isdigit() else text
    elif column.edm in ("Edm.Decimal", "Edm.Double"):
        value = float(text)
    return check_of(table.name, column, dataverse.option_sets)(value)


def find_id(dataverse: Dataverse, table: TableSchema, key: Key) -> str | None:
    """Id of the row that a key means; None when there is none. 400 when the table has no such key."""
    if key.id:
        return key.id if key.id in dataverse.tables[table.name].rows else None
    return dataverse.keys.find(table.name, key.values)


def missing(table: TableSchema, key: Key) -> errors.ServiceError:
    """What is said of a key without a row."""
    return errors.not_found(table.name, key.id) if key.id else errors.not_found_by_key(table.name)


def resolve(dataverse: Dataverse, address: str, references: Mapping[str, str]) -> tuple[str, str]:
    """Table and id of the row that an address means, absolute or not, or ``$1`` within a change set. 404: no row."""
    plain = _BY_ID.fullmatch(address)
    if plain is not None:  # the common case, three times a line
        name = dataverse.schema.names_by_set.get(plain[1])
        if name is not None and plain[2] in dataverse.tables[name].rows:
            return name, plain[2]
    if address.startswith("$"):
        address = follow(address, references)
    segments = segments_of(_SERVICE_ROOT.sub("", address, count=1))
    set_name, key_text = split_key(segments[-1])
    table_name = dataverse.schema.names_by_set.get(set_name)
    if table_name is None or len(segments) != 1:
        raise errors.no_segment(set_name)
    if key_text is None:
        raise errors.bad_query(f"The address '{address}' means no single record.")
    table = dataverse.schema.tables[table_name]
    key = read_key(dataverse, table, key_text)
    found = find_id(dataverse, table, key)
    if found is None:
        raise missing(table, key)
    return table_name, found


def follow(address: str, references: Mapping[str, str]) -> str:
    """Put the address of an earlier part of the change set in the place of ``$n``."""
    reference, slash, rest = address.partition("/")
    if reference not in references:
        message = f"Content-ID Reference: '{reference}' does not exist in the batch context."
        raise errors.ServiceError(400, "0x80060888", message)
    return references[reference] + slash + rest

"""Query options, read into a plan: which rows, in which order, and what is shown of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from odata_query import ast

from koppel.errors import FilterError
from koppel.odata.filter import columns_of, compile_filter, equal_values, parse_filter, replace_aliases
from koppel.odata.syntax import operands_of
from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.formats import target_table
from koppel.sandbox.dataverse.messages import Request
from koppel.sandbox.dataverse.query_functions import query_functions
from koppel.sandbox.dataverse.schema import LOOKUPS, Column, TableSchema
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

MAX_PAGE = 5_000

Getter = Callable[[Row], Any]
Predicate = Callable[[Row], bool]

_NEGATED_FUNCTION = re.compile(r"\bnot\b[\s(]*Microsoft\.Dynamics\.CRM\.")
_ORDER = re.compile(r"\s*([\w/]+)(?:\s+(asc|desc))?\s*")


class Expand(msgspec.Struct, frozen=True):
    """A navigation property to follow. ``reference``: only the addresses of the rows."""

    name: str
    select: tuple[str, ...] | None
    predicate: Predicate | None
    order: tuple[tuple[Getter, bool], ...]
    top: int
    reference: bool
    query: str


class Plan(msgspec.Struct, frozen=True):
    """A query on one table. ``ids``: the only rows that can match, if an index tells. ``order``: getter, descending.

    ``question`` is the same for two plans that find the same rows in the same order, at the same time.
    """

    table: TableSchema
    select: tuple[str, ...] | None
    predicate: Predicate | None
    ids: list[str] | None
    order: tuple[tuple[Getter, bool], ...]
    top: int | None
    count: bool
    expands: tuple[Expand, ...]
    shape: str
    question: tuple[str, ...]


def read_plan(dataverse: Dataverse, table: TableSchema, request: Request) -> Plan:
    """The plan that the options of a request ask for. 400 for what they get wrong, 501 for what is not supported."""
    options = request.options
    aliases = {name[1:]: value for name, value in options.items() if name.startswith("@")}
    text = replace_aliases(options["$filter"], aliases) if options.get("$filter") else ""
    expands = tuple(
        _read_expand(dataverse, table, part, request.caller) for part in split_list(options.get("$expand", ""))
    )
    if len(expands) > 15:
        raise errors.bad_query("The number of expanded navigation properties exceeds the limit of 15.")
    select = read_select(options.get("$select"))
    return Plan(
        table=table,
        select=select,
        predicate=read_filter(dataverse, table, text, request.caller) if text else None,
        ids=_direct(dataverse, table, text) if text else None,
        order=read_order(dataverse, table, options.get("$orderby", "")),
        top=read_number(options, "$top", MAX_PAGE),
        count=_read_flag(options, "$count"),
        expands=expands,
        shape=shape_of(select, expands),
        question=(table.name, text, options.get("$orderby", ""), request.caller.user),
    )


def read_select(text: str | None) -> tuple[str, ...] | None:
    """The columns of ``$select``; None when all are meant."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    return None if not names or names == ("*",) else names


def shape_of(select: tuple[str, ...] | None, expands: Sequence[Expand]) -> str:
    """What the context says of the columns: ``(name,primarycontactid(fullname))``."""
    parts = [*(select or ()), *(f"{item.name}({','.join(item.select or ())})" for item in expands)]
    return f"({','.join(parts)})" if parts else ""


def read_filter(dataverse: Dataverse, table: TableSchema, text: str, caller: Caller) -> Predicate:
    """The predicate of a filter."""
    if _NEGATED_FUNCTION.search(text):
        raise errors.bad_query("Not operator along with the Custom Named Condition operators is not allowed.")
    unit = (dataverse.row("systemuser", caller.user) or {}).get("_businessunitid_value", "")
    try:
        return compile_filter(
            text,
            read=lambda path: column_reader(dataverse, table, path),
            wildcards=True,
            functions=query_functions(dataverse.clock(), caller.user, unit),
        )
    except FilterError as error:
        raise filter_refusal(error) from error


def filter_refusal(error: FilterError) -> errors.ServiceError:
    """What the service says of a filter that it cannot evaluate."""
    if error.message.startswith("not supported: "):
        return errors.not_implemented(error.message.removeprefix("not supported: ") + " in $filter")
    return errors.bad_query(f"Syntax error in $filter: {error.message}.")


def column_reader(dataverse: Dataverse, table: TableSchema, path: str) -> Getter:
    """The reader of a column, or of a path over lookups. 400 for what the table does not have."""
    navigation, slash, rest = path.partition("/")
    if not slash:
        if path not in table.columns:
            raise errors.no_property(path, table.name)
        return lambda row: row.get(path)
    lookup = table.lookups.get(navigation)
    if lookup is None:
        raise errors.no_property(navigation, table.name)
    target = dataverse.schema.tables.get(lookup.target)
    if target is None:
        raise errors.not_implemented(f"paths over {navigation}")
    rows, column = dataverse.tables[target.name].rows, lookup.column
    inner = column_reader(dataverse, target, rest)

    def read(row: Row) -> Any:
        found = rows.get(row.get(column, ""))
        return None if found is None else inner(found)

    return read


def read_order(dataverse: Dataverse, table: TableSchema, text: str) -> tuple[tuple[Getter, bool], ...]:
    """The sort keys of ``$orderby``, each with whether it descends."""
    return tuple(_read_order_item(dataverse, table, part) for part in split_list(text))


def _read_order_item(dataverse: Dataverse, table: TableSchema, text: str) -> tuple[Getter, bool]:
    found = _ORDER.fullmatch(text)
    if found is None:
        raise errors.bad_query(f"Syntax error in $orderby: '{text}'.")
    get = column_reader(dataverse, table, found[1])
    column = table.columns.get(found[1])
    if column is not None and column.kind in LOOKUPS:
        get = _target_name(dataverse, column)
    return get, found[2] == "desc"


def _target_name(dataverse: Dataverse, column: Column) -> Getter:
    """Lookups sort by the primary name of the row that they point to."""

    def name(row: Row) -> Any:
        table = dataverse.schema.tables.get(target_table(column, row))
        target = None if table is None else dataverse.row(table.name, row.get(column.name))
        return None if target is None or table is None else target.get(table.name_column)

    return name


def sort_rows(rows: list[Row], order: Sequence[tuple[Getter, bool]]) -> list[Row]:
    """Rows in the order asked for; what has no value comes first when ascending."""
    for get, descending in reversed(order):
        rows = sorted(rows, key=lambda row: _sort_value(get(row)), reverse=descending)
    return rows


def _sort_value(value: Any) -> tuple[bool, Any]:
    return (value is not None, value.lower() if isinstance(value, str) else value or 0)


def _direct(dataverse: Dataverse, table: TableSchema, text: str) -> list[str] | None:
    """The ids of the only rows that can match, where the id or an index is compared with given values."""
    tree = parse_filter(text)
    conjunction = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
    for part in operands_of(tree) if conjunction else [tree]:  # type: ignore[arg-type]
        columns = columns_of(part)
        values = (
            equal_values(part, name) if len(columns) == 1 and (name := next(iter(columns))) in table.columns else None
        )
        if values is None or None in values:
            continue
        rows = dataverse.tables[table.name].rows
        if name == table.id_column:
            return sorted({key for value in values if (key := str(value).lower()) in rows})
        if table.columns[name].kind in LOOKUPS or dataverse.store.has_index(table.name, name):
            index = dataverse.store.index(table.name, name)
            return sorted({key for value in values for key in index.find([value])})
    return None


def _read_expand(dataverse: Dataverse, table: TableSchema, text: str, caller: Caller) -> Expand:
    name, bracket, rest = text.partition("(")
    name, reference = name.strip().removesuffix("/$ref"), name.strip().endswith("/$ref")
    lookup, collection = table.lookups.get(name), table.collections.get(name)
    if lookup is None and collection is None:
        raise errors.no_property(name, table.name)
    if collection is not None and (reference or not collection.column):
        raise errors.bad_query(f"$ref is not allowed on the collection '{name}'.") if reference else _unknown(name)
    if bracket and not rest.rstrip().endswith(")"):
        raise errors.bad_query(f"Syntax error in $expand: '{text}'.")
    options = dict(part.strip().partition("=")[::2] for part in split_list(rest.rstrip()[:-1], ";"))
    if "$expand" in options:
        raise errors.not_implemented("nested $expand")
    unknown = options.keys() - {"$select", "$filter", "$orderby", "$top"}
    if unknown:
        raise errors.bad_query(f"The expand option {min(unknown)} is not supported.")
    target = dataverse.schema.tables.get(
        lookup.target if lookup is not None else collection.table if collection else ""
    )
    if target is None and options:
        raise errors.not_implemented(f"options in the expansion of {name}")
    return Expand(
        name=name,
        select=read_select(options.get("$select")),
        predicate=read_filter(dataverse, target, options["$filter"], caller)
        if target and "$filter" in options
        else None,
        order=read_order(dataverse, target, options.get("$orderby", "")) if target else (),
        top=read_number(options, "$top", MAX_PAGE) or MAX_PAGE,
        reference=reference,
        query="&".join(f"{option}={value}" for option, value in options.items()),
    )


def _unknown(name: str) -> errors.ServiceError:
    return errors.not_implemented(f"the relation {name}")


def split_list(text: str, separator: str = ",") -> list[str]:
    """The parts of a list; separators in parentheses and quotes do not count."""
    parts, depth, quoted, begin = [], 0, False, 0
    for position, sign in enumerate(text):
        if sign == "'":
            quoted = not quoted
        elif not quoted and sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == separator and not quoted and not depth:
            parts.append(text[begin:position])
            begin = position + 1
    parts.append(text[begin:])
    return [part for part in parts if part.strip()]


def read_number(options: dict[str, str], name: str, limit: int) -> int | None:
    """A whole number of an option, at most ``limit``."""
    text = options.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise errors.bad_query(f"Invalid value '{text}' for {name} query option found.")
    return min(int(text), limit)


def _read_flag(options: dict[str, str], name: str) -> bool:
    text = options.get(name, "false")
    if text not in ("true", "false"):
        raise errors.bad_query(f"Invalid value '{text}' for {name} query option found.")
    return text == "true"

"""The syntax tree of an OData filter, and what can be told from it without evaluating it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException, ParsingException
from odata_query.grammar import ODataParser

from koppel.errors import FilterError
from koppel.odata.tokens import Condition, tokens

Node = ast._Node
_OPERATORS = (ast._Comparator, ast._BinOpToken, ast._BoolOpToken, ast._UnaryOpToken, ast._CollectionOperator)
_WIRE_NAMES = {"noteq": "ne", "lte": "le", "gte": "ge", "mult": "mul", "usub": "neg"}


@lru_cache(maxsize=1024)
def parse_filter(text: str) -> Node:
    """The syntax tree of a filter, of the node types of ``odata_query.ast`` and ``tokens.Condition``.

    ``FilterError`` with the position of the first word that does not fit.
    """
    try:
        tree: Node = ODataParser().parse(tokens(text))
    except ParsingException as error:
        position = len(text) if error.token is None else error.token.index
        found = "its end" if error.token is None else repr(text[position : position + 20])
        raise FilterError(f"cannot read the filter at position {position}: {found}", position=position) from error
    except ODataException as error:
        raise FilterError(f"cannot read the filter: {error}") from error
    return tree


def columns_of(tree: Node) -> set[str]:
    """Columns and paths that a filter reads."""
    return {path_of(node) for node in _walk(tree) if isinstance(node, ast.Identifier | ast.Attribute)} | {
        node.column for node in _walk(tree) if isinstance(node, Condition)
    }


def features_of(tree: Node) -> set[str]:
    """Operators and functions that a filter uses: ``eq``, ``not``, ``in``, ``contains``, ``any``, ``In`` ..."""
    return {name for node in _walk(tree) for name in _feature(node)}


def or_over_distinct_fields(tree: Node) -> bool:
    """Whether an ``or`` joins conditions on more than one column, which Business Central refuses.

    The columns of an ``or`` include those of every ``or`` inside it: only the outermost ones need a look.
    """
    pending: list[Node] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            if len(columns_of(node)) > 1:
                return True
        else:
            pending.extend(_children(node))
    return False


def equal_values(tree: Node, column: str) -> list[Any] | None:
    """The literals when the filter says no more than that ``column`` equals one of them, else ``None``.

    By ``eq``, ``in``, ``or`` or the query function ``In``; GUIDs in lower case. An index can answer it without a scan.
    """
    match tree:
        case ast.BoolOp(op=ast.Or()):
            parts = [equal_values(part, column) for part in operands_of(tree)]
            return None if any(part is None for part in parts) else [value for part in parts for value in part or ()]
        case ast.Compare(comparator=ast.Eq(), left=left, right=ast._Literal() as right) if _is_column(left, column):
            return [value_of(right)]
        case ast.Compare(comparator=ast.In(), left=left, right=ast.List(val=items)) if _is_column(left, column):
            return [value_of(item) for item in items]
        case Condition(name="In", column=name, values=values) if name == column:
            return list(values)
    return None


def _is_column(node: Any, column: str) -> bool:
    return isinstance(node, ast.Identifier | ast.Attribute) and path_of(node) == column


def _walk(node: Node) -> Iterator[Node]:
    """Every node, a path as one node."""
    pending: list[Any] = [node]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(_children(node))


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, ast.Attribute | Condition):
        return
    if isinstance(node, ast.Call):  # its name is an identifier, but no column
        yield from node.args
        return
    for field in fields(node):
        value = getattr(node, field.name)
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Node))


def _feature(node: Node) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield node.func.name
    elif isinstance(node, Condition):
        yield node.name
    elif isinstance(node, _OPERATORS):
        name = type(node).__name__.lower()
        yield _WIRE_NAMES.get(name, name)


def path_of(node: Node) -> str:
    """``column`` or ``nav/column``."""
    if isinstance(node, ast.Attribute):
        return f"{path_of(node.owner)}/{node.attr}"
    assert isinstance(node, ast.Identifier)
    return node.name


def operands_of(node: ast.BoolOp) -> list[Node]:
    """The parts of a chain of the same operator, so that a thousand of them do not nest a thousand deep."""
    parts: list[Node] = []
    pending: list[Node] = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, ast.BoolOp) and type(part.op) is type(node.op):
            pending += [part.right, part.left]
        else:
            parts.append(part)
    return parts


def value_of(node: Any) -> Any:
    """A literal's value as the wire has it: dates and GUIDs as texts, the latter in lower case."""
    match node:
        case ast.GUID(val=text):
            return text.lower()
        case ast.DateTime(val=text) | ast.Date(val=text) | ast.Time(val=text):
            return text
        case ast.String(val=text):
            return text
        case _:
            return node.py_val

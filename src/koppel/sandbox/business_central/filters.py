"""``$filter`` as Business Central takes it: what it refuses, what it ignores, and which index answers it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

import msgspec
from odata_query import ast

from koppel.catalogue.pages import Field, Page
from koppel.errors import FilterError
from koppel.odata.filter import Predicate, compile_filter, equal_values, or_over_distinct_fields, parse_filter
from koppel.odata.literals import format_instant, parse_instant
from koppel.odata.syntax import Node, operands_of
from koppel.sandbox.business_central import errors

MODIFIED = "lastModifiedDateTime"

_TESTS = frozenset({"startswith", "endswith", "contains"})
_FUNCTIONS = frozenset({"substring", "tolower", "toupper"})
_LITERALS: dict[str, tuple[type, ...]] = {
    "text": (ast.String,),
    "code": (ast.String,),
    "enum": (ast.String,),
    "guid": (ast.GUID,),
    "integer": (ast.Integer,),
    "decimal": (ast.Integer, ast.Float),
    "boolean": (ast.Boolean,),
    "date": (ast.Date,),
    "datetime": (ast.DateTime,),
}


class Filter(msgspec.Struct, frozen=True):
    """A filter ready to use. ``equal``: fields that must have one of some values; ``since``: earliest change wanted."""

    text: str
    test: Predicate
    equal: dict[str, list[Any]]
    since: str


@lru_cache(maxsize=512)
def read_filter(page: Page, text: str, *, newer: bool, currency: str) -> Filter:
    """A filter over a page's rows. ``newer``: schema version 2.1; ``currency``: what a blank currency code shows.

    ``ServiceError``: 501 for what the service does not do, 400 for what does not fit the page.
    """
    try:
        tree = parse_filter(text)
        if or_over_distinct_fields(tree):
            raise errors.ServiceError(
                501,
                "BadRequest_MethodNotImplemented",
                "The 'OR' operator is not supported on distinct fields on an OData filter.",
            )
        tree = _Reader(page, newer).read(tree)
        test = compile_filter(tree, read=_reader(page, currency), ignore_case=False)
    except FilterError as error:
        raise errors.bad_request(f"Invalid filter: {error}") from error
    parts = operands_of(tree) if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    return Filter(text, test, _equalities(page, parts), next(filter(None, map(_since, parts)), ""))


def _reader(page: Page, currency: str) -> Callable[[str], Callable[[Any], Any]]:
    def read(name: str) -> Callable[[Any], Any]:
        source, empty = page.fields[name].source, page.fields[name].empty
        if name == page.table.local_currency:
            return lambda row: row.get(name) or currency
        return lambda row: row.get(source, empty)

    return read


def _equalities(page: Page, parts: list[Node]) -> dict[str, list[Any]]:
    names = ["id", *page.table.indexes, *(page.table.key if len(page.table.key) == 1 else ())]
    found = ((name, equal_values(part, name)) for name in names for part in parts)
    return {name: values for name, values in found if values is not None}


def _since(node: Node) -> str:
    match node:
        case ast.Compare(
            comparator=ast.GtE() | ast.Gt(), left=ast.Identifier(name=name), right=ast.DateTime(val=text)
        ) if name == MODIFIED:
            return format_instant(parse_instant(text), milliseconds=True)
    return ""


class _Reader:
    """Checks a tree against a page and turns it into what the service makes of it."""

    def __init__(self, page: Page, newer: bool) -> None:
        self.page = page
        self.newer = newer

    def read(self, node: Any) -> Any:
        match node:
            case ast.BoolOp(op=op):
                parts = [self.read(part) for part in operands_of(node)]
                return reduce(lambda left, right: ast.BoolOp(op, left, right), parts)
            case ast.CollectionLambda():
                return ast.Boolean("true")  # the service ignores it in silence
            case ast.Compare(comparator=ast.In(), left=left, right=ast.List(val=items)):
                self._needs_newer("the operator in")
                field = self._field(left)
                return ast.Compare(ast.In(), left, ast.List([self._literal(field, item) for item in items]))
            case ast.Compare(comparator=comparator, left=left, right=right):
                return self._comparison(comparator, left, right)
            case ast.Call(func=func, args=[subject, text]) if func.name in _TESTS:
                return ast.Call(func, [self._operand(subject), self._text(subject, text)])
            case ast.Call(func=func):
                raise errors.not_implemented(f"the function {func.name} in a filter")
        raise errors.not_implemented(f"{type(node).__name__} in a filter")

    def _comparison(self, comparator: Any, left: Any, right: Any) -> Any:
        if not isinstance(right, ast._Literal):
            raise errors.not_implemented("a comparison with anything but a literal on its right")
        if isinstance(left, ast.Call):
            return ast.Compare(comparator, self._operand(left), right)
        field = self._field(left)
        if field.kind in ("enum", "boolean", "guid") and not isinstance(comparator, ast.Eq | ast.NotEq):
            raise errors.not_implemented(f"an order of {field.kind} values in a filter")
        return ast.Compare(comparator, left, self._literal(field, right))

    def _operand(self, node: Any) -> Any:
        if isinstance(node, ast.Call):
            self._needs_newer(f"the function {node.func.name} within a comparison")
            if node.func.name not in _FUNCTIONS:
                raise errors.not_implemented(f"the function {node.func.name} in a filter")
            return ast.Call(node.func, [self._operand(node.args[0]), *node.args[1:]])
        self._field(node)
        return node

    def _field(self, node: Any) -> Field:
        if isinstance(node, ast.Attribute):
            raise errors.not_implemented("a filter over a navigation property")
        if not isinstance(node, ast.Identifier):
            raise errors.not_implemented("a comparison without a field on its left")
        field = self.page.fields.get(node.name)
        if field is None:
            raise errors.no_property(node.name, self.page.type_name)
        return field

    def _literal(self, field: Field, literal: Any) -> Any:
        if isinstance(literal, ast.Null):
            raise errors.not_implemented("null in a filter")
        if not isinstance(literal, _LITERALS.get(field.kind, ())):
            raise errors.bad_request(
                f"A binary operator with incompatible types was detected at '{field.name}' of type '{field.type}'."
            )
        if not isinstance(literal, ast.String):
            return literal
        if field.kind == "enum" and literal.val not in field.members:
            raise errors.bad_request(f"'{literal.val}' is not a member of '{field.type}'.")
        if field.max_length is not None and len(literal.val) > field.max_length:
            raise errors.ServiceError(
                400,
                "Application_FilterErrorException",
                f"The filter '{literal.val}' is not valid for the field {field.caption} of length {field.max_length}.",
            )
        return ast.String(literal.val.upper()) if field.kind == "code" else literal

    def _text(self, subject: Any, literal: Any) -> Any:
        if not isinstance(literal, ast.String):
            raise errors.bad_request("A text function needs a text.")
        plain = isinstance(subject, ast.Identifier) and self._field(subject).kind == "code"
        return ast.String(literal.val.upper()) if plain else literal

    def _needs_newer(self, what: str) -> None:
        if not self.newer:
            raise errors.not_implemented(f"{what} without $schemaversion=2.1")

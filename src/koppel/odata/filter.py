"""OData ``$filter``: parsed once, compiled to closures, applied to plain rows.

Logic is two-valued, as Dataverse has it: a comparison with an absent value is false, and ``ne`` and ``not`` are the
plain opposite, so ``name ne 'x'`` returns rows without a name.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from odata_query import ast

from koppel.errors import FilterError
from koppel.odata import conditions
from koppel.odata.literals import comparable_instant
from koppel.odata.syntax import (
    Node,
    columns_of,
    equal_values,
    features_of,
    operands_of,
    or_over_distinct_fields,
    parse_filter,
    path_of,
    value_of,
)
from koppel.odata.tokens import Condition, replace_aliases

__all__ = [
    "Predicate",
    "Row",
    "columns_of",
    "compile_filter",
    "equal_values",
    "features_of",
    "or_over_distinct_fields",
    "parse_filter",
    "replace_aliases",
]

Row = Mapping[str, Any]
Getter = Callable[[Any], Any]
Predicate = Callable[[Any], bool]
Read = Callable[[str], Getter]

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_ORDER: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tolower": str.lower,
    "toupper": str.upper,
    "trim": str.strip,
    "length": len,
    "indexof": str.find,
    "concat": operator.add,
    "substring": lambda text, start, count=None: text[start:] if count is None else text[start : start + count],
    "round": round,
    "floor": lambda number: int(number // 1),
    "ceiling": lambda number: int(-(-number // 1)),
    "year": lambda text: int(text[:4]),
    "month": lambda text: int(text[5:7]),
    "day": lambda text: int(text[8:10]),
    "hour": lambda text: int(text[11:13]),
    "minute": lambda text: int(text[14:16]),
    "second": lambda text: int(text[17:19]),
    "date": lambda text: text[:10],
}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": operator.contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_PATTERNS = {"contains": ".*{}.*", "startswith": "{}.*", "endswith": ".*{}"}


def read_column(path: str) -> Getter:
    """The plain reader: a column of the row, ``None`` when absent."""
    return lambda row: row.get(path)


def compile_filter(
    text: str | Node,
    *,
    read: Read = read_column,
    ignore_case: bool = True,
    wildcards: bool = False,
    functions: Mapping[str, conditions.Build] | None = None,
) -> Predicate:
    """A function that tells whether a row satisfies the filter, given as text or as ``parse_filter`` read it.

    ``read`` gives the reader of a column or of a path over lookups (``nav/column``). ``wildcards``: ``%``, ``_`` and
    ``[]`` mean in ``contains`` and its kin what they mean in SQL. ``functions`` adds query functions (``Today``,
    ``EqualUserId``, ...) to those of ``conditions.BUILDERS``. ``FilterError`` when the filter cannot be read or asks
    for what is not supported; the returned function raises it when a row's value cannot be compared with the filter's.
    """
    compiler = _Compiler(read, ignore_case, wildcards, {**conditions.BUILDERS, **(functions or {})})
    return compiler.predicate(parse_filter(text) if isinstance(text, str) else text)


class _Compiler:
    """Turns nodes into closures; holds what ``compile_filter`` was given."""

    def __init__(
        self, read: Read, ignore_case: bool, wildcards: bool, functions: Mapping[str, conditions.Build]
    ) -> None:
        self.read = read
        self.ignore_case = ignore_case
        self.wildcards = wildcards
        self.functions = functions

    def predicate(self, node: Any) -> Predicate:
        match node:
            case ast.BoolOp(op=ast.And()):
                return _all([self.predicate(part) for part in operands_of(node)])
            case ast.BoolOp():
                return _any(self._alternatives(operands_of(node)))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.predicate(operand)
                return lambda row: not inner(row)
            case ast.Compare():
                return self._compare(node)
            case ast.Call(func=func, args=[subject, ast.String(val=text)]) if func.name in _TEXT_TESTS:
                return self._text_test(func.name, self.value(subject), text)
            case ast.Call(func=func) if func.name in _TEXT_TESTS:
                raise _unsupported(f"{func.name} with anything but a text literal")
            case Condition(name=name, column=column, values=values):
                if name not in self.functions:
                    raise _unsupported(f"Microsoft.Dynamics.CRM.{name}")
                return self.functions[name](self.read(column), values)
            case ast.Boolean():
                truth = node.py_val
                return lambda row: truth
            case ast.Identifier() | ast.Attribute():
                get = self.value(node)
                return lambda row: get(row) is True
        raise _unsupported(_name(node))

    def _alternatives(self, parts: list[Any]) -> list[Predicate]:
        """The parts of an ``or``; equalities on one column become a single look into a set."""
        equalities = [part for part in parts if _is_equality(part)]
        same_kind = {(path_of(part.left), type(part.right)) for part in equalities}
        if len(equalities) < 3 or len(same_kind) > 1:
            return [self.predicate(part) for part in parts]
        rest = [self.predicate(part) for part in parts if not _is_equality(part)]
        return [self._member(equalities[0].left, [part.right for part in equalities]), *rest]

    def _compare(self, node: ast.Compare) -> Predicate:
        left: Any = node.left
        right: Any = node.right
        if isinstance(node.comparator, ast.In):
            return self._member(left, right.val)
        if isinstance(left, ast._Literal) and not isinstance(right, ast._Literal):
            mirrored = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
            node = ast.Compare(mirrored.get(type(node.comparator), type(node.comparator))(), right, left)
            left, right = right, left
        normal = self._normal(right)
        get = _normalised(self.value(left), normal)
        if isinstance(node.comparator, ast.Eq | ast.NotEq):
            same = self._equal(get, right, normal)
            return same if isinstance(node.comparator, ast.Eq) else lambda row: not same(row)
        order = _ORDER[type(node.comparator)]
        if isinstance(right, ast._Literal):
            limit = _constant(right, normal)
            return lambda row: _ordered(order, get(row), limit)
        other = _normalised(self.value(right), normal)
        return lambda row: _ordered(order, get(row), other(row))

    def _equal(self, get: Getter, right: Any, normal: Getter | None) -> Predicate:
        if isinstance(right, ast.Null):
            return lambda row: get(row) is None
        if isinstance(right, ast._Literal):
            wanted = _constant(right, normal)
            return lambda row: bool(get(row) == wanted)
        other = _normalised(self.value(right), normal)
        return lambda row: bool(get(row) == other(row))

    def _member(self, left: Node, items: Sequence[Any]) -> Predicate:
        for item in items:
            if not isinstance(item, ast._Literal):
                raise _unsupported("a list that holds anything but literals")
        normal = self._normal(items[0])
        wanted = frozenset(_constant(item, normal) for item in items)
        get = _normalised(self.value(left), normal)
        return lambda row: get(row) in wanted

    def _text_test(self, name: str, get: Getter, text: str) -> Predicate:
        if self.wildcards and any(sign in text for sign in "%_["):
            flags = re.DOTALL | re.IGNORECASE if self.ignore_case else re.DOTALL
            pattern = re.compile(_PATTERNS[name].format(_sql_pattern(text)), flags)
            return lambda row: isinstance(value := get(row), str) and pattern.fullmatch(value) is not None
        test = _TEXT_TESTS[name]
        if self.ignore_case:
            wanted = text.lower()
            return lambda row: isinstance(value := get(row), str) and test(value.lower(), wanted)
        return lambda row: isinstance(value := get(row), str) and test(value, text)

    def value(self, node: Any) -> Getter:
        match node:
            case ast.Identifier() | ast.Attribute():
                return self.read(path_of(node))
            case ast._Literal():
                constant = value_of(node)
                return lambda row: constant
            case ast.BinOp(op=op, left=left, right=right):
                return _applied(_ARITHMETIC[type(op)], [self.value(left), self.value(right)], _name(op))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _applied(operator.neg, [self.value(operand)], "-")
            case ast.Call(func=func, args=args) if func.name in _FUNCTIONS:
                return _applied(_FUNCTIONS[func.name], [self.value(arg) for arg in args], func.name)
            case ast.Call(func=func) if func.name in _TEXT_TESTS:
                return self.predicate(node)
        raise _unsupported(_name(node))

    def _normal(self, right: Any) -> Getter | None:
        """What to do to a row's value before it is compared with such a literal; ``None``: nothing."""
        match right:
            case ast.String():
                return _lower if self.ignore_case else None
            case ast.GUID():
                return _lower
            case ast.Date() | ast.DateTime():
                return _instant
            case ast._Literal():
                return None
        return _comparable_ignoring_case if self.ignore_case else _comparable


def _is_equality(node: Any) -> bool:
    return (
        isinstance(node, ast.Compare)
        and isinstance(node.comparator, ast.Eq)
        and isinstance(node.left, ast.Identifier | ast.Attribute)
        and isinstance(node.right, ast.String | ast.GUID | ast.Integer)
    )


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda row: first(row) and second(row)
    return lambda row: all(part(row) for part in parts)


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda row: first(row) or second(row)
    return lambda row: any(part(row) for part in parts)


def _normalised(get: Getter, normal: Getter | None) -> Getter:
    return get if normal is None else lambda row: normal(get(row))


def _constant(literal: Any, normal: Getter | None) -> Any:
    value = value_of(literal)
    return value if normal is None else normal(value)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _instant(value: Any) -> Any:
    return comparable_instant(value) if isinstance(value, str) else value


def _comparable(value: Any) -> Any:
    return comparable_instant(value) if isinstance(value, str) and _INSTANT.match(value) else value


def _comparable_ignoring_case(value: Any) -> Any:
    value = _comparable(value)
    return value.lower() if isinstance(value, str) else value


def _ordered(order: Callable[[Any, Any], bool], value: Any, limit: Any) -> bool:
    if value is None or limit is None:
        return False
    try:
        return order(value, limit)
    except TypeError as error:
        raise FilterError(f"cannot compare {value!r} with {limit!r}") from error


def _applied(function: Callable[..., Any], arguments: list[Getter], name: str) -> Getter:
    """A function of values; absent when one of them is."""

    def call(row: Any) -> Any:
        values = [argument(row) for argument in arguments]
        if None in values:
            return None
        try:
            return function(*values)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise FilterError(f"cannot apply {name} to {values!r}") from error

    return call


def _sql_pattern(text: str) -> str:
    """A regular expression for a pattern of SQL's LIKE."""
    parts = re.split(r"(%|_|\[[^\]]*\])", text)
    return "".join({"%": ".*", "_": "."}.get(part) or _sql_literal(part) for part in parts)


def _sql_literal(part: str) -> str:
    if len(part) > 2 and part[0] == "[" and part[-1] == "]":
        inside = part[1:-1]
        negated = "^" if inside.startswith("^") else ""
        return f"[{negated}{re.escape(inside.removeprefix('^')).replace(chr(92) + '-', '-')}]"
    return re.escape(part)


def _name(node: Any) -> str:
    match node:
        case ast.Call(func=func):
            return str(func.name)
        case ast.CollectionLambda(operator=op):
            return type(op).__name__.lower()
    return type(node).__name__.lower()


def _unsupported(what: str) -> FilterError:
    return FilterError(f"not supported: {what}")

"""The words of an OData filter, in the token types that the grammar of ``odata-query`` expects.

That library's own lexer takes ``any`` and ``all`` at the start of a column's name for operators, knows neither the
year 1 (an empty date in Business Central) nor the query functions of Dataverse with their array arguments, and wants
``(x,)`` for a list of one. This one reads them as the two systems write them; the parser stays the library's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from odata_query import ast

from koppel.errors import FilterError

_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,12})?)?"
_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_STRING = r"'(?:[^']|'')*'"
_GUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<CONDITION>(?:[A-Za-z_]\w*\.)+(?P<condition>\w+)\s*\()
    | (?P<ENUM>(?:[A-Za-z_]\w*\.)+\w+(?={_STRING}))
    | (?P<STRING>{_STRING})
    | (?P<GUID>{_GUID})(?![\w-])
    | (?P<DATETIME>{_DATE}T{_TIME}(?:[Zz]|[+-]\d\d:\d\d)?)(?![\w.])
    | (?P<DATE>{_DATE})(?![\w-])
    | (?P<TIME>{_TIME})(?![\w:])
    | (?P<DECIMAL>[+-]?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))(?![\w.])
    | (?P<INTEGER>[+-]?\d+)(?![\w.])
    | (?P<WORD>[^\W\d]\w*)
    | (?P<SIGN>[(),/:-])
    )""",
    re.VERBOSE,
)
_ARGUMENT = re.compile(rf"""\s*(?:(?P<sign>[\[\](),=])|(?P<text>{_STRING}|"(?:[^"\\]|\\.)*"|[^\s,'"\[\]()=]+))""")
_ALIAS = re.compile(rf"{_STRING}|\"(?:[^\"\\]|\\.)*\"|@\w+")

_LITERALS: dict[str, Any] = {
    "GUID": ast.GUID,
    "DATETIME": ast.DateTime,
    "DATE": ast.Date,
    "TIME": ast.Time,
    "DECIMAL": ast.Float,
    "INTEGER": ast.Integer,
}
_OPERATORS: dict[str, tuple[str, Any]] = {
    "and": ("AND", ast.And()),
    "or": ("OR", ast.Or()),
    "eq": ("EQ", ast.Eq()),
    "ne": ("NE", ast.NotEq()),
    "lt": ("LT", ast.Lt()),
    "le": ("LE", ast.LtE()),
    "gt": ("GT", ast.Gt()),
    "ge": ("GE", ast.GtE()),
    "in": ("IN", ast.In()),
    "add": ("ADD", ast.Add()),
    "sub": ("SUB", ast.Sub()),
    "mul": ("MUL", ast.Mult()),
    "div": ("DIV", ast.Div()),
    "mod": ("MOD", ast.Mod()),
}
_WORDS: dict[str, tuple[str, Any]] = {
    "null": ("NULL", ast.Null()),
    "true": ("BOOLEAN", ast.Boolean("true")),
    "false": ("BOOLEAN", ast.Boolean("false")),
    "not": ("NOT", ast.Not()),
}
_LAMBDAS: dict[str, tuple[str, Any]] = {"any": ("ANY", ast.Any()), "all": ("ALL", ast.All())}
_VALUE_TYPES = frozenset({"STRING", "NULL", "BOOLEAN", "ODATA_IDENTIFIER", ")", *_LITERALS})


@dataclass(frozen=True)
class Condition(ast._Node):
    """A query function of Dataverse, ``Microsoft.Dynamics.CRM.<name>(PropertyName='column',PropertyValues=["a"])``."""

    name: str
    column: str
    values: tuple[str, ...]


@dataclass(slots=True)
class Token:
    """What the parser reads: the grammar's name for it, the value, the offset in the text."""

    type: str
    value: Any
    index: int
    lineno: int = 1


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a filter. ``FilterError`` at the first character that begins none."""
    reader = _Reader(text)
    while reader.position < len(text.rstrip()):
        yield from reader.next()


def replace_aliases(text: str, values: Mapping[str, str]) -> str:
    """Put the literals of parameter aliases (``@p1``, named without ``@``) in their places; an unset one is null."""

    def literal(found: re.Match[str]) -> str:
        word = found[0]
        return values.get(word[1:], "null") if word[0] == "@" else word

    return _ALIAS.sub(literal, text)


class _Reader:
    """Where the lexer stands: the position, the type of the token before, and the lists that are open."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.before = ""
        self.lists: list[bool] = []  # for each open parenthesis: is it a list of one item so far, after "in"?

    def next(self) -> Iterator[Token]:
        found = _TOKEN.match(self.text, self.position)
        if found is None or found.lastgroup is None:
            start = len(self.text) - len(self.text[self.position :].lstrip())
            raise FilterError(
                f"cannot read the filter at position {start}: {self.text[start : start + 20]!r}", position=start
            )
        kind = found.lastgroup
        start, self.position = found.start(kind), found.end()
        for name, value in self._read(kind, found, start):
            yield Token(name, value, start)
            self.before = name

    def _read(self, kind: str, found: re.Match[str], start: int) -> Iterator[tuple[str, Any]]:
        word = found[kind]
        if kind == "SIGN":
            yield from self._sign(word)
        elif kind == "WORD":
            yield self._word(word)
        elif kind == "STRING":
            yield "STRING", ast.String(word[1:-1].replace("''", "'"))
        elif kind == "CONDITION":
            condition, self.position = _condition(found["condition"], self.text, self.position, start)
            yield "STRING", condition
        elif kind != "ENUM":  # the type's name before an enum literal says nothing that its text does not
            yield kind, _LITERALS[kind](word)

    def _word(self, word: str) -> tuple[str, Any]:
        if self.before == "/" and word in _LAMBDAS and self.text[self.position :].lstrip().startswith("("):
            return _LAMBDAS[word]
        if self.before in _VALUE_TYPES and word in _OPERATORS:
            return _OPERATORS[word]
        if self.before != "/" and word in _WORDS:
            return _WORDS[word]
        return "ODATA_IDENTIFIER", ast.Identifier(word)

    def _sign(self, sign: str) -> Iterator[tuple[str, Any]]:
        if sign == "(":
            self.lists.append(self.before == "IN")
        elif sign == "," and self.lists:
            self.lists[-1] = False
        elif sign == ")" and self.lists and self.lists.pop():
            yield ",", ","
        yield ("UMINUS", ast.USub()) if sign == "-" else (sign, sign)


def _condition(name: str, text: str, position: int, start: int) -> tuple[Condition, int]:
    arguments: dict[str, list[str]] = {"": []}
    key = ""
    while True:
        found = _ARGUMENT.match(text, position)
        if found is None:
            raise FilterError(f"cannot read the filter at position {start}: the arguments of {name}", position=start)
        position, sign = found.end(), found["sign"]
        if sign == ")":
            break
        if sign == "=" and arguments[key]:
            key = arguments[key].pop()
            arguments[key] = []
        elif sign is None:
            arguments[key].append(_argument(found["text"]))
    values = arguments.get("PropertyValues") or arguments.get("PropertyValue") or []
    return Condition(name, "".join(arguments.get("PropertyName", ())), tuple(values)), position


def _argument(word: str) -> str:
    if word[0] == "'":
        return word[1:-1].replace("''", "'")
    if word[0] == '"':
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    return word

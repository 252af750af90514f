"""YAML files read into typed shapes, with the line of every value and all mistakes collected.

``read`` fills a msgspec Struct from a file. What the file says wrong becomes a ``Problem`` with place and remedy
instead of an exception, so that people learn of all mistakes at once; ``report`` raises them together. PyYAML speaks
YAML 1.1: ``no`` and ``on`` are booleans there, ``010`` is eight. Where that could bite, the file is asked to be plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import yaml
from msgspec import inspect

from koppel.errors import ConfigError

T = TypeVar("T")
Where = tuple[str | int, ...]
"""Path of a value in a file: ``("fields", 3, "lookup", "mapping")``."""
Mark = tuple[int, int]
"""Line and column, both from 1; column 0: the line as a whole."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WRONG: Any = object()
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?)?")
# To look through a shape takes ten times as long as to read a file into it.
_shape_of: Callable[[Any], inspect.Type] = cache(inspect.type_info)
_KINDS = {"bool": "true or false", "int": "a number", "float": "a number", "null": "nothing", "timestamp": "a date"}


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake in a file; ``column`` 0 where only the line is known."""

    file: str
    line: int
    column: int
    message: str
    remedy: str = ""

    @property
    def place(self) -> str:
        """``file:line`` or ``file:line:column``."""
        return f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f"\n  {self.remedy}" if self.remedy else "")


class Document(msgspec.Struct, Generic[T], kw_only=True):
    """A file as read: ``value`` is ``None`` when its shape is wrong, and then ``problems`` says why."""

    file: str
    value: T | None = None
    root: yaml.Node | None = None
    places: dict[Where, yaml.Node] = {}
    problems: list[Problem] = []

    def add(self, where: Where, message: str, remedy: str = "", *, offset: int = -1) -> None:
        """Note a mistake at ``where`` (or what holds it); ``offset`` counts characters into a text written there."""
        line, column = self.mark(where, offset)
        self.problems.append(Problem(self.file, line, column, message, remedy))

    def line(self, where: Where) -> int:
        """The line on which the value at ``where`` starts."""
        return self.mark(where)[0]

    def mark(self, where: Where, offset: int = -1) -> Mark:
        """Line and column of ``where``, or of the nearest that holds it."""
        while where and where not in self.places:
            where, offset = where[:-1], -1
        node = self.places.get(where, self.root)
        return (1, 0) if node is None else _mark(node, offset)


def read(text: str, file: str, shape: type[T], *, hidden: frozenset[str] = frozenset()) -> Document[T]:
    """Read ``text`` into a Struct type; fields named in ``hidden`` are none of the file's business."""
    document: Document[T] = Document(file=file)
    try:
        document.root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(file, error))
        return document
    if document.root is None:
        document.add((), "the file is empty")
        return document
    value = _Reader(document, hidden).value(document.root, _shape_of(shape), ())
    document.value = None if document.problems else value
    return document


def read_file(path: Path, shape: type[T], *, hidden: frozenset[str] = frozenset()) -> Document[T]:
    """``read`` on a file; one that cannot be read as UTF-8 text is a problem like any other."""
    try:
        return read(path.read_text("utf-8"), str(path), shape, hidden=hidden)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return Document(file=str(path), problems=[Problem(str(path), 1, 0, f"the file cannot be read: {reason}")])


def report(problems: Iterable[Problem], error: type[ConfigError]) -> None:
    """Raise all problems as one error, by file and line; nothing when there is none."""
    found = sorted(set(problems))
    if not found:
        return
    first, *others = found
    if not others:
        raise error(first.message, place=first.place, remedy=first.remedy)
    # The error prints its own place in front of the message: the first problem goes without.
    text = "\n".join([str(first).removeprefix(f"{first.place}: "), *map(str, others)])
    raise error(text, place=first.place, remedy=f"{len(found)} mistakes.")


def json_schema(
    shape: type, title: str, descriptions: Mapping[str, str], *, hidden: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The JSON Schema of what ``read`` takes. ``descriptions``: a sentence for each key, by ``Struct.key``."""
    hooked = msgspec.json.schema(shape, schema_hook=lambda _: {"type": "string"})
    found = msgspec.json.decode(msgspec.json.encode(hooked))
    for name, definition in found["$defs"].items():
        properties = {key: value for key, value in definition["properties"].items() if key not in hidden}
        for key, value in properties.items():
            value.pop("default", None)
            # A reference takes no neighbours in older editors.
            described = {"allOf": [value]} if "$ref" in value else value
            properties[key] = {"description": descriptions[f"{name}.{key}"], **described}
        definition |= {"properties": properties, "additionalProperties": False}
        definition.pop("description", None)
        definition.pop("title", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **found}


def did_you_mean(word: str, known: Iterable[str], what: str = "Known") -> str:
    """The remedy for a word that is not among those known: the close ones, else all."""
    names = sorted(known)
    close = get_close_matches(word, names, 3) or [name for name in names if name.lower() == word.lower()]
    if close:
        return f"Did you mean {' or '.join(f'`{name}`' for name in close)}?"
    return f"{what}: {', '.join(names)}." if names else ""


class _Reader:
    """Walks nodes and the shape side by side."""

    def __init__(self, document: Document[Any], hidden: frozenset[str]) -> None:
        self.document = document
        self.hidden = hidden

    def value(self, node: yaml.Node, kind: inspect.Type, where: Where, remedy: str = "") -> Any:
        """The value of a node, or ``_WRONG`` after noting why."""
        self.document.places[where] = node
        match kind:
            case inspect.Metadata():
                return self.value(node, kind.type, where, str((kind.extra or {}).get("remedy", "")))
            case inspect.UnionType():
                return self._union(node, kind, where, remedy)
            case inspect.StructType():
                return self._struct(node, kind, where, remedy)
            case inspect.DictType():
                return self._dict(node, kind, where, remedy)
            case inspect.VarTupleType():
                return self._tuple(node, kind, where, remedy)
            case inspect.LiteralType():
                return self._choice(node, kind, where)
            case inspect.CustomType() if kind.cls is Path:
                text = self._plain(node, (inspect.StrType(),), where)
                return text if text is _WRONG else Path(text)
        return self._plain(node, (kind,), where)

    def _union(self, node: yaml.Node, kind: inspect.UnionType, where: Where, remedy: str) -> Any:
        others = tuple(each for each in kind.types if not isinstance(each, inspect.NoneType))
        words = [str(word) for each in others if isinstance(each, inspect.LiteralType) for word in each.values]
        if isinstance(node, yaml.ScalarNode) and node.value in words:
            return node.value
        tagged = {str(each.tag): each for each in others if isinstance(each, inspect.StructType) and each.tag}
        if tagged:
            return self._tagged(node, tagged, words, where)
        if len(others) > 1:
            return self._plain(node, kind.types, where)
        return None if _tag(node) == "null" else self.value(node, others[0], where, remedy)

    def _tagged(
        self, node: yaml.Node, kinds: Mapping[str, inspect.StructType], words: Sequence[str], where: Where
    ) -> Any:
        """One of several sections, told apart by the key that names which; or one of the words."""
        key = str(next(iter(kinds.values())).tag_field)
        if isinstance(node, yaml.MappingNode):
            named = next((str(child.value) for name, child in node.value if name.value == key), None)
            if named is not None and named in kinds:
                return self._struct(node, kinds[named], where, "")
            if named is None:
                return self._refuse(where, f"key `{key}` is missing", f"Known: {', '.join(sorted(kinds))}.")
            remedy = f"Write `{named}` alone." if named in words else did_you_mean(named, [*kinds, *words])
            return self._refuse((*where, key), f"`{key}` cannot be `{named}`", remedy)
        if not isinstance(node, yaml.ScalarNode):
            return self._refuse(where, f"{_named(where)} must be a word or keys, not {_described(node)}")
        with_keys = f"It has settings: `{{{key}: {node.value}, ...}}`."
        remedy = with_keys if node.value in kinds else did_you_mean(node.value, [*kinds, *words])
        return self._refuse(where, f"{_named(where)} cannot be `{node.value}`", remedy)

    def _struct(self, node: yaml.Node, kind: inspect.StructType, where: Where, remedy: str) -> Any:
        known = {field.encode_name: field for field in kind.fields if field.encode_name not in self.hidden}
        entries = self._entries(node, where, f"the keys {', '.join(f'`{name}`' for name in known)}", remedy)
        if entries is None:
            return _WRONG
        values: dict[str, Any] = {}
        for key, child in entries:
            if kind.tag is not None and key == kind.tag_field:
                self.document.places[(*where, key)] = child
            elif field := known.get(key):
                values[field.name] = self.value(child, field.type, (*where, key))
            else:
                self.document.add((*where, key), f"unknown key `{key}`", did_you_mean(key, known, "Known keys"))
        missing = [name for name, field in known.items() if field.required and field.name not in values]
        for name in missing:
            self.document.add(where, f"key `{name}` is missing", f"Add `{name}: ...` here.")
        return _WRONG if missing or _WRONG in values.values() else kind.cls(**values)

    def _dict(self, node: yaml.Node, kind: inspect.DictType, where: Where, remedy: str) -> Any:
        entries = self._entries(node, where, "names with values", remedy)
        if entries is None:
            return _WRONG
        return {key: self.value(child, kind.value_type, (*where, key)) for key, child in entries}

    def _tuple(self, node: yaml.Node, kind: inspect.VarTupleType, where: Where, remedy: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            return self._refuse(where, f"{_named(where)} must be a list, not {_described(node)}", remedy)
        values = [self.value(child, kind.item_type, (*where, index)) for index, child in enumerate(node.value)]
        return _WRONG if _WRONG in values else tuple(values)

    def _choice(self, node: yaml.Node, kind: inspect.LiteralType, where: Where) -> Any:
        choices = [str(value) for value in kind.values]
        if isinstance(node, yaml.ScalarNode) and node.value in choices:
            return node.value
        if not isinstance(node, yaml.ScalarNode):
            return self._refuse(where, f"{_named(where)} must be one of {', '.join(choices)}, not {_described(node)}")
        return self._refuse(
            where, f"{_named(where)} cannot be `{node.value}`", did_you_mean(node.value, choices, "Use")
        )

    def _plain(self, node: yaml.Node, kinds: tuple[inspect.Type, ...], where: Where) -> Any:
        """A scalar of one of the kinds; what YAML 1.1 would read differently from what stands there is refused."""
        if not isinstance(node, yaml.ScalarNode):
            return self._refuse(where, f"{_named(where)} must be a single value, not {_described(node)}")
        tag = _tag(node)
        wanted = {_TAGS[type(kind)] for kind in kinds if not isinstance(kind, inspect.LiteralType)}
        plain = _CHECKS.get(tag, _never)(node.value)
        if tag in wanted and plain:
            return _CONVERSIONS[tag](node.value)
        if tag == "int" and "float" in wanted and plain:
            return float(node.value)
        return self._refuse(where, *_mismatch(node, tag, wanted, where))

    def _entries(self, node: yaml.Node, where: Where, wanted: str, remedy: str) -> list[tuple[str, yaml.Node]] | None:
        """Keys and values of a section, ``None`` when it is none; each key once."""
        if not isinstance(node, yaml.MappingNode):
            self._refuse(where, f"{_named(where)} must have {wanted}, not {_described(node)}", remedy)
            return None
        return list(self._once(node, where))

    def _once(self, node: yaml.MappingNode, where: Where) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, int] = {}
        for key_node, child in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            self.document.places[(*where, key)] = key_node
            if key in seen:
                self.document.add((*where, key), f"key `{key}` stands here twice, first in line {seen[key]}")
            else:
                seen[key] = key_node.start_mark.line + 1
                yield key, child

    def _refuse(self, where: Where, message: str, remedy: str = "") -> Any:
        self.document.add(where, message, remedy)
        return _WRONG


def _never(_: str) -> bool:
    return False


def _always(_: str) -> bool:
    return True


_TAGS: dict[type[inspect.Type], str] = {
    inspect.StrType: "str",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.BoolType: "bool",
    inspect.NoneType: "null",
}
_CHECKS: dict[str, Callable[[str], Any]] = {
    "str": _always,
    "null": _always,
    "int": _PLAIN_NUMBER.fullmatch,
    "float": _PLAIN_NUMBER.fullmatch,
    "bool": lambda text: text.lower() in ("true", "false"),
}
_CONVERSIONS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda _: None,
}


def _tag(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _mismatch(node: yaml.ScalarNode, tag: str, wanted: set[str], where: Where) -> tuple[str, str]:
    """Message and remedy for a scalar that is not what is wanted."""
    written, name = node.value, _named(where)
    if "str" in wanted and tag in _KINDS and written:
        return f"YAML reads `{written}` as {_KINDS[tag]}", f'For the text, put it in quotes: "{written}".'
    if wanted == {"bool"} and tag == "bool":
        meant = "true" if written.lower() in ("yes", "on") else "false"
        return f"{name} must be true or false, not `{written}`", f"Write {meant}."
    if tag in ("int", "float") and {"int", "float"} & wanted and not _PLAIN_NUMBER.fullmatch(written):
        return f"{name} cannot be `{written}`", "Write the number in plain decimals."
    expected = " or ".join(sorted({"text" if each == "str" else _KINDS[each] for each in wanted}))
    return f"{name} must be {expected}, not {_described(node)}", ""


def _named(where: Where) -> str:
    """How messages call the value at ``where``: its key, or the list it stands in."""
    keys = [str(part) for part in where if isinstance(part, str)]
    if not keys:
        return "the file"
    return f"`{keys[-1]}`" if isinstance(where[-1], str) else f"an entry of `{keys[-1]}`"


def _described(node: yaml.Node) -> str:
    """What stands there, in a word. Text is not repeated: it could be a secret."""
    if isinstance(node, yaml.ScalarNode):
        return _KINDS.get(_tag(node), "text")
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys"


def _mark(node: yaml.Node, offset: int) -> Mark:
    """Where a node starts, or a character of its text; the column is known only of text that is written as it reads."""
    start, end = node.start_mark, node.end_mark
    if offset < 0 or not isinstance(node, yaml.ScalarNode):
        return start.line + 1, 0
    quotes = 1 if node.style in ("'", '"') else 0
    as_written = start.line == end.line and end.column - start.column == len(node.value) + 2 * quotes
    return start.line + 1, start.column + quotes + offset + 1 if as_written else 0


def _syntax_problem(file: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = ", ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None)))) or str(error)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 0)
    remedy = "Indent with blanks, not tabs; put text that holds `: `, `#` or starts with a sign in quotes."
    return Problem(file, line, column, f"this is not YAML: {said}", remedy)

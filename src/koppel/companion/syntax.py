"""AL as text: names, literals, blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

LONGEST_NAME = 30
"""Characters that the name of an object may have."""

Lines = Sequence[str]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = """
and array as asserterror begin break case continue do downto else end event exit false for foreach function if in
indataset interface internal is local mod not of or procedure program protected rec repeat runonclient
securityfiltering suppressdispose temporary then this to trigger true until var while with withevents xor xrec div
codeunit controladdin dotnet enum entitlement namespace page permissionset profile query report table using xmlport
action area biginteger blob boolean char code date dateformula datetime decimal duration field fieldref guid
integer json keys label list option part recordref repeater text time variant
"""
_RESERVED = frozenset(_WORDS.split())
"""Words that AL uses itself: quoted they are names."""


def name(text: str) -> str:
    """A name as AL writes it, quoted where it has to be."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant."""
    return "'" + text.replace("'", "''") + "'"


def words(identifier: str) -> str:
    """``salesOrderLines`` as ``Sales Order Lines``; ``faxNo`` as ``Fax No``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", " ", identifier)
    return parted[:1].upper() + parted[1:]


def variable(identifier: str) -> str:
    """The variable of a column: ``currencyCode`` as ``CurrencyCode``."""
    return identifier[:1].upper() + identifier[1:]


def indented(lines: Iterable[str], steps: int = 1) -> list[str]:
    """The lines, further to the right; empty ones stay empty."""
    return ["    " * steps + line if line else "" for line in lines]


def block(head: str, body: Iterable[str]) -> list[str]:
    """``head`` with ``body`` in braces."""
    return [head, "{", *indented(body), "}"]


def statements(lines: Iterable[str]) -> list[str]:
    """Each a statement that ends; what belongs together stands in one text of several lines."""
    return [line for text in lines for line in f"{text};".splitlines()]


def routine(head: str, body: Lines, variables: Lines = ()) -> list[str]:
    """A trigger or procedure."""
    declared = ["var", *indented(variables)] if variables else []
    return [head, *declared, "begin", *indented(body), "end;"]


def apart(parts: Iterable[Sequence[str]]) -> list[str]:
    """The parts that are not empty, one empty line between them."""
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines

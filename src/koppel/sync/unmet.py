"""Why a record is outside its side's filter."""

from __future__ import annotations

from collections.abc import Callable

from odata_query import ast

from koppel.odata.filter import compile_filter
from koppel.odata.records import Record, Scalar
from koppel.odata.syntax import columns_of, operands_of, parse_filter
from koppel.sync.prepare import End, column_behind


def unmet(end: End, record: Record) -> list[str]:
    """The parts of the filter, joined by ``and``, that the record does not meet, as ``column is value``."""
    if not end.filter or end.passes is None or end.passes(record):
        return []

    def read(path: str) -> Callable[[Record], Scalar]:
        place = end.places[column_behind(end.schema, path)]
        return lambda record: record.values[place]

    tree = parse_filter(end.filter)
    parts = operands_of(tree) if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    failing = [part for part in parts if not compile_filter(part, read=read)(record)]
    return [", ".join(f"{path} is {read(path)(record)!r}" for path in sorted(columns_of(part))) for part in failing]

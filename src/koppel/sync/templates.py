"""Values that a mapping itself names for records: bound to the columns there are, and chosen by the source record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

from koppel.errors import MappingError
from koppel.mapping.model import TableMapping, Template, templates_in_order
from koppel.odata.records import SPOKEN, Record, Side
from koppel.odata.syntax import columns_of, parse_filter
from koppel.systems.schema import TableSchema

Choice = tuple[Callable[[Record], bool], Template]
"""A template, and whether it is meant for a source record."""


def chosen_template(choices: tuple[Choice, ...], record: Record) -> Template | None:
    """The first template that is meant for this source record."""
    return next((template for fits, template in choices if fits(record)), None)


def filter_columns(mapping: TableMapping, source: Side) -> set[str]:
    """What the templates of the other side ask of records of ``source``, as written in their filters."""
    filters = [template.filter for template in _created_from(mapping, source) if template.filter]
    return {path for text in filters for path in columns_of(parse_filter(text))}


def choices(
    mapping: TableMapping, side: Side, passing: Callable[[str], Callable[[Record], bool] | None]
) -> tuple[Choice, ...]:
    """The templates of ``side`` in the order in which they are tried; ``passing`` makes a test of a filter's text."""
    return tuple(_choice(mapping, template, passing) for template in _ordered(mapping, side))


def _choice(
    mapping: TableMapping, template: Template, passing: Callable[[str], Callable[[Record], bool] | None]
) -> Choice:
    fits = passing(template.filter)
    if fits is None:
        raise MappingError(
            f"the filter of a template cannot follow the path in {template.filter!r}",
            place=f"{mapping.file}:{template.line}",
            remedy="ask for columns of the record itself",
        )
    return fits, template


def _ordered(mapping: TableMapping, side: Side) -> list[Template]:
    return templates_in_order(mapping.endpoint(side).templates)


def _created_from(mapping: TableMapping, source: Side) -> list[Template]:
    return _ordered(mapping, "dataverse" if source == "business_central" else "business_central")


def require_columns(mapping: TableMapping, schemas: Mapping[Side, TableSchema]) -> None:
    """``MappingError`` for the first column that is given a value and that the table does not take it in."""
    for side, schema in schemas.items():
        for column, line, creates in _named(mapping, side):
            place = f"{mapping.file}:{line}" if line else mapping.file
            found = schema.columns.get(column)
            if found is None:
                near = get_close_matches(column, schema.columns, n=1)
                hint = f"did you mean {near[0]}?" if near else "look the column up, or take the value out"
                raise MappingError(f"table {schema.name} has no column {column!r}", place=place, remedy=hint)
            if not (found.creatable if creates else found.updatable):
                raise MappingError(
                    f"{column} cannot be written in {SPOKEN[side]}", place=place, remedy="take the value out"
                )


def _named(mapping: TableMapping, side: Side) -> Iterator[tuple[str, int, bool]]:
    """Columns that get a value, with the line, and whether that is in a creation."""
    end = mapping.endpoint(side)
    yield from ((column, 0, True) for column in end.create)
    yield from ((column, template.line, True) for template in end.templates for column in template.values)
    yield from ((column, 0, False) for column in end.deactivate)

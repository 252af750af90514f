"""The steps of a field made ready: done in order, each with the kinds of values that it takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from koppel.engine.fields import Stage
from koppel.engine.values import ValueKind
from koppel.errors import MappingError
from koppel.mapping.model import FieldMapping, TableMapping
from koppel.mapping.steps import ANY, Kind, LookUp, Step, gives, name_of, takes
from koppel.mapping.transforms import chain, compiled, fits
from koppel.odata.records import Side

_KIND: Mapping[ValueKind, Kind] = {
    "text": "text",
    "code": "text",
    "guid": "text",
    "enum": "text",
    "number": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}


def stages_of(
    mapping: TableMapping, field: FieldMapping, source: Side, kinds: Mapping[Side, ValueKind | None]
) -> tuple[Stage, ...]:
    """What values of ``source`` go through; ``kinds``: of the columns. ``MappingError`` where a step gets, or the
    column at the end, what it cannot take."""
    there: Side = "dataverse" if source == "business_central" else "business_central"
    wanted = kinds[there]
    if not field.to_dataverse and not field.from_dataverse:
        return ()
    assert wanted is not None, "a transformation leads to a column"
    came = kinds[source]
    given = ANY if came is None else frozenset({_KIND[came]})
    steps = chain(field, source)
    for step in steps:
        _check(mapping, field, given, takes(step), f"`{name_of(step)}` takes")
        given = gives(step)
    _check(mapping, field, given, frozenset({_KIND[wanted]}), f"{getattr(field, there)} holds")
    return (*(_stage(mapping, step) for step in steps), partial(fits, kind=_KIND[wanted]))


def _stage(mapping: TableMapping, step: Step) -> Stage:
    return step if isinstance(step, LookUp) else compiled(step, mapping.functions)


def _check(
    mapping: TableMapping, field: FieldMapping, given: frozenset[Kind], wanted: frozenset[Kind], who: str
) -> None:
    if given in (ANY, wanted) or given <= wanted:
        return
    raise MappingError(
        f"{who} {_listed(wanted)}, and gets {_listed(given - wanted)}",
        place=f"{mapping.file}:{field.line}",
        remedy="put a step before it that makes one of the other, such as parse_decimal or format_date",
    )


def _listed(kinds: frozenset[Kind]) -> str:
    articles = {"text": "text", "number": "a number", "date": "a date", "datetime": "a date with a time"}
    return " or ".join(sorted(articles.get(kind, "true or false") for kind in kinds))

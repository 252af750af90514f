"""The steps of a field made ready: done in order, each with the kinds of values that it takes and gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import partial

from koppel.engine.fields import Stage
from koppel.engine.values import ValueKind
from koppel.errors import MappingError, NotFoundError
from koppel.mapping.model import FieldMapping, TableMapping
from koppel.mapping.steps import ANY, Kind, LookUp, Step, gives, name_of, takes
from koppel.mapping.transforms import chain, compiled, fits
from koppel.odata.records import SPOKEN, Side
from koppel.systems.system import System

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
    blocked = "from_dataverse" if source == "business_central" else "to_dataverse"
    if field.direction == blocked or not (field.to_dataverse or field.from_dataverse):
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


async def require_rows(mapping: TableMapping, field: FieldMapping, systems: Mapping[Side, System]) -> None:
    """``MappingError`` when a look-up names a table or a column that is not there."""
    for step in (*field.to_dataverse, *field.from_dataverse):
        if isinstance(step, LookUp):
            await _require(mapping, field, step, systems[step.side])


async def _require(mapping: TableMapping, field: FieldMapping, step: LookUp, system: System) -> None:
    place = f"{mapping.file}:{field.line}"
    try:
        schema = await system.describe(step.table)
    except NotFoundError as error:
        remedy = _near(step.table, await system.tables())
        raise MappingError(f"{SPOKEN[step.side]} has no table {step.table!r}", place=place, remedy=remedy) from error
    for column in (step.where, step.take):
        if column not in schema.columns:
            remedy = _near(column, schema.columns)
            raise MappingError(f"table {step.table} has no column {column!r}", place=place, remedy=remedy)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "correct the name in the step"


def _stage(mapping: TableMapping, step: Step) -> Stage:
    return step if isinstance(step, LookUp) else compiled(step, mapping.functions)


def _check(
    mapping: TableMapping, field: FieldMapping, given: frozenset[Kind], wanted: frozenset[Kind], who: str
) -> None:
    taken = wanted | {"date", "datetime"} if "text" in wanted else wanted  # dates travel as text
    if given == ANY or given <= taken:
        return
    raise MappingError(
        f"{who} {_listed(wanted)}, and gets {_listed(given - taken)}",
        place=f"{mapping.file}:{field.line}",
        remedy="put a step before it that fits: format_decimal, parse_decimal, format_date, parse_date",
    )


def _listed(kinds: frozenset[Kind]) -> str:
    articles = {"text": "text", "number": "a number", "date": "a date", "datetime": "a date with a time"}
    return " or ".join(sorted(articles.get(kind, "true or false") for kind in kinds))

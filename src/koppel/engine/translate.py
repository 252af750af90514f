"""From a value of one side to what the other side should hold: transformations, references, options, constants,
empties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from koppel.engine.fields import Field, Stage
from koppel.engine.values import empty_in_business_central, rounded
from koppel.mapping.steps import LookUp
from koppel.odata.records import SPOKEN, Scalar, Side


class Waiting(msgspec.Struct, frozen=True):
    """A value that cannot be written yet: ``reference`` (a key or id on ``side``) of mapping ``via`` is not coupled.

    ``required``: the whole record has to wait. ``empty``: the field is emptied meanwhile, else left alone.
    """

    field: str
    via: str
    side: Side
    reference: str
    required: bool = False
    empty: bool = False


class TooLong(msgspec.Struct, frozen=True):
    """A text that the other side has no room for: ``length`` characters where ``room`` are allowed."""

    field: str
    side: Side
    value: str
    length: int
    room: int


class Unfit(msgspec.Struct, frozen=True):
    """A value of ``source`` that cannot be carried over: a blank that must not be, or one that a step fails at."""

    field: str
    source: Side
    value: str
    message: str
    remedy: str
    code: str


class References(msgspec.Struct, frozen=True):
    """What is known of one mapping's couplings for a chunk: Business Central key (or id) to Dataverse id, and back.

    For option mappings: code to integer, and back. For look-ups: ``to_dataverse`` is by the value looked for.
    """

    to_dataverse: Mapping[Any, Scalar] = {}
    to_business_central: Mapping[Scalar, Scalar] = {}


AllReferences = Mapping[tuple[str, str], References]
"""By (mapping name, ``Lookup.by`` | ``option``), or what ``rows_of`` says."""

Translated = Scalar | Waiting | TooLong | Unfit


def rows_of(step: LookUp) -> tuple[str, str]:
    """Under what the rows of a look-up stand among the references."""
    return f"{step.side}/{step.table}", f"{step.where}/{step.take}"


def reference_of(field: Field) -> tuple[str, str] | None:
    """Which references translate the field, if any: (mapping name, how Business Central names the record)."""
    if field.mapping.lookup:
        return field.mapping.lookup.mapping, field.mapping.lookup.by
    return (field.mapping.options, "option") if field.mapping.options else None


def translate(field: Field, value: Scalar, source: Side, references: AllReferences) -> Translated:
    """What the side opposite to ``source`` should hold for ``value``, as a wire value."""
    destination: Side = "dataverse" if source == "business_central" else "business_central"
    if field.mapping.fixed:
        return field.mapping.constant
    form = None if value is None else field.end(source).canonical(value)
    if form is None:
        return _of_blank(field, source)
    if field.stages(source):
        return _transformed(field, value, source, references)
    of = reference_of(field)
    if of is not None:
        return _resolve(
            field, of, str(form) if of[1] != "option" or source == "business_central" else value, source, references
        )
    return _fitted(field, destination, value)


def _of_blank(field: Field, source: Side, was: Scalar = "") -> Scalar | Unfit:
    """What a blank becomes: the field's constant if it has one, else the destination's own blank.

    ``was``: the value that came to a blank on its way.
    """
    if field.mapping.constant is not None:
        return field.mapping.constant
    if field.mapping.required:
        message = "is blank, and is required" if was == "" else f"comes to a blank from {was!r}, and is required"
        return Unfit(field.name, source, str(was), message, f"give it a value in {SPOKEN[source]}", "required")
    return empty_in_business_central(field.business_central.kind) if source == "dataverse" else None


def _transformed(field: Field, value: Scalar, source: Side, references: AllReferences) -> Scalar | TooLong | Unfit:
    destination: Side = "dataverse" if source == "business_central" else "business_central"
    try:
        found = through(field.stages(source), value, references)
    except ValueError as error:
        remedy = f"correct it in {SPOKEN[source]}, or the steps of the field in the mapping"
        return Unfit(field.name, source, str(value), f"{value!r} {error}", remedy, "transformation")
    if found is None or field.end(destination).canonical(found) is None:
        return _of_blank(field, source, value)
    return _fitted(field, destination, found)


def through(stages: Iterable[Stage], value: Scalar, references: AllReferences) -> Scalar:
    """What comes of a value at the end of a chain, ``None`` as soon as it is blank. ``ValueError`` with the end of a
    sentence that the value begins."""
    now = value
    for stage in stages:
        if now in (None, ""):
            return None
        try:
            now = _looked_up(stage, now, references) if isinstance(stage, LookUp) else stage(now)
        except ValueError as error:
            raise ValueError(str(error) if now == value else f"became {now!r}, which {error}") from error
    return now


def _looked_up(step: LookUp, value: Scalar, references: AllReferences) -> Scalar:
    rows = references.get(rows_of(step), References()).to_dataverse
    if value in rows:
        return rows[value]
    if step.otherwise == "fail":
        raise ValueError(f"is no {step.where} of {step.table} in {SPOKEN[step.side]}")
    return value if step.otherwise == "keep" else None


def _fitted(field: Field, destination: Side, value: Scalar) -> Scalar | TooLong:
    """A value as the destination stores it: blanks at the end take no room, decimals beyond its own are rounded."""
    end = field.end(destination)
    if isinstance(value, str) and end.length is not None:
        length = len(value.rstrip())
        return (
            value[: end.length] if length <= end.length else TooLong(field.name, destination, value, length, end.length)
        )
    return rounded(value, end.scale) if isinstance(value, float) and end.scale is not None else value


def _resolve(
    field: Field, of: tuple[str, str], value: Scalar, source: Side, references: AllReferences
) -> Scalar | Waiting:
    known = references.get(of)
    found: Scalar = None
    if known is not None:
        found = (
            known.to_dataverse.get(str(value)) if source == "business_central" else known.to_business_central.get(value)
        )
    if found is not None:
        return found
    lookup = field.mapping.lookup
    destination: Side = "dataverse" if source == "business_central" else "business_central"
    required = lookup.required_towards(destination) if lookup else field.mapping.on_missing == "fail"
    empty = (lookup is None or lookup.clear) and not field.mapping.keep_blank
    return Waiting(field.name, of[0], source, str(value), required=required, empty=empty)

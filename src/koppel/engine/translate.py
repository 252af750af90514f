"""From a value of one side to what the other side should hold: references, options, constants, empties."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from koppel.engine.fields import Field
from koppel.engine.values import empty_in_business_central, rounded
from koppel.odata.records import Scalar, Side


class Waiting(msgspec.Struct, frozen=True):
    """A value that cannot be written yet: ``reference`` (a key or id on ``side``) of mapping ``via`` is not coupled.

    ``required``: the whole record has to wait. ``empty``: the field is emptied meanwhile (option fields), else left
    alone.
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


class References(msgspec.Struct, frozen=True):
    """What is known of one mapping's couplings for a chunk: Business Central key (or id) to Dataverse id, and back.

    For option mappings: code to integer, and back.
    """

    to_dataverse: Mapping[str, Scalar] = {}
    to_business_central: Mapping[Scalar, Scalar] = {}


AllReferences = Mapping[tuple[str, str], References]
"""By (mapping name, ``Lookup.by`` | ``option``)."""

Translated = Scalar | Waiting | TooLong


def reference_of(field: Field) -> tuple[str, str] | None:
    """Which references translate the field, if any: (mapping name, how Business Central names the record)."""
    if field.mapping.lookup:
        return field.mapping.lookup.mapping, field.mapping.lookup.by
    return (field.mapping.options, "option") if field.mapping.options else None


def translate(field: Field, value: Scalar, source: Side, references: AllReferences) -> Translated:
    """What the side opposite to ``source`` should hold for ``value``, as a wire value."""
    destination: Side = "dataverse" if source == "business_central" else "business_central"
    end = field.end(destination)
    if field.mapping.constant is not None:
        return field.mapping.constant
    form = None if value is None else field.end(source).canonical(value)
    if form is None:
        return None if destination == "dataverse" else empty_in_business_central(end.kind)
    of = reference_of(field)
    if of is not None:
        return _resolve(
            field, of, str(form) if of[1] != "option" or source == "business_central" else value, source, references
        )
    return _fitted(field, destination, value)


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
    return Waiting(field.name, of[0], source, str(value), required=required, empty=lookup is None)

"""What must hold in a field mapping, and between the fields of one mapping."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from koppel.document import did_you_mean
from koppel.errors import MappingError
from koppel.mapping.finding import DESTINATIONS, SIDES, Finding
from koppel.mapping.model import FieldMapping, Lookup, TableMapping
from koppel.mapping.steps import LOSSY, name_of
from koppel.mapping.transforms import compiled, inverse
from koppel.odata.records import Side


def of_fields(mapping: TableMapping) -> Iterator[Finding]:
    """Everything that can be told of the fields from their mapping alone."""
    for index, field in enumerate(mapping.fields):
        for finding in _field(mapping, field):
            yield msgspec.structs.replace(finding, where=("fields", index, *finding.where))
    yield from _destinations(mapping)
    yield from _groups(mapping)


def is_rule(by: str) -> bool:
    """Whether ``Lookup.by`` names a rule."""
    return "." in by


def _field(mapping: TableMapping, field: FieldMapping) -> Iterator[Finding]:
    yield from _sides(field)
    if field.direction != mapping.direction and mapping.direction != "both":
        remedy = f"Leave `direction` out, or write `{mapping.direction}`."
        yield Finding(("direction",), f"the field runs {field.direction}, the mapping {mapping.direction}", remedy)
    if field.policy and field.direction != "both":
        yield Finding(("policy",), "only a field of direction both can conflict", "Leave `policy` out.")
    if field.drift and field.direction == "both":
        yield Finding(("drift",), "only a field of one direction can drift", "Leave `drift` out.")
    if field.lookup:
        yield from _lookup(field, field.lookup)
    if field.lookup and field.options:
        yield Finding(("options",), "a field has a lookup or options, not both")
    if field.on_missing != "empty" and not field.options:
        yield Finding(("on_missing",), "`on_missing` goes with `options`")
    yield from _contradictions(field)
    yield from _steps(mapping, field)


def _contradictions(field: FieldMapping) -> Iterator[Finding]:
    """Settings that cannot both be meant."""
    said = {name for name in _TOGETHER if getattr(field, name)}
    said |= {"constant"} if field.constant is not None and not field.fixed else set()
    for first, second, why in _CONTRADICTIONS:
        if {first, second} <= said:
            yield Finding((first,), f"`{first}` and `{second}` contradict each other: {why}", "Leave one of them out.")


def _lookup(field: FieldMapping, lookup: Lookup) -> Iterator[Finding]:
    if lookup.by not in ("key", "id") and not is_rule(lookup.by):
        remedy = did_you_mean(lookup.by, ("key", "id"), "Use a rule (`module.function`) or")
        yield Finding(("lookup", "by"), f"`by` cannot be `{lookup.by}`", remedy)
    for key, said in (("required", lookup.required), ("keep_blank", field.keep_blank)):
        if lookup.clear and said:
            message = f"`clear` and `{key}` contradict each other: a missing reference empties the field or not"
            yield Finding(("lookup", "clear"), message, "Leave one of them out.")
    ways = {lookup.required, field.direction} - {True, False}
    if len(ways) == 2 and "both" not in ways:
        message = f"the reference is required {lookup.required}, the field runs {field.direction}"
        yield Finding(("lookup", "required"), message, "Write `required: true`.")


_CONTRADICTIONS = (
    ("keep_blank", "required", "a blank either is passed over or holds the record"),
    ("keep_blank", "constant", "a blank either is passed over or becomes the constant"),
    ("required", "constant", "a blank becomes the constant, so it never holds the record"),
    ("to_dataverse", "lookup", "a reference is translated by its couplings"),
    ("from_dataverse", "lookup", "a reference is translated by its couplings"),
    ("to_dataverse", "options", "an option is translated by its mapping"),
    ("from_dataverse", "options", "an option is translated by its mapping"),
)
_TOGETHER = {name for pair in _CONTRADICTIONS for name in pair[:2]} - {"constant"}


def _steps(mapping: TableMapping, field: FieldMapping) -> Iterator[Finding]:
    """The steps make sense, go where the field goes, and lead back if it goes both ways."""
    found = [*_step_mistakes(mapping, field)]
    yield from found
    for key, direction in (("to_dataverse", "from_dataverse"), ("from_dataverse", "to_dataverse")):
        if field.direction == direction and getattr(field, key):
            yield Finding(
                (key,), f"the field runs {direction}, so nothing goes through these steps", f"Leave `{key}` out."
            )
    if field.lossy and not (field.direction == "both" and (field.to_dataverse or field.from_dataverse)):
        yield Finding(("lossy",), "`lossy` is for the steps of a field that goes both ways", "Leave `lossy` out.")
    if field.direction == "both" and not field.lossy and not found:
        yield from _no_way_back(field)


def _step_mistakes(mapping: TableMapping, field: FieldMapping) -> Iterator[Finding]:
    for key in ("to_dataverse", "from_dataverse"):
        for index, step in enumerate(getattr(field, key)):
            try:
                compiled(step, mapping.functions)
            except MappingError as error:
                yield Finding((key, index), error.message, error.remedy)


def _no_way_back(field: FieldMapping) -> Iterator[Finding]:
    """Steps after which a value that comes back is another one."""
    alone = not (field.to_dataverse and field.from_dataverse)
    lossy = "Give the field one `direction`, or write `lossy: true`: then what is lost stays lost."
    for key, back in (("to_dataverse", "from_dataverse"), ("from_dataverse", "to_dataverse")):
        for index, step in enumerate(getattr(field, key)):
            if name_of(step) in LOSSY:
                yield Finding((key, index), f"`{name_of(step)}` loses something that the way back cannot bring", lossy)
            elif alone and inverse(step) is None:
                remedy = f"Add the steps of the way back, `{back}`. {lossy}"
                yield Finding((key, index), f"it is not known how to undo `{name_of(step)}`", remedy)


def _sides(field: FieldMapping) -> Iterator[Finding]:
    """A field names a column of each side, unless its value is a constant or computed."""
    named = [side for side in SIDES if getattr(field, side)]
    if field.constant is not None:
        yield from _constant(field, named)
    elif field.compute:
        yield from _compute(field, named)
    else:
        for side in set(SIDES) - set(named):
            remedy = f"Add `{side}: ...`, or give the value by `constant` or `compute`."
            yield Finding((), f"the field has no column of {side}", remedy)


def _constant(field: FieldMapping, named: list[Side]) -> Iterator[Finding]:
    if not named:
        yield Finding(("constant",), "a constant goes to a column", "Name the column of the side that it goes to.")
    elif field.direction == "both" and not field.fixed:
        remedy = "Say by `direction` to which side, or name the column of that side only."
        yield Finding(("constant",), "a constant goes to one side", remedy)
    elif field.fixed and DESTINATIONS[field.direction] != (named[0],):
        yield Finding(("direction",), f"the constant goes to {named[0]}, the field runs {field.direction}")
    needless = ["lookup", "options", "compute"]
    needless += ["to_dataverse", "from_dataverse", "group", "keep_blank", "required"] if field.fixed else []
    for key in needless:
        if getattr(field, key):
            yield Finding((key,), f"a constant needs no `{key}`", f"Leave `{key}` or `constant` out.")


def _compute(field: FieldMapping, named: list[Side]) -> Iterator[Finding]:
    if field.direction == "both":
        if len(named) < 2:
            yield Finding(("compute",), "a computed field of one column runs one way only", "Say which by `direction`.")
    elif not set(DESTINATIONS[field.direction]) <= set(named):
        side = DESTINATIONS[field.direction][0]
        yield Finding((), f"the field runs {field.direction} and names no column of {side}", f"Add `{side}: ...`.")


def _destinations(mapping: TableMapping) -> Iterator[Finding]:
    """No column is written by two enabled field mappings."""
    writers: dict[tuple[Side, str], int] = {}
    for index, field in enumerate(mapping.fields):
        for side in DESTINATIONS[field.direction] if field.enabled else ():
            column = str(getattr(field, side))
            first = writers.setdefault((side, column), index)
            if column and first != index:
                message = f"`{column}` of {side} is written by the field in line {mapping.fields[first].line} already"
                yield Finding(("fields", index, side), message, "Keep one of them, or give each its own direction.")


def _groups(mapping: TableMapping) -> Iterator[Finding]:
    """Fields that merge as one value go the same way and are decided the same way, which the first of them says."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, field in enumerate(mapping.fields):
        if field.group:
            groups[field.group].append(index)
    for name, indexes in groups.items():
        first = mapping.fields[indexes[0]]
        for index in indexes[1:]:
            field = mapping.fields[index]
            along = field.dictated and not field.fixed and first.direction == "both"
            for key in ("policy",) if along else ("direction", "policy"):
                if getattr(field, key) not in (None, getattr(first, key)):
                    message = f"the fields of group `{name}` differ in {key}, see line {first.line}"
                    yield Finding(("fields", index, key), message, "A group merges as one value.")

"""What must hold in a mapping beyond the shape of its file. Checks yield what they find, with the path of the value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from koppel.document import Where, did_you_mean
from koppel.errors import FilterError
from koppel.mapping.model import Direction, Endpoint, FieldMapping, MatchPair, TableMapping
from koppel.odata.records import Side
from koppel.odata.syntax import parse_filter

SIDES: tuple[Side, Side] = ("business_central", "dataverse")
DESTINATIONS: dict[Direction, tuple[Side, ...]] = {
    "both": SIDES,
    "to_dataverse": ("dataverse",),
    "from_dataverse": ("business_central",),
}


class Finding(msgspec.Struct, frozen=True):
    """A mistake: where in the file, what, what to do; ``offset`` into the text there, -1 when it is the whole."""

    where: Where
    message: str
    remedy: str = ""
    offset: int = -1


def within(mapping: TableMapping) -> Iterator[Finding]:
    """Everything that can be told from one mapping alone."""
    for side in SIDES:
        yield from _endpoint(mapping, side)
    yield from _whole(mapping)
    for index, field in enumerate(mapping.fields):
        for finding in _field(mapping, field):
            yield msgspec.structs.replace(finding, where=("fields", index, *finding.where))
    yield from _destinations(mapping)
    yield from _groups(mapping)
    yield from _matches(mapping)


def among(mapping: TableMapping, kinds: Mapping[str, str]) -> Iterator[Finding]:
    """References to other mappings; ``kinds``: the kind of each that exists, empty where its file is broken."""
    for index, name in enumerate(mapping.depends_on):
        yield from _known(name, kinds, ("depends_on", index))
    for index, field in enumerate(mapping.fields):
        if field.lookup:
            where: Where = ("fields", index, "lookup", "mapping")
            yield from _known(field.lookup.mapping, kinds, where)
            if kinds.get(field.lookup.mapping) == "options":
                remedy = f"Write `options: {field.lookup.mapping}` instead of `lookup`."
                yield Finding(where, f"`{field.lookup.mapping}` couples options, not records", remedy)
        if field.options:
            where = ("fields", index, "options")
            yield from _known(field.options, kinds, where)
            if kinds.get(field.options) == "records":
                remedy = f"Write `lookup: {{mapping: {field.options}}}` instead of `options`."
                yield Finding(where, f"`{field.options}` is not of kind options", remedy)


def cycle(mappings: Mapping[str, TableMapping]) -> list[str]:
    """Names of mappings that depend on each other in a ring, the first one repeated at the end; empty without one."""
    done: set[str] = set()

    def search(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in mappings:
            return []
        for other in mappings[name].depends_on:
            if ring := search(other, [*path, name]):
                return ring
        done.add(name)
        return []

    return next((ring for name in mappings if (ring := search(name, []))), [])


def rule_names(mapping: TableMapping, known: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Rule functions that do not exist; ``known``: the names of each kind (``compute``, ``references``, ...)."""
    for kind in ("refuse", "complete", "follow"):
        for index, name in enumerate(getattr(mapping.rules, kind)):
            yield from _rule(name, kind, known, ("rules", kind, index))
    for index, field in enumerate(mapping.fields):
        if field.compute:
            yield from _rule(field.compute, "compute", known, ("fields", index, "compute"))
        if field.lookup and _is_rule(field.lookup.by):
            yield from _rule(field.lookup.by, "references", known, ("fields", index, "lookup", "by"))


def _rule(name: str, kind: str, known: Mapping[str, set[str]], where: Where) -> Iterator[Finding]:
    names = known.get(kind, set())
    if name not in names:
        yield Finding(where, f"there is no {kind} rule `{name}`", did_you_mean(name, names, "Rules"))


def _is_rule(by: str) -> bool:
    return "." in by


def _known(name: str, kinds: Mapping[str, str], where: Where) -> Iterator[Finding]:
    if name not in kinds:
        yield Finding(where, f"there is no mapping `{name}`", did_you_mean(name, kinds, "Mappings"))


def _endpoint(mapping: TableMapping, side: Side) -> Iterator[Finding]:
    endpoint = mapping.endpoint(side)
    choice = mapping.kind == "options" and side == "dataverse"
    if choice and not endpoint.column:
        yield Finding((side,), "key `column` is missing", "Name the choice column whose options are coupled.")
    if endpoint.column and not choice:
        yield Finding((side, "column"), "`column` belongs to the Dataverse side of mappings with `kind: options`")
    if not endpoint.key and not choice:
        yield Finding((side,), "key `key` is missing", "Name the column that tells records apart for people.")
    yield from _filter(endpoint, side)


def _filter(endpoint: Endpoint, side: Side) -> Iterator[Finding]:
    if not endpoint.filter:
        return
    try:
        parse_filter(endpoint.filter)
    except FilterError as error:
        yield Finding((side, "filter"), f"the filter cannot be read: {error.message}", error.remedy, error.position)


def _whole(mapping: TableMapping) -> Iterator[Finding]:
    if mapping.kind == "options" and mapping.direction == "both":
        remedy = "Write `direction: to_dataverse` or `direction: from_dataverse`."
        yield Finding(("direction",), "a mapping of options runs one way only", remedy)
    if mapping.kind == "records" and not mapping.fields:
        yield Finding((), "the mapping has no fields", "List at least one under `fields`.")


def _field(mapping: TableMapping, field: FieldMapping) -> Iterator[Finding]:
    yield from _sides(field)
    if field.direction != mapping.direction and mapping.direction != "both":
        remedy = f"Leave `direction` out, or write `{mapping.direction}`."
        yield Finding(("direction",), f"the field runs {field.direction}, the mapping {mapping.direction}", remedy)
    if field.policy and field.direction != "both":
        yield Finding(("policy",), "only a field of direction both can conflict", "Leave `policy` out.")
    if field.lookup and field.lookup.by not in ("key", "id") and not _is_rule(field.lookup.by):
        remedy = did_you_mean(field.lookup.by, ("key", "id"), "Use a rule (`module.function`) or")
        yield Finding(("lookup", "by"), f"`by` cannot be `{field.lookup.by}`", remedy)
    if field.lookup and field.options:
        yield Finding(("options",), "a field has a lookup or options, not both")
    if field.on_missing != "empty" and not field.options:
        yield Finding(("on_missing",), "`on_missing` goes with `options`")


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
    if len(named) != 1:
        yield Finding(("constant",), "a constant goes to one side", "Name the column of that side only.")
    elif DESTINATIONS[field.direction] != (named[0],):
        yield Finding(("direction",), f"the constant goes to {named[0]}, the field runs {field.direction}")
    for key in ("lookup", "options", "compute"):
        if getattr(field, key):
            yield Finding((key,), f"a constant needs no `{key}`", f"Leave `{key}` or `constant` out.")


def _compute(field: FieldMapping, named: list[Side]) -> Iterator[Finding]:
    if field.direction == "both":
        yield Finding(("compute",), "a computed field runs one way only", "Say which by `direction`.")
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
            for key in ("direction", "policy"):
                if getattr(field, key) not in (None, getattr(first, key)):
                    message = f"the fields of group `{name}` differ in {key}, see line {first.line}"
                    yield Finding(("fields", index, key), message, "A group merges as one value.")


def _matches(mapping: TableMapping) -> Iterator[Finding]:
    for group, pairs in enumerate(mapping.match):
        for index, pair in enumerate(pairs):
            if not _is_comparable(mapping, pair):
                message = "a match compares a column of each side"
                remedy = "Name both, or only the column that a field mapping with `compute` fills."
                yield Finding(("match", group, index), message, remedy)
            if "digits" in pair.normalise and (pair.case or len(pair.normalise) > 1):
                message = "where only digits count, there is nothing else to leave out"
                yield Finding(("match", group, index), message, "Write `normalise: [digits]` alone.")


def _is_comparable(mapping: TableMapping, pair: MatchPair) -> bool:
    if pair.business_central and pair.dataverse:
        return True
    side: Side = "dataverse" if pair.dataverse else "business_central"
    column = getattr(pair, side)
    computed = {
        getattr(field, side) for field in mapping.fields if field.compute and side in DESTINATIONS[field.direction]
    }
    return bool(column) and column in computed

"""What must hold in a mapping beyond the shape of its file. Checks yield what they find, with the path of the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from koppel.document import Where, did_you_mean
from koppel.errors import FilterError
from koppel.mapping.field_checks import is_rule, of_fields
from koppel.mapping.finding import DESTINATIONS, SIDES, Finding
from koppel.mapping.model import NONE, MatchPair, TableMapping
from koppel.mapping.steps import LookUp
from koppel.odata.records import Side
from koppel.odata.syntax import parse_filter


def within(mapping: TableMapping) -> Iterator[Finding]:
    """Everything that can be told from one mapping alone."""
    for side in SIDES:
        yield from _endpoint(mapping, side)
    yield from _whole(mapping)
    yield from of_fields(mapping)
    yield from _matches(mapping)


def among(mapping: TableMapping, kinds: Mapping[str, str]) -> Iterator[Finding]:
    """References to other mappings; ``kinds``: the kind of each that exists, empty where its file is broken."""
    for index, name in enumerate(mapping.depends_on):
        yield from _known(name, kinds, ("depends_on", index))
    if mapping.goes_with:
        yield from _known(mapping.goes_with, kinds, ("goes_with",))
        lookups = [field.lookup for field in mapping.fields if field.lookup]
        if not any(lookup.mapping == mapping.goes_with and lookup.by == "key" for lookup in lookups):
            remedy = f"Map one field with `lookup: {{mapping: {mapping.goes_with}}}`."
            yield Finding(("goes_with",), "it cannot be told which records go along with which", remedy)
    if mapping.instead_of:
        yield from _known(mapping.instead_of, kinds, ("instead_of",))
    yield from _coupled_in(mapping, kinds)
    for name, variant in mapping.when_on.items():
        yield from _known(name, kinds, ("when_on", name))
        for index, field in enumerate(variant.fields):
            if field.dataverse not in {each.dataverse for each in mapping.fields}:
                message = f"it takes the place of no field: none goes with `{field.dataverse}` of Dataverse"
                yield Finding(("when_on", name, "fields", index), message, "Add one under the mapping's own `fields`.")
    for index, name in enumerate(mapping.brings):
        yield from _known(name, kinds, ("brings", index))
        if name == mapping.name or kinds.get(name) == "options":
            remedy = "Name mappings of records that this one refers to."
            yield Finding(("brings", index), f"records of `{name}` cannot be brought along", remedy)
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


def _coupled_in(mapping: TableMapping, kinds: Mapping[str, str]) -> Iterator[Finding]:
    name = mapping.coupled_in
    if not name:
        return
    yield from _known(name, kinds, ("coupled_in",))
    if name == mapping.name or kinds.get(name) == "options":
        remedy = "Name the mapping of the same records of Business Central."
        yield Finding(("coupled_in",), f"records of this mapping are none of `{name}`", remedy)
    if mapping.direction != "to_dataverse":
        message = "what hangs on other couplings is sent from Business Central to Dataverse only"
        yield Finding(("coupled_in",), message, "Write `direction: to_dataverse`, or leave `coupled_in` out.")


def parts(mappings: Mapping[str, TableMapping], mapping: TableMapping) -> Iterator[Finding]:
    """What does not fit together in a mapping whose records are parts of others, or consist of parts."""
    if mapping.part_of:
        yield from _part(mapping, mappings)
    elif not mapping.rules.complete and all(other.part_of != mapping.name for other in mappings.values()):
        for index, field in enumerate(mapping.fields):
            if field.last and field.dataverse not in mapping.dataverse.create:
                message = "no mapping is `part_of` this one: there is nothing to wait for"
                yield Finding(("fields", index, "last"), message, "Leave `last` out, or give the column to `create`.")


def _part(mapping: TableMapping, mappings: Mapping[str, TableMapping]) -> Iterator[Finding]:
    if mapping.part_of not in mappings:
        yield from _known(mapping.part_of, dict.fromkeys(mappings, ""), ("part_of",))
        return
    fields = [field for field in mapping.fields if field.lookup and field.lookup.mapping == mapping.part_of]
    if len(fields) != 1 or not fields[0].enabled or (fields[0].lookup and is_rule(fields[0].lookup.by)):
        remedy = f"Map one field with `lookup: {{mapping: {mapping.part_of}, by: id}}`."
        yield Finding(("part_of",), "it cannot be told which record a part belongs to", remedy)
    both_ways = mapping.direction == mappings[mapping.part_of].direction == "both"
    if mapping.direction != "to_dataverse" and not both_ways:
        message = "parts are sent from Business Central to Dataverse, or both ways where their wholes go both ways"
        yield Finding(("part_of",), message, "Write `direction: to_dataverse`, or leave `part_of` out.")


def alternatives(mappings: Mapping[str, TableMapping], mapping: TableMapping) -> Iterator[Finding]:
    """Of two mappings that take each other's place one is on, as far as a mapping that is on depends on them; and the
    parts of what is on."""
    if not mapping.enabled:
        return
    for part in mappings.values():
        if part.part_of == mapping.name and not part.enabled:
            remedy = f"Write `enabled: {{{part.name}: true}}` in koppel.yaml, or switch `{mapping.name}` off, too."
            yield Finding(("mapping",), f"its parts, `{part.name}`, are off", remedy)
    other = mappings.get(mapping.instead_of)
    if other is not None and other.enabled:
        remedy = f"Write `enabled: {{{other.name}: false}}` in koppel.yaml, or `enabled: false` here."
        yield Finding(("instead_of",), f"`{other.name}` is on, too, and only one of the two can be", remedy)
    for index, name in enumerate(mapping.depends_on):
        needed = mappings.get(name)
        other = mappings.get(needed.instead_of) if needed else None
        if needed and other and not needed.enabled and not other.enabled:
            remedy = f"Write `enabled: {{{other.name}: true}}` in koppel.yaml, or switch `{mapping.name}` off, too."
            yield Finding(("depends_on", index), f"neither `{other.name}` nor `{needed.name}` is on", remedy)


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
    for kind in ("refuse", "complete", "succeed", "precede", "follow", "gone", "uncouple"):
        for index, name in enumerate(getattr(mapping.rules, kind)):
            yield from _rule(name, kind, known, ("rules", kind, index))
    for index, field in enumerate(mapping.fields):
        if field.compute:
            yield from _rule(field.compute, "compute", known, ("fields", index, "compute"))
        if field.lookup and is_rule(field.lookup.by):
            yield from _rule(field.lookup.by, "references", known, ("fields", index, "lookup", "by"))


def _rule(name: str, kind: str, known: Mapping[str, set[str]], where: Where) -> Iterator[Finding]:
    names = known.get(kind, set())
    if name not in names:
        yield Finding(where, f"there is no {kind} rule `{name}`", did_you_mean(name, names, "Rules"))


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
    for index, name in enumerate(endpoint.also):
        if not choice or name.count(".") != 1:
            remedy = "List choice columns as table.column, with the options that they share."
            yield Finding(
                (side, "also", index), "`also` belongs to choice columns of mappings with `kind: options`", remedy
            )
    if not endpoint.key and not choice:
        yield Finding((side,), "key `key` is missing", "Name the column that tells records apart for people.")
    yield from _filter(endpoint.filter, (side, "filter"))
    yield from _filter(endpoint.new if endpoint.new != NONE else "", (side, "new"))


def _filter(text: str, where: Where) -> Iterator[Finding]:
    if not text:
        return
    try:
        parse_filter(text)
    except FilterError as error:
        yield Finding(where, f"the filter cannot be read: {error.message}", error.remedy, error.position)


def _whole(mapping: TableMapping) -> Iterator[Finding]:
    if mapping.kind == "options" and mapping.direction == "both":
        remedy = "Write `direction: to_dataverse` or `direction: from_dataverse`."
        yield Finding(("direction",), "a mapping of options runs one way only", remedy)
    if mapping.kind == "records" and not mapping.fields:
        yield Finding((), "the mapping has no fields", "List at least one under `fields`.")
    elif mapping.kind == "records":
        yield from _arrivals(mapping)


def _arrivals(mapping: TableMapping) -> Iterator[Finding]:
    """Some enabled field goes to each side that the mapping goes to, unless rules make whole records there."""
    reached = {side for field in mapping.fields if field.enabled for side in DESTINATIONS[field.direction]}
    for side in DESTINATIONS[mapping.direction]:
        if side not in reached and not mapping.rules.complete:
            message = f"the mapping runs {mapping.direction}, and no enabled field goes to {side}"
            yield Finding(("direction",), message, "Correct `direction`, or enable a field that goes there.")


def _matches(mapping: TableMapping) -> Iterator[Finding]:
    for group, pairs in enumerate(mapping.match):
        for index, pair in enumerate(pairs):
            if not _is_comparable(mapping, pair):
                message = "a match compares a column of each side"
                remedy = "Name both, or only the column that a field mapping with `compute` fills."
                yield Finding(("match", group, index), message, remedy)
            elif _is_looked_up(mapping, pair):
                message = "a match cannot compare what is looked up in a table"
                yield Finding(("match", group, index), message, "Match by other columns.")
            if "digits" in pair.normalise and (pair.case or len(pair.normalise) > 1):
                message = "where only digits count, there is nothing else to leave out"
                yield Finding(("match", group, index), message, "Write `normalise: [digits]` alone.")


def _is_looked_up(mapping: TableMapping, pair: MatchPair) -> bool:
    columns = pair.business_central, pair.dataverse
    fields = (field for field in mapping.fields if (field.business_central, field.dataverse) == columns)
    return any(isinstance(step, LookUp) for field in fields for step in (*field.to_dataverse, *field.from_dataverse))


def _is_comparable(mapping: TableMapping, pair: MatchPair) -> bool:
    if pair.business_central and pair.dataverse:
        return True
    side: Side = "dataverse" if pair.dataverse else "business_central"
    column = getattr(pair, side)
    computed = {
        getattr(field, side) for field in mapping.fields if field.compute and side in DESTINATIONS[field.direction]
    }
    return bool(column) and column in computed

"""Which columns of Business Central's tables the mappings in use read, write, or ask by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from koppel.engine.rule import Rule, rule_named
from koppel.mapping.model import NONE, FieldMapping, TableMapping
from koppel.mapping.steps import LookUp
from koppel.mapping.transforms import chain
from koppel.odata.syntax import columns_of, parse_filter

ROUTE = "koppel/sync/v1.0"
SHOWN = "id"
"""A column that every page shows: to use a table without naming a column."""


class Use(msgspec.Struct, frozen=True):
    """A column that a mapping uses. ``asked``: Business Central has to look for records by it."""

    table: str
    column: str
    mapping: TableMapping
    asked: bool = False

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.mapping.file} ({self.mapping.name})"


def uses_of(mappings: Iterable[TableMapping]) -> list[Use]:
    """Every use of a column on the companion's route by mappings that are on, in the order of mappings and columns."""
    found = (use for mapping in mappings if mapping.enabled for use in _of_mapping(mapping))
    return [msgspec.structs.replace(use, table=table) for use in found if (table := _on_route(use.table))]


def _on_route(table: str) -> str:
    """The name of a table of the companion; empty for one of another route, which its name bears."""
    route, _, name = table.rpartition("/")
    return name if route in ("", ROUTE) else ""


def _of_mapping(mapping: TableMapping) -> Iterator[Use]:
    end, other = mapping.business_central, mapping.dataverse

    def use(column: str, *, asked: bool = False) -> Use:
        return Use(end.table, column, mapping, asked)

    fields = [field for field in mapping.fields if field.enabled]
    yield use(end.key, asked=True)
    yield from (use(column, asked=True) for column in sorted(_filtered(end.filter) | _filtered(end.new)))
    yield from (use(column, asked=True) for column in filter(None, [end.known_by, end.order]))
    for watch in end.watch:
        yield Use(watch.table, watch.column or SHOWN, mapping, asked=True)
        yield use(watch.key or end.key, asked=True)
    yield from (use(field.business_central) for field in fields if field.business_central)
    yield from (use(pair.business_central) for group in mapping.match for pair in group if pair.business_central)
    for template in end.templates:
        yield from map(use, template.values)
    for template in other.templates:
        yield from map(use, sorted(_filtered(template.filter)))
    yield from map(use, (*end.create, *end.deactivate, *end.reopen))
    if mapping.part_of:
        yield use(mapping.whole.business_central, asked=True)
    for rule in _rules(mapping, fields):
        yield from map(use, rule.reads if rule.side == "business_central" else ())
        yield from (Use(name or end.table, column, mapping) for name, all in rule.writes.items() for column in all)
        yield from _needed(rule, mapping)
    for field in fields:
        yield from _looked_up(field, mapping)


def _filtered(text: str) -> set[str]:
    said = text not in ("", NONE)
    return {path.partition("/")[0] for path in columns_of(parse_filter(text))} if said else set()


def _rules(mapping: TableMapping, fields: Iterable[FieldMapping]) -> Iterator[Rule]:
    hooks = mapping.rules
    names = [
        *hooks.refuse,
        *hooks.complete,
        *hooks.succeed,
        *hooks.precede,
        *hooks.follow,
        *hooks.gone,
        *hooks.uncouple,
    ]
    for field in fields:
        names += [field.compute] if field.compute else []
        names += [field.lookup.by] if field.lookup and field.lookup.by not in ("key", "id") else []
    return map(rule_named, dict.fromkeys(names))


def _needed(rule: Rule, mapping: TableMapping) -> Iterator[Use]:
    for need in rule.needs:
        if need.table and need.side == "business_central":
            yield from (Use(need.table, column, mapping) for column in need.columns)
            if need.key:
                yield Use(need.table, need.key, mapping, asked=True)


def _looked_up(field: FieldMapping, mapping: TableMapping) -> Iterator[Use]:
    for step in (*chain(field, "business_central"), *chain(field, "dataverse")):
        if isinstance(step, LookUp) and step.side == "business_central":
            yield Use(step.table, step.where, mapping, asked=True)
            yield Use(step.table, step.take, mapping)


def columns_by_table(uses: Iterable[Use]) -> Mapping[str, Mapping[str, Use]]:
    """The first use of each column by table, in the order in which they are used."""
    found: dict[str, dict[str, Use]] = {}
    for use in uses:
        found.setdefault(use.table, {}).setdefault(use.column, use)
    return found

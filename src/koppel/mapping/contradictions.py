"""Settings of one mapping that cannot all be meant. What they mean one by one stands in ``model``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from koppel.errors import FilterError
from koppel.mapping.finding import SIDES, Finding
from koppel.mapping.model import Endpoint, TableMapping, Watch, templates_in_order
from koppel.mapping.timing import is_queue, is_timing
from koppel.odata.records import SPOKEN, Side
from koppel.odata.syntax import columns_of, parse_filter

OF_RECORDS = ("conflicts", "left_filter", "drift", "initial", "match", "only_coupled", "create_unmatched")
"""Settings that an option mapping has no use for."""

_OTHER: Mapping[Side, Side] = {"business_central": "dataverse", "dataverse": "business_central"}
_PLAIN = TableMapping(name="", business_central=Endpoint(table=""), dataverse=Endpoint(table=""))


def contradictions(mapping: TableMapping) -> Iterator[Finding]:
    """What one setting says and another one makes impossible."""
    yield from _kind(mapping)
    yield from _direction(mapping)
    yield from _gone(mapping)
    yield from _order(mapping)
    yield from _left_filter(mapping)
    yield from _templates(mapping)
    yield from _watch(mapping)
    yield from _brakes(mapping)
    yield from _schedule(mapping)


def _kind(mapping: TableMapping) -> Iterator[Finding]:
    if mapping.kind == "options":
        if mapping.deletions in ("delete", "delete_edited", "leave"):
            message = f"codes and options know no `{mapping.deletions}`"
            remedy = "Write none, restore or uncouple."
            yield Finding(("deletions",), message, remedy)
        for key in OF_RECORDS:
            if getattr(mapping, key) != getattr(_PLAIN, key):
                yield Finding((key,), f"a mapping of options knows no `{key}`", f"Leave `{key}` out.")


def _direction(mapping: TableMapping) -> Iterator[Finding]:
    """Settings about writes that never happen."""
    one_way = mapping.direction != "both"
    if one_way and mapping.conflicts != "ask":
        yield Finding(("conflicts",), f"a mapping {mapping.direction} has no conflicts", "Leave `conflicts` out.")
    # Business Central may be named or not: what the file does not say, it does not contradict.
    if mapping.direction == "to_dataverse" and mapping.initial == "dataverse":
        yield Finding(("initial",), "Dataverse cannot win: the mapping runs to_dataverse", "Leave `initial` out.")
    for side in SIDES:
        for key in ("create", "templates", "deactivate", "reopen", "known_by"):
            if getattr(mapping.endpoint(side), key) and not mapping.writes_to(side):
                message = f"nothing is written to {SPOKEN[side]}: the mapping runs {mapping.direction}"
                yield Finding((side, key), message, f"Leave `{key}` out.")


def _gone(mapping: TableMapping) -> Iterator[Finding]:
    if mapping.rules.gone and mapping.deletions not in ("uncouple", "leave"):
        message = "`gone` says what becomes of a record that is uncoupled, and nothing is uncoupled"
        yield Finding(("rules", "gone"), message, "Write `deletions: uncouple`, or leave `gone` out.")


def _order(mapping: TableMapping) -> Iterator[Finding]:
    for side in SIDES:
        if mapping.endpoint(side).order and not mapping.part_of:
            yield Finding((side, "order"), "only parts of a record are sent in an order", "Leave `order` out.")


def _left_filter(mapping: TableMapping) -> Iterator[Finding]:
    named = [side for side in SIDES if mapping.endpoint(side).deactivate]
    if mapping.left_filter != "keep" and not any(mapping.endpoint(side).filter for side in SIDES):
        yield Finding(("left_filter",), "the mapping has no filter to leave", "Leave `left_filter` out.")
    if mapping.left_filter == "deactivate" and not named:
        remedy = "Name the columns and values: `dataverse: {deactivate: {statecode: 1, statuscode: 2}}`."
        yield Finding(("left_filter",), "neither side says how a record is deactivated", remedy)
    if mapping.left_filter == "carry" and not any(_asks_for_field(mapping, side) for side in SIDES):
        remedy = "Map a column of a filter, or choose another policy."
        yield Finding(("left_filter",), "there is nothing to carry: no filter asks for a mapped column", remedy)
    for side in named:
        if mapping.left_filter != "deactivate":
            remedy = "Add `left_filter: deactivate`, or leave it out."
            yield Finding((side, "deactivate"), "nothing is ever deactivated", remedy)
        elif not mapping.endpoint(_OTHER[side]).filter:
            message = f"no record can leave {SPOKEN[_OTHER[side]]}, which has no filter"
            yield Finding((side, "deactivate"), message, "Leave `deactivate` out.")


def _asks_for_field(mapping: TableMapping, side: Side) -> bool:
    try:
        tree = parse_filter(mapping.endpoint(side).filter or "true")
    except FilterError:
        return True  # told elsewhere
    columns = {getattr(field, side) for field in mapping.fields if field.enabled}
    return not columns.isdisjoint(columns_of(tree))


def _templates(mapping: TableMapping) -> Iterator[Finding]:
    for side in SIDES:
        templates = mapping.endpoint(side).templates
        for index, template in enumerate(templates):
            where = (side, "templates", index)
            if not template.values:
                yield Finding(where, "the template has no values", "Name columns and values under `values`.")
            try:
                parse_filter(template.filter or "true")
            except FilterError as error:
                message = f"the filter cannot be read: {error.message}"
                yield Finding((*where, "filter"), message, error.remedy, error.position)
        ordered = templates_in_order(templates)
        every = next((place for place, template in enumerate(ordered) if not template.filter), len(ordered))
        for template in ordered[every + 1 :]:
            message = f"the template is never used: the one in line {ordered[every].line} takes every record before"
            where = (side, "templates", templates.index(template))
            yield Finding(where, message, "Give the other one a filter, or this one a smaller `priority`.")


def _watch(mapping: TableMapping) -> Iterator[Finding]:
    for side in SIDES:
        watches = mapping.endpoint(side).watch
        known: dict[str, Watch] = {}
        for index, watch in enumerate(watches):
            where = (side, "watch", index)
            if mapping.kind == "options":
                yield Finding(where, "a mapping of options knows no `watch`", "Leave `watch` out.")
            elif watch.key and not watch.column:
                message = f"`key` without `column`: nothing says whose record a row of {watch.table} belongs to"
                yield Finding(where, message, "Name the `column` that holds what `key` does, or leave `key` out.")
            first = known.setdefault(watch.table, watch)
            if first is not watch and (not (first.column and watch.column) or _same(first, watch)):
                message = f"{watch.table} is watched for every record, or for the same ones, in line {first.line} too"
                yield Finding(where, message, "Take one of them out.")


def _same(one: Watch, other: Watch) -> bool:
    return (one.column, one.key) == (other.column, other.key)


def _brakes(mapping: TableMapping) -> Iterator[Finding]:
    deletions, percent = mapping.brakes.deletions, mapping.brakes.changes_percent
    if deletions is not None and deletions < 0:
        yield Finding(("brakes", "deletions"), "`deletions` cannot be negative", "0 stops a job at the first deletion.")
    if percent is not None and not 0 <= percent <= 100:
        yield Finding(
            ("brakes", "changes_percent"), "`changes_percent` must be from 0 to 100", "100 allows every change."
        )


def _schedule(mapping: TableMapping) -> Iterator[Finding]:
    schedule = mapping.schedule
    if not is_timing(schedule.every):
        message = f"`{schedule.every}` is neither minutes nor a cron expression"
        yield Finding(
            ("schedule", "every"), message, "Write minutes from 1 on, or five fields such as '0 6 * * mon-fri'."
        )
    if schedule.inactivity < 0:
        yield Finding(("schedule", "inactivity"), "`inactivity` cannot be negative", "0: never on hold.")
    if not is_queue(schedule.queue):
        message = f"`{schedule.queue}` is no name of a queue"
        yield Finding(("schedule", "queue"), message, "Write a word, without blanks and commas.")
    if mapping.part_of and schedule != _PLAIN.schedule:
        message = f"its records go with those of {mapping.part_of}, never by themselves"
        yield Finding(("schedule",), message, "Leave `schedule` out.")

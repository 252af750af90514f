"""How the demo looks: everything on one screen, grouped where a thousand records tell the same story."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from koppel.cli.demo_edits import Edit
from koppel.cli.demo_orders import Step
from koppel.engine.action import Action
from koppel.odata.records import SPOKEN
from koppel.store.conflicts import Conflict
from koppel.store.failures import Failure
from koppel.sync.request import Result
from koppel.sync.verify import Verification

FEW = 50
"""Explanations that hold for more fields than this (a blank that may not overwrite) are no news."""
_COUNTERS = ("created", "updated", "coupled", "unchanged", "skipped", "failed")


def heading(customers: int | None) -> RenderableType:
    """The first line."""
    number = "18,849" if customers is None else f"{customers:,}"
    return Text.assemble(("Koppel demo", "bold"), f": Adventure Works, {number} customers, in two simulated systems")


def _title(number: int, text: str) -> Text:
    return Text(f"{number} {text}", style="bold cyan")


def _grid(*headings: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for heading_ in headings:
        table.add_column(heading_, justify="right" if heading_ in _NUMBERS else "left", no_wrap=True)
    if any(headings):
        table.add_row(*(Text(text, style="dim") for text in headings))
    return table


_NUMBERS = frozenset({*_COUNTERS, "conflicts", "seconds", "BC requests", "DV requests"})


def results(title: str, found: Mapping[str, Result]) -> RenderableType:
    """A line a mapping: what became of its records, how long it took, how often either system was asked."""
    table = _grid("  mapping", *_COUNTERS, "seconds", "BC requests", "DV requests")
    for name, result in found.items():
        counts = (f"{result.counts[counter]:,}" if result.counts[counter] else "" for counter in _COUNTERS)
        requests = (f"{result.requests[side]:,}" for side in SPOKEN)
        table.add_row(f"  {name}", *counts, f"{result.seconds:.1f}", *requests)
    return Group(_title(1, title), table)


def refusals(failed: Sequence[Failure]) -> RenderableType:
    """What cannot synchronise, grouped by cause, with the first names and the remedy."""
    groups: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failed:
        groups[failure.mapping, failure.code].append(failure)
    lines = [
        Text(
            f"  {len(found)} of {mapping} held: {found[0].message} ({_names(found)}). {found[0].remedy}", style="yellow"
        )
        for (mapping, _), found in groups.items()
    ]
    return Group(*lines)


def _names(failed: Sequence[Failure]) -> str:
    names = [failure.record_name for failure in failed[:3]]
    return ", ".join(names) + (", ..." if len(failed) > 3 else "")


def edits(made: Sequence[Edit]) -> RenderableType:
    """What people did."""
    table = _grid("", "", "", "")
    for edit in made:
        values = ", ".join(f"{name} = {value}" for name, value in list(edit.values.items())[:1])
        table.add_row(f"  {edit.what}", f"{edit.who} in {SPOKEN[edit.side]}", values, Text(edit.expected, style="dim"))
    return Group(_title(2, "Edits on both sides, and what must become of them"), table)


def plan(actions: Sequence[Action]) -> RenderableType:
    """What a synchronisation would do: old -> new by field, with reasons."""
    table = _grid("", "", "", "")
    for action in actions:
        for change in action.changes:
            arrow = Text.assemble((_value(change.old), "red"), " -> ", (_value(change.new), "green"))
            table.add_row(f"  {action.name}", change.field, arrow, change.why)
        if action.kind == "create":
            assert action.side is not None
            table.add_row(f"  {action.name}", "(new)", f"create in {SPOKEN[action.side]}", action.reason)
        for conflict in action.conflicts:
            table.add_row(f"  {action.name}", conflict.group, Text("held", style="yellow"), "both sides changed it")
    return Group(_title(3, "Plan (koppel plan): nothing is written yet"), table)


def _value(value: object) -> str:
    return "(blank)" if value in (None, "") else str(value)


def synchronised(found: Mapping[str, Result]) -> RenderableType:
    """What the synchronisation did, in one line."""
    total = {name: sum(result.counts[name] for result in found.values()) for name in (*_COUNTERS, "conflicts")}
    wanted = ("created", "updated", "conflicts")
    said = ", ".join(f"{total[name]} {name}" for name in wanted)
    seconds = sum(result.seconds for result in found.values())
    return Group(_title(4, f"Synchronisation: {said}, {seconds:.1f} s"))


def held(found: Sequence[Conflict]) -> RenderableType:
    """The conflicts that wait for a person."""
    table = _grid("", "", "", "")
    for conflict in found:
        table.add_row(
            Text(f"  conflict {conflict.id}", style="yellow"),
            f"{conflict.record_name} {conflict.field}",
            f"Business Central: {_contested(conflict.business_central, conflict.dataverse)}",
            f"Dataverse: {_contested(conflict.dataverse, conflict.business_central)}",
        )
    return Group(table)


def _contested(value: object, against: object) -> str:
    """A value; of a group only what differs."""
    if isinstance(value, Mapping) and isinstance(against, Mapping):
        return ", ".join(_value(part) for name, part in value.items() if (part or "") != (against.get(name) or ""))
    return _value(value)


def order(steps: Sequence[Step]) -> RenderableType:
    """An order's way, step by step."""
    table = _grid("", "", "")
    for step in steps:
        table.add_row(_checked(step.arrived, f"{step.who} {step.did}"), "->", step.came)
    return Group(_title(5, "An order's way, synchronised after each step"), table)


def proof(writes: int, verified: Verification, missing: Sequence[str], duplicates: int) -> RenderableType:
    """What was checked after everything."""
    differences = len(verified.differences)
    explained = Counter(difference.explained for difference in verified.explained)
    reasons = ", ".join(f"{reason} ({number})" for reason, number in explained.items() if number <= FEW)
    lines = [
        _checked(writes == 0, f"a second run makes {writes} write requests (the sandbox counted)"),
        _checked(
            differences == 0,
            f"{verified.compared:,} pairs compared by field: {differences} differ; explained: {reasons or 'none'}",
        ),
        _checked(not missing, f"{len(missing)} lost edits" + (f": {', '.join(missing)}" if missing else "")),
        _checked(duplicates == 0, f"{duplicates} duplicates"),
    ]
    return Group(_title(6, "Proof"), *lines)


def _checked(good: bool, text: str) -> Text:
    return Text.assemble(("  ok  ", "green") if good else ("  NO  ", "bold red"), text)


def verdict(proved: bool, seconds: float) -> RenderableType:
    """Whether everything held."""
    return Text(f"{'Proved' if proved else 'NOT proved'} in {seconds:.0f} s.", style="bold")


def go_on() -> RenderableType:
    """What to try next, where everything is gone by now."""
    return Text("Go on: koppel demo --keep, then koppel --help")


def keep(path: Path) -> RenderableType:
    """How to go on while the sandbox stays up."""
    return Text(
        f"The sandbox stays up until Ctrl-C. In another terminal:\n"
        f"  export KOPPEL_CONFIG={path} KOPPEL_CLIENT_SECRET=koppel-sandbox-secret\n"
        f"  koppel status"
    )

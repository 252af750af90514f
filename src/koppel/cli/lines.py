"""Actions, results and failures as lines for people and as data for programs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.output import described, spelled, table
from koppel.engine.action import Action, Change, Conflict, FollowUp
from koppel.odata.records import SPOKEN
from koppel.store.failures import Failure
from koppel.sync.full import Finished

COUNTERS = ("created", "updated", "coupled", "unchanged", "skipped", "failed", "conflicts", "uncoupled", "deleted")
WRITES = ("created", "updated", "coupled", "uncoupled", "deleted")
SHOWN_CAUSES = 8
SHOWN_NAMES = 8
"""How much of what went wrong is told before a person is sent to the list of it."""

SIGNS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "couple": ("=", "cyan"),
    "uncouple": ("x", "magenta"),
    "delete": ("-", "red"),
    "hold": ("!", "bold red"),
    "nothing": (" ", ""),
}


def action_data(action: Action) -> dict[str, Any]:
    """An action for programs: what is done to which record, and why."""
    wanted = (
        "mapping",
        "kind",
        "name",
        "reason",
        "side",
        "business_central_id",
        "dataverse_id",
        "to_business_central",
        "to_dataverse",
        "changes",
        "conflicts",
        "waiting",
        "warnings",
        "refusal",
        "before",
        "later",
        "nested",
        "after",
    )
    return {name: msgspec.to_builtins(getattr(action, name)) for name in wanted}


def action_lines(action: Action) -> Iterator[Text]:
    """An action for people: one line, and one for each field with old and new value."""
    sign, style = SIGNS[action.kind]
    where = f" in {SPOKEN[action.side]}" if action.side and action.kind in ("create", "delete") else ""
    yield Text.assemble(
        (f"  {sign} {action.kind}{where} ", style), (action.name, "bold"), (f"  {_reason(action)}", "dim")
    )
    for write in action.before:
        yield from _beside("first", write)
    if action.kind == "create" and action.side:
        for column, value in action.writes(action.side).items():
            yield Text(f"      {column}: {spelled(value)}")
        for name, rows in action.nested.items():
            yield from (Text(f"      with {name}: {spelled(row)}") for row in rows)
        for column, value in action.later.items():
            yield Text(f"      then {column}: {spelled(value)}")
    for change in action.changes:
        yield _change(change, action.reason)
    for write in action.after:
        yield from _beside("then", write)
    for conflict in action.conflicts:
        yield _conflict(conflict)
    for waiting in () if action.refusal else action.waiting:
        if not waiting.empty:
            yield Text(f"      {waiting.field}: waits until {waiting.reference} is coupled in {waiting.via}", "yellow")
    for warning in action.warnings:
        yield Text(f"      {warning}", "yellow")


def _beside(when: str, write: FollowUp) -> Iterator[Text]:
    what = f"{'create' if write.create else 'update'} in {SPOKEN[write.side]} {write.table} {write.name}"
    yield Text.assemble(f"      {when} {what}", (f"  {write.reason}", "dim"))
    for column, value in write.values.items():
        yield Text(f"        {column}: {spelled(value)}")


def _reason(action: Action) -> str:
    remedy = f"; {action.refusal.remedy}" if action.refusal and action.refusal.remedy else ""
    return action.reason + remedy


def _change(change: Change, reason: str) -> Text:
    why = f"  ({change.why})" if change.why and change.why != reason else ""
    return Text.assemble(
        f"      {change.field} in {SPOKEN[change.side]}: ",
        (spelled(change.old), "red"),
        " -> ",
        (spelled(change.new), "green"),
        (why, "dim"),
    )


def _conflict(conflict: Conflict) -> Text:
    def said(values: dict[str, Any]) -> str:
        return spelled(values if len(values) > 1 else next(iter(values.values()), None))

    return Text.assemble(
        (f"      {conflict.group}: conflict", "bold red"),
        f"; was {said(conflict.base_business_central)}"
        f", Business Central has {said(conflict.business_central)}, Dataverse has {said(conflict.dataverse)}",
    )


def finished_data(finished: Sequence[Finished], failures: Sequence[Failure]) -> dict[str, Any]:
    """What became of each mapping, for programs: a second round is added to the first, and ``failed`` are those records
    that did not come through in either."""
    mappings: dict[str, dict[str, Any]] = {}
    for one in finished:
        data = mappings.setdefault(one.mapping, _nothing_yet())
        if one.error is not None:
            data["error"] = described(one.error)
        if one.result is not None:
            result = one.result
            for name in WRITES if one.completing else COUNTERS:
                data[name] += result.counts[name]
            data["seconds"] = round(data["seconds"] + result.seconds, 3)
            data["requests"] = dict(Counter(data["requests"]) + Counter(result.requests))
            data["write_requests"] += result.write_requests
            data["jobs"] += [result.job] if result.job else []
            data["notices"] += result.notices
    left = Counter(failure.mapping for failure in failures)
    for name, data in mappings.items():
        data["failed"] = left[name]
    return mappings


def _nothing_yet() -> dict[str, Any]:
    counters: dict[str, Any] = dict.fromkeys(COUNTERS, 0)
    return counters | {"seconds": 0.0, "requests": {}, "write_requests": 0, "jobs": [], "notices": []}


def results_table(data: dict[str, Any]) -> RenderableType:
    """The counters of every mapping."""
    shown = [n for n in COUNTERS if n in COUNTERS[:7] or any(row[n] for row in data.values())]
    return table(
        ("mapping", *shown, "seconds", "requests"),
        [
            (name, *(row[n] for n in shown), float(row["seconds"]), sum(row["requests"].values()))
            for name, row in data.items()
        ],
    )


_IDS = re.compile(r"(?:, )?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Trouble(msgspec.Struct, frozen=True):
    """Why one record did not go through. ``heading`` and ``cause`` are the same for troubles of one kind."""

    heading: str
    name: str
    message: str
    remedy: str = ""

    @property
    def cause(self) -> tuple[str, str]:
        """The heading and the message without the record's name and the ids of others."""
        return self.heading, _IDS.sub("", self.message.replace(self.name, "") if self.name else self.message)


def trouble_lines(troubles: Iterable[Trouble], style: str, command: str) -> Iterator[Text]:
    """Troubles with their remedy, those of one cause together; above what fits, ``command`` lists them."""
    causes: dict[tuple[str, str], list[Trouble]] = {}
    for trouble in troubles:
        causes.setdefault(trouble.cause, []).append(trouble)
    for found in list(causes.values())[:SHOWN_CAUSES]:
        yield _trouble(found, style)
    if more := sum(len(found) for found in list(causes.values())[SHOWN_CAUSES:]):
        yield Text(f"and {more:,} more: {command}")


def _trouble(found: Sequence[Trouble], style: str) -> Text:
    first, others = found[0], [trouble.name for trouble in found[1:]]
    remedy = f"\n      {first.remedy}" if first.remedy else ""
    named = ", ".join(others[:SHOWN_NAMES]) + (
        f" and {len(others) - SHOWN_NAMES:,} more" if others[SHOWN_NAMES:] else ""
    )
    likewise = f"\n      likewise {named}" if named else ""
    return Text.assemble(
        ("  ! ", style), (f"{first.heading} {first.name}".rstrip(), "bold"), f": {first.message}{remedy}{likewise}"
    )


def failure_trouble(failure: Failure) -> Trouble:
    """A failure as a trouble."""
    return Trouble(failure.mapping, failure.record_name or failure.record_id, failure.message, failure.remedy)


def notice_troubles(data: Mapping[str, Any], told: Collection[str]) -> Iterator[Trouble]:
    """The lines of runs (``name: message; remedy``) that were not ``told`` as failures already."""
    for mapping, row in data.items():
        for line in row["notices"]:
            name, _, rest = line.partition(": ")
            message, _, remedy = rest.partition("; ")
            if message not in told:
                yield Trouble(mapping, name, message, remedy) if rest else Trouble(mapping, "", line)

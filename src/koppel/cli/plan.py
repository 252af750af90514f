"""``koppel plan``: what a run would do, old -> new by field."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.text import Text

from koppel.cli.lines import Trouble, action_data, action_lines, trouble_lines
from koppel.cli.names import Mappings, mappings_named
from koppel.cli.options import DirectionOption, direction_named
from koppel.cli.output import Output
from koppel.cli.running import DONE, MISUSED, AsJson, ConfigPath, run
from koppel.engine.action import Action
from koppel.sync.run import Request
from koppel.sync.run import plan as planned
from koppel.sync.session import Session

SHOWN = 50
"""Actions of each mapping that are told in full; programs and files get them all."""


def plan(
    names: Mappings = None,
    full: Annotated[bool, typer.Option("--full", help="Compare everything, match, and create what is new.")] = False,
    record: Annotated[list[str] | None, typer.Option(help="Only this record: its id, or its number.")] = None,
    direction: DirectionOption = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, old -> new by field; nothing is written. Exit status 2 when there is something."""

    async def work(session: Session, output: Output) -> int:
        request = Request(full=full, records=tuple(record or ()), direction=direction_named(direction))
        return await _plan(session, output, mappings_named(session.mappings, names), request)

    run(work, config, as_json)


async def _plan(session: Session, output: Output, names: list[str], request: Request) -> int:
    actions: list[dict[str, Any]] = []
    held: list[Trouble] = []
    counts: dict[str, Counter[str]] = {}
    for name in names:
        found = counts[name] = Counter()
        async for action in planned(session, name, request):
            if action.kind == "nothing":
                continue
            found[action.kind] += 1
            if output.as_json:
                actions.append(action_data(action))
            elif action.refusal:
                held.append(Trouble(name, action.name, action.refusal.message, action.refusal.remedy))
            else:
                _say(output, action, found.total() - found["hold"])
        _sum_up(output, name, found.total() - found["hold"])
    lines = trouble_lines(held, "bold red", "koppel plan --json")
    output.show({"mappings": counts, "actions": actions}, *lines, _verdict(counts))
    return MISUSED if any(does_something(found) for found in counts.values()) else DONE


def _say(output: Output, action: Action, number: int) -> None:
    if number == 1:
        output.say(Text(action.mapping, "bold"))
    if number <= SHOWN:
        output.say(*action_lines(action))


def _sum_up(output: Output, name: str, number: int) -> None:
    if number > SHOWN:
        output.say(f"  and {number - SHOWN:,} more, all in `koppel plan {name!r} --json` or `--out FILE`")


def does_something(found: Counter[str]) -> bool:
    """Whether there is more than records that are held back."""
    return any(number for kind, number in found.items() if kind != "hold")


def _verdict(counts: dict[str, Counter[str]]) -> str:
    total = sum(counts.values(), Counter())
    if not total:
        return "nothing to do"
    return "\n" + ", ".join(f"{number:,} to {kind}" for kind, number in sorted(total.items()))

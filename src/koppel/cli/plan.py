"""``koppel plan`` and ``koppel apply``: what a run would do, old -> new by field, and doing just that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from koppel.cli.lines import Trouble, action_data, action_lines, trouble_lines
from koppel.cli.names import Mappings
from koppel.cli.options import (
    Create,
    DirectionOption,
    Force,
    Of,
    Record,
    Records,
    Unconditional,
    Where,
    direction_named,
    listed_records,
    side_named,
)
from koppel.cli.output import Output
from koppel.cli.running import DONE, MISUSED, AsJson, ConfigPath, run
from koppel.cli.sync import follow
from koppel.engine.action import Action
from koppel.mapping.names import mappings_named
from koppel.sync.along import plans
from koppel.sync.request import Request
from koppel.sync.saved import SavedAction, apply_plan, is_written, read_plan, save_plan, saved_action
from koppel.sync.selection import choose
from koppel.sync.session import Session

SHOWN = 50
"""Actions of each mapping that are told in full; programs and files get them all."""


def plan(
    names: Mappings = None,
    full: Annotated[bool, typer.Option("--full", help="Compare everything, match, and create what is new.")] = False,
    unconditional: Unconditional = False,
    record: Record = None,
    records: Records = None,
    where: Where = "",
    of: Of = "business_central",
    direction: DirectionOption = None,
    create: Create = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan for `koppel apply`.")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, old -> new by field; nothing is written. Exit status 2 when there is something."""

    async def work(session: Session, output: Output) -> int:
        chosen = mappings_named(session.mappings, names or None)
        only = await choose(session, chosen, listed_records(record, records), where, side_named(of))
        request = Request(
            full=full or unconditional,
            unconditional=unconditional,
            records=only,
            direction=direction_named(direction),
            create=create,
        )
        return await _plan(session, output, chosen, request, out)

    run(work, config, as_json)


async def _plan(session: Session, output: Output, names: list[str], request: Request, out: Path | None) -> int:
    kept: list[SavedAction] = []
    actions: list[dict[str, Any]] = []
    held: list[Trouble] = []
    counts: dict[str, Counter[str]] = {}
    first: set[tuple[str, str]] = set()
    under = ""
    async for name, planned in plans(session, names, request):
        found = counts[name] = Counter()
        async for action in planned:
            if action.kind == "nothing":
                continue
            found[action.kind] += 1
            if out and is_written(action):
                kept.append(saved_action(action))
            action = _once(action, first)
            if output.as_json:
                actions.append(action_data(action))
            elif action.refusal:
                held.append(Trouble(name, action.name, action.refusal.message, action.refusal.remedy))
            else:
                under = _say(output, action, found.total() - found["hold"], under)
        _sum_up(output, name, found.total() - found["hold"])
    if out:
        save_plan(out, session, names, request, kept)
        output.note(f"wrote {out}; `koppel apply {out}` carries it out")
    lines = [*trouble_lines(held, "bold red", "koppel plan --json"), *_off(session, names)]
    output.show({"mappings": counts, "actions": actions}, *lines, _verdict(counts))
    return MISUSED if any(does_something(found) for found in counts.values()) else DONE


def _once(action: Action, told: set[tuple[str, str]]) -> Action:
    """The action without the preceding writes that were told of already: many records may want the same."""
    if not action.before:
        return action
    news = tuple(write for write in action.before if (write.table, write.id) not in told)
    told.update((write.table, write.id) for write in news)
    return msgspec.structs.replace(action, before=news)


def _off(session: Session, names: Sequence[str]) -> list[Text]:
    """The mappings that are switched off, by name."""
    return [Text(f"{name} is off", "yellow") for name in names if not session.mappings[name].enabled]


def _say(output: Output, action: Action, number: int, under: str) -> str:
    """Tell of an action below the name of its mapping, and return that; ``under``: the one that was told last."""
    if number > SHOWN:
        return under
    if action.mapping != under:
        output.say(Text(action.mapping, "bold"))
    output.say(*action_lines(action))
    return action.mapping


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


def apply(
    file: Annotated[Path, typer.Argument(help="A plan, as `koppel plan --out FILE` wrote it.")],
    force: Force = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a plan, exactly as it is; refused when either side moved since."""

    async def work(session: Session, output: Output) -> int:
        return await follow(session, output, apply_plan(session, read_plan(file), force=force))

    run(work, config, as_json)

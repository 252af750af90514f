"""``koppel full``: the full synchronisation review, changed line by line, carried out, and gone on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.names import Mappings
from koppel.cli.options import Force
from koppel.cli.output import Output, table
from koppel.cli.running import DONE, AsJson, ConfigPath, run
from koppel.cli.sync import follow
from koppel.errors import UsageError
from koppel.mapping.names import mappings_named
from koppel.sync.review import Count, Line, chosen, go_on, keep_creating, only_coupled, recommend, run_review
from koppel.sync.session import Session

Lines = Annotated[
    list[str] | None,
    typer.Option("--line", metavar="MAPPING=full|couple|nothing", help="Do something else than is recommended."),
]
Keep = Annotated[
    bool | None,
    typer.Option(
        "--keep-creating/--no-keep-creating", help="Whether later runs create what is new, too. Asked at the end."
    ),
]


def full(
    names: Mappings = None,
    line: Lines = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run without asking.")] = False,
    again: Annotated[
        list[str] | None, typer.Option("--again", metavar="MAPPING", help="Run this line of the latest review again.")
    ] = None,
    rest: Annotated[bool, typer.Option("--continue", help="Run what the latest review left undone.")] = False,
    keep: Keep = None,
    force: Force = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Full synchronisation review: every mapping in the order of dependencies with what is best, then the run."""

    async def work(session: Session, output: Output) -> int:
        known = mappings_named(session.mappings, names or None)
        if again or rest:
            wanted = mappings_named(session.mappings, again) if again else None
            status = await follow(session, output, go_on(session, wanted, force=force))
            await _keep_creating(session, output, wanted or known, keep)
            return status
        lines = chosen(await recommend(session, known), _choices(line or ()))
        output.say(_review(lines), *_unfinished(lines))
        if not yes and output.asks:
            lines = _changed(lines, output)
        planned = [one.mapping for one in lines if one.action != "nothing"]
        data = {"review": msgspec.to_builtins(lines)}
        if not planned or not (yes or output.asks):
            output.show(data, "nothing was run" + ("; `koppel full --yes` runs it" if planned else ""))
            return DONE
        status = await follow(session, output, run_review(session, lines, force=force), data)
        await _keep_creating(session, output, planned, keep)
        return status

    run(work, config, as_json)


def _choices(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, choice = text.partition("=")
        if not equals:
            raise UsageError(
                f"{text!r} changes no line", remedy="Write MAPPING=full, MAPPING=couple or MAPPING=nothing."
            )
        found[name.strip()] = choice.strip()
    return found


def _changed(lines: Sequence[Line], output: Output) -> list[Line]:
    """The review as a person wants it: lines are changed until it is to run; none is left when it is not."""
    while True:
        answer = output.ask("Run it? (y, n, or MAPPING=full|couple|nothing to change a line)", "n")
        if answer.casefold() in ("y", "yes"):
            return list(lines)
        if answer.casefold() in ("n", "no"):
            return [msgspec.structs.replace(line, action="nothing") for line in lines]
        try:
            lines = chosen(lines, _choices([answer]))
        except UsageError as error:
            output.error(error)
        else:
            output.say(_review(lines))


def _review(lines: Sequence[Line]) -> RenderableType:
    states = any(line.state for line in lines)
    headings = ("wave", "mapping", "Business Central", "Dataverse", "coupled", "to do", "because", "depends on")
    return table(
        (*headings, "latest") if states else headings,
        [
            (
                line.wave,
                line.mapping,
                _count(line.business_central),
                _count(line.dataverse),
                line.couplings,
                line.action,
                line.reason if line.action == line.recommendation else f"chosen instead of {line.recommendation}",
                ", ".join(line.depends_on),
                *([f"{line.state}: {line.message}" if line.message else line.state] if states else []),
            )
            for line in lines
        ],
        title="Full Synchronization Review",
    )


def _unfinished(lines: Sequence[Line]) -> list[Text]:
    left = [line.mapping for line in lines if line.state in ("waiting", "failed", "interrupted")]
    told = f"the latest review did not finish {', '.join(left)}: `koppel full --continue` goes on with it"
    return [Text(told, "yellow")] if left else []


def _count(count: Count) -> Text:
    return Text(f"over {count.records:,}" if count.more else f"{count.records:,}", justify="right")


async def _keep_creating(session: Session, output: Output, names: Sequence[str], keep: bool | None) -> None:
    """Ask whether what was lifted for the run stays so, as long as nobody said (ENG-236)."""
    limited = only_coupled(session, names)
    if keep is None and limited and output.asks:
        output.say(f"\nFrom now on only coupled records synchronise in {', '.join(limited)}.")
        keep = output.confirm("Keep creating what is new in later runs?")
    if keep is not None:
        await keep_creating(session, names, keep)
        output.say("later runs create what is new, too" if keep else "later runs do as the mapping says")

"""``koppel undo``: taking a job back, after a look at what that does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from koppel.cli.lines import action_data, action_lines
from koppel.cli.options import Force
from koppel.cli.output import Output
from koppel.cli.running import DONE, FAILED, MISUSED, AsJson, ConfigPath, run
from koppel.store.jobs import Job
from koppel.sync.request import Result
from koppel.sync.reverse import Left
from koppel.sync.session import Session
from koppel.sync.undo import job_to_undo, preview_undo
from koppel.sync.undo import undo as take_back

SHOWN = 50
AGAIN = (
    "The next run compares everything in {mapping} and brings these changes again, unless the values are changed back "
    "where they came from, or the mapping is switched off before (`enabled: false` in its file)."
)


def undo(
    job: Annotated[int, typer.Argument(help="Number of the job, as `koppel jobs` shows it.")],
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would be taken back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take it back without asking.")] = False,
    force: Force = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Take a job back, as far as nobody went on from it: old values, deletions for creations, couplings.

    Exit status 2 for a preview with something in it, 1 when something could not be taken back.
    """

    async def work(session: Session, output: Output) -> int:
        found = await job_to_undo(session, job)
        counts, left, actions = await _look(session, output, found)
        if not counts or preview or not (yes or output.confirm(f"Take back job {job}?")):
            told = {"job": job, "actions": actions, "left": msgspec.to_builtins(left)}
            output.show(told, *_left(left), _verdict(found, counts, preview))
            return MISUSED if counts else FAILED if left else DONE
        result, kept = await take_back(session, found, force=force)
        output.show(_done(job, result, kept), *_left(kept), *_summary(found, result))
        return FAILED if result.counts["failed"] or kept else DONE

    run(work, config, as_json)


async def _look(session: Session, output: Output, job: Job) -> tuple[Counter[str], list[Left], list[dict[str, Any]]]:
    counts: Counter[str] = Counter()
    left: list[Left] = []
    actions: list[dict[str, Any]] = []
    async for part in preview_undo(session, job):
        left += part.left
        for action in part.actions:
            counts[action.kind] += 1
            if output.as_json:
                actions.append(action_data(action))
            elif counts.total() <= SHOWN:
                output.say(*action_lines(action))
    if counts.total() > SHOWN:
        output.say(f"  and {counts.total() - SHOWN:,} more, all in `koppel undo {job.id} --preview --json`")
    return counts, left, actions


def _left(left: Sequence[Left]) -> list[Text]:
    lines = [Text.assemble(("  ! ", "yellow"), f"{one.mapping} {one}") for one in left[:SHOWN]]
    return [*lines, *([Text(f"  and {len(left) - SHOWN:,} more stay as they are")] if len(left) > SHOWN else [])]


def _verdict(job: Job, counts: Counter[str], preview: bool) -> str:
    if not counts:
        return f"there is nothing of job {job.id} to take back"
    what = ", ".join(f"{number:,} to {kind}" for kind, number in sorted(counts.items()))
    return f"\n{what}" + ("" if preview else f"; nothing was done, `koppel undo {job.id} --yes` does it")


def _done(job: int, result: Result, left: Sequence[Left]) -> dict[str, Any]:
    counted = {name: number for name, number in result.counts.items() if number}
    told = {"undone": job, "job": result.job, "mapping": result.mapping, "counts": counted}
    return {**told, "left": msgspec.to_builtins(left), "notices": result.notices}


def _summary(job: Job, result: Result) -> list[str | Text]:
    counted = ", ".join(f"{number:,} {name}" for name, number in sorted(result.counts.items()) if number)
    failed = [Text(f"  ! {line}", "red") for line in result.notices] if result.counts["failed"] else []
    return [
        *failed,
        f"took back job {job.id} as job {result.job}: {counted or 'nothing'}",
        AGAIN.format(mapping=result.mapping),
    ]

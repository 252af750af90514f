"""``koppel sync``: synchronising what changed, some mappings, or records that were chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from koppel.cli.lines import failure_trouble, finished_data, notice_troubles, results_table, trouble_lines
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
from koppel.cli.running import DONE, FAILED, AsJson, ConfigPath, run
from koppel.mapping.names import mappings_named
from koppel.store import overview
from koppel.sync.full import Finished, outcome, run_in_order
from koppel.sync.request import Request
from koppel.sync.selection import choose
from koppel.sync.session import Session


def sync(
    names: Mappings = None,
    full: Annotated[bool, typer.Option("--full", help="Compare everything, match, and create what is new.")] = False,
    unconditional: Unconditional = False,
    record: Record = None,
    records: Records = None,
    where: Where = "",
    of: Of = "business_central",
    direction: DirectionOption = None,
    create: Create = False,
    force: Force = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Synchronise what changed: everything, some mappings, or single records. Exit status 1 when records failed."""

    async def work(session: Session, output: Output) -> int:
        chosen = mappings_named(session.mappings, names or None)
        only = await choose(session, chosen, listed_records(record, records), where, side_named(of))
        request = Request(
            full=full or unconditional,
            unconditional=unconditional,
            records=only,
            direction=direction_named(direction),
            create=create,
            force=force,
        )
        return await follow(session, output, run_in_order(session, chosen, request))

    run(work, config, as_json)


async def follow(
    session: Session, output: Output, runs: AsyncIterator[Finished], more: Mapping[str, Any] | None = None
) -> int:
    """See runs through and tell what became of them: counters, failures, notices, and ``more`` for programs; the exit
    status."""
    came_to = await outcome(session, _telling_errors(output, runs))
    data = finished_data(came_to.finished, came_to.failures)
    output.show(
        {"mappings": data, "failures": msgspec.to_builtins(came_to.failures), **(more or {})},
        results_table(data) if data else "there was nothing to do",
        *trouble_lines(map(failure_trouble, came_to.failures), "bold red", "koppel errors"),
        *trouble_lines(notice_troubles(data, {f.message for f in came_to.failures}), "yellow", "koppel jobs"),
        *await _resting(session, list(data), len(came_to.failures)),
    )
    return DONE if came_to.ok else FAILED


async def _resting(session: Session, names: Sequence[str], told: int) -> list[Text]:
    """A line about the records that failed before and were not tried again."""
    numbers = await overview.numbers(session.connection, names)
    resting = sum(number.failures + number.skipped for number in numbers) - told
    where = "koppel errors, koppel skipped"
    return [Text(f"{resting:,} records failed before and are left alone for now: {where}", "yellow")] if resting else []


async def _telling_errors(output: Output, runs: AsyncIterator[Finished]) -> AsyncIterator[Finished]:
    async for one in runs:
        if one.error is not None:
            output.error_of(one.mapping, one.error)
        yield one

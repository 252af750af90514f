"""``koppel schedule``: when mappings run by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from koppel.cli.names import Mappings
from koppel.cli.output import Output, moment, table
from koppel.cli.running import DONE, FAILED, AsJson, ConfigPath, run
from koppel.errors import UsageError
from koppel.jobs.queues import is_lonely, queues, unserved
from koppel.jobs.schedule import scheduled, times_of
from koppel.mapping.model import TableMapping
from koppel.mapping.names import mappings_named
from koppel.mapping.timing import is_queue, is_timing, timing_of
from koppel.store import schedules, workers
from koppel.store.schedules import Entry, queue_of
from koppel.sync.session import Session

app = typer.Typer(help="When mappings run by themselves, under `koppel serve` or `koppel worker`.")

Names = Annotated[list[str], typer.Argument(metavar="MAPPING...", help="Names of mappings, or `all`.")]
STATES = {"on hold": "on hold", "inactive": "on hold due to inactivity", "error": "stopped after errors"}


@app.callback(invoke_without_command=True)
def show(context: typer.Context, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """When mappings run by themselves: every entry, and what can be done about it."""
    if context.invoked_subcommand is None:
        list_entries(None, config, as_json)


@app.command("list")
def list_entries(names: Mappings = None, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Every entry: how often it runs, when next, and what became of the last run."""

    async def work(session: Session, output: Output) -> int:
        await _show(session, output, _named(session, names or ["all"]))
        return DONE

    run(work, config, as_json)


@app.command("set")
def set_times(
    names: Names,
    every: Annotated[str | None, typer.Option(help="Minutes, or a cron expression in UTC.")] = None,
    inactivity: Annotated[
        int | None, typer.Option(help="Minutes on hold after a run without changes; 0: none.", min=0)
    ] = None,
    queue: Annotated[str | None, typer.Option(help="In which queue they wait for a worker.")] = None,
    as_in_file: Annotated[bool, typer.Option("--as-in-file", help="As the mapping's file says again.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Set how often mappings run, and where they wait for a worker."""
    if as_in_file == any(one is not None for one in (every, inactivity, queue)):
        raise typer.BadParameter("Write --every, --inactivity or --queue, or --as-in-file alone.")
    if queue is not None and not is_queue(queue):
        raise typer.BadParameter(f"{queue!r} is no name of a queue: write a word, without blanks and commas.")
    if every is not None and not is_timing(timing_of(every)):
        raise typer.BadParameter(
            f"{every!r} is neither minutes from 1 on nor a cron expression of five fields, such as '0 6 * * mon-fri'."
        )

    given = {"every": every, "inactivity": inactivity, "queue": queue}
    settings = {key: value for key, value in given.items() if value is not None or as_in_file}

    async def work(session: Session, output: Output) -> int:
        chosen = _named(session, names)
        entries = await _entries(session)
        for name in chosen:
            await schedules.change(session.connection, msgspec.structs.replace(entries[name], **settings))
        await _show(session, output, chosen)
        return DONE

    run(work, config, as_json)


@app.command("hold")
def hold(names: Names, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Let mappings run no more by themselves, until they are resumed. A run that is under way ends."""

    async def work(session: Session, output: Output) -> int:
        chosen = _named(session, names)
        await _entries(session)
        await schedules.hold(session.connection, chosen)
        await _show(session, output, chosen)
        return DONE

    run(work, config, as_json)


@app.command("resume")
def resume(names: Names, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Let mappings run by themselves again, also those that stopped after errors; the next run is at once."""
    _run_soon(names, config, as_json, held_too=True)


@app.command("run")
def run_now(names: Names, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Let a worker run mappings now."""
    _run_soon(names, config, as_json, held_too=False)


@app.command("workers")
def list_workers(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """The workers that are alive, and the queues that they serve; exit status 1 when a queue has none."""

    async def work(session: Session, output: Output) -> int:
        alive = await workers.alive(session.connection)
        found = await queues(session.connection, session.mappings)
        output.show(
            {"workers": msgspec.to_builtins(alive), "queues": msgspec.to_builtins(found)},
            table(
                ("worker", "at once", "since", "silent for", "queues"),
                [
                    (
                        f"{one.host} {one.number}",
                        one.concurrency,
                        one.since,
                        f"{one.silent:.0f} s",
                        "all" if one.queues is None else ", ".join(one.queues),
                    )
                    for one in alive
                ],
            ),
            table(
                ("queue", "workers", "mappings"), [(one.queue, one.workers, ", ".join(one.mappings)) for one in found]
            ),
        )
        return FAILED if any(map(is_lonely, found)) else DONE

    run(work, config, as_json)


def _run_soon(names: list[str], config: Path | None, as_json: bool, *, held_too: bool) -> None:
    async def work(session: Session, output: Output) -> int:
        chosen = _named(session, names)
        entries = await _entries(session)
        held = [name for name in chosen if entries[name].state == "on hold"]
        if held and not held_too:
            raise UsageError(f"{', '.join(held)}: on hold", remedy="`koppel schedule resume` lets them run.")
        await schedules.resume(session.connection, chosen)
        await _show(session, output, chosen)
        return DONE

    run(work, config, as_json)


def _named(session: Session, names: list[str]) -> list[str]:
    known = {name: session.mappings[name] for name in scheduled(session.mappings)}
    return list(known) if names == ["all"] else mappings_named(known, names)


async def _entries(session: Session) -> dict[str, Entry]:
    await schedules.ensure(session.connection, scheduled(session.mappings))
    return await schedules.entries(session.connection)


async def _show(session: Session, output: Output, names: list[str]) -> None:
    entries = await _entries(session)
    lonely = await unserved(session.connection, session.mappings)
    await session.connection.commit()
    shown = [(session.mappings[name], entries[name]) for name in names]
    output.show(
        {"schedule": {entry.mapping: _data(mapping, entry) for mapping, entry in shown}},
        table(
            ("mapping", "every", "inactivity", "queue", "state", "next run", "last run", "job", "tries", ""),
            [_row(mapping, entry) for mapping, entry in shown],
        ),
    )
    for queue in lonely:
        output.note(f"no worker serves the queue {queue.queue}, where {len(queue.mappings):,} mappings wait")


def _data(mapping: TableMapping, entry: Entry) -> dict[str, Any]:
    times = times_of(mapping, entry)
    set_so = {"every": times.every, "inactivity": times.inactivity, "queue": queue_of(mapping, entry)}
    return {**msgspec.structs.asdict(entry), **set_so}


def _row(mapping: TableMapping, entry: Entry) -> tuple[object, ...]:
    times = times_of(mapping, entry)
    runs = entry.state in ("ready", "inactive")
    return (
        entry.mapping,
        f"{times.every} min" if isinstance(times.every, int) else times.every,
        f"{times.inactivity} min" if times.inactivity else "",
        queue_of(mapping, entry),
        STATES.get(entry.state, entry.state),
        moment(entry.next_run) if runs else "",
        moment(entry.last_run),
        entry.job or "",
        entry.attempts or "",
        entry.message.partition("\n")[0],
    )

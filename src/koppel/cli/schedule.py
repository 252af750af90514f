"""``koppel schedule``: when mappings run by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from koppel.cli.names import Mappings
from koppel.cli.output import Output, moment, table
from koppel.cli.running import DONE, AsJson, ConfigPath, run
from koppel.errors import UsageError
from koppel.jobs.schedule import scheduled, times_of
from koppel.mapping.model import TableMapping
from koppel.mapping.names import mappings_named
from koppel.mapping.timing import is_timing, timing_of
from koppel.store import schedules
from koppel.store.schedules import Entry
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
    as_in_file: Annotated[bool, typer.Option("--as-in-file", help="As the mapping's file says again.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Set how often mappings run."""
    if as_in_file == (every is not None or inactivity is not None):
        raise typer.BadParameter("Write --every, --inactivity or both, or --as-in-file alone.")
    if every is not None and not is_timing(timing_of(every)):
        raise typer.BadParameter(
            f"{every!r} is neither minutes from 1 on nor a cron expression of five fields, such as '0 6 * * mon-fri'."
        )

    async def work(session: Session, output: Output) -> int:
        chosen = _named(session, names)
        entries = await _entries(session)
        for name in chosen:
            timing = None if as_in_file else every if every is not None else entries[name].every
            minutes = None if as_in_file else inactivity if inactivity is not None else entries[name].inactivity
            await schedules.set_timing(session.connection, [name], timing, minutes)
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
    await session.connection.commit()
    shown = [(session.mappings[name], entries[name]) for name in names]
    output.show(
        {"schedule": {entry.mapping: _data(mapping, entry) for mapping, entry in shown}},
        table(
            ("mapping", "every", "inactivity", "state", "next run", "last run", "job", "tries", ""),
            [_row(mapping, entry) for mapping, entry in shown],
        ),
    )


def _data(mapping: TableMapping, entry: Entry) -> dict[str, Any]:
    times = times_of(mapping, entry)
    return {**msgspec.structs.asdict(entry), "every": times.every, "inactivity": times.inactivity}


def _row(mapping: TableMapping, entry: Entry) -> tuple[object, ...]:
    times = times_of(mapping, entry)
    runs = entry.state in ("ready", "inactive")
    return (
        entry.mapping,
        f"{times.every} min" if isinstance(times.every, int) else times.every,
        f"{times.inactivity} min" if times.inactivity else "",
        STATES.get(entry.state, entry.state),
        moment(entry.next_run) if runs else "",
        moment(entry.last_run),
        entry.job or "",
        entry.attempts or "",
        entry.message.partition("\n")[0],
    )

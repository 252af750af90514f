"""``koppel``: every command, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from koppel.cli import (
    companion,
    couple,
    demo,
    explain,
    full,
    jobs,
    plan,
    sandbox,
    schedule,
    serve,
    setup,
    status,
    sync,
    troubles,
    undo,
)

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Begin": (demo.demo, sandbox.sandbox, setup.init, companion.companion, setup.check, setup.mappings),
    "Synchronise": (plan.plan, plan.apply, sync.sync, full.full),
    "Run by itself": (serve.serve, serve.worker),
    "Couple": (couple.match, couple.couple, couple.uncouple),
    "Look": (status.status, jobs.jobs, status.history, explain.explain, explain.verify),
    "Put right": (troubles.errors, troubles.skipped, troubles.retry, troubles.conflicts, troubles.resolve, undo.undo),
}

app = typer.Typer(
    help="Keeps Dynamics 365 Business Central and Dynamics 365 Sales on Dataverse in step, field by field.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"koppel {version('koppel')}")
        raise typer.Exit


@app.callback()
def koppel(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Keeps Business Central and Dataverse in step."""


for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


app.add_typer(schedule.app, name="schedule", rich_help_panel="Run by itself")


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="koppel")

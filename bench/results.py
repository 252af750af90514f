"""What was measured against what is to be reached: on the terminal and in ``RESULTS.md``."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

FILE = Path(__file__).with_name("RESULTS.md")

Verdict = Literal["reached", "missed", "told"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. ``reach``: what the design asks for, empty where the figure is only told; ``how``: what was done."""

    what: str
    measured: str
    reach: str = ""
    verdict: Verdict = "told"
    how: str = ""


def judged(what: str, value: float, measured: str, *, most: float | None = None, least: float | None = None) -> Row:
    """A figure with a goal, ``most`` or ``least``."""
    good = (most is None or value <= most) and (least is None or value >= least)
    limits = [f"<= {_number(most)}"] if most is not None else [f">= {_number(least or 0)}"]
    return Row(what=what, measured=measured, reach=limits[0], verdict="reached" if good else "missed")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:g}"


def machine() -> str:
    """Cores, processor, Python and system of this machine."""
    return f"{cpu_count()} cores, {_processor()}, Python {platform.python_version()}, {platform.system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def revision() -> str:
    """The commit that was measured, with a ``+`` when the working tree differs from it; empty outside a repository."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=FILE.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()


def show(rows: Iterable[Row], console: Console) -> None:
    """Print the table."""
    table = Table(title="Koppel's benchmarks", caption=machine(), show_lines=True)
    for name in ("what", "measured", "to reach", ""):
        table.add_column(name)
    for row in rows:
        colour = {"reached": "green", "missed": "red", "told": "dim"}[row.verdict]
        told = f"{row.what}\n[dim]{row.how}[/dim]" if row.how else row.what
        table.add_row(told, row.measured, row.reach, f"[{colour}]{row.verdict}[/{colour}]")
    console.print(table)


def write(rows: Sequence[Row], command: str, path: Path = FILE) -> None:
    """Write the figures, with date and machine."""
    path.write_text(document(rows, command), encoding="utf-8")


def document(rows: Sequence[Row], command: str) -> str:
    """The figures as Markdown."""
    measured_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = [
        "# Benchmarks",
        "",
        f"`{command}`, {measured_at}, commit {revision() or 'unknown'}; {machine()}.",
        "",
        "| what | measured | to reach | |",
        "| --- | --- | --- | --- |",
    ]
    body = [f"| {row.what} | {row.measured} | {row.reach} | {row.verdict} |" for row in rows]
    notes = [f"- {row.what}: {row.how}" for row in rows if row.how]
    return "\n".join([*head, *body, "", "How it was measured:", "", *notes, ""])

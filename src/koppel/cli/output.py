"""What commands print: text for people, or one JSON object, on standard output; everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from koppel.errors import KoppelError
from koppel.odata.records import Scalar
from koppel.store.history import Value
from koppel.sync.session import Progress as Told

WIDE = 10_000
"""Characters: where nobody looks at a terminal, lines are as long as they are."""


class Output:
    """Where one command prints. ``as_json``: the result is one JSON object and no text."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.text = _console(stderr=False)
        self.errors = _console(stderr=True)
        self._bars: Progress | None = None

    @property
    def asks(self) -> bool:
        """Whether there is a person to ask."""
        return not self.as_json and sys.stdin.isatty() and sys.stdout.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a person; no unless they say yes, and no where there is nobody to ask."""
        return self.asks and self.ask(f"{question} (y, n)", "n").casefold() in ("y", "yes")

    def ask(self, question: str, default: str) -> str:
        """Ask a person, who sees no progress meanwhile: it would wipe the question away."""
        if self._bars is not None:
            for task in self._bars.task_ids:
                self._bars.update(task, visible=False)
            self._bars.stop()
        try:
            return str(typer.prompt(question, default=default)).strip()
        finally:
            if self._bars is not None:
                self._bars.start()

    def show(self, data: Mapping[str, Any], *lines: RenderableType) -> None:
        """The result of a command: ``data`` for programs, ``lines`` for people."""
        if self.as_json:
            encoded = msgspec.json.format(msgspec.json.encode(data, enc_hook=str), indent=2)
            sys.stdout.write(encoded.decode() + "\n")
        else:
            self.say(*lines)

    def say(self, *lines: RenderableType) -> None:
        """Text for people; nothing where programs read."""
        if not self.as_json:
            for line in lines:
                self.text.print(line, soft_wrap=isinstance(line, str | Text))

    def note(self, line: str | Text) -> None:
        """A line beside the result."""
        self.errors.print(line, soft_wrap=True)

    def error(self, error: KoppelError) -> None:
        """One clear message: where, what, what to do."""
        self.note(Text.assemble(("error: ", "bold red"), str(error)))
        if self.as_json:
            self.show({"error": described(error)})

    def error_of(self, mapping: str, error: KoppelError) -> None:
        """What ended one of several mappings; the others go on, and the result tells it again."""
        place = "" if error.place in ("", mapping) else f"{error.place}: "
        remedy = f"\n  {error.remedy}" if error.remedy else ""
        self.note(Text.assemble(("error: ", "bold red"), (mapping, "bold"), f": {place}{error.message}{remedy}"))

    @contextmanager
    def progress(self) -> Iterator[Told]:
        """Shows the progress of long work, on a terminal only; what is printed meanwhile stands above it."""
        console = self.text if self.text.is_terminal and not self.as_json else self.errors
        if not console.is_terminal:
            yield lambda mapping, phase, done, total: None
            return
        together = console is self.text and self.errors.is_terminal
        with _bars(console, redirect_stderr=together) as self._bars:
            yield _teller(self._bars)
        self._bars = None


def _teller(bars: Progress) -> Told:
    """Shows one piece of work at a time: the latest."""
    shown: dict[str, TaskID] = {}

    def tell(mapping: str, phase: str, done: int, total: int | None) -> None:
        title = f"{mapping}: {phase}"
        if title not in shown or done < bars.tasks[0].completed:
            for task in bars.task_ids:
                bars.remove_task(task)
            shown.clear()
            shown[title] = bars.add_task(title, total=total)
        bars.update(shown[title], completed=done, total=total)

    return tell


def _console(*, stderr: bool) -> Console:
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() else WIDE
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        """The speed of the moment."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def _bars(console: Console, *, redirect_stderr: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=redirect_stderr)


def described(error: KoppelError) -> dict[str, str]:
    """An error for programs."""
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "place": error.place,
        "remedy": error.remedy,
    }


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> Table:
    """A table; columns whose cells are numbers stand to the right."""
    cells = [list(row) for row in rows]
    made = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, title_style="bold")
    for place, heading in enumerate(headings):
        numbers = bool(cells) and all(isinstance(row[place], int | float) for row in cells)
        made.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        made.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    return made


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if value else "-"
    return f"{value:,.1f}" if isinstance(value, float) else "" if value is None else str(value)


def moment(value: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def spelled(value: Value | Sequence[Mapping[str, Scalar]]) -> str:
    """A value as people read it: blanks are seen, of rows below a record only how many they are."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {spelled(part)}" for name, part in value.items())
    if value is None or value == "":
        return "(blank)"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{len(value)} rows"
    return repr(value) if isinstance(value, str) and value != value.strip() else str(value)

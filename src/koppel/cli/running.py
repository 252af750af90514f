"""Running a command: its common options, the session it works in, and the exit status it ends with.

0 done; 1 records failed or an error; 2 a plan that is not empty, or words that do not fit; 130 and 143 when stopped.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from koppel import tracing
from koppel.cli.output import Output
from koppel.config import find_config, load_config
from koppel.errors import KoppelError, UsageError
from koppel.sync.open import open_session
from koppel.sync.session import Session

DONE, FAILED, MISUSED, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

ConfigPath = Annotated[Path | None, typer.Option("--config", metavar="PATH", help="The koppel.yaml to use.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Work = Callable[[Session, Output], Awaitable[int]]
T = TypeVar("T")


def run(work: Work, config: Path | None, as_json: bool) -> None:
    """Run ``work`` in a session and end the process with the status it returns."""
    with guarded(as_json) as output:
        status = run_to_end(_in_session(work, config, output))
    raise SystemExit(status)


async def _in_session(work: Work, config: Path | None, output: Output) -> int:
    async with open_session(load_config(config or find_config())) as session:
        with output.progress() as session.progress:
            return await work(session, output)


@contextmanager
def guarded(as_json: bool) -> Iterator[Output]:
    """Turns errors and being stopped into a message and an exit status."""
    # Libraries tell their troubles by raising; their log is not for people.
    logging.getLogger().addHandler(logging.NullHandler())
    output = Output(as_json=as_json)
    try:
        yield output
    except UsageError as error:
        output.error(error)
        raise SystemExit(MISUSED) from None
    except KoppelError as error:
        output.error(error)
        raise SystemExit(FAILED) from None
    except KeyboardInterrupt:
        output.note("stopped; the next run goes on from here")
        raise SystemExit(INTERRUPTED) from None


class _Terminated(BaseException):
    """SIGTERM came."""


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on a faster loop, except that SIGTERM ends the work as orderly as Ctrl-C does."""
    tracing.begin()
    # Millions of records come and go; to look for cycles among them each time takes a tenth of a run.
    gc.freeze()
    gc.set_threshold(50_000)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_until_terminated(work))
    except _Terminated:
        raise SystemExit(TERMINATED) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    from uvloop import new_event_loop

    return new_event_loop


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    loop, terminated = asyncio.get_running_loop(), False

    def terminate() -> None:
        nonlocal terminated
        if not terminated:
            terminated = True
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await task
    except BaseException:
        if terminated:
            raise _Terminated from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

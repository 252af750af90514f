"""``koppel serve`` and ``koppel worker``: what runs by itself, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from koppel.cli.running import DONE, ConfigPath, guarded, run_to_end
from koppel.config import find_config, load_config

Concurrency = Annotated[int, typer.Option(help="How many mappings run at once.", min=1)]


def worker(concurrency: Concurrency = 4, config: ConfigPath = None) -> None:
    """Run mappings when they are due, until Ctrl-C or SIGTERM. Any number of workers share a database."""
    _log_to_terminal()
    with guarded(as_json=False):
        run_to_end(_work(config, concurrency))
    raise SystemExit(DONE)


async def _work(path: Path | None, concurrency: int) -> None:
    from koppel.jobs.worker import Worker
    from koppel.sync.open import brakes_of, known_mappings, open_connections

    config = load_config(path or find_config())
    mappings = known_mappings(config)
    async with open_connections(config) as opened:
        working = Worker(opened, mappings, brakes=brakes_of(config), concurrency=concurrency)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, working.stop)
        logging.getLogger("koppel.jobs").info("working, %d mappings at once; Ctrl-C stops it", concurrency)
        await working.work()
        logging.getLogger("koppel.jobs").info("stopped; what is due is for the next worker")


def _log_to_terminal() -> None:
    """Koppel's own log on standard error; what libraries have to say comes as errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    own = logging.getLogger("koppel")
    own.addHandler(handler)
    own.setLevel(logging.INFO)

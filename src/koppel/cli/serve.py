"""``koppel serve`` and ``koppel worker``: what runs by itself, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from koppel.cli.running import DONE, ConfigPath, guarded, run_to_end
from koppel.config import Config, find_config, load_config
from koppel.errors import UsageError
from koppel.jobs import alerts, subscriptions, webhooks
from koppel.jobs.log import log_to_terminal
from koppel.jobs.worker import Worker
from koppel.mapping.model import TableMapping
from koppel.mapping.timing import is_queue
from koppel.store.locks import PROCESS
from koppel.sync.open import Opened, brakes_of, known_mappings, open_connections

log = logging.getLogger("koppel.jobs")

STOPPED = "stopped; what is due is for the next worker"
Concurrency = Annotated[int, typer.Option(help="How many mappings run at once.", min=1)]
Queues = Annotated[
    str | None, typer.Option(metavar="NAME,...", help="Run only mappings that wait in these queues; all when left out.")
]


def worker(queues: Queues = None, concurrency: Concurrency = 4, config: ConfigPath = None) -> None:
    """Run mappings when they are due, until Ctrl-C or SIGTERM. Any number of workers share a database."""
    log_to_terminal()
    with guarded(as_json=False):
        run_to_end(_work(load_config(config or find_config()), _named(queues), concurrency))
    log.info(STOPPED)
    raise SystemExit(DONE)


def serve(
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 is everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8750,
    queues: Queues = None,
    concurrency: Annotated[int, typer.Option(help="How many mappings run at once; 0: none here.", min=0)] = 4,
    config: ConfigPath = None,
) -> None:
    """Work as `koppel worker` does, and serve webhooks, health (/health, /ready) and metrics (/metrics)."""
    log_to_terminal()
    with guarded(as_json=False):
        run_to_end(_serve(load_config(config or find_config()), host, port, _named(queues), concurrency))
    log.info(STOPPED)
    raise SystemExit(DONE)


def _named(queues: str | None) -> list[str] | None:
    """The queues that a person wrote."""
    if queues is None:
        return None
    names = [name.strip() for name in queues.split(",")]
    if wrong := [name for name in names if not is_queue(name)]:
        raise UsageError(f"{wrong[0]!r} is no name of a queue", remedy="Write --queues one,another.")
    return names


async def _work(config: Config, queues: Sequence[str] | None, concurrency: int) -> None:
    mappings = known_mappings(config)
    async with (
        open_connections(config) as opened,
        _beside(alerts.keep_telling(opened.database.connect, config.alerts, mappings)),
    ):
        await _at_work(config, mappings, opened, queues, concurrency)


async def _at_work(
    config: Config,
    mappings: Mapping[str, TableMapping],
    opened: Opened,
    queues: Sequence[str] | None,
    concurrency: int,
) -> None:
    """Until a signal says to stop."""
    brakes, days = brakes_of(config), config.keep_jobs
    working = Worker(opened, mappings, brakes=brakes, keep_jobs=days, queues=queues, concurrency=concurrency)
    _on_signal(working.stop)
    taken = f", from {', '.join(queues)}" if queues else ""
    log.info("working, %d mappings at once%s; Ctrl-C stops it", concurrency, taken)
    await working.work()


async def _idle() -> None:
    """Until a signal says to stop: others work."""
    stopping = asyncio.Event()
    _on_signal(stopping.set)
    log.info("other workers run what is due; Ctrl-C stops it")
    await stopping.wait()


def _on_signal(stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


@asynccontextmanager
async def _beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """This work goes on as long as the context lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _serve(config: Config, host: str, port: int, queues: Sequence[str] | None, concurrency: int) -> None:
    from koppel.web.app import Served
    from koppel.web.serving import serving

    mappings = known_mappings(config)
    secret = config.webhooks.secret.value() if config.webhooks else ""
    async with open_connections(config) as opened:
        served = Served(
            database=opened.database,
            mappings=mappings,
            secret=secret,
            worker=PROCESS if concurrency else None,
            alerts=config.alerts,
        )
        async with serving(served, opened.systems, host, port) as address:
            log.info("serving on %s", address)
            async with _beside(_subscribe(config, mappings, opened)):
                await (_at_work(config, mappings, opened, queues, concurrency) if concurrency else _idle())


async def _subscribe(config: Config, mappings: Mapping[str, TableMapping], opened: Opened) -> None:
    if config.webhooks:
        url, secret = config.webhooks.url, config.webhooks.secret.value()
        await subscriptions.keep_on(opened.database, opened.systems, webhooks.concerned(mappings), url, secret)

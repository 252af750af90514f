"""Serving the application in a process of its own beside the worker, so that no answer waits for a run.

The process that works opens the port, hands it to the process that serves, and tells it through its standard input,
pickled, first what to serve (``Served``), then each second what it says itself (``Said``). When that input ends, as it
does when the process that works dies, the one that serves ends, too.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import pickle
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from threading import Thread
from typing import BinaryIO

import uvicorn

from koppel.errors import KoppelError, UsageError
from koppel.odata.records import Side
from koppel.systems.system import System
from koppel.web.app import Said, Served, build_app

log = logging.getLogger("koppel.web")

GRACE_SECONDS = 5
"""How long answers under way have when the process ends."""
LOOK_SECONDS = 0.2
TELL_SECONDS = 1.0
AGAIN_SECONDS = 30.0
"""Until Dataverse is asked again who Koppel's own users are, when it did not answer."""
LONGEST_QUEUE = 2048
"""Connections that wait to be accepted: the systems come back with all that they have when they were refused."""


# The process that works


@asynccontextmanager
async def serving(served: Served, systems: Mapping[Side, System], host: str, port: int) -> AsyncIterator[str]:
    """Serve as long as the context lasts; where it listens. ``UsageError`` when it cannot listen there.

    A process that dies is replaced; what comes meanwhile waits.
    """
    with await _listen(host, port) as listening:
        said = Said(sent={side: system.counters for side, system in systems.items()})
        tasks = [
            asyncio.create_task(_keep_serving(listening, served, said)),
            asyncio.create_task(_learn_own_users(systems["dataverse"], said)),
        ]
        try:
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(host: str, port: int) -> socket.socket:
    """A port is waited for that a process may have which died just now, for as long as its answers have."""
    end = time.monotonic() + GRACE_SECONDS
    while True:
        try:
            family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            return socket.create_server(place[:2], family=family, backlog=LONGEST_QUEUE)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                remedy = "Name another --host or --port."
                raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}", remedy=remedy) from None
        await asyncio.sleep(LOOK_SECONDS)


async def _keep_serving(listening: socket.socket, served: Served, said: Said) -> None:
    while True:
        try:
            status = await _serve_apart(listening, served, said)
            log.error("the process that serves ended with status %s, another one takes its place", status)
        except OSError as error:
            log.error("the process that serves cannot be started: %s", error)
        await asyncio.sleep(TELL_SECONDS)


async def _serve_apart(listening: socket.socket, served: Served, said: Said) -> int | None:
    """Until that process ends, with which status."""
    command = (sys.executable, "-m", "koppel.web", str(listening.fileno()))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, pass_fds=[listening.fileno()])
    try:
        await _tell(process, served, said)
    finally:
        await _end(process)
    return process.returncode


async def _tell(process: Process, served: Served, said: Said) -> None:
    """Until it ends."""
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(served))
    while process.returncode is None:
        with suppress(OSError):
            process.stdin.write(pickle.dumps(said))
            await process.stdin.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), TELL_SECONDS)


async def _end(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), 2 * GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _learn_own_users(dataverse: System, said: Said) -> None:
    while not said.own_users:
        with suppress(KoppelError):
            said.own_users = await dataverse.own_users()
            return
        await asyncio.sleep(AGAIN_SECONDS)


# The process that serves


def serve(listening: socket.socket, told: BinaryIO) -> None:
    """Serve what is told first, until nothing is told any more."""
    said = Said()
    app = build_app(pickle.load(told), said)
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=GRACE_SECONDS)
    )
    Thread(target=_hear, args=(told, said, server), daemon=True).start()
    server.run(sockets=[listening])


def _hear(told: BinaryIO, said: Said, server: _Server) -> None:
    with suppress(EOFError):
        while True:
            now = pickle.load(told)
            said.own_users, said.sent = now.own_users, now.sent
    server.should_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are for the process that works."""
        yield

"""Serving an application on a socket: one worker, quiet, gone within a second of being told."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import trustme
import uvicorn
from starlette.types import ASGIApp

from koppel.sandbox.faults import ClosableProtocol

_GRACE = 1
"""Seconds that requests in hand have to finish."""


def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    ca_file: Path | None,
    ready: Callable[[str], None],
    until: int | None = None,
) -> None:
    """Serve ``app`` until SIGTERM, SIGINT, or the end of file ``until`` (a descriptor).

    Calls ``ready`` with the base URL when it listens. With ``ca_file`` it serves https; the certificate to trust is
    written there.
    """
    server = _server(app, ca_file, host, ready, listening := _listen(host, port))
    if until is not None:
        threading.Thread(target=_stop_after, args=(until, server), daemon=True).start()
    handlers = {number: signal.signal(number, _done) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    except _Done:
        pass
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        listening.close()


class _Done(BaseException):
    """uvicorn raises a signal again when it has stopped; this is where it ends."""


def _done(number: int, frame: object) -> NoReturn:
    raise _Done


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise SystemExit(f"The sandbox cannot listen on {host}, port {port}: {error.strerror}.") from None
    return listening


def _server(
    app: ASGIApp, ca_file: Path | None, host: str, ready: Callable[[str], None], listening: socket.socket
) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=ClosableProtocol,
        loop="auto",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # each system has its own clock
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    if ca_file is not None:
        config.ssl = _certificate(host, ca_file)
    scheme = "http" if ca_file is None else "https"
    address = f"[{host}]" if ":" in host else host
    return _Announcing(config, lambda: ready(f"{scheme}://{address}:{listening.getsockname()[1]}"))


class _Announcing(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, listens: Callable[[], None]) -> None:
        super().__init__(config)
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._listens()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without complaints about requests that have to be dropped."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def _certificate(host: str, ca_file: Path) -> ssl.SSLContext:
    """A certificate for ``host`` and localhost, of an authority that exists for this run only."""
    authority = trustme.CA(organization_name="Koppel sandbox")
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, "localhost", "127.0.0.1").configure_cert(context)
    return context


def _stop_after(until: int, server: uvicorn.Server) -> None:
    while os.read(until, 4096):
        pass
    server.should_exit = True
    threading.Timer(2 * _GRACE, os._exit, (1,)).start()

"""The sandbox as a process of its own, which never outlives whoever started it."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from koppel.errors import KoppelError

if TYPE_CHECKING:
    from koppel.sandbox.faults import Faults
    from koppel.sandbox.seed import Data


_PIPE = subprocess.PIPE


class SandboxProcess(msgspec.Struct, frozen=True):
    """A running sandbox: where it listens, and the certificate to trust there (https only)."""

    base_url: str
    ca_file: Path | None
    process: subprocess.Popen[bytes]

    @property
    def dataverse_url(self) -> str:
        """What a Dataverse client calls the environment's address."""
        return f"{self.base_url}/dataverse"

    @property
    def business_central_url(self) -> str:
        """The part of Business Central's address before ``/v2.0``."""
        return f"{self.base_url}/bc"


@contextmanager
def start_sandbox(
    *,
    data: Data = "adventureworks",
    customers: int | None = None,
    invoices: int | None = None,
    port: int = 0,
    https: bool = False,
    faults: Faults | None = None,
    timeout: float = 120.0,
) -> Iterator[SandboxProcess]:
    """Start the sandbox, wait until it answers, and stop it at the end, whatever happens.

    The process also stops by itself when this one dies: it sees its standard input close. ``KoppelError`` when it does
    not come up within ``timeout`` seconds.
    """
    command = [sys.executable, "-m", "koppel.sandbox", "--until-stdin-closes", "--data", data, "--port", str(port)]
    command += [] if customers is None else ["--customers", str(customers)]
    command += [] if invoices is None else ["--invoices", str(invoices)]
    command += ["--https"] if https else []
    with tempfile.TemporaryDirectory(prefix="koppel-sandbox-") as folder:
        process = subprocess.Popen(command + _faults_option(faults, Path(folder)), stdin=_PIPE, stdout=_PIPE)
        try:
            ready = _first_line(process, timeout)
        except BaseException:
            _stop(process)
            raise
    ca_file = Path(ready["ca_file"]) if ready["ca_file"] else None
    try:
        yield SandboxProcess(ready["base_url"], ca_file, process)
    finally:
        _stop(process)
        if ca_file is not None:
            shutil.rmtree(ca_file.parent, ignore_errors=True)


def _faults_option(faults: Faults | None, folder: Path) -> list[str]:
    if faults is None:
        return []
    file = folder / "faults.json"
    file.write_bytes(msgspec.json.encode(faults))
    return ["--faults", str(file)]


def _first_line(process: subprocess.Popen[bytes], timeout: float) -> dict[str, str]:
    """What the sandbox says when it is ready."""
    said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=lambda: said.put(_stream(process.stdout).readline()), daemon=True).start()
    try:
        line = said.get(timeout=timeout)
    except queue.Empty:
        raise KoppelError(
            f"the sandbox was not ready within {timeout:g} s", remedy="Ask for fewer customers."
        ) from None
    if not line:
        raise KoppelError(f"the sandbox ended with status {process.wait()} before it was ready")
    return dict(json.loads(line))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _stream(process.stdout).close()
    _stream(process.stdin).close()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "both are pipes"
    return stream

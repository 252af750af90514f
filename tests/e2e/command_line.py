"""A place to type commands in: a running sandbox, a koppel.yaml for it, an embedded PostgreSQL, and people who edit."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import requests

from koppel.config import Config, Secret, load_config, write_config
from koppel.odata.records import Record, Scalar, Side
from koppel.sandbox.process import SandboxProcess, start_sandbox
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import ALICE, BOB, KOPPEL, User
from koppel.sync.open import connect_business_central, connect_dataverse
from koppel.systems.system import Create, System, Update

SECRET = "KOPPEL_CLIENT_SECRET"
PEOPLE: Mapping[Side, User] = {"business_central": BOB, "dataverse": ALICE}
T = TypeVar("T")


class Outcome(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The object that ``--json`` printed; there may be nothing else."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Typed:
    """A command that was started; ``process`` is its number."""

    def __init__(self, typist: subprocess.Popen[str], out: Path, err: Path) -> None:
        assert typist.stdout is not None
        self._answers = typist.stdout
        self._out = out
        self._err = err
        self.process = int(self._answers.readline())

    def end(self) -> Outcome:
        """Wait until it is done."""
        status = int(self._answers.readline())
        return Outcome(status, self._out.read_text("utf-8"), self._err.read_text("utf-8"))


def _read_until(terminal: int, found: Callable[[str], bool]) -> str:
    """What appears, until that is found or the other end is closed."""
    text = ""
    while not found(text):
        try:
            text += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
    return text


class Shell:
    """A folder with a koppel.yaml, in which commands are typed, one at a time."""

    def __init__(self, folder: Path, sandbox: SandboxProcess, typist: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self._typist = typist
        self._typed = 0

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> Typed:
        """Start a command and do not wait for it."""
        self._typed += 1
        out, err = (self.folder / f"{self._typed}.{name}" for name in ("out", "err"))
        order = {
            "words": words,
            "folder": str(self.folder),
            "environment": {**os.environ, SECRET: KOPPEL.secret, **(env or {})},
            "out": str(out),
            "err": str(err),
        }
        assert self._typist.stdin is not None
        self._typist.stdin.write(json.dumps(order) + "\n")
        self._typist.stdin.flush()
        return Typed(self._typist, out, err)

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> Outcome:
        """Run a command to its end."""
        return self.start(*words, env=env).end()

    def on_terminal(self, *words: str, question: str, answer: str) -> str:
        """What a person sees at a terminal who reads the question for a while before answering."""
        command = [sys.executable, "-m", "koppel.cli", *words]
        ours, theirs = pty.openpty()
        env = {**os.environ, SECRET: KOPPEL.secret, "TERM": "xterm", "COLUMNS": "200"}
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=self.folder, env=env) as process:
            os.close(theirs)
            seen = _read_until(ours, lambda text: question in text)
            time.sleep(0.5)
            os.write(ours, f"{answer}\n".encode())
            seen += _read_until(ours, lambda text: False)
            process.wait()
        os.close(ours)
        return seen

    def json(self, *words: str) -> dict[str, Any]:
        """What a command prints with ``--json``."""
        return self.run(*words, "--json").data

    def tell(self, what: str, content: Any) -> None:
        """Set something of the sandbox: faults, limits, privileges."""
        requests.put(f"{self.sandbox.base_url}/sandbox/{what}", json=content).raise_for_status()

    def writes(self) -> int:
        """Requests that wrote, as both systems counted them."""
        state = requests.get(f"{self.sandbox.base_url}/sandbox/state").json()
        return int(state["dataverse"]["write_requests"] + state["business_central"]["write_requests"])

    def get(self, side: Side, table: str, key: str, value: str, *columns: str) -> Record:
        """The one record with this value."""

        async def read(system: System) -> Record:
            (found,) = await system.by_keys(table, columns, key, [value])
            return found

        return self._as_person(side, read)

    def edit(self, side: Side, table: str, key: str, value: str, **values: Scalar) -> None:
        """Somebody changes a record."""

        async def write(system: System) -> None:
            (record,) = await system.by_keys(table, (), key, [value])
            (written,) = await system.update(table, [Update(record.id, record.version, values)], ())
            assert written.error is None, written.error

        self._as_person(side, write)

    def add(self, side: Side, table: str, **values: Scalar) -> str:
        """Somebody creates a record; its id."""
        (id,) = self.add_all(side, table, [values])
        return id

    def add_all(self, side: Side, table: str, rows: Sequence[Mapping[str, Scalar]]) -> list[str]:
        """Somebody creates records; their ids."""

        async def write(system: System) -> list[str]:
            written = await system.create(table, [Create("", values) for values in rows], ())
            assert not any(one.error for one in written)
            return [one.id for one in written]

        return self._as_person(side, write)

    def _as_person(self, side: Side, work: Callable[[System], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(_closing(connected(load_config(self.folder / "koppel.yaml"), side), work))


def connected(config: Config, side: Side) -> System:
    """The side as somebody who works there sees it."""
    end = getattr(config, side)
    who = PEOPLE[side]
    os.environ[f"SECRET_OF_{who.client_id.upper()}"] = who.secret
    secret = Secret(env=f"SECRET_OF_{who.client_id.upper()}")
    auth = msgspec.structs.replace(end.auth, client_id=who.client_id, client_secret=secret)
    config = msgspec.structs.replace(config, **{side: msgspec.structs.replace(end, auth=auth)})
    return connect_business_central(config) if side == "business_central" else connect_dataverse(config)


async def _closing(system: System, work: Callable[[System], Coroutine[Any, Any, T]]) -> T:
    try:
        return await work(system)
    finally:
        await system.close()


@contextmanager
def open_shell(customers: int = 40) -> Iterator[Shell]:
    """A sandbox and a folder with everything to type commands; the database stays up between them."""
    with start_sandbox(customers=customers) as sandbox, open_folder(sandbox) as shell:
        yield shell


@contextmanager
def open_folder(sandbox: SandboxProcess, company: str = COMPANY, settings: str = "") -> Iterator[Shell]:
    """A folder in which commands are typed for a company of a sandbox; its ``koppel.yaml`` has more ``settings``."""
    # Not below pytest's own folder, which the server's account could not enter.
    folder = Path(tempfile.mkdtemp(prefix="koppel-e2e-"))
    try:
        configure(folder, sandbox, company)
        with (folder / "koppel.yaml").open("a", encoding="utf-8") as file:
            file.write(settings)
        with _typist(folder / ".koppel" / "database") as typist:
            yield Shell(folder, sandbox, typist)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _typist(database: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("typist.py")), str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as typist:
        yield typist
        assert typist.stdin is not None
        typist.stdin.close()


def configure(folder: Path, sandbox: SandboxProcess, company: str = COMPANY) -> None:
    """Write the koppel.yaml of a sandbox."""
    write_config(
        folder / "koppel.yaml",
        business_central_url=f"{sandbox.business_central_url}/v2.0/Production",
        company=company,
        dataverse_url=sandbox.dataverse_url,
        tenant="sandbox",
        client_id=KOPPEL.client_id,
        authority=sandbox.base_url,
    )

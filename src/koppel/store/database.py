"""The database that holds Koppel's state: yours, or a private one in the data folder.

Connections do not commit by themselves. The functions of this package never commit either, unless they say so: the
caller commits a chunk's couplings, history and failures together (promise 7). Rows come with time zone UTC and UUIDs as
lower-case text.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import msgspec
import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.string import TextLoader

from koppel.errors import StoreError
from koppel.store.embedded import embedded_server
from koppel.store.migrate import migrate

log = logging.getLogger("koppel.store")

Connection = AsyncConnection[TupleRow]
_T = TypeVar("_T")

TEXTS = "(ARRAY (SELECT json_array_elements_text(%s)))"
"""An array of texts whose parameter is ``as_json`` of them: much faster than a list of parameters."""

PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""What a connection has that the address says nothing else of: within half a minute it notices that nobody is there any
more, also where nobody says so. Without them that takes hours."""
IDLE_SECONDS = 60.0
"""What lies between may forget a connection that is silent for longer, and tells nobody."""
# The escape of a NUL in JSON; after an odd number of backslashes it is but text that looks like one.
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
SESSION = "-c timezone=UTC -c client_min_messages=warning"


class Database(msgspec.Struct, frozen=True):
    """An open database. ``url`` is a libpq URL; other libraries may connect with it, too."""

    url: str

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection of one's own, autocommit off; what is not committed at the end is rolled back.

        Losing the database meanwhile, or a full disk, comes out as ``StoreError``.
        """
        connection = await _connect(self.url)
        try:
            with _told_as_lost(self.url):
                yield connection
        finally:
            await connection.close()


class Kept:
    """A connection that is opened when it is first used, kept, and opened anew after an error, or when nobody used it
    for long. Each statement commits by itself, and one use ends before the next begins."""

    def __init__(self, database: Database) -> None:
        self._url = database.url
        self._connection: Connection | None = None
        self._used = 0.0

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection. Losing the database, or not finding it, comes out as ``StoreError``."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            await self.close()
        if self._connection is None:
            self._connection = await _connect(self._url)
            await self._connection.set_autocommit(True)
        try:
            with _told_as_lost(self._url):
                yield self._connection
            self._used = time.monotonic()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give it back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextmanager
def _told_as_lost(url: str) -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise StoreError(
            f"the database failed: {_first_line(error)}",
            place=address(url),
            remedy="What was committed is kept. Start the command again once the database works.",
        ) from error


@asynccontextmanager
async def open_database(url: str | None, folder: Path) -> AsyncIterator[Database]:
    """Open the database at ``url``, or without one the embedded PostgreSQL in ``folder``, and update its tables.

    ``StoreError`` with the remedy when it cannot be reached, started or written, or is newer than this Koppel.
    """
    with nullcontext(url) if url else embedded_server(folder) as place:
        database = Database(place)
        async with database.connect() as connection:
            await migrate(connection, address(place))
        yield database


async def _connect(url: str) -> Connection:
    try:
        connection = await AsyncConnection.connect(_parameters(url))
    except psycopg.ProgrammingError as error:
        raise StoreError(
            "the address of the database cannot be understood",
            remedy="It reads `postgresql://user:password@host:5432/database`.",
        ) from error
    except psycopg.OperationalError as error:
        raise _unreachable(url, error) from error
    connection.adapters.register_loader("uuid", TextLoader)
    set_json_loads(orjson.loads, connection)
    set_json_dumps(orjson.dumps, connection)
    return connection


def _parameters(url: str) -> str:
    given = conninfo_to_dict(url)
    return make_conninfo(
        url,
        **{name: given.get(name, value) for name, value in PATIENCE.items()},
        options=f"{SESSION} {given.get('options') or ''}",
        application_name=f"koppel on {platform.node()[:30]}, process {os.getpid()}",
    )


REMEDIES = (
    ("password", "Check user and password in `database` of koppel.yaml."),
    ("authentication", "Check user and password in `database` of koppel.yaml, and the server's pg_hba.conf."),
    ("pg_hba.conf", "The server does not admit this user from this machine: ask for an entry in its pg_hba.conf."),
    ("does not exist", "Create the database or the role first (`createdb`, `createuser`), or correct the name."),
    ("too many", "The server has no free connection: raise its max_connections, or run fewer workers."),
    ("not translate host", "Check the host name in `database` of koppel.yaml."),
    ("not resolve host", "Check the host name in `database` of koppel.yaml."),
)
UNREACHABLE = "Check that PostgreSQL runs there and may be reached; without `database`, Koppel runs its own."


def _unreachable(url: str, error: psycopg.Error) -> StoreError:
    text = str(error)
    remedy = next((remedy for words, remedy in REMEDIES if words in text), UNREACHABLE)
    return StoreError(f"cannot connect to the database: {_first_line(error)}", place=address(url), remedy=remedy)


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def address(url: str) -> str:
    """Where a database is, without secrets: ``user@host:port/name``."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "database"
    port = f":{parts['port']}" if "port" in parts else ""
    user = f"{parts['user']}@" if "user" in parts else ""
    return f"{user}{parts.get('host', 'localhost')}{port}/{parts.get('dbname', '')}"


def array(items: Iterable[str]) -> str:
    """GUIDs as the text of a PostgreSQL array, much faster than a list of parameters."""
    return "{" + ",".join(items) + "}"


def as_json(rows: Iterable[Any]) -> str:
    """Rows as JSON text for ``json_to_recordset``. PostgreSQL has no NUL in text: it is left out."""
    text = msgspec.json.encode(list(rows)).decode()
    return NUL.sub(r"\1", text) if "\\u0000" in text else text


def as_asked(ids: Iterable[str], found: Mapping[str, _T]) -> dict[str, _T]:
    """What was found, in the order in which it was asked for: the database answers in any."""
    return {id: found[id] for id in ids if id in found}


async def copy_rows(connection: Connection, statement: LiteralString, rows: Iterable[Sequence[Any]]) -> None:
    """Send rows, if there are any, with a ``COPY ... FROM STDIN``. PostgreSQL has no NUL in text: it is left out."""
    left = iter(rows)
    first = next(left, None)
    if first is None:
        return
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in chain((first,), left):
            await copy.write_row([v.replace("\0", "") if type(v) is str and "\0" in v else v for v in row])

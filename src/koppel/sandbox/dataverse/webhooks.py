"""Webhooks: which writes are told to whom, and the telling.

The end of a transaction is where its writes are known. A synchronous step is asked there, so that its refusal takes the
transaction back; for that the request runs in a thread, and nobody else is served meanwhile. An asynchronous one is
told in the background.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid4, uuid5

import orjson
from aiohttp import ClientSession

from koppel.sandbox.dataverse import errors
from koppel.sandbox.dataverse.executed import Execution, Step, context
from koppel.sandbox.dataverse.logic.webhook import CREATE, DELETE, HTTP_HEADER, UPDATE, settings
from koppel.sandbox.dataverse.store import Writes
from koppel.sandbox.posting import post_with, posting
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.dataverse.service import Caller, Dataverse

STEPS, ENDPOINTS = "sdkmessageprocessingstep", "serviceendpoint"
LARGEST = 256 * 1024
_TOO_MUCH = ("ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages")
_AGAIN = frozenset({502, 503, 504})
_AT_ONCE = 10
_ENABLED = 0
_NEVER_SENT = frozenset({"versionnumber"})

_T = TypeVar("_T")


class Webhooks:
    """The webhooks of an organisation. ``waits``: seconds to each next try of a receiver that is not available.

    ``steps``: the enabled ones, in the order of their ranks, as the latest transaction left them.
    """

    def __init__(self, dataverse: Dataverse) -> None:
        self.waits: tuple[float, ...] = (1.0, 10.0, 60.0)
        self.posted = self.failed = 0
        self._dataverse = dataverse
        self.steps: list[Step] = []
        self._version = dataverse.store.versions[STEPS]
        self._sent: dict[tuple[str, str], set[str]] = {}
        self._caller: Caller | None = None
        self._writes: Writes | None = None
        self._waiting: deque[Execution] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        dataverse.store.at_the_end = self._end

    def _read_steps(self) -> list[Step]:
        rows = sorted(self._dataverse.tables[STEPS].rows.values(), key=lambda row: int(row["rank"]))
        return [self._step(row) for row in rows if row["statecode"] == _ENABLED]

    def _step(self, row: Row) -> Step:
        message = self._dataverse.tables["sdkmessage"].rows[row["_sdkmessageid_value"]]
        of = self._dataverse.row("sdkmessagefilter", row.get("_sdkmessagefilterid_value")) or {}
        return Step(
            id=row["sdkmessageprocessingstepid"],
            endpoint=row["_eventhandler_value"],
            message=message["name"],
            table=of.get("primaryobjecttypecode", ""),
            columns=frozenset((row.get("filteringattributes") or "").replace(",", " ").split()),
            is_synchronous=row["mode"] == 0,
        )

    def note(self, table: str, key: str, names: Iterable[str], caller: Caller) -> None:
        """Somebody writes columns of a row: a step may ask for these, even when their values stay."""
        if self.steps:
            if self._writes is not self._dataverse.store.writes:
                self._writes, self._sent = self._dataverse.store.writes, {}
            self._caller = caller
            self._sent.setdefault((table, key), set()).update(names)

    def _end(self, writes: Writes) -> None:
        """Tell what a transaction wrote. ``ServiceError`` when a synchronous step refuses."""
        if self._version != self._dataverse.store.versions[STEPS]:
            self._version = self._dataverse.store.versions[STEPS]
            self.steps = self._read_steps()
        if not self.steps:
            return
        sent, self._sent = self._sent, {}
        executions = [execution for write in writes.items() for execution in self._executions(*write, sent)]
        for execution in executions:
            if execution.step.is_synchronous:
                self._ask(execution)
        self._waiting += (execution for execution in executions if not execution.step.is_synchronous)

    def _executions(
        self, place: tuple[str, str], was: tuple[Row | None, Any], sent: dict[tuple[str, str], set[str]]
    ) -> Iterator[Execution]:
        (table, key), before = place, was[0]
        after = self._dataverse.tables[table].rows.get(key)
        row = after or before
        if row is None:
            return
        message = CREATE if before is None else UPDATE if after is not None else DELETE
        concerned = [one for one in self.steps if one.message == message and one.table in ("", table)]
        if not concerned:
            return
        names = self._names(table, before, after, sent.get(place, ()))
        logical = {self._dataverse.schema.tables[table].columns[name].logical for name in names}
        correlation, operation = str(uuid4()), str(uuid4())
        user = self._caller.user if self._caller else self._dataverse.own_user
        at = self._dataverse.clock()
        for step in concerned:
            if message != UPDATE or not step.columns or step.columns & logical:
                yield Execution(step, table, key, row, names, user, at, correlation, operation)

    def _names(self, table: str, before: Row | None, after: Row | None, sent: Iterable[str]) -> frozenset[str]:
        """The columns that a write concerns: all that a new row has, those sent or changed of another."""
        schema = self._dataverse.schema.tables[table]
        if after is None:
            return frozenset()
        old: Row = before or {}
        found = {name for name in schema.columns if after.get(name) != old.get(name)}
        return frozenset((found | (schema.columns.keys() & set(sent)) | {schema.id_column}) - _NEVER_SENT)

    # the telling

    def _ask(self, execution: Execution) -> None:
        loop = self._loop
        if loop is None:
            raise errors.not_implemented("synchronous webhooks of what no request writes")
        status = asyncio.run_coroutine_threadsafe(self._post_alone(execution), loop).result()
        if not 200 <= status < 300:
            raise errors.webhook_failed(status)

    async def answer(self, work: Callable[[], _T]) -> _T:
        """Do the work of a request, then tell of it."""
        if not self.steps and not self._turn.locked():
            return work()
        if self._turn.locked() or any(step.is_synchronous for step in self.steps):
            async with self._turn:
                self._loop = asyncio.get_running_loop()
                try:
                    done = await asyncio.to_thread(work)
                finally:
                    self._loop = None
        else:
            done = work()
        for _ in range(min(len(self._waiting), _AT_ONCE - len(self._tasks))):
            task = asyncio.get_running_loop().create_task(self._tell())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return done

    async def _tell(self) -> None:
        async with posting() as session:
            while self._waiting:
                execution = self._waiting.popleft()
                status = await self._post(session, execution)
                for wait in self.waits:
                    if status not in _AGAIN:
                        break
                    await asyncio.sleep(wait)
                    status = await self._post(session, execution)
                self.failed += not 200 <= status < 300

    async def _post_alone(self, execution: Execution) -> int:
        async with posting() as session:
            return await self._post(session, execution)

    async def _post(self, session: ClientSession, execution: Execution) -> int:
        """The status of the answer; 0 when there is none."""
        endpoint = self._dataverse.row(ENDPOINTS, execution.step.endpoint)
        if endpoint is None:
            return 0
        url, own = str(endpoint["url"]), settings(endpoint)
        if endpoint["authtype"] != HTTP_HEADER:
            url, own = f"{url}{'&' if '?' in url else '?'}{urlencode(own)}", {}
        body, more = self._body(execution)
        headers = {
            "x-request-id": str(uuid4()),
            "x-ms-dynamics-organization": str(self._dataverse.organization.get("name", "")).lower(),
            "x-ms-dynamics-entity-name": execution.table,
            "x-ms-dynamics-request-name": execution.step.message,
            "x-ms-correlation-request-id": execution.correlation,
        }
        self.posted += 1
        status, _ = await post_with(session, url, body, {**headers, **more, **own})
        return status

    def _body(self, execution: Execution) -> tuple[bytes, dict[str, str]]:
        """The body, and a header that says so when it had to be made smaller."""
        whole = context(self._dataverse, execution)
        body = orjson.dumps(whole)
        if len(body) <= LARGEST:
            return body, {}
        small = {name: value for name, value in whole.items() if name not in _TOO_MUCH}
        return orjson.dumps(small), {"x-ms-dynamics-msg-size-exceeded": "true"}

    async def told(self) -> None:
        """Wait until all that is waiting was posted."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Tell nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def load_messages(dataverse: Dataverse, tables: Iterable[str], bulk: Callable[[str], Set[str]]) -> None:
    """The messages that steps are registered for, and which table has which; ``bulk``: the bulk messages of a table."""
    of = {table: (CREATE, UPDATE, DELETE, *sorted(bulk(table))) for table in tables}
    names = sorted({name for found in of.values() for name in found})
    dataverse.load("sdkmessage", [{"sdkmessageid": message_id(name), "name": name} for name in names])
    dataverse.load(
        "sdkmessagefilter",
        [
            {
                "sdkmessagefilterid": message_id(f"{table}/{name}"),
                "_sdkmessageid_value": message_id(name),
                "primaryobjecttypecode": table,
                "secondaryobjecttypecode": "none",
            }
            for table, found in of.items()
            for name in found
        ],
    )


@cache
def message_id(name: str) -> str:
    """The id of a message, or of one of a table (``account/Create``): the same in every sandbox."""
    return str(uuid5(NAMESPACE_URL, name))

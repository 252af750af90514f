"""Whole runs in one process: both simulated systems, a session on them, and the people who work there.

Alice works in Dataverse and Bob in Business Central, through the systems' own interfaces. Nothing waits: back-offs move
the clock of the systems.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
from psycopg.pq import ConnStatus
from world_data import Row, fill, set_up

import koppel.rules  # noqa: F401 (registers the rules that mappings name)
from koppel.engine.rule import RULES
from koppel.errors import NotFoundError
from koppel.mapping.load import ALL_AS_THEY_ARE, digest, load_mappings
from koppel.mapping.model import FieldMapping, TableMapping
from koppel.mapping.ownership import without_owners
from koppel.odata.records import Side
from koppel.sandbox.clock import Clock
from koppel.sandbox.custom import CustomTables
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.server import Sandbox, build_sandbox
from koppel.sandbox.tokens import ALICE, BOB, KOPPEL, User
from koppel.store import conflicts, couplings, failures, jobs
from koppel.store.conflicts import Conflict
from koppel.store.couplings import Coupling
from koppel.store.database import Connection, Database
from koppel.store.failures import Failure
from koppel.sync.prepare import SIDES
from koppel.sync.request import Request, Result
from koppel.sync.run import plan, synchronise
from koppel.sync.session import Session
from koppel.sync.set_up import as_set_up
from koppel.systems.auth import Credentials, tokens_for
from koppel.systems.business_central import BusinessCentral
from koppel.systems.dataverse import Dataverse
from koppel.systems.governor import BUSINESS_CENTRAL, DATAVERSE, Governor, Limits
from koppel.systems.schema import TableSchema
from koppel.systems.transport import AsgiTransport, Response, Transport
from koppel.systems.transport import Request as HttpRequest
from postgres_server import EMPTY, administer

log = logging.getLogger(__name__)

ADDRESS = "http://sandbox"
COMPANION = "koppel/sync/v1.0"
Hook = Callable[[int, HttpRequest], Awaitable[None]]


class CrashError(BaseException):
    """The process died: nothing after this is carried out, nor cleaned up."""


class Line:
    """The engine's way to both systems. ``before`` and ``after`` a request, which come with its number (from 1), a test
    may do whatever it likes; once ``dead``, nothing goes through any more."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.inner: Transport = AsgiTransport(sandbox.app)
        self.requests: list[HttpRequest] = []
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.dead = False

    async def send(self, request: HttpRequest) -> Response:
        """Send one request."""
        self._live()
        self.requests.append(request)
        number = len(self.requests)
        if self.before is not None:
            await self.before(number, request)
        self._live()
        log.debug("%d %s %s %r", number, request.method, request.url, request.body)
        answer = await self.inner.send(request)
        log.debug("%d %d %r", number, answer.status, answer.body)
        if self.after is not None:
            await self.after(number, request)
        self._live()
        return answer

    async def close(self) -> None:
        """Nothing to give back."""

    def _live(self) -> None:
        if self.dead:
            raise CrashError


class Person:
    """Somebody who works in one of the systems. Faults and limits are for the engine: people always get through."""

    def __init__(self, sandbox: Sandbox, user: User, root: str) -> None:
        self._transport = AsgiTransport(sandbox.faults.app)
        self._limits = sandbox.dataverse.limits
        self._tokens = tokens_for(_credentials(user), self._transport)
        self._root = root

    async def create(self, table: str, values: Row | None = None, **more: Any) -> Row:
        """A new row, as it is afterwards."""
        return await self._send("POST", table, {**(values or {}), **more})

    async def update(self, table: str, key: str, values: Row | None = None, **more: Any) -> Row:
        """Change columns of a row, whoever changed it meanwhile; the row afterwards."""
        return await self._send("PATCH", f"{table}({key})", {**(values or {}), **more})

    async def delete(self, table: str, key: str) -> None:
        """Delete a row."""
        await self._send("DELETE", f"{table}({key})")

    async def row(self, table: str, key: str) -> Row:
        """One row."""
        return await self._send("GET", f"{table}({key})")

    async def rows(self, table: str, filter: str = "") -> list[Row]:
        """The rows that a filter lets through."""
        answer = await self._send("GET", f"{table}?$filter={quote(filter)}" if filter else table)
        return list(answer["value"])

    async def one(self, table: str, filter: str) -> Row:
        """The only row that a filter lets through."""
        rows = await self.rows(table, filter)
        assert len(rows) == 1, (table, filter, len(rows))
        return rows[0]

    async def _send(self, method: str, path: str, body: Row | None = None) -> Row:
        token = await self._tokens.get()
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Prefer": "return=representation",
            **({"If-Match": "*"} if method in ("PATCH", "DELETE") else {}),
        }
        content = b"" if body is None else msgspec.json.encode(body)
        enforced, self._limits.enforced = self._limits.enforced, False
        answer = await self._transport.send(HttpRequest(method, self._root + path, headers, content))
        self._limits.enforced = enforced
        if answer.status == 401:
            self._tokens.discard(token)
            return await self._send(method, path, body)
        assert answer.status < 300, (method, path, answer.status, answer.body)
        return dict(msgspec.json.decode(answer.body)) if answer.body else {}


class World:
    """Both systems and the engine. ``slept``: every wait of the engine, in seconds."""

    def __init__(
        self,
        sandbox: Sandbox,
        database: Database,
        route: str,
        mappings: Mapping[str, TableMapping],
        known: Mapping[Side, dict[str, TableSchema]],
        company: str = COMPANY,
    ) -> None:
        self.sandbox = sandbox
        self.company = company
        self.known = known
        self.database = database
        self.route = route
        self.mappings = dict(mappings)
        self.warnings: dict[str, tuple[str, ...]] = {}
        self.line = Line(sandbox)
        self.slept: list[float] = []
        self.alice = Person(sandbox, ALICE, f"{ADDRESS}/dataverse/api/data/v9.2/")
        id = sandbox.business_central.companies[company].id
        self.bob = Person(sandbox, BOB, f"{ADDRESS}/bc/v2.0/Production/api/{COMPANION}/companies({id})/")
        self.robot = Person(sandbox, KOPPEL, f"{ADDRESS}/dataverse/api/data/v9.2/")
        self._stack = AsyncExitStack()
        self.session: Session

    # the engine

    async def open(self) -> None:
        """A new session, as a new process would begin it."""
        self._stack = AsyncExitStack()
        connection = await self._stack.enter_async_context(self.database.connect())
        await jobs.interrupt_orphans(connection)
        self.session = self.new_session(connection)

    def new_session(self, connection: Connection) -> Session:
        """A session on a connection of its own."""
        return Session(
            systems={
                "business_central": BusinessCentral(
                    f"{ADDRESS}/bc/v2.0/Production",
                    self.company,
                    self.route,
                    self.line,
                    tokens_for(_credentials(KOPPEL), AsgiTransport(self.sandbox.app)),
                    governor=self._governor(BUSINESS_CENTRAL),
                    sleep=self.sleep,
                    known=self.known["business_central"] or None,
                ),
                "dataverse": Dataverse(
                    f"{ADDRESS}/dataverse",
                    self.line,
                    tokens_for(_credentials(KOPPEL), AsgiTransport(self.sandbox.app)),
                    governor=self._governor(DATAVERSE),
                    sleep=self.sleep,
                    known=self.known["dataverse"] or None,
                ),
            },
            connection=connection,
            mappings=self.mappings,
            warnings=self.warnings,
            today=lambda: self.sandbox.clock().date(),
        )

    async def close(self) -> None:
        """End the session."""
        await self._stack.aclose()

    async def reopen(self) -> None:
        """End the session and begin another one."""
        await self.close()
        await self.open()

    def crash(self) -> None:
        """Die here and now: nothing is sent any more, and the database notices at once that nobody is there."""
        self.line.dead = True
        connection = self.session.connection.pgconn
        administer(self.database.url, f"SELECT pg_terminate_backend({connection.backend_pid}, 5000)")
        with suppress(psycopg.OperationalError):
            while connection.status == ConnStatus.OK:
                connection.consume_input()  # until it has noticed, too
        raise CrashError

    async def revive(self) -> None:
        """A new session after a crash."""
        self.line = Line(self.sandbox)
        await self.reopen()

    async def forget(self) -> None:
        """Empty the database."""
        await self.session.connection.execute(EMPTY)
        await self.session.connection.commit()

    async def sleep(self, seconds: float) -> None:
        """Wait: the clock of both systems moves on, the real one hardly."""
        self.slept.append(seconds)
        self.sandbox.clock.advance(seconds)
        await asyncio.sleep(0.001)

    def _governor(self, limits: Limits) -> Governor:
        return Governor(limits, clock=lambda: self.sandbox.clock().timestamp(), sleep=self.sleep)

    async def sync(self, name: str = "CUSTOMER", **request: Any) -> Result:
        """Run one mapping."""
        return await synchronise(self.session, name, Request(**request))

    async def sync_all(self, **request: Any) -> dict[str, Result]:
        """Run every mapping, in the order of their dependencies."""
        return {name: await self.sync(name, **request) for name in self.on_their_own()}

    async def planned(self, name: str = "CUSTOMER", **request: Any) -> list[str]:
        """The kinds of the actions that a run would carry out."""
        return [action.kind async for action in plan(self.session, name, Request(**request))]

    async def quiet(self, *names: str) -> None:
        """Assert that there is nothing left to do: another run of these mappings, or of all, sends no write."""
        for name in names or self.on_their_own():
            result = await self.sync(name)
            assert result.write_requests == 0, result

    # mappings

    def on_their_own(self) -> list[str]:
        """The mappings that are on and run, parts aside."""
        return [name for name, mapping in self.mappings.items() if mapping.enabled and not mapping.part_of]

    def change(self, name: str = "CUSTOMER", **values: Any) -> None:
        """Edit a mapping as an administrator does, from the next session on."""
        changed = msgspec.structs.replace(self.mappings[name], **values)
        self.mappings[name] = msgspec.structs.replace(changed, digest=digest(changed))
        self.session.ready.pop(name, None)
        self.session.mappings = self.mappings

    def change_field(self, field: str, name: str = "CUSTOMER", **values: Any) -> None:
        """Edit one field of a mapping."""

        def edited(old: FieldMapping) -> FieldMapping:
            return msgspec.structs.replace(old, **values) if old.name == field else old

        self.change(name, fields=tuple(edited(old) for old in self.mappings[name].fields))

    async def set_up(self, **settings: Any) -> None:
        """Change what the configuration says of all mappings, and begin a new session with it."""
        ownership = settings.get("ownership")
        by_team = ownership is not None and ownership.model == "team"
        known = without_owners(self.mappings) if by_team else self.mappings
        owned = await as_set_up(self.session.systems, known, **settings)
        self.mappings, self.warnings = owned.mappings, owned.warnings
        await self.reopen()

    # what there is

    async def coupling(self, key: str, name: str = "CUSTOMER") -> Coupling:
        """The coupling of the record with this Business Central key."""
        found = [c for c in await self.couplings(name) if c.business_central_key == key]
        assert len(found) == 1, (name, key, len(found))
        return found[0]

    async def couplings(self, name: str = "CUSTOMER") -> list[Coupling]:
        """All couplings of a mapping."""
        found = [c async for chunk in couplings.stream(self.session.connection, name) for c in chunk]
        await self.session.connection.commit()
        return found

    async def failures(self, name: str = "CUSTOMER") -> list[Failure]:
        """The failures of a mapping."""
        found = await failures.find(self.session.connection, mapping=name)
        await self.session.connection.commit()
        return found

    async def conflicts(self, name: str = "CUSTOMER") -> list[Conflict]:
        """The open conflicts of a mapping."""
        found = await conflicts.find(self.session.connection, mapping=name)
        await self.session.connection.commit()
        return found

    async def account_of(self, customer: Row) -> Row:
        """The account that a customer is coupled to."""
        return await self.alice.row("accounts", (await self.coupling(customer["number"])).dataverse_id)

    async def customer_of(self, account: Row) -> Row:
        """The customer that an account is coupled to."""
        found = [c for c in await self.couplings() if c.dataverse_id == account["accountid"]]
        assert len(found) == 1, account
        return await self.bob.row("customers", found[0].business_central_id)

    async def company_contact(self, customer: Row) -> Row:
        """The company contact that Business Central made for a customer."""
        relation = await self.bob.one("contactBusinessRelations", f"number eq '{customer['number']}'")
        return await self.bob.one("contacts", f"number eq '{relation['contactNumber']}'")

    async def currency(self, account: Row) -> str:
        """The ISO code of a row's currency."""
        row = await self.alice.row("transactioncurrencies", account["_transactioncurrencyid_value"])
        return str(row["isocurrencycode"])

    def stored_customer(self, key: str) -> Row:
        """A customer as the table holds it: columns that are empty are absent."""
        return self.sandbox.business_central.companies[self.company].stores["customers"].rows[key]

    async def label(self, column: str, value: int) -> str:
        """The label of an option of ``account``."""
        client = self.session.systems["dataverse"]
        assert isinstance(client, Dataverse)
        return (await client.options("account", column))[value]


def _credentials(user: User) -> Credentials:
    return Credentials("common", user.client_id, user.secret, f"{ADDRESS}/.default", ADDRESS)


_SCHEMAS: dict[tuple[str, str], dict[Side, dict[str, TableSchema]]] = {}
"""The schemas of all tables in question, by route and custom tables: the same in every world, and slow to read."""


_standard_mappings = cache(load_mappings)


async def _read_schemas(world: World) -> None:
    for side in SIDES:
        system, found = world.session.systems[side], world.known[side]
        needed = {need.table for rule in RULES.values() for need in rule.needs if need.table and need.side == side}
        for table in sorted(needed | {mapping.endpoint(side).table for mapping in world.mappings.values()}):
            with suppress(NotFoundError):
                found[table] = await system.describe(table)


@asynccontextmanager
async def new_world(
    database: Database,
    *,
    customers: int | None = None,
    route: str = COMPANION,
    folders: Sequence[Path] = (),
    enabled: Mapping[str, bool] = ALL_AS_THEY_ARE,
    clock: Clock | None = None,
    tables: CustomTables = CustomTables(),
) -> AsyncIterator[World]:
    """A world with set-up tables and nothing else, or with ``customers`` of Adventure Works."""
    if customers is None:
        sandbox = build_sandbox(data="empty", clock=clock, tables=tables)
        set_up(sandbox)
    else:
        sandbox = build_sandbox(data="adventureworks", customers=customers)
    known = _SCHEMAS.setdefault((route, repr(tables)), {side: {} for side in SIDES})
    world = World(
        sandbox,
        database,
        route,
        load_mappings(folders, enabled=enabled) if folders or enabled else _standard_mappings(),
        known,
    )
    await world.open()
    if not known["dataverse"]:
        await _read_schemas(world)
        await world.reopen()
    try:
        yield world
    finally:
        await world.close()


@asynccontextmanager
async def next_door(world: World, database: Database) -> AsyncIterator[World]:
    """Another company of the same environment, and a Koppel of its own that brings it into the same Dataverse."""
    name = "Fabrikam"
    world.sandbox.business_central.add_company(name, local_currency="USD")
    fill(world.sandbox, name)
    neighbour = World(world.sandbox, database, world.route, _standard_mappings(), world.known, name)
    await neighbour.open()
    try:
        yield neighbour
    finally:
        await neighbour.close()

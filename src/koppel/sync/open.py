"""Opening a session: both connections and the database, as the configuration says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

import koppel.rules
from koppel.config import Auth, Config, Ownership, User
from koppel.config import BusinessCentral as BusinessCentralPlace
from koppel.config import Dataverse as DataversePlace
from koppel.engine.brakes import Brakes
from koppel.mapping.company import Stamping
from koppel.mapping.load import load_mappings
from koppel.mapping.model import TableMapping
from koppel.mapping.ownership import without_owners
from koppel.odata.records import Side
from koppel.store import locks
from koppel.store.database import Database, open_database
from koppel.store.jobs import interrupt_orphans
from koppel.sync.review import with_creating
from koppel.sync.session import Session
from koppel.sync.set_up import as_set_up
from koppel.systems.auth import Credentials, Tokens, tokens_for
from koppel.systems.business_central import BusinessCentral
from koppel.systems.dataverse import Dataverse
from koppel.systems.system import System
from koppel.systems.transport import HttpTransport, Transport

__all__ = [
    "Opened",
    "brakes_of",
    "connect_business_central",
    "connect_dataverse",
    "known_mappings",
    "open_connections",
    "open_session",
    "session_on",
]

_SCOPE_OF_BUSINESS_CENTRAL = "https://api.businesscentral.dynamics.com/.default"


def known_mappings(config: Config | None = None) -> dict[str, TableMapping]:
    """The standard mappings and those of the configured folders, checked against the rules there are."""
    kinds: dict[str, set[str]] = {}
    for rule in koppel.rules.registered().values():
        kinds.setdefault(rule.kind, set()).add(rule.name)
    if config is None:
        return load_mappings(known_rules=kinds)
    mappings = load_mappings(config.mappings, known_rules=kinds, functions=config.functions, enabled=config.enabled)
    by_team = config.ownership is not None and config.ownership.model == "team"
    return without_owners(mappings) if by_team else mappings


def connect_business_central(config: Config) -> BusinessCentral:
    """A client of the configured company; nothing is sent yet."""
    place = config.business_central
    transport = HttpTransport(ca_file=place.ca_file)
    tokens, *others = _tokens(place, transport, _SCOPE_OF_BUSINESS_CENTRAL)
    return BusinessCentral(place.url, place.company, place.route, transport, tokens, others=others)


def connect_dataverse(config: Config) -> Dataverse:
    """A client of the configured environment; nothing is sent yet."""
    place = config.dataverse
    transport = HttpTransport(ca_file=place.ca_file)
    tokens, *others = _tokens(place, transport, f"{place.url.rstrip('/')}/.default")
    return Dataverse(place.url, transport, tokens, others=others)


def _tokens(place: BusinessCentralPlace | DataversePlace, transport: Transport, scope: str) -> list[Tokens]:
    """Those of each user, the first one first."""

    def tokens(user: Auth | User) -> Tokens:
        credentials = Credentials(
            authority=place.auth.authority,
            tenant=place.auth.tenant,
            client_id=user.client_id,
            client_secret=user.client_secret.value(),
            scope=scope,
        )
        return tokens_for(credentials, transport, ca_file=place.ca_file)

    return [tokens(place.auth), *map(tokens, place.more_users)]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Connections that several sessions may share: those to both systems, and the database; and how mappings are set
    up for them."""

    systems: Mapping[Side, System]
    database: Database
    company_stamp: Stamping = "none"
    ownership: Ownership | None = None


@asynccontextmanager
async def open_connections(config: Config) -> AsyncIterator[Opened]:
    """Both systems and the database, given back at the end; nothing is sent to the systems yet."""
    async with AsyncExitStack() as stack:
        business_central, dataverse = connect_business_central(config), connect_dataverse(config)
        stack.push_async_callback(business_central.close)
        stack.push_async_callback(dataverse.close)
        database = await stack.enter_async_context(open_database(config.database, config.folder / "database"))
        yield Opened(
            systems={"business_central": business_central, "dataverse": dataverse},
            database=database,
            company_stamp=config.company_stamp,
            ownership=config.ownership,
        )


@asynccontextmanager
async def session_on(
    opened: Opened, mappings: Mapping[str, TableMapping], brakes: Brakes = Brakes()
) -> AsyncIterator[Session]:
    """A session of its own on shared connections. Jobs whose process died are marked as interrupted."""
    async with opened.database.connect() as connection:
        await interrupt_orphans(connection)
        await locks.send(connection)
        known = await with_creating(connection, mappings)
        owned = await as_set_up(opened.systems, known, opened.company_stamp, opened.ownership)
        yield Session(
            systems=opened.systems,
            connection=connection,
            mappings=owned.mappings,
            warnings=owned.warnings,
            brakes=brakes,
        )


def brakes_of(config: Config) -> Brakes:
    """The configured brakes."""
    return Brakes(deletions=config.brakes.deletions, changes_percent=config.brakes.changes_percent)


@asynccontextmanager
async def open_session(config: Config, mappings: Mapping[str, TableMapping] | None = None) -> AsyncIterator[Session]:
    """A session with everything open, given back at the end."""
    known = known_mappings(config) if mappings is None else mappings
    async with open_connections(config) as opened, session_on(opened, known, brakes_of(config)) as session:
        yield session

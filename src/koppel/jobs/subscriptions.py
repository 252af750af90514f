"""Keeping both systems telling of changes: what is missing is subscribed to, what ends soon is renewed.

Business Central forgets a subscription after three days, and deletes it when the receiver answers amiss; so it is
looked at each hour. Registrations in Dataverse stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import quoteattr

from koppel.errors import DataError, KoppelError, LockedError, NotFoundError, PrivilegeError
from koppel.jobs.webhooks import SECRET_HEADER, Tables
from koppel.odata.literals import quote
from koppel.odata.records import SPOKEN, Record, Scalar, Side
from koppel.store.database import Database
from koppel.store.locks import mapping_lock
from koppel.systems.business_central import BusinessCentral, Subscription
from koppel.systems.system import Create, System, Update

log = logging.getLogger("koppel.jobs")

AGAIN_SECONDS = 3600.0
SOON_SECONDS = 2.0
"""Until what went wrong is tried again, for the first time; then after twice as long each time."""
OUT_OF_REACH_SECONDS = 60.0
"""The longest wait for a system or a database that is out of reach: what it would have told is not told."""
ENOUGH = timedelta(days=2)
"""What lasts longer is not renewed yet."""
LOCK = "webhooks"
REFUSED = (DataError, NotFoundError, PrivilegeError)


async def keep_on(
    database: Database,
    systems: Mapping[Side, System],
    tables: Tables,
    url: str,
    secret: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """``keep`` each hour, and sooner what went wrong, until cancelled; each system by itself, so that none waits for
    the other one. Each reason is logged once."""

    async def one(system: System) -> None:
        told: dict[str, str] = {}
        wait = SOON_SECONDS
        while True:
            refused, longest = await _tried(keep(database, system, tables, url, secret), SPOKEN[system.side])
            for what, why in refused.items():
                if told.get(what) != why:
                    log.warning("%s: changes are not told, they are asked for as the schedule says: %s", what, why)
            told = refused
            wait = min(wait, longest) if refused else AGAIN_SECONDS
            await sleep(wait)
            wait = 2 * wait if refused else SOON_SECONDS

    async with asyncio.TaskGroup() as group:
        for system in systems.values():
            group.create_task(one(system))


async def _tried(keeping: Awaitable[dict[str, str]], name: str) -> tuple[dict[str, str], float]:
    """What was refused, and the longest wait until it is tried again."""
    try:
        return await keeping, AGAIN_SECONDS
    except KoppelError as error:
        return {name: error.message}, OUT_OF_REACH_SECONDS
    except Exception as error:
        log.exception("webhooks of %s: an error that nobody expected", name)
        return {name: repr(error)}, OUT_OF_REACH_SECONDS


async def keep(database: Database, system: System, tables: Tables, url: str, secret: str) -> dict[str, str]:
    """See that a system posts to ``url``; the tables of which it does not, each with the reason.

    Nothing happens while another process is at it.
    """
    async with database.connect() as connection:
        try:
            async with mapping_lock(connection, f"{LOCK} of {system.side}"):
                if isinstance(system, BusinessCentral):
                    return await _keep_business_central(system, tables, f"{url}/webhooks/business-central", secret)
                return await _keep_dataverse(system, tables, f"{url}/webhooks/dataverse", secret)
        except REFUSED as error:
            return {SPOKEN[system.side]: error.message}
        except LockedError:
            return {}


async def _keep_business_central(system: BusinessCentral, tables: Tables, url: str, secret: str) -> dict[str, str]:
    there = {one.resource.strip("/"): one for one in await system.subscriptions(url)}
    refused: dict[str, str] = {}
    for side, table in tables:
        if side == "business_central":
            try:
                one = there.pop((await system.resource_of(table)).strip("/"), None)
                await _keep_one(system, one, table, url, secret)
            except REFUSED as error:
                refused[table] = error.message
    for left in there.values():
        await system.unsubscribe(left)
    return refused


async def _keep_one(system: BusinessCentral, one: Subscription | None, table: str, url: str, secret: str) -> None:
    if one is None:
        await system.subscribe(table, url, secret)
    elif one.expiration_date_time < datetime.now(UTC) + ENOUGH:
        await system.renew(one, table, secret)


MESSAGES = ("Create", "Update", "Delete")
HEADER = 5
"""``authtype``: the secret is sent in a header."""
POST_OPERATION, ASYNCHRONOUS, WEBHOOK = 40, 1, 8


async def _keep_dataverse(system: System, tables: Tables, url: str, secret: str) -> dict[str, str]:
    """An endpoint that bears the secret in a header, and a step for each message of each table that posts to it."""
    endpoint = await _endpoint(system, url, secret)
    wanted = {table for side, table in tables if side == "dataverse"}
    messages = await _rows(system, "sdkmessage", ("name",), _any("name", MESSAGES))
    filters = await _rows(
        system, "sdkmessagefilter", ("primaryobjecttypecode", "sdkmessageid"), _any("primaryobjecttypecode", wanted)
    )
    names = {row.id: row.values[0] for row in messages}
    needed = {row.id: row for row in filters if row.values[1] in names}
    steps = await _rows(
        system, "sdkmessageprocessingstep", ("sdkmessagefilterid",), f"_eventhandler_value eq {endpoint}"
    )
    there = {str(step.values[0]) for step in steps}
    new = [_step(row, str(names[str(row.values[1])]), endpoint) for id, row in needed.items() if id not in there]
    made = await system.create("sdkmessageprocessingstep", new, ()) if new else []
    left = [Update(step.id, step.version, {}) for step in steps if step.values[0] not in needed]
    if left:
        await system.delete("sdkmessageprocessingstep", left)
    refused = {str(new[place].values["name"]): one.error.message for place, one in enumerate(made) if one.error}
    untold = wanted - {str(row.values[0]) for row in needed.values()}
    return refused | dict.fromkeys(sorted(untold), "Dataverse posts nothing of this table")


async def _endpoint(system: System, url: str, secret: str) -> str:
    """The id of the endpoint that posts to ``url``, with the secret as it is now."""
    header = f'<setting name="{SECRET_HEADER}" value={quoteattr(secret)} />'
    settings: dict[str, Scalar] = {"authtype": HEADER, "authvalue": f"<settings>{header}</settings>"}
    found = await _rows(system, "serviceendpoint", ("url",), f"contract eq {WEBHOOK} and url eq {quote(url)}")
    if found:
        (written,) = await system.update("serviceendpoint", [Update(found[0].id, found[0].version, settings)], ())
    else:
        row: dict[str, Scalar] = {"name": f"Koppel {url}", "url": url, "contract": WEBHOOK, **settings}
        (written,) = await system.create("serviceendpoint", [Create("", row)], ())
    if written.error:
        raise written.error
    return found[0].id if found else written.id


def _step(row: Record, message: str, endpoint: str) -> Create:
    values: dict[str, Scalar] = {
        "name": f"Koppel: {message} of {row.values[0]}",
        "stage": POST_OPERATION,
        "mode": ASYNCHRONOUS,
        "rank": 1,
        "supporteddeployment": 0,
        "asyncautodelete": True,
        "sdkmessageid": row.values[1],
        "sdkmessagefilterid": row.id,
        "eventhandler_serviceendpoint": endpoint,
    }
    return Create("", values)


async def _rows(system: System, table: str, columns: tuple[str, ...], filter: str) -> list[Record]:
    return [record async for page in system.query(table, columns, filter=filter) for record in page.records]


def _any(column: str, values: Iterable[str]) -> str:
    return " or ".join(f"{column} eq {quote(value)}" for value in sorted(values))

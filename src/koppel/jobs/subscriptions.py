"""Keeping Business Central telling of changes: what is missing is subscribed to, what ends soon is renewed.

It forgets a subscription after three days, and deletes it when the receiver answers amiss; so they are looked at each
hour. Dataverse's webhooks are registered once, by a person.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from koppel.errors import DataError, LockedError, NotFoundError, PrivilegeError
from koppel.jobs.webhooks import Tables
from koppel.odata.records import Side
from koppel.store.database import Database
from koppel.store.locks import mapping_lock
from koppel.systems.business_central import BusinessCentral, Subscription
from koppel.systems.system import System

log = logging.getLogger("koppel.jobs")

AGAIN_SECONDS = 3600.0
ENOUGH = timedelta(days=2)
"""What lasts longer is not renewed yet."""
LOCK = "webhooks"


async def keep(
    database: Database, systems: Mapping[Side, System], tables: Tables, url: str, secret: str
) -> dict[str, str]:
    """See that Business Central posts to ``url``; the tables that cannot be subscribed to, each with the reason.

    Nothing happens while another process is at it.
    """
    system = systems["business_central"]
    assert isinstance(system, BusinessCentral)
    async with database.connect() as connection:
        try:
            async with mapping_lock(connection, LOCK):
                return await _keep_all(system, tables, f"{url}/webhooks/business-central", secret)
        except LockedError:
            return {}


async def _keep_all(system: BusinessCentral, tables: Tables, url: str, secret: str) -> dict[str, str]:
    there = {one.resource.strip("/"): one for one in await system.subscriptions(url)}
    refused: dict[str, str] = {}
    for side, table in tables:
        if side == "business_central":
            try:
                one = there.pop((await system.resource_of(table)).strip("/"), None)
                await _keep_one(system, one, table, url, secret)
            except (DataError, NotFoundError, PrivilegeError) as error:
                refused[table] = error.message
    for left in there.values():
        await system.unsubscribe(left)
    return refused


async def _keep_one(system: BusinessCentral, one: Subscription | None, table: str, url: str, secret: str) -> None:
    if one is None:
        await system.subscribe(table, url, secret)
    elif one.expiration_date_time < datetime.now(UTC) + ENOUGH:
        await system.renew(one, table, secret)

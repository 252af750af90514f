"""A run that dies at any point, run again, ends as if nothing had happened (promises 1 and 7).

It dies before and after each request and before each commit, wherever either system or the database is in another state
than at the point before; these are all the states that a death can leave behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import psycopg
import pytest
from catalogue import ITEMS, bike, set_up_catalogue
from order_scenes import ORDER, act, here, open_shop, order, written_in
from test_undo import take_back
from world import COMPANION, CrashError, World, new_world
from world_state import State, bookkeeping_of, differences, state_of

from koppel.odata.literals import is_guid
from koppel.sandbox.seed_business_central import COMPANY
from koppel.store import history
from koppel.store.database import Database
from koppel.store.history import Entry
from koppel.sync.prepare import SIDES
from koppel.systems.transport import Request

Scenario = Callable[[World], Awaitable[None]]

KEPT = ("coupling", "cursor", "intent", "pending", "option_coupling", "failure", "conflict", "history", "base_fields")
STATE = " UNION ALL ".join(f"SELECT '{table}', count(*), max(xmin::text::bigint) FROM {table}" for table in KEPT)


class Fate:
    """Follows a run from event to event (requests, answers, commits), and lets the process die at one of them.

    ``events`` are their names; ``states`` what there was at each, when nothing is to die.
    """

    def __init__(self, world: World, deadly: int | None = None) -> None:
        self.world = world
        self.deadly = deadly
        self.events: list[str] = []
        self.states: list[Any] = []
        self._watcher = psycopg.connect(world.database.url, autocommit=True) if deadly is None else None
        world.line.before = self._before
        world.line.after = self._after
        self._commit = world.session.connection.commit
        world.session.connection.commit = self._committing  # type: ignore[method-assign]

    def points(self) -> list[int]:
        """The events, from 1, before which something had happened since the last one."""
        assert self._watcher is not None
        self._watcher.close()
        self.world.session.connection.commit = self._commit  # type: ignore[method-assign]
        return [at + 1 for at, state in enumerate(self.states) if at == 0 or state != self.states[at - 1]]

    def _event(self, name: str) -> None:
        self.events.append(name)
        if self._watcher is not None:
            dataverse, company = self.world.sandbox.dataverse, self.world.sandbox.business_central.companies[COMPANY]
            options = [len(found.current) + len(found.published) for found in dataverse.option_sets.values()]
            written = dataverse.store.version, sum(store.generation for store in company.stores.values())
            self.states.append((*written, options, self._watcher.execute(STATE.encode()).fetchall()))
        elif len(self.events) == self.deadly:
            self.world.crash()

    async def _before(self, number: int, request: Request) -> None:
        self._event(f"before {request.method} {request.url}")

    async def _after(self, number: int, request: Request) -> None:
        self._event(f"after {request.method} {request.url}")

    async def _committing(self) -> None:
        self._event("before a commit")
        await self._commit()


async def set_up(world: World) -> None:
    """Salespeople, currencies, units and options that only Business Central has; some that both have."""
    await world.alice.create("uomschedules", name="NAV BOX", baseuomname="carton")
    world.sandbox.dataverse.load(
        "systemuser",
        [{"firstname": "Max", "lastname": "Power", "internalemailaddress": "max@example.com", "islicensed": True}],
    )


async def set_up_runs(world: World) -> None:
    for name in ("SALESPEOPLE", "CURRENCY", "UNIT OF MEASURE", "PAYMENT TERMS", "SHIPPING AGENT"):
        await world.sync(name, full=True)


async def people(world: World) -> None:
    """New records on both sides, edits on both sides, a conflict, references that have to wait."""
    for name in ("SALESPEOPLE", "CURRENCY", "PAYMENT TERMS"):
        await world.sync(name, full=True)
    old = [
        await world.bob.create("customers", displayName=name, phoneNumber="1", website="a.example", city="Utrecht")
        for name in ("Coupled one", "Coupled two")
    ]
    await world.sync(full=True)
    await world.bob.update("customers", old[0]["id"], phoneNumber="2", paymentTermsCode="COD")
    await world.alice.update("accounts", (await world.account_of(old[0]))["accountid"], name="Renamed")
    await world.alice.update("accounts", (await world.account_of(old[1]))["accountid"], websiteurl="b.example")
    new = await world.bob.create("customers", displayName="New here", salespersonCode="JO", currencyCode="EUR")
    company = await world.company_contact(new)
    ann = await world.bob.create(
        "contacts", type="Person", firstName="Ann", surname="Lee", companyNumber=company["number"]
    )
    await world.bob.update("customers", new["id"], primaryContactNo=ann["number"])
    account = await world.alice.create("accounts", name="New there", customertypecode=3, telephone1="5")
    parent = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
    await world.alice.create("contacts", {"firstname": "Bea", "lastname": "Hunt", **parent})


async def people_runs(world: World) -> None:
    await world.sync(full=True)
    await world.sync("CONTACT", full=True)
    await world.sync()


async def customers(world: World) -> None:
    """Both make customers, some of which look alike; one of them is edited on both sides."""
    world.change_field("salespersonCode", enabled=False)
    old = await world.bob.create("customers", displayName="Coupled", phoneNumber="1", website="a.example")
    await world.sync(full=True)
    await world.bob.update("customers", old["id"], phoneNumber="2")
    await world.alice.update("accounts", (await world.account_of(old))["accountid"], name="Renamed")
    await world.bob.create("customers", displayName="New here", city="Utrecht")
    for phone in ("1", "2", "2"):
        await world.alice.create("accounts", name="New there", customertypecode=3, telephone1=phone)


async def customers_run(world: World) -> None:
    await world.sync(full=True)


async def deletions(world: World) -> None:
    """Both delete customers, and what is deleted on one side is to go on the other, too."""
    world.change(deletions="delete")
    old = [await world.bob.create("customers", displayName=f"Customer {n}", phoneNumber="1") for n in range(4)]
    await world.sync(full=True)
    await world.alice.delete("accounts", old[0]["id"])
    await world.alice.update("accounts", old[1]["id"], telephone1="2")
    await world.bob.delete("customers", old[2]["id"])
    await world.bob.create("customers", displayName="New here")


async def a_job(world: World) -> None:
    """A run that made, changed and deleted records, to be taken back."""
    await deletions(world)
    await world.bob.create("customers", displayName="Newer still")
    await world.sync(full=True)


async def undo_runs(world: World) -> None:
    """The job is the second one; whoever dies takes it back once more."""
    await take_back(world, 2)


async def written(world: World) -> State:
    """What history tells that was written, by side: record, field, old and new value."""
    entries = await history.find(world.session.connection)
    await world.session.connection.commit()
    wrote = [entry for entry in entries if entry.action not in ("couple", "uncouple")]
    return {side: sorted(_line(entry) for entry in wrote if entry.side == side) for side in SIDES}


def _line(entry: Entry) -> str:
    """Ids differ from world to world."""
    values = [("an id" if is_guid(str(value)) else value) for value in (entry.old, entry.new)] if entry.field else []
    return f"{entry.action} {entry.record_name} {entry.field} {values}"


async def every_death(database: Database, route: str, scenario: Scenario, runs: Scenario, *, tells: bool = True) -> int:
    """Die at every point of the runs; run again, and compare with the runs that nothing disturbed. How many deaths."""
    async with new_world(database, route=route) as world:
        await scenario(world)
        fate = Fate(world)
        await runs(world)
        points = fate.points()
        expected, books, told = state_of(world), await bookkeeping_of(world), await written(world)
        await world.forget()
    wrong: list[str] = []
    for deadly in points:
        async with new_world(database, route=route) as world:
            await scenario(world)
            fate = Fate(world, deadly)
            with pytest.raises(CrashError):
                await runs(world)
            await world.revive()
            await runs(world)
            if found := differences(expected, state_of(world)):
                wrong.append(f"{deadly} {fate.events[-1]}: {found}")
            if found := differences(books, await bookkeeping_of(world)):
                wrong.append(f"{deadly} {fate.events[-1]}: {found}")
            if tells and (found := differences(told, await written(world))):
                wrong.append(f"{deadly} {fate.events[-1]}: {found}")
            await world.forget()
    assert not wrong, "\n".join(wrong)
    return len(points)


async def test_setting_up(database: Database) -> None:
    assert await every_death(database, COMPANION, set_up, set_up_runs) > 20


async def test_customers_and_contacts(database: Database) -> None:
    assert await every_death(database, COMPANION, people, people_runs) > 20


async def test_where_the_system_chooses_ids(database: Database) -> None:
    assert await every_death(database, "v2.0", customers, customers_run) > 12


async def test_deletions(database: Database) -> None:
    assert await every_death(database, COMPANION, deletions, customers_run) > 12


async def test_an_undo(database: Database) -> None:
    assert await every_death(database, COMPANION, a_job, undo_runs) > 10


async def submitted_order(world: World) -> None:
    """Alice submits an order with a discount."""
    customer = await open_shop(world)
    await order(world, customer, written_in("Painting"), written_in("Polishing", 50), discountamount=15)


async def released_order(world: World) -> None:
    """Bob changes and releases what was made of it, and deletes what was made of another one."""
    customer = await open_shop(world)
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    await order(world, customer, written_in("Polishing"), ordernumber="ORD-2")
    await world.sync(ORDER)
    await world.bob.update("salesOrders", (await here(world))["id"], shipToCity="Ede")
    await act(world, made, "release")
    await world.bob.delete("salesOrders", (await here(world, "ORD-2"))["id"])


async def orders_run(world: World) -> None:
    await world.sync(ORDER, full=True)


@pytest.mark.rule("SO-03")
async def test_submitted_orders(database: Database) -> None:
    assert await every_death(database, COMPANION, submitted_order, orders_run, tells=False) > 8


@pytest.mark.rule("SO-21")
@pytest.mark.rule("SO-32")
async def test_released_and_deleted_orders(database: Database) -> None:
    assert await every_death(database, COMPANION, released_order, orders_run, tells=False) > 8


async def products(world: World) -> None:
    """New items and one whose product exists, an edit, one that is blocked, an edit of the default price list."""
    await set_up_catalogue(world)
    old = await bike(world)
    blocked = await bike(world, number="BK-2")
    await world.sync(ITEMS, full=True)
    await world.bob.update("items", old["id"], displayName="Racer", unitPrice=1100)
    await world.bob.update("items", blocked["id"], blocked=True)
    await bike(world, number="BK-3")


async def products_run(world: World) -> None:
    await world.sync(ITEMS, full=True)


async def first_product(world: World) -> None:
    """The default price list is still to be made."""
    await set_up_catalogue(world)
    await bike(world)


async def prices(world: World) -> None:
    """A line passes from one price to another, and a new one is made."""
    world.session.today = lambda: date(2024, 6, 1)
    await first_product(world)
    await products_run(world)
    usual = {"itemNo": "BK-1", "salesType": "Customer_x0020_Price_x0020_Group", "salesCode": "GOLD"}
    await world.bob.create("customerPriceGroups", code="GOLD", description="Gold")
    await world.bob.create("salesPrices", {**usual, "unitPrice": 90})
    await prices_run(world)
    await world.bob.create("salesPrices", {**usual, "unitPrice": 80, "startingDate": "2024-05-01"})
    await bike(world, number="BK-2")
    await products_run(world)
    await world.bob.create("salesPrices", {**usual, "itemNo": "BK-2", "unitPrice": 70})


async def prices_run(world: World) -> None:
    world.session.today = lambda: date(2024, 6, 1)
    for name in ("CUSTPRCGRP-PRICE", "SALESPRC-PRODPRICE"):
        await world.sync(name, full=True)


@pytest.mark.rule("PROD-08")
@pytest.mark.rule("PROD-09")
@pytest.mark.rule("PROD-11")
async def test_a_first_product(database: Database) -> None:
    assert await every_death(database, COMPANION, first_product, products_run) > 8


@pytest.mark.rule("PROD-12")
async def test_products(database: Database) -> None:
    assert await every_death(database, COMPANION, products, products_run) > 8


@pytest.mark.rule("SPR-07")
async def test_prices(database: Database) -> None:
    assert await every_death(database, COMPANION, prices, prices_run) > 5

"""A company that has switched everything on: unit groups, statistics, quotes, orders both ways, stamps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from both_ways_scenes import details, edited, lines, new_shop, reopened
from order_scenes import act_on, here, of_product, there
from quote_scenes import NOTES, QUOTE, ordered, quote, won
from quote_scenes import here as quote_here
from test_run_invoices import INVOICE
from test_run_statistics import STATISTICS
from world import World

from koppel.sandbox.business_central.invoices import Invoices
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database
from koppel.sync.verify import verify
from switches import UNIT_GROUPS

STAMP = "_bcbi_companyid_value"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_shop(database, UNIT_GROUPS) as world:
        for name in (QUOTE, NOTES, STATISTICS):
            world.change(name, enabled=True)
        await world.set_up(stamping="all")
        await world.sync_all(full=True)
        yield world


async def run(world: World) -> None:
    """Every mapping runs, and nothing fails."""
    await world.sync_all()
    assert [failure for name in world.on_their_own() for failure in await world.failures(name)] == []


async def test_from_quote_to_payment(world: World) -> None:
    customer = await world.bob.one("customers", "displayName eq 'Adatum'")
    offered = await quote(world, customer, await of_product(world, "BIKE", 2), await of_product(world, "LIFT"))
    await run(world)
    assert (await quote_here(world))["status"] == "Open"

    await won(world, offered)
    sold = await ordered(world, offered)
    await run(world)
    made = await here(world, sold["ordernumber"])
    assert (made["status"], (await quote_here(world))["status"]) == ("Released", "Released")
    assert (await there(world, sold))[STAMP]

    async with edited(world, sold):
        bikes, _ = await details(world, sold)
        await world.alice.update("salesorderdetails", bikes["salesorderdetailid"], quantity=3)
    await run(world)
    async with reopened(world, made):
        _, lift = await lines(world, made)
        await world.bob.update("salesOrderLines", lift["id"], quantity=4)
    await run(world)
    assert [row["quantity"] for row in await lines(world, made)] == [3, 4]
    assert [row["quantity"] for row in await details(world, sold)] == [3, 4]

    for action in ("ship", "invoice"):
        await act_on(world, made, action)
    await world.sync(INVOICE, full=True)
    await run(world)
    statistics = await world.alice.one("nav_accountstatisticses", f"nav_customerno eq '{customer['number']}'")
    (invoice,) = await world.alice.rows("invoices")
    assert statistics["nav_balancelcy"] == invoice["totalamount"] > 0
    (posted,) = await world.bob.rows("postedSalesInvoices")
    Invoices(world.sandbox.business_central, world.company, BOB.id).pay(posted["number"])
    await run(world)
    assert (await world.alice.row("invoices", invoice["invoiceid"]))["statecode"] == 2
    await world.quiet()
    report = await verify(world.session, [name for name, mapping in world.mappings.items() if mapping.enabled])
    assert report.sound, report

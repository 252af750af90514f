"""Companies and owning teams with vendors, invoices that come from no order, and quotes (GEN-02 …, GEN-06 …)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import open_shop, written_in
from quote_scenes import QUOTE, quote, switch_on
from quote_scenes import here as quote_here
from test_run_companies import STAMP, id_of, of
from test_run_invoices import INVOICE, invoice, line, post
from test_run_owners import TEAM, by_team, team
from world import World, new_world, next_door

from koppel.store.database import Database
from koppel.sync.uncouple import uncouple

VENDOR = "VENDOR"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        team(world, TEAM, "Sales")
        switch_on(world)
        await world.set_up(stamping="all", ownership=by_team())
        yield world


@pytest.fixture
async def neighbour(world: World, database_aside: Database) -> AsyncIterator[World]:
    async with next_door(world, database_aside) as neighbour:
        switch_on(neighbour)
        await neighbour.set_up(stamping="all", ownership=by_team())
        yield neighbour


@pytest.mark.rule("GEN-04")
@pytest.mark.rule("GEN-07")
async def test_vendors_belong_to_team_and_company(world: World, neighbour: World) -> None:
    await world.bob.create("vendors", displayName="Litware", purchaserCode="PAM")
    nobodys = await world.alice.create("accounts", name="Tailspin", customertypecode=11)
    await world.sync(VENDOR, full=True)
    await neighbour.bob.create("vendors", displayName="Litware")
    await neighbour.sync(VENDOR, full=True)
    rows = await world.alice.rows("accounts", "name eq 'Litware'")
    assert {row[STAMP] for row in rows} == {id_of(world), id_of(neighbour)}
    assert {row["_ownerid_value"] for row in rows} == {TEAM}
    assert (await world.alice.row("accounts", nobodys["accountid"]))[STAMP] == id_of(world)
    assert {row["displayName"] for row in await world.bob.rows("vendors")} == {"Litware", "Tailspin"}
    assert {row["displayName"] for row in await neighbour.bob.rows("vendors")} == {"Litware"}
    for each in (world, neighbour):
        await each.quiet(VENDOR)
    await uncouple(world.session, VENDOR, everything=True)
    assert [row[STAMP] for row in await world.alice.rows("accounts", f"{STAMP} ne null")] == [id_of(neighbour)]


@pytest.mark.rule("INV-08")
@pytest.mark.rule("GEN-04")
@pytest.mark.rule("GEN-06")
async def test_an_invoice_that_comes_from_no_order_belongs_to_team_and_company(world: World) -> None:
    customer = await open_shop(world)
    post(world, "PS-1", customer, line("Freight", 100), salesperson="JO")
    await world.sync(INVOICE, full=True)
    assert await world.failures(INVOICE) == []
    found = await invoice(world, "PS-1")
    assert (found[STAMP], found["_ownerid_value"]) == (id_of(world), TEAM)
    await world.quiet(INVOICE)


@pytest.mark.rule("GEN-06")
@pytest.mark.rule("GEN-08")
async def test_a_paid_invoice_is_opened_to_be_cleared_and_stays_paid(world: World) -> None:
    customer = await open_shop(world)
    id = post(world, "PS-1", customer, line("Freight", 100), remainingAmount=0)
    await world.sync(INVOICE, full=True)
    found = await invoice(world, "PS-1")
    assert (found["statecode"], found[STAMP]) == (2, id_of(world))
    await world.quiet(INVOICE)
    assert await uncouple(world.session, INVOICE, [id]) == 1
    now = await invoice(world, "PS-1")
    assert (now["statecode"], now[STAMP]) == (2, None)


@pytest.mark.rule("GEN-07")
async def test_each_company_takes_its_own_quotes(world: World, neighbour: World) -> None:
    ours, theirs = await open_shop(world), await open_shop(neighbour)
    await quote(world, ours, written_in("Painting"), **of(world))
    await quote(neighbour, theirs, written_in("Polish"), quotenumber="QUO-2", **of(neighbour))
    for each in (world, neighbour, world):
        await each.sync(QUOTE)
        assert await each.failures(QUOTE) == []
    assert (await quote_here(world))["customerNumber"] == ours["number"]
    assert (await quote_here(neighbour, "QUO-2"))["customerNumber"] == theirs["number"]
    for each in (world, neighbour):
        assert len(await each.bob.rows("salesQuotes")) == 1
        await each.quiet(QUOTE)

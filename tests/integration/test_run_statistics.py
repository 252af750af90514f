"""Statistics of accounts: what a customer owes and has ordered, in Dataverse (STAT-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import CrashError, World, new_world
from world_data import Row

from koppel.errors import BrakeError, TransientError
from koppel.mapping.model import Limits
from koppel.sandbox.business_central.invoices import Invoices
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store import history
from koppel.store.database import Database
from koppel.sync.explain import explain
from koppel.sync.news import has_news
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.uncouple import uncouple
from koppel.sync.verify import verify
from koppel.systems.transport import Request as HttpRequest

STATISTICS = "ACCOUNT STATISTICS"
INVOICES = "POSTEDSALESINV-INV"
MONEY = (
    *("nav_balancelcy", "nav_outstandingorderslcy", "nav_shippednotinvoicedlcy", "nav_outstandinginvoiceslcy"),
    *("nav_outstandingserviceorderslcy", "nav_servshippednotinvoicedlcy", "nav_outstandingservinvoiceslcy"),
    *("nav_totallcy", "nav_creditlimitlcy", "nav_overdueamountslcy", "nav_totalsaleslcy"),
    "nav_invoicedprepaymentamountlcy",
)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        world.change(STATISTICS, enabled=True)
        account = {"number": "6110", "displayName": "Service", "directPosting": True}
        world.sandbox.business_central.load(COMPANY, "accounts", [account])
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    """A coupled customer."""
    return await coupled(world, "Adatum", creditLimit=5000)


async def coupled(world: World, name: str, **values: Any) -> Row:
    made = await world.bob.create("customers", displayName=name, **values)
    await world.sync(full=True)
    return made


async def order(world: World, customer: Row, price: float, quantity: float = 1, **values: Any) -> Row:
    """An order of Business Central, without VAT."""
    line = {"lineType": "Account", "lineObjectNumber": "6110", "unitPrice": price, "quantity": quantity}
    header = {"customerNumber": customer["number"], **values}
    return await world.bob.create("salesOrders", header, salesOrderLines=[line])


async def act(world: World, order: Row, action: str) -> None:
    """Ship, invoice or both."""
    await world.bob.create(f"salesOrders({order['id']})/Microsoft.NAV.{action}")


def ledger(world: World) -> Invoices:
    """What customers do."""
    return Invoices(world.sandbox.business_central, COMPANY, BOB.id)


async def shown(world: World, customer: Row) -> Row:
    """The statistics that the account of a customer shows."""
    account = await world.account_of(customer)
    return await world.alice.row("nav_accountstatisticses", account["_nav_accountstatisticsid_value"])


async def rows(world: World) -> list[str]:
    """The numbers of the customers that have statistics."""
    return sorted(row["nav_customerno"] for row in await world.alice.rows("nav_accountstatisticses"))


@pytest.mark.rule("STAT-02")
async def test_statistics_are_made_with_ones_and_overwritten(world: World, customer: Row) -> None:
    """A column that was never anything else than nothing would show as empty; the account shows them."""
    planned = [action async for action in plan(world.session, STATISTICS, Request())]
    assert [action.kind for action in planned] == ["create"]
    assert [up.table for up in planned[0].after] == ["account"]
    result = await world.sync(STATISTICS)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    entries = await history.find(world.session.connection, job=result.job)
    [made] = [entry for entry in entries if entry.action == "create"]
    assert isinstance(made.new, dict)
    assert {made.new[name] for name in MONEY} == {1}
    found = await shown(world, customer)
    assert (found["nav_name"], found["nav_customerno"]) == ("Adatum", customer["number"])
    assert {name: found[name] for name in MONEY} == dict.fromkeys(MONEY, 0) | {"nav_creditlimitlcy": 5000}
    assert await world.currency(found) == "USD"
    again = await world.sync(STATISTICS)
    assert (again.counts["updated"], again.write_requests) == (0, 0), again
    await world.quiet(STATISTICS, "CUSTOMER")


@pytest.mark.rule("STAT-03")
async def test_the_total_is_what_is_at_stake(world: World, customer: Row) -> None:
    """500 owed, 200 ordered, 100 shipped, 80 on invoices that are not posted, of which 30 bill what was shipped; 50 was
    prepaid and 20 came back: 780."""
    await act(world, await order(world, customer, 500), "shipAndInvoice")
    await order(world, customer, 200)
    await act(world, await order(world, customer, 100), "ship")
    elsewhere = {
        "number": customer["number"],
        "outstandingInvoicesLCY": 80,
        "invoicesOfShipmentsLCY": 30,
        "invoicedPrepaymentLCY": 50,
        "returnsNotInvoicedLCY": 20,
    }
    world.sandbox.business_central.load(COMPANY, "customerStatistics", [elsewhere])
    await world.sync(STATISTICS)
    found = await shown(world, customer)
    assert [found[name] for name in MONEY[:4]] == [500, 200, 100, 80]
    assert (found["nav_totallcy"], found["nav_invoicedprepaymentamountlcy"]) == (780, 50)
    assert (found["nav_totalsaleslcy"], found["nav_creditlimitlcy"], found["nav_overdueamountslcy"]) == (500, 5000, 0)
    assert found["nav_overdueamountsasof"] == world.sandbox.clock().date().isoformat()


@pytest.mark.rule("STAT-01")
async def test_what_is_posted_and_ordered_changes_them(world: World, customer: Row) -> None:
    other = await coupled(world, "Trey")
    await world.sync(STATISTICS)
    sold = await order(world, customer, 100, 3)
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 300
    await act(world, sold, "shipAndInvoice")
    result = await world.sync(STATISTICS)
    found = await shown(world, customer)
    assert (found["nav_balancelcy"], found["nav_outstandingorderslcy"]) == (300, 0)
    [invoice] = await world.bob.rows("postedSalesInvoices")
    ledger(world).pay(invoice["number"], 120)
    result = await world.sync(STATISTICS)
    assert (result.counts["updated"], result.counts["failed"]) == (1, 0), result
    assert ((await shown(world, customer))["nav_balancelcy"], (await shown(world, other))["nav_balancelcy"]) == (180, 0)
    await world.quiet(STATISTICS)
    assert (await verify(world.session, [STATISTICS])).sound


@pytest.mark.rule("STAT-01")
async def test_whoever_pays_is_looked_at_also_when_another_one_buys(world: World, customer: Row) -> None:
    """Figures are those of the customer that pays, so its orders are watched by that one, too."""
    branch = await coupled(world, "Branch", billToCustomerNo=customer["number"])
    await world.sync(STATISTICS)
    sold = await order(world, branch, 100, 2)
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 200
    assert (await shown(world, branch))["nav_outstandingorderslcy"] == 0
    [line] = await world.bob.rows("salesOrderLines", f"documentId eq {sold['id']}")
    await world.bob.update("salesOrderLines", line["id"], quantity=1)
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 100
    await world.bob.delete("salesOrderLines", line["id"])
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 0


@pytest.mark.rule("STAT-01")
async def test_an_order_that_is_deleted_is_missed_until_the_next_day(world: World, customer: Row) -> None:
    """Business Central tells of deleted orders by their archive only; on a new day every customer is looked at."""
    await world.sync(STATISTICS)
    archived, unseen = await order(world, customer, 100), await order(world, customer, 10)
    await world.sync(STATISTICS)
    world.sandbox.business_central.load(COMPANY, "salesReceivablesSetup", [{"archiveOrders": True}])
    await world.bob.delete("salesOrders", archived["id"])
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 10
    world.sandbox.business_central.load(COMPANY, "salesReceivablesSetup", [{"archiveOrders": False}])
    world.sandbox.clock.advance(3600)
    await coupled(world, "Trey")  # the latest customer is read again anyway
    await world.sync(STATISTICS)
    await world.bob.delete("salesOrders", unseen["id"])
    await world.quiet(STATISTICS)
    world.sandbox.clock.advance(24 * 3600)
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 0


@pytest.mark.rule("STAT-03")
async def test_a_new_day_makes_amounts_overdue_and_writes_nothing_else(world: World, customer: Row) -> None:
    other = await coupled(world, "Trey")
    await act(world, await order(world, customer, 100), "shipAndInvoice")
    await world.sync(STATISTICS)
    today = (await shown(world, other))["nav_overdueamountsasof"]
    world.sandbox.clock.advance(2 * 24 * 3600)
    result = await world.sync(STATISTICS)
    assert (result.counts["updated"], result.counts["unchanged"]) == (1, 1), result
    found = await shown(world, customer)
    assert (found["nav_overdueamountslcy"], found["nav_overdueamountsasof"] > today) == (100, True)
    assert (await shown(world, other))["nav_overdueamountsasof"] == today
    await world.quiet(STATISTICS)


@pytest.mark.rule("STAT-01")
async def test_only_coupled_customers_have_statistics(world: World, customer: Row) -> None:
    lonely = await world.bob.create("customers", displayName="Lonely")
    result = await world.sync(STATISTICS)
    assert await rows(world) == [customer["number"]]
    assert (result.counts["failed"], await world.failures(STATISTICS)) == (0, [])
    asked = await world.sync(STATISTICS, records=(lonely["number"],))
    assert (asked.counts["skipped"], asked.counts["failed"]) == (1, 0), asked
    told = await explain(world.session, STATISTICS, lonely["number"])
    assert f"{lonely['number']} is not coupled in CUSTOMER" in told.answer
    await world.sync(full=True)  # nothing but the coupling is new: of the customer itself everything was told
    await world.sync(STATISTICS)
    assert await rows(world) == sorted([customer["number"], lonely["number"]])
    await world.quiet(STATISTICS)


@pytest.mark.rule("STAT-01")
async def test_a_skipped_customer_is_left_alone(world: World, customer: Row) -> None:
    """Its home page is too long for Dataverse: after two tries CUSTOMER leaves it alone, and so do statistics."""
    await world.sync(STATISTICS)
    await world.bob.update("customers", customer["id"], website=f"https://{'x' * 210}.example")
    for _ in range(2):
        await world.sync("CUSTOMER")
    assert (await world.coupling(customer["number"])).state == "skipped"
    await order(world, customer, 100)
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 0
    await world.bob.update("customers", customer["id"], website="https://adatum.example")
    await world.sync("CUSTOMER")
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 100


@pytest.mark.rule("STAT-01")
async def test_one_customer_is_synchronised_by_hand(world: World, customer: Row) -> None:
    other = await coupled(world, "Trey")
    await order(world, customer, 100)
    await order(world, other, 200)
    result = await world.sync(STATISTICS, records=(other["number"],))
    assert await rows(world) == [other["number"]]
    assert (result.counts["created"], (await shown(world, other))["nav_outstandingorderslcy"]) == (1, 200), result
    assert (await shown(world, other))["nav_balancelcy"] == 0
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_outstandingorderslcy"] == 100


@pytest.mark.rule("STAT-02")
async def test_statistics_that_are_there_are_taken_over(world: World, customer: Row) -> None:
    row = {"nav_customerno": customer["number"], "nav_name": "Adatum", "nav_balancelcy": 77}
    there = await world.alice.create("nav_accountstatisticses", row)
    result = await world.sync(STATISTICS)
    assert (result.counts["created"], result.counts["coupled"]) == (0, 1), result
    found = await shown(world, customer)
    assert (found["nav_accountstatisticsid"], found["nav_balancelcy"]) == (there["nav_accountstatisticsid"], 0)
    await world.quiet(STATISTICS)


@pytest.mark.rule("STAT-02")
@pytest.mark.rule("GEN-14")
async def test_an_edit_that_was_not_read_yet_is_not_hidden_by_the_link(world: World, customer: Row) -> None:
    """CUSTOMER leaves alone what the connection's user edited last: the link waits until it has read Alice's edit."""
    account = await world.account_of(customer)
    await world.alice.update("accounts", account["accountid"], telephone1="555-0199")
    result = await world.sync(STATISTICS)
    assert (result.counts["failed"], len(result.notices)) == (1, 1), result
    assert (await world.account_of(customer))["_nav_accountstatisticsid_value"] is None
    await world.sync("CUSTOMER")
    assert (await world.customer_of(account))["phoneNumber"] == "555-0199"
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_creditlimitlcy"] == 5000
    assert await world.failures(STATISTICS) == []
    await world.alice.update("accounts", account["accountid"], telephone1="555-0200")
    await world.sync("CUSTOMER")
    assert (await world.customer_of(account))["phoneNumber"] == "555-0200"
    await world.quiet(STATISTICS, "CUSTOMER")


@pytest.mark.rule("STAT-04")
async def test_a_deleted_account_is_told_and_then_left_alone(world: World, customer: Row) -> None:
    other = await coupled(world, "Trey")
    await world.sync(STATISTICS)
    await world.alice.delete("accounts", (await world.account_of(customer))["accountid"])
    for attempt in range(2):
        await order(world, customer, 100)
        await order(world, other, 100)
        result = await world.sync(STATISTICS)
        assert (result.counts["failed"], result.counts["updated"]) == (1, 1), (attempt, result)
    [failure] = await world.failures(STATISTICS)
    assert (failure.code, failure.state) == ("STAT-04", "skipped")
    assert customer["number"] in failure.message
    await world.sync("CUSTOMER")
    assert (await world.coupling(customer["number"], STATISTICS)).state == "skipped"


@pytest.mark.rule("STAT-04")
async def test_a_deleted_customer_is_told_and_then_left_alone(world: World, customer: Row) -> None:
    await coupled(world, "Trey")
    await world.sync(STATISTICS)
    await world.bob.delete("customers", customer["id"])
    result = await world.sync(STATISTICS, full=True)
    assert result.counts["failed"] == 1, result
    assert "deleted in Business Central" in result.notices[0]
    assert result.notices[0].startswith("Adatum: ")
    await world.sync(STATISTICS)
    [failure] = await world.failures(STATISTICS)
    assert (failure.state, "koppel uncouple 'CUSTOMER'" in failure.remedy) == ("skipped", True)
    assert (await world.sync(STATISTICS)).counts["failed"] == 0


@pytest.mark.rule("STAT-04")
async def test_a_system_that_is_out_of_reach_fails_the_run(world: World, customer: Row) -> None:
    world.sandbox.faults.set(Faults(dataverse=SystemFaults(unavailable=1.0)))
    with pytest.raises(TransientError):
        await world.sync(STATISTICS)
    world.sandbox.faults.set(Faults())
    assert await rows(world) == []
    await world.sync(STATISTICS)
    assert await rows(world) == [customer["number"]]


@pytest.mark.rule("STAT-02")
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_run_that_dies_after_one_of_its_writes_leaves_no_ones(world: World, customer: Row, number: int) -> None:
    """The row, the account's reference to it, and the amounts: the next run does what is missing."""
    await order(world, customer, 200)
    writes = 0

    async def die(_: int, request: HttpRequest) -> None:
        nonlocal writes
        writes += any(word in request.body for word in (b"POST ", b"PATCH ", b"Targets"))
        if writes == number:
            world.crash()

    world.line.after = die
    with pytest.raises(CrashError):
        await world.sync(STATISTICS)
    await world.revive()
    await world.sync(STATISTICS)
    found = await shown(world, customer)
    assert (found["nav_outstandingorderslcy"], found["nav_totallcy"], found["nav_balancelcy"]) == (200, 200, 0)
    assert await rows(world) == [customer["number"]]
    await world.quiet(STATISTICS, "CUSTOMER")


@pytest.mark.rule("STAT-06")
async def test_uncoupling_a_customer_deletes_its_statistics(world: World, customer: Row) -> None:
    other = await coupled(world, "Trey")
    account = await world.account_of(customer)
    await world.sync(STATISTICS)
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    assert await world.planned(STATISTICS) == ["delete"]
    result = await world.sync(STATISTICS)
    assert (result.counts["deleted"], result.counts["failed"]) == (1, 0), result
    assert await rows(world) == [other["number"]]
    assert (await world.alice.row("accounts", account["accountid"]))["_nav_accountstatisticsid_value"] is None
    assert [pair.business_central_key for pair in await world.couplings(STATISTICS)] == [other["number"]]
    await world.quiet(STATISTICS)
    await world.sync(full=True)
    await world.sync(STATISTICS)
    assert await rows(world) == sorted([customer["number"], other["number"]])
    assert (await shown(world, customer))["nav_creditlimitlcy"] == 5000


@pytest.mark.rule("STAT-06")
@pytest.mark.parametrize("by_hand", [False, True])
async def test_statistics_go_whatever_else_changed(world: World, customer: Row, by_hand: bool) -> None:
    """The customer itself changed as well, and brakes look at the whole run before it writes."""
    await coupled(world, "Trey")
    await world.sync(STATISTICS)
    world.change(STATISTICS, brakes=Limits(deletions=1, changes_percent=100))
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    await world.bob.update("customers", customer["id"], creditLimit=1)
    result = await world.sync(STATISTICS, records=(customer["number"],) if by_hand else None)
    assert (result.counts["deleted"], result.counts["failed"]) == (1, 0), result
    assert customer["number"] not in await rows(world)
    assert len(await world.couplings(STATISTICS)) == 1
    await world.quiet(STATISTICS)
    assert customer["number"] not in await rows(world)


@pytest.mark.rule("STAT-06")
async def test_many_deletions_stop_the_run_before_it_writes(world: World, customer: Row) -> None:
    others = [await coupled(world, name) for name in ("Trey", "Wide World")]
    await world.sync(STATISTICS)
    world.change(STATISTICS, brakes=Limits(deletions=1, changes_percent=100))
    assert not await has_news(world.session, STATISTICS)
    await uncouple(world.session, "CUSTOMER", [customer["number"], others[0]["number"]])
    assert await has_news(world.session, STATISTICS)
    with pytest.raises(BrakeError, match="would delete 2"):
        await world.sync(STATISTICS)
    assert len(await rows(world)) == 3
    await world.sync(STATISTICS, force=True)
    assert await rows(world) == [others[1]["number"]]


@pytest.mark.rule("STAT-06")
async def test_statistics_go_with_a_customer_that_is_gone_and_uncoupled(world: World, customer: Row) -> None:
    await world.sync(STATISTICS)
    await world.bob.delete("customers", customer["id"])
    await world.sync(STATISTICS, full=True)
    assert len(await world.failures(STATISTICS)) == 1
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    await world.sync(STATISTICS)
    assert (await rows(world), await world.couplings(STATISTICS), await world.failures(STATISTICS)) == ([], [], [])


@pytest.mark.rule("STAT-06")
async def test_statistics_that_somebody_deleted_are_only_uncoupled(world: World, customer: Row) -> None:
    await world.sync(STATISTICS)
    await world.alice.delete("nav_accountstatisticses", (await shown(world, customer))["nav_accountstatisticsid"])
    await uncouple(world.session, "CUSTOMER", [customer["number"]])
    result = await world.sync(STATISTICS)
    assert (result.counts["uncoupled"], result.counts["failed"]) == (1, 0), result
    assert await world.couplings(STATISTICS) == []


@pytest.mark.rule("STAT-02")
async def test_statistics_that_somebody_edited_or_deleted_come_back(world: World, customer: Row) -> None:
    await world.sync(STATISTICS)
    key = (await shown(world, customer))["nav_accountstatisticsid"]
    await world.alice.update("nav_accountstatisticses", key, nav_creditlimitlcy=1)
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_creditlimitlcy"] == 5000
    await world.alice.delete("nav_accountstatisticses", key)
    await world.sync("CUSTOMER")  # the account was touched by Alice, too: it lost its reference
    await world.sync(STATISTICS)
    assert (await shown(world, customer))["nav_creditlimitlcy"] == 5000
    await world.quiet(STATISTICS)


@pytest.mark.rule("STAT-05")
async def test_payments_reach_the_invoice_by_its_own_mapping(world: World, customer: Row) -> None:
    """Whether an invoice is paid is carried over by the mapping of invoices, which watches the ledger; statistics are
    not needed for it, and a run for one record by hand leaves the others to the next run."""
    for price in (100, 200):
        await act(world, await order(world, customer, price), "shipAndInvoice")
    await world.sync(INVOICES, full=True)
    first, second = sorted(row["number"] for row in await world.bob.rows("postedSalesInvoices"))
    ledger(world).pay(first)
    ledger(world).pay(second, 50)
    await world.sync(INVOICES, records=(second,))
    states = {row["invoicenumber"]: row["statuscode"] for row in await world.alice.rows("invoices")}
    assert states == {first: 4, second: 100002}
    await world.sync(INVOICES)
    states = {row["invoicenumber"]: row["statuscode"] for row in await world.alice.rows("invoices")}
    assert states == {first: 100001, second: 100002}
    gone = await world.alice.one("invoices", f"invoicenumber eq '{second}'")
    await world.alice.delete("invoices", gone["invoiceid"])
    ledger(world).unapply(first)
    await world.sync(INVOICES)
    assert (await world.alice.one("invoices", f"invoicenumber eq '{first}'"))["statuscode"] == 4

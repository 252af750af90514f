"""Rules of owners, amounts and references that no other page of tests shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from world import World, new_world
from world_data import JO, PAM, Row

from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database
from koppel.sync.full import outcome
from koppel.sync.preview import match_now, match_preview
from koppel.sync.request import Request
from koppel.sync.run import plan


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def customer_in_step(world: World, **values: Any) -> Row:
    for name in ("SALESPEOPLE", "CURRENCY"):
        await world.sync(name, full=True)
    customer = await world.bob.create("customers", {"displayName": "Adatum", **values})
    await world.sync(create=True)
    return customer


@pytest.mark.rule("CUST-04")
async def test_another_owner_of_an_account_is_drift(world: World) -> None:
    customer = await customer_in_step(world, salespersonCode="JO")
    account = await world.account_of(customer)
    bind = {"ownerid@odata.bind": f"/systemusers({PAM})", "telephone1": "2"}
    await world.alice.update("accounts", account["accountid"], bind)
    await world.sync()
    found = await world.bob.row("customers", customer["id"])
    assert (found["salespersonCode"], found["phoneNumber"]) == ("JO", "2")
    assert (await world.account_of(customer))["_ownerid_value"] == PAM
    await world.bob.update("customers", customer["id"], salespersonCode="PAM")
    await world.sync()
    await world.bob.update("customers", customer["id"], salespersonCode="JO")
    await world.sync()
    assert (await world.account_of(customer))["_ownerid_value"] == JO


@pytest.mark.rule("CUST-06")
async def test_the_credit_limit_is_not_converted(world: World) -> None:
    customer = await customer_in_step(world, creditLimit=900, currencyCode="EUR")
    account = await world.account_of(customer)
    assert await world.currency(account) == "EUR"
    assert account["creditlimit"] == 900
    await world.alice.update("accounts", account["accountid"], creditlimit=1)
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["creditLimit"] == 900


@pytest.mark.rule("CUST-13")
async def test_parent_accounts_are_neither_read_nor_written(world: World) -> None:
    customer = await customer_in_step(world)
    parent = await world.alice.create("accounts", name="Adatum Group", customertypecode=3)
    account = await world.account_of(customer)
    bind = {"parentaccountid@odata.bind": f"/accounts({parent['accountid']})"}
    await world.alice.update("accounts", account["accountid"], bind)
    assert (await world.sync()).write_requests == 0
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    await world.sync()
    assert (await world.account_of(customer))["_parentaccountid_value"] == parent["accountid"]


@pytest.mark.rule("GEN-11")
async def test_the_local_currency_is_found_where_the_base_currency_is_another_one(world: World) -> None:
    [euro] = await world.bob.rows("currencies", "code eq 'EUR'")
    await world.bob.delete("currencies", euro["id"])
    euro = {"isocurrencycode": "EUR", "currencyname": "Euro", "currencysymbol": "€", "currencyprecision": 2}
    await world.alice.create("transactioncurrencies", euro, exchangerate=0.9)
    world.sandbox.business_central.load(COMPANY, "generalLedgerSetup", [{"localCurrencyCode": "EUR"}])
    await world.sync("SALESPEOPLE", full=True)
    customer = await world.bob.create("customers", displayName="Adatum", currencyCode="")
    await world.sync(create=True)
    assert await world.couplings("CURRENCY") == []
    assert await world.currency(await world.account_of(customer)) == "EUR"


@pytest.mark.rule("CUR-10")
async def test_base_currency_and_decimals_are_read_once_a_run(world: World) -> None:
    world.line.requests.clear()
    await world.sync("CURRENCY", full=True)
    asked = [request.url for request in world.line.requests if "/organizations?" in request.url]
    assert len(asked) == len(set(asked))
    assert asked


NEW_USER = {"fullname": "Max Power", "lastname": "Power", "internalemailaddress": "max@example.com"}


@pytest.mark.rule("SP-05")
async def test_matching_creates_no_salesperson(world: World) -> None:
    world.sandbox.dataverse.load("systemuser", [{**NEW_USER, "isdisabled": False, "islicensed": True}])
    preview = await match_preview(world.session, "SALESPEOPLE")
    await outcome(world.session, match_now(world.session, preview))
    assert {coupling.business_central_key for coupling in await world.couplings("SALESPEOPLE")} == {"JO", "PAM"}
    codes = {row["code"] for row in await world.bob.rows("salespeoplePurchasers")}
    assert codes == {"JO", "PAM", "EXT"}


@pytest.mark.rule("SP-07")
async def test_a_deleted_salesperson_is_held_not_dropped(world: World) -> None:
    await world.sync("SALESPEOPLE", full=True)
    [pam] = await world.bob.rows("salespeoplePurchasers", "code eq 'PAM'")
    await world.bob.delete("salespeoplePurchasers", pam["id"])
    await world.sync("SALESPEOPLE", full=True)
    [failure] = await world.failures("SALESPEOPLE")
    assert failure.code == "deleted"
    assert "PAM" in {coupling.business_central_key for coupling in await world.couplings("SALESPEOPLE")}


@pytest.mark.rule("CUST-15")
@pytest.mark.rule("PROD-16")
async def test_what_is_asked_for_and_of_another_type_is_told_why_it_is_left_out(world: World) -> None:
    account = await world.alice.create("accounts", name="Adatum", customertypecode=10)
    result = await world.sync(records=(account["accountid"],), create=True)
    told = "it is outside the filter of Dataverse: customertypecode is 10"
    assert (result.counts["skipped"], any(told in line for line in result.notices)) == (1, True), result.notices
    assert await world.failures() == []
    assert (await world.bob.rows("customers"), await world.couplings()) == ([], [])
    [action] = [a async for a in plan(world.session, "CUSTOMER", Request(records=(account["accountid"],), create=True))]
    assert action.reason == told
    assert (await world.sync(full=True)).counts["skipped"] == 0


@pytest.mark.rule("CUST-11")
async def test_an_account_that_is_deactivated_blocks_its_customer_where_that_is_switched_on(world: World) -> None:
    here = msgspec.structs.replace(world.mappings["CUSTOMER"].business_central, deactivate={"blocked": "All"})
    world.change(left_filter="deactivate", business_central=here)
    first, second = await customer_in_step(world), await customer_in_step(world, displayName="Contoso")
    account = (await world.account_of(first))["accountid"]
    await world.alice.update("accounts", account, statecode=1, statuscode=2)
    await world.bob.update("customers", second["id"], blocked="All")
    await world.sync()
    assert (await world.bob.row("customers", first["id"]))["blocked"] == "All"
    assert (await world.account_of(second))["statecode"] == 0
    await world.alice.update("accounts", account, statecode=0, statuscode=1)
    await world.sync()
    assert (await world.bob.row("customers", first["id"]))["blocked"] == "All"
    await world.quiet("CUSTOMER")

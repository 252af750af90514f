"""Rules of owners, amounts and references that no other page of tests shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from world import World, new_world
from world_data import JO, PAM, Row

from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database
from koppel.sync.full import outcome
from koppel.sync.preview import match_now, match_preview


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

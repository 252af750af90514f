"""New records: what the partner gets that is created for them, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import JO

from koppel.store import history
from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        await world.sync_all(full=True)
        yield world


@pytest.mark.rule("CUST-03")
@pytest.mark.rule("CUST-05")
@pytest.mark.rule("GEN-10")
async def test_a_new_customer_becomes_an_account_in_one_request(world: World) -> None:
    customer = await world.bob.create(
        "customers",
        displayName="Adatum",
        salespersonCode="JO",
        currencyCode="EUR",
        paymentTermsCode="NET 30",
        shippingAgentCode="DHL",
        shipmentMethodCode="EXW",
        country="NL",
    )
    result = await world.sync(create=True)
    assert (result.counts["created"], result.write_requests) == (1, 1)
    account = await world.account_of(customer)
    assert account["accountid"] == customer["id"]
    assert account["customertypecode"] == 3
    assert account["_ownerid_value"] == JO
    assert await world.currency(account) == "EUR"
    assert await world.label("paymenttermscode", account["paymenttermscode"]) == "Net 30"
    assert await world.label("address1_shippingmethodcode", account["address1_shippingmethodcode"]) == "DHL"
    assert await world.label("address1_freighttermscode", account["address1_freighttermscode"]) == "EXW"
    assert account["address1_country"] == "NL"
    await world.quiet()


@pytest.mark.rule("CUST-08")
@pytest.mark.rule("CUST-05")
async def test_a_new_account_becomes_a_customer_with_number_and_company_contact(world: World) -> None:
    [euro] = await world.alice.rows("transactioncurrencies", "isocurrencycode eq 'EUR'")
    account = await world.alice.create(
        "accounts",
        {
            "name": "Fabrikam",
            "customertypecode": 3,
            "telephone1": "5",
            "address1_country": "nl",
            "paymenttermscode": 1,
            "transactioncurrencyid@odata.bind": f"/transactioncurrencies({euro['transactioncurrencyid']})",
        },
    )
    result = await world.sync(create=True)
    assert result.counts["created"] == 1
    customer = await world.customer_of(account)
    assert customer["id"] == account["accountid"]
    assert customer["number"].startswith("C0")
    assert (customer["displayName"], customer["phoneNumber"], customer["country"]) == ("Fabrikam", "5", "NL")
    assert (customer["currencyCode"], customer["paymentTermsCode"]) == ("EUR", "NET 30")
    relation = await world.bob.one("contactBusinessRelations", f"number eq '{customer['number']}'")
    contact = await world.bob.one("contacts", f"number eq '{relation['contactNumber']}'")
    assert (contact["type"], contact["displayName"], contact["phoneNumber"]) == ("Company", "Fabrikam", "5")
    await world.quiet()


async def test_what_business_central_makes_of_a_new_customer_comes_back_in_the_same_run(world: World) -> None:
    world.change_field("number", enabled=True)
    await world.reopen()
    account = await world.alice.create("accounts", name="Fabrikam", customertypecode=3)
    result = await world.sync(create=True)
    customer = await world.customer_of(account)
    assert (await world.alice.row("accounts", account["accountid"]))["accountnumber"] == customer["number"]
    assert (result.counts["created"], result.counts["updated"]) == (1, 1)
    await world.quiet("CUSTOMER")


async def test_so_does_what_it_fills_in_of_its_own_accord(world: World) -> None:
    account = await world.alice.create("accounts", name="Fabrikam", customertypecode=3)
    assert account["_transactioncurrencyid_value"] is None
    await world.sync(create=True)
    assert await world.currency(await world.alice.row("accounts", account["accountid"])) == "USD"
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-10")
async def test_the_local_currency_has_no_record_but_its_iso_code(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", currencyCode="")
    await world.sync(create=True)
    account = await world.account_of(customer)
    assert await world.currency(account) == "USD"
    [euro] = await world.alice.rows("transactioncurrencies", "isocurrencycode eq 'EUR'")
    bind = {"transactioncurrencyid@odata.bind": f"/transactioncurrencies({euro['transactioncurrencyid']})"}
    await world.alice.update("accounts", account["accountid"], bind)
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["currencyCode"] == "EUR"
    bind = {"transactioncurrencyid@odata.bind": f"/transactioncurrencies({account['_transactioncurrencyid_value']})"}
    await world.alice.update("accounts", account["accountid"], bind)
    await world.sync()
    assert world.stored_customer(customer["id"]).get("currencyCode", "") == ""
    await world.quiet()


async def test_only_coupled_records_synchronise_unless_creating_is_asked_for(world: World) -> None:
    await world.bob.create("customers", displayName="Adatum")
    await world.alice.create("accounts", name="Fabrikam", customertypecode=3)
    result = await world.sync()
    assert result.write_requests == 0
    assert await world.couplings() == []
    result = await world.sync(full=True)
    assert result.counts["created"] == 2
    assert len(await world.couplings()) == 2
    await world.quiet()


async def test_a_mapping_may_create_by_itself(world: World) -> None:
    world.change(only_coupled=False)
    await world.reopen()
    await world.bob.create("customers", displayName="Adatum")
    assert (await world.sync()).counts["created"] == 1


async def test_the_history_tells_what_was_created(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    result = await world.sync(create=True)
    [entry] = await history.find(world.session.connection, job=result.job)
    await world.session.connection.commit()
    assert (entry.action, entry.side, entry.record_id) == ("create", "dataverse", customer["id"])
    assert isinstance(entry.new, dict)
    assert (entry.new["name"], entry.new["telephone1"]) == ("Adatum", "1")
    assert entry.why == "new in Business Central"


@pytest.mark.rule("GEN-01")
async def test_an_edit_of_the_connections_own_user_is_left_alone(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    await world.robot.update("accounts", customer["id"], telephone1="2")
    assert (await world.sync()).write_requests == 0
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "1"
    assert await world.conflicts() == []


@pytest.mark.rule("GEN-01")
async def test_it_is_carried_once_a_person_edits_the_row(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    await world.robot.update("accounts", customer["id"], telephone1="2")
    await world.sync()
    await world.alice.update("accounts", customer["id"], websiteurl="adatum.example")
    await world.sync()
    now = await world.bob.row("customers", customer["id"])
    assert (now["phoneNumber"], now["website"]) == ("2", "adatum.example")
    await world.quiet()


@pytest.mark.rule("GEN-01")
async def test_it_is_carried_when_it_is_asked_for(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    await world.robot.update("accounts", customer["id"], telephone1="2")
    await world.sync(records=(customer["number"],))
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"


@pytest.mark.rule("GEN-01")
async def test_or_when_the_mapping_says_so(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    world.change(ignore_integration_user=False)
    await world.robot.update("accounts", customer["id"], telephone1="2")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "2"


@pytest.mark.rule("GEN-01")
async def test_an_edit_here_of_a_row_that_the_connection_edited_there_goes_through(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await world.sync(create=True)
    await world.robot.update("accounts", customer["id"], telephone1="2")
    await world.bob.update("customers", customer["id"], website="b.example")
    await world.sync()
    account = await world.account_of(customer)
    assert (account["websiteurl"], account["telephone1"]) == ("b.example", "2")
    await world.quiet()
    await world.alice.update("accounts", customer["id"], emailaddress1="info@adatum.example")
    await world.sync()
    now = await world.bob.row("customers", customer["id"])
    assert (now["phoneNumber"], now["email"]) == ("2", "info@adatum.example")


@pytest.mark.rule("GEN-03")
async def test_a_blank_salesperson_never_takes_the_owner_away(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="JO")
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], salespersonCode="")
    result = await world.sync()
    assert result.write_requests == 0
    assert (await world.account_of(customer))["_ownerid_value"] == JO
    await world.bob.update("customers", customer["id"], salespersonCode="PAM")
    await world.sync()
    assert (await world.account_of(customer))["_ownerid_value"] != JO
    await world.quiet()

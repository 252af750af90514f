"""Several companies of Business Central in one Dataverse: each has its own rows, and takes nobody else's (GEN-06 …)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import ORDER, act, here, open_shop, order, stock, submitted, there, written_in
from quote_scenes import QUOTE, quote, switch_on
from world import World, new_world, next_door
from world_data import Row

from koppel.errors import RemoteError
from koppel.mapping.load import load_mappings
from koppel.sandbox.tokens import KOPPEL
from koppel.store.database import Database
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.uncouple import uncouple
from koppel.systems.transport import Request as HttpRequest

STAMP = "_bcbi_companyid_value"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        await world.set_up(stamping="all")
        yield world


@pytest.fixture
async def neighbour(world: World, database_aside: Database) -> AsyncIterator[World]:
    async with next_door(world, database_aside) as neighbour:
        await neighbour.set_up(stamping="all")
        yield neighbour


def id_of(world: World) -> str:
    return world.sandbox.business_central.companies[world.company].id


# the stamp


@pytest.mark.rule("GEN-06")
async def test_what_comes_from_a_company_is_stamped_with_it(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    account = await world.account_of(customer)
    assert account[STAMP] == id_of(world)
    row = await world.alice.row("bcbi_companies", account[STAMP])
    assert (row["bcbi_externalid"], row["bcbi_name"]) == (id_of(world), "Adventure Works")
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-06")
async def test_the_row_that_stands_for_the_company_is_found_by_its_external_id(world: World) -> None:
    row = await world.alice.create("bcbi_companies", bcbi_externalid=id_of(world), bcbi_name="AW")
    world.mappings = dict(load_mappings())
    await world.set_up(stamping="all")
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    assert (await world.account_of(customer))[STAMP] == row["bcbi_companyid"] != id_of(world)
    assert len(await world.alice.rows("bcbi_companies")) == 1


@pytest.mark.rule("GEN-06")
async def test_a_customer_made_of_an_account_stamps_that(world: World) -> None:
    account = await world.alice.create("accounts", name="Adatum", customertypecode=3)
    await world.sync(full=True)
    assert (await world.customer_of(account))["displayName"] == "Adatum"
    assert (await world.alice.row("accounts", account["accountid"]))[STAMP] == id_of(world)
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-06")
async def test_a_stamp_that_was_taken_away_is_put_back_with_the_next_change(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    account = await world.account_of(customer)
    await world.alice.update("accounts", account["accountid"], {"bcbi_CompanyId@odata.bind": None})
    await world.sync()
    assert (await world.account_of(customer))[STAMP] == id_of(world)
    await world.quiet("CUSTOMER")


@pytest.mark.rule("PL-07")
@pytest.mark.rule("PROD-11")
async def test_products_and_price_lists_are_stamped(world: World) -> None:
    await open_shop(world)
    await stock(world)
    world.sandbox.business_central.load(world.company, "customerPriceGroups", [{"code": "RETAIL"}])
    await world.sync("CUSTPRCGRP-PRICE", full=True)
    products = await world.alice.rows("products")
    assert {row["productnumber"]: row[STAMP] for row in products} == dict.fromkeys(
        ("BIKE", "BELL", "LIFT"), id_of(world)
    )
    assert (await world.alice.one("pricelevels", "name eq 'RETAIL'"))[STAMP] == id_of(world)
    await world.quiet("ITEM-PRODUCT", "CUSTPRCGRP-PRICE")


@pytest.mark.rule("GEN-06")
@pytest.mark.rule("SO-17")
async def test_a_submitted_order_is_stamped_and_stays_submitted(world: World) -> None:
    made = await order(world, await open_shop(world), written_in("Painting"))
    await world.sync(ORDER)
    row = await there(world, made)
    assert (row[STAMP], row["statecode"], row["lastbackofficesubmit"] is None) == (id_of(world), 1, False)
    await world.quiet(ORDER)


@pytest.mark.rule("CONT-09")
async def test_a_contact_made_of_one_of_dataverse_stamps_that(world: World) -> None:
    customer = await open_shop(world)
    parent = {"parentcustomerid_account@odata.bind": f"/accounts({(await world.account_of(customer))['accountid']})"}
    made = await world.alice.create("contacts", {"firstname": "Kim", "lastname": "Abercrombie", **parent})
    await world.sync("CONTACT", full=True)
    assert (await world.bob.one("contacts", "type eq 'Person'"))["displayName"] == "Kim Abercrombie"
    assert (await world.alice.row("contacts", made["contactid"]))[STAMP] == id_of(world)
    await world.quiet("CONTACT")


@pytest.mark.rule("GEN-06")
async def test_a_quote_that_only_comes_from_dataverse_is_not_written(world: World) -> None:
    switch_on(world)
    await world.set_up()
    customer = await open_shop(world)
    made = await quote(world, customer, written_in("Painting"))
    assert (await world.sync(QUOTE)).counts["failed"] == 0
    assert (await world.alice.row("quotes", made["quoteid"]))[STAMP] is None
    await world.quiet(QUOTE)


# the filter


@pytest.mark.rule("GEN-07")
async def test_each_company_synchronises_its_own_accounts(world: World, neighbour: World) -> None:
    ours = await world.bob.create("customers", displayName="Adatum")
    theirs = await neighbour.bob.create("customers", displayName="Contoso")
    nobodys = await world.alice.create("accounts", name="Northwind", customertypecode=3)
    for each in (neighbour, world, neighbour):
        await each.sync(full=True)
    taken = await world.alice.row("accounts", nobodys["accountid"])
    assert taken[STAMP] == id_of(neighbour)
    assert {c.business_central_key for c in await world.couplings()} == {ours["number"]}
    assert {row["displayName"] for row in await world.bob.rows("customers")} == {"Adatum"}
    assert {row["displayName"] for row in await neighbour.bob.rows("customers")} == {"Contoso", "Northwind"}
    assert (await neighbour.account_of(theirs))[STAMP] == id_of(neighbour)
    for each in (world, neighbour):
        assert await each.failures() == []
        await each.quiet("CUSTOMER")
    await world.alice.update("accounts", taken["accountid"], telephone1="555-1")
    await world.sync()
    await neighbour.sync()
    assert (await neighbour.customer_of(taken))["phoneNumber"] == "555-1"
    assert len(await world.bob.rows("customers")) == 1


@pytest.mark.rule("GEN-07")
@pytest.mark.rule("SO-01")
async def test_each_company_takes_the_orders_of_its_own_customers(world: World, neighbour: World) -> None:
    ours = await open_shop(world)
    theirs = await open_shop(neighbour)
    first = await order(world, ours, written_in("Painting"), ordernumber="ORD-1", **of(world))
    second = await order(neighbour, theirs, written_in("Polish"), ordernumber="ORD-2", **of(neighbour))
    for each in (world, neighbour, world):
        await each.sync(ORDER)
    assert (await here(world, "ORD-1"))["customerNumber"] == ours["number"]
    assert (await here(neighbour, "ORD-2"))["customerNumber"] == theirs["number"]
    for each, made in ((world, first), (neighbour, second)):
        assert len(await each.bob.rows("salesOrders")) == 1
        assert (await there(each, made))[STAMP] == id_of(each)
        await each.quiet(ORDER)


def of(world: World) -> Row:
    """What says which company a row is for."""
    return {"bcbi_CompanyId@odata.bind": f"/bcbi_companies({id_of(world)})"}


@pytest.mark.rule("GEN-07")
async def test_people_say_which_company_a_document_is_for(world: World, neighbour: World) -> None:
    for each in (world, neighbour):
        each.mappings = dict(load_mappings())
        await each.set_up(stamping="documents")
    ours, theirs = await open_shop(world), await open_shop(neighbour)
    assert await world.alice.rows("accounts", f"{STAMP} ne null") == []
    nobodys = await order(world, ours, written_in("Painting"))
    await order(neighbour, theirs, written_in("Polish"), ordernumber="ORD-2", **of(neighbour))
    for each in (world, neighbour):
        await each.sync(ORDER)
    assert await world.bob.rows("salesOrders") == []
    assert (await here(neighbour, "ORD-2"))["customerNumber"] == theirs["number"]
    await world.alice.update("salesorders", nobodys["salesorderid"], statecode=0, statuscode=2)
    await world.alice.update("salesorders", nobodys["salesorderid"], of(world))
    await submitted(world, nobodys)
    await world.sync(ORDER)
    assert (await here(world))["customerNumber"] == ours["number"]


@pytest.mark.rule("GEN-07")
async def test_a_row_that_passed_to_another_company_is_left_alone(world: World, neighbour: World) -> None:
    await open_shop(world)
    await open_shop(neighbour)
    await stock(world)
    bike = await world.alice.one("products", "productnumber eq 'BIKE'")
    await neighbour.sync("CUSTOMER", full=True)  # its row is there
    await world.alice.update("products", bike["productid"], of(neighbour))
    item = await world.bob.one("items", "number eq 'BIKE'")
    await world.bob.update("items", item["id"], blocked=True, displayName="Tricycle")
    result = await world.sync("ITEM-PRODUCT")
    assert result.write_requests == 0
    now = await world.alice.row("products", bike["productid"])
    assert (now["name"], now["statecode"], now[STAMP]) == ("Bicycle", 0, id_of(neighbour))
    assert any("outside the filter" in line for line in result.notices)


@pytest.mark.rule("GEN-07")
async def test_a_record_with_the_id_of_another_companys_row_does_not_take_it(world: World, neighbour: World) -> None:
    """Who copies a company copies the ids of its records."""
    ours = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    values = {"id": ours["id"], "number": ours["number"], "displayName": "Adatum (copy)"}
    neighbour.sandbox.business_central.load(neighbour.company, "customers", [values])
    await neighbour.sync(full=True)
    account = await world.account_of(ours)
    assert (account["name"], account[STAMP]) == ("Adatum", id_of(world))
    assert await neighbour.couplings() == []
    (failure,) = await neighbour.failures()
    assert "outside the filter of Dataverse" in failure.message


@pytest.mark.rule("GEN-07")
async def test_eng_347_of_two_that_take_a_row_at_once_the_first_has_it(world: World, neighbour: World) -> None:
    await world.sync("CURRENCY", full=True)
    await neighbour.sync("CURRENCY", full=True)
    nobodys = await world.alice.create("accounts", name="Northwind", customertypecode=3)

    async def meanwhile(number: int, request: HttpRequest) -> None:
        if request.method == "POST" and b"Northwind" in (request.body or b""):
            world.line.after = None
            await neighbour.sync(full=True)

    world.line.after = meanwhile
    result = await world.sync(full=True)
    assert (await world.alice.row("accounts", nobodys["accountid"]))[STAMP] == id_of(neighbour)
    assert (await neighbour.customer_of(nobodys))["displayName"] == "Northwind"
    assert any("outside the filter of Dataverse" in line for line in result.notices), result.notices
    await world.alice.update("accounts", nobodys["accountid"], telephone1="555-1")
    for each in (world, neighbour):
        await each.sync()
        await each.quiet("CUSTOMER")
    assert (await world.alice.row("accounts", nobodys["accountid"]))[STAMP] == id_of(neighbour)


# uncoupling


@pytest.mark.rule("GEN-08")
async def test_a_row_that_is_uncoupled_belongs_to_nobody(world: World, neighbour: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    account = await world.account_of(customer)
    assert await uncouple(world.session, "CUSTOMER", [customer["number"]]) == 1
    assert (await world.alice.row("accounts", account["accountid"]))[STAMP] is None
    assert await world.couplings() == []
    await neighbour.sync(full=True)
    assert (await neighbour.customer_of(account))["displayName"] == "Adatum"
    assert (await world.alice.row("accounts", account["accountid"]))[STAMP] == id_of(neighbour)


@pytest.mark.rule("GEN-08")
async def test_the_stamp_of_another_company_is_not_cleared(world: World, neighbour: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    await neighbour.bob.create("customers", displayName="Contoso")
    await neighbour.sync(full=True)
    account = await world.account_of(customer)
    await world.alice.update("accounts", account["accountid"], of(neighbour))
    await uncouple(world.session, "CUSTOMER", everything=True)
    assert (await world.alice.row("accounts", account["accountid"]))[STAMP] == id_of(neighbour)


@pytest.mark.rule("GEN-08")
async def test_a_submitted_order_is_opened_to_be_cleared_and_stays_submitted(world: World) -> None:
    made = await order(world, await open_shop(world), written_in("Painting"))
    await world.sync(ORDER)
    await uncouple(world.session, ORDER, [(await here(world))["number"]])
    row = await there(world, made)
    assert (row[STAMP], row["statecode"], row["statuscode"]) == (None, 1, 3)
    await world.quiet(ORDER)


@pytest.mark.rule("GEN-08")
@pytest.mark.rule("SO-32")
async def test_an_order_whose_partner_was_deleted_is_nobodys_again(world: World) -> None:
    made = await order(world, await open_shop(world), written_in("Painting"))
    await world.sync(ORDER)
    await world.bob.delete("salesOrders", (await here(world))["id"])
    await world.sync(ORDER, full=True)
    row = await there(world, made)
    assert (row[STAMP], row["statecode"], row["lastbackofficesubmit"]) == (None, 0, None)


@pytest.mark.rule("GEN-08")
@pytest.mark.rule("SO-30")
async def test_an_invoiced_order_stays_with_its_company(world: World) -> None:
    made = await order(world, await open_shop(world), written_in("Painting"))
    await world.sync(ORDER)
    for action in ("release", "shipAndInvoice"):
        await act(world, made, action)
    await world.sync(ORDER)
    row = await there(world, made)
    assert (row[STAMP], row["statecode"]) == (id_of(world), 4)
    assert await world.couplings(ORDER) == []


@pytest.mark.rule("GEN-08")
async def test_a_row_that_a_filter_uncouples_is_cleared_and_the_plan_says_so(world: World) -> None:
    world.change(left_filter="uncouple")
    await world.reopen()
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    account = await world.account_of(customer)
    await world.bob.update("customers", customer["id"], blocked="All")
    (action,) = [action async for action in plan(world.session, "CUSTOMER", Request()) if action.kind == "uncouple"]
    assert [(write.table, write.values) for write in action.before] == [("account", {"bcbi_companyid": None})]
    await world.sync()
    assert (await world.alice.row("accounts", account["accountid"]))[STAMP] is None
    assert await world.couplings() == []


@pytest.mark.rule("GEN-08")
async def test_a_pair_whose_stamp_cannot_be_cleared_stays_coupled(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    world.sandbox.dataverse.missing_privileges[KOPPEL.id] = {"prvWriteAccount"}
    with pytest.raises(RemoteError):
        await uncouple(world.session, "CUSTOMER", [customer["number"]])
    assert len(await world.couplings()) == 1
    world.sandbox.dataverse.missing_privileges.clear()
    await world.quiet("CUSTOMER")

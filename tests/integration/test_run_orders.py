"""Orders: submitted in Dataverse, made in Business Central, released, posted, deleted (SO-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from order_scenes import (
    ORDER,
    act,
    here,
    in_currency,
    lines_here,
    of_product,
    open_shop,
    order,
    stock,
    submitted,
    there,
    written_in,
)
from world import World, new_world
from world_data import PAM, Row

from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    return await open_shop(world)


@pytest.mark.rule("SO-01")
@pytest.mark.rule("SO-05")
@pytest.mark.rule("SO-17")
async def test_a_submitted_order_becomes_one_of_business_central(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 100, 2), requestdeliveryby="2027-01-31")
    draft = await order(world, customer, written_in("Painting"), submit=False, ordernumber="ORD-2")
    result = await world.sync(ORDER)
    assert (result.counts["created"], result.counts["skipped"], result.notices) == (1, 0, [])
    found = await here(world)
    assert (found["customerNumber"], found["status"], found["currencyCode"]) == (customer["number"], "Open", "USD")
    assert (found["externalDocumentNumber"], found["requestedDeliveryDate"]) == ("BIKES FOR ADATUM", "2027-01-31")
    (line,) = await lines_here(world)
    assert (line["lineType"], line["lineObjectNumber"], line["description"]) == ("Resource", "WRITE-IN", "Painting")
    assert (line["sequence"], line["quantity"], line["unitPrice"], line["netAmount"]) == (10000, 2, 100, 200)
    row = await there(world, made)
    assert (row["statecode"], row["statuscode"]) == (1, 3)
    assert row["lastbackofficesubmit"][:10] == world.sandbox.clock().date().isoformat()
    assert (await there(world, draft))["lastbackofficesubmit"] is None
    await world.quiet(ORDER)


@pytest.mark.rule("SO-20")
@pytest.mark.rule("SO-21")
@pytest.mark.rule("SO-22")
async def test_released_orders_go_back_and_open_ones_do_not(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting", 100, 2))
    await world.sync(ORDER)
    await world.bob.update("salesOrders", (await here(world))["id"], shipToCity="Utrecht", salesperson="PAM")
    result = await world.sync(ORDER)
    assert (result.counts["updated"], result.notices) == (0, [])
    await act(world, made, "release")
    assert (await world.sync(ORDER)).counts["updated"] == 1
    row = await there(world, made)
    assert (row["shipto_city"], row["ordernumber"], row["statecode"], row["statuscode"]) == ("Utrecht", "ORD-1", 1, 3)
    assert (row["totalamountlessfreight"], row["totalamount"]) == (200, 242)
    await world.quiet(ORDER)

    await act(world, made, "reopen")
    await world.bob.update("salesOrders", (await here(world))["id"], shipToCity="Ede")
    result = await world.sync(ORDER)
    assert (result.counts["updated"], result.notices) == (0, [])
    await act(world, made, "release")
    await world.sync(ORDER)
    assert (await there(world, made))["shipto_city"] == "Ede"
    await world.quiet(ORDER)


@pytest.mark.rule("SO-09")
@pytest.mark.rule("PROD-03")
async def test_products_are_sold_as_their_items_and_resources(world: World, customer: Row) -> None:
    await stock(world)
    assert not await world.alice.rows("products", "productnumber eq 'WRITE-IN'")
    await order(world, customer, await of_product(world, "BIKE", 2), await of_product(world, "LIFT", 3))
    await world.sync(ORDER)
    bike, lift = await lines_here(world)
    assert (bike["lineType"], bike["lineObjectNumber"], bike["unitPrice"]) == ("Item", "BIKE", 500)
    assert (lift["lineType"], lift["lineObjectNumber"], lift["unitPrice"]) == ("Resource", "LIFT", 50)


@pytest.mark.rule("SO-05")
@pytest.mark.rule("SO-07")
@pytest.mark.rule("OPT-05")
@pytest.mark.rule("GEN-10")
async def test_what_a_new_order_takes_along(world: World, customer: Row) -> None:
    """Options where they are coupled, the currency even where the customer has another one, the description."""
    await world.bob.update("customers", customer["id"], currencyCode="EUR", shippingAgentCode="DHL")
    await world.sync()
    terms = await option(world, "paymenttermscode", "COD")
    values: Row = {"paymenttermscode": terms, "shippingmethodcode": 3, "description": "Deliver on a sunny day"}
    await order(world, customer, written_in("Painting"), **values)
    euro = await in_currency(world, "EUR")
    await order(world, customer, written_in("Painting"), ordernumber="ORD-2", **euro)
    await world.sync(ORDER)
    first, second = await here(world), await here(world, "ORD-2")
    assert (first["currencyCode"], first["currencyFactor"]) == ("USD", 0)
    assert (first["paymentTermsCode"], first["shippingAgentCode"]) == ("COD", "DHL")
    assert first["workDescription"] == "Deliver on a sunny day"
    assert (second["currencyCode"], second["paymentTermsCode"]) == ("EUR", "")


async def option(world: World, column: str, label: str) -> int:
    """The number of an option of accounts, which orders share."""
    found = world.sandbox.dataverse.option_sets[f"account_{column}"].current
    return next(choice.value for choice in found.values() if choice.label == label)


@pytest.mark.rule("GEN-10")
async def test_a_currency_that_business_central_lacks(world: World, customer: Row) -> None:
    pound = {"isocurrencycode": "DKK", "currencyname": "Krone", "currencysymbol": "kr", "exchangerate": 7}
    await world.alice.create("transactioncurrencies", {**pound, "currencyprecision": 2})
    await order(world, customer, written_in("Painting"), **await in_currency(world, "DKK"))
    await world.sync(ORDER)
    assert await failed(world) == ("GEN-10", "Business Central has no currency DKK")
    await world.bob.create("currencies", code="DKK", displayName="Krone")
    rate = {"currencyCode": "DKK", "startingDate": "2021-01-01", "exchangeRateAmount": 700}
    await world.bob.create("currencyExchangeRates", {**rate, "relationalExchangeRateAmount": 100})
    await world.sync(ORDER, full=True)
    assert (await here(world))["currencyCode"] == "DKK"


async def failed(world: World) -> tuple[str, str]:
    """Code and message of the only failure."""
    (failure,) = await world.failures(ORDER)
    return failure.code, failure.message


@pytest.mark.rule("SO-06")
async def test_an_address_takes_the_place_of_the_customers(world: World, customer: Row) -> None:
    address = {"addressLine1": "1 Main St", "city": "Ede", "country": "NL", "postalCode": "6711"}
    await world.bob.update("customers", customer["id"], address)
    await order(world, customer, written_in("Painting"), shipto_city="Utrecht", shipto_country="nl")
    await world.sync(ORDER)
    found = await here(world)
    shown = ("AddressLine1", "City", "Country", "PostCode")
    assert [found[f"billTo{name}"] for name in shown] == ["1 Main St", "Ede", "NL", "6711"]
    assert [found[f"shipTo{name}"] for name in shown] == ["", "Utrecht", "NL", ""]


@pytest.mark.rule("SO-08")
async def test_the_percentage_may_be_the_payment_discount_too(world: World, customer: Row) -> None:
    await order(world, customer, written_in("Painting"), discountpercentage=5)
    await world.sync(ORDER)
    assert (await here(world))["paymentDiscountPercent"] == 0
    world.change(ORDER, parameters={"payment_discount": True})
    await order(world, customer, written_in("Painting"), discountpercentage=5, ordernumber="ORD-2")
    await world.sync(ORDER)
    assert (await here(world, "ORD-2"))["paymentDiscountPercent"] == 5


@pytest.mark.rule("SO-11")
async def test_vat_is_taken_out_of_prices_that_include_it(world: World, customer: Row) -> None:
    """121.00 including 21 % is 100.00; not where the order's prices include VAT as well."""
    await stock(world)
    other = await world.bob.create("customers", displayName="Shop", vatBusPostingGroup="HOME", pricesIncludingVAT=True)
    await world.sync(full=True)
    await order(world, customer, await of_product(world, "BELL", 4, priceperunit=121, manualdiscountamount=9))
    await order(world, other, await of_product(world, "BELL", 4, priceperunit=121), ordernumber="ORD-2")
    await world.sync(ORDER)
    (bell,) = await lines_here(world)
    assert (bell["unitPrice"], bell["discountAmount"], bell["netAmount"]) == (100, 9, 391)
    (bell,) = await lines_here(world, "ORD-2")
    assert (bell["unitPrice"], bell["netAmountIncludingTax"]) == (121, 484)


@pytest.mark.rule("SO-12")
async def test_long_texts_go_on_below_their_line(world: World, customer: Row) -> None:
    await stock(world)
    long = "Painted by hand, " * 9
    sold = await of_product(world, "BIKE", description="In red\nwith a basket")
    same = await of_product(world, "LIFT", description="Lift")
    await order(world, customer, written_in(long.strip()), sold, same)
    await world.sync(ORDER)
    lines = await lines_here(world)
    painted = long.strip()
    assert [
        (line["sequence"], line["lineType"], line["description"], line["attachedToLineNumber"]) for line in lines
    ] == [
        (10000, "Resource", painted[:100].strip(), 0),
        (20000, "Comment", painted[100:].strip(), 10000),
        (30000, "Item", "Bicycle", 0),
        (40000, "Comment", "In red", 30000),
        (50000, "Comment", "with a basket", 30000),
        (60000, "Resource", "Lift", 0),
    ]


@pytest.mark.rule("SO-13")
async def test_freight_is_a_line_of_its_account(world: World, customer: Row) -> None:
    await order(world, customer, written_in("Painting"), freightamount=25)
    await world.sync(ORDER)
    _, freight = await lines_here(world)
    shown = ("sequence", "lineType", "lineObjectNumber", "quantity", "unitPrice")
    assert [freight[name] for name in shown] == [20000, "Account", "6110", 1, 25]


@pytest.mark.rule("SO-13")
@pytest.mark.rule("SO-10")
async def test_what_is_not_set_up_yet(world: World, customer: Row) -> None:
    (setup,) = await world.bob.rows("salesReceivablesSetup")
    await world.bob.update("salesReceivablesSetup", setup["id"], freightGLAccNo="", writeInProductNo="")
    made = await order(world, customer, written_in("Painting"), freightamount=25)
    await world.sync(ORDER)
    named = "Business Central's Sales & Receivables Setup names no product for what is written in"
    assert await failed(world) == ("SO-10", named)
    await world.bob.update("salesReceivablesSetup", setup["id"], writeInProductNo="WRITE-IN")
    await world.sync(ORDER)
    assert await failed(world) == ("SO-13", "it has freight of 25, and Business Central has no account for it")
    assert not await world.bob.rows("salesOrders")
    await world.bob.update("salesReceivablesSetup", setup["id"], freightGLAccNo="6110")
    await world.sync(ORDER, full=True)
    assert len(await lines_here(world)) == 2
    assert (await there(world, made))["lastbackofficesubmit"]


@pytest.mark.rule("SO-14")
async def test_both_order_discounts_become_one_amount(world: World, customer: Row) -> None:
    """Lines of 1000, 10 off, then 5 %: 60."""
    await order(world, customer, written_in("Painting", 1000), discountamount=10, discountpercentage=5)
    await world.sync(ORDER)
    found = await here(world)
    assert (found["discountAmount"], found["totalAmountExcludingTax"]) == (60, 940)


@pytest.mark.rule("SO-04")
async def test_customers_who_cannot_buy(world: World, customer: Row) -> None:
    account = await world.alice.create("accounts", name="Nobody", customertypecode=11)
    bound: Row = {"customerid_account@odata.bind": f"/accounts({account['accountid']})"}
    await order(world, None, written_in("Painting"), **bound)
    await world.sync(ORDER)
    assert await failed(world) == ("SO-04", "account Nobody is no customer")
    await world.alice.update("accounts", account["accountid"], customertypecode=3)
    await world.sync(ORDER, full=True)
    assert await failed(world) == ("SO-04", "account Nobody is not coupled in CUSTOMER")
    await world.sync(full=True)
    assert (await world.sync(ORDER)).counts["created"] == 1


@pytest.mark.rule("SO-04")
async def test_a_contact_buys_for_its_company(world: World, customer: Row) -> None:
    account = await world.account_of(customer)
    parent = {"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}
    ann = await world.alice.create("contacts", {"firstname": "Ann", "lastname": "Lee", **parent})
    bob = await world.alice.create("contacts", {"firstname": "Bob", "lastname": "Lee"})
    for number, contact in (("ORD-1", ann), ("ORD-2", bob)):
        bound: Row = {"customerid_contact@odata.bind": f"/contacts({contact['contactid']})"}
        await order(world, None, written_in("Painting"), ordernumber=number, **bound)
    await world.sync(ORDER)
    assert (await here(world))["customerNumber"] == customer["number"]
    assert await failed(world) == ("SO-04", "it has no account: nobody, or a contact without a company")


@pytest.mark.rule("SO-02")
async def test_what_business_central_has_already(world: World, customer: Row) -> None:
    typed = await world.bob.create("salesOrders", customerNumber=customer["number"], yourReference="ORD-1")
    await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    message = f"order {typed['number']} in Business Central is of this order already (Your Reference ORD-1)"
    assert await failed(world) == ("SO-02", message)
    await world.bob.update("salesOrders", typed["id"], yourReference="")
    await world.sync(ORDER, full=True)
    assert (await here(world))["number"] != typed["number"]


@pytest.mark.rule("SO-00")
@pytest.mark.rule("SO-02")
async def test_nothing_while_the_integration_of_orders_is_off(world: World, customer: Row) -> None:
    (organization,) = await world.alice.rows("organizations")
    id = organization["organizationid"]
    await world.alice.update("organizations", id, issopintegrationenabled=False)
    await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    assert await failed(world) == ("SO-02", "the integration of sales orders is off in Dataverse")
    await world.alice.update("organizations", id, issopintegrationenabled=True)
    assert (await world.sync(ORDER)).counts["created"] == 1


@pytest.mark.rule("SO-02")
async def test_orders_that_are_not_submitted_are_not_made_when_asked_for(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"), submit=False)
    result = await world.sync(ORDER, records=(made["salesorderid"],), create=True)
    assert result.counts["created"] == 0
    assert result.notices[0].startswith("ORD-1: it is not coupled, and gets no partner: those with statecode eq 1 and")
    await submitted(world, made)
    assert (await world.sync(ORDER, records=(made["salesorderid"],))).counts["created"] == 1


@pytest.mark.rule("SO-20")
async def test_orders_of_business_central_stay_there(world: World, customer: Row) -> None:
    await world.bob.create("salesOrders", customerNumber=customer["number"])
    result = await world.sync(ORDER, full=True)
    assert (result.counts["created"], result.counts["skipped"], result.notices) == (0, 0, [])


@pytest.mark.rule("SO-20")
@pytest.mark.rule("GEN-03")
async def test_the_salesperson_owns_the_order(world: World, customer: Row) -> None:
    made = await order(world, customer, written_in("Painting"))
    await world.sync(ORDER)
    owner = (await there(world, made))["_ownerid_value"]
    await act(world, made, "release")
    await world.sync(ORDER)
    assert (await there(world, made))["_ownerid_value"] == owner
    await act(world, made, "reopen")
    await world.bob.update("salesOrders", (await here(world))["id"], salesperson="PAM")
    await act(world, made, "release")
    await world.sync(ORDER)
    assert (await there(world, made))["_ownerid_value"] == PAM

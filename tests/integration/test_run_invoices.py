"""Posted invoices with their lines: what is sent, in what order, and what closes them (INV-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from world import World, new_world
from world_data import PAM, Row

from koppel.sandbox.business_central.work import Work
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.seed_dataverse import BUSINESS_UNIT_ID
from koppel.sandbox.tokens import BOB, KOPPEL
from koppel.store.database import Database
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.sync.uncouple import uncouple

INVOICE = "POSTEDSALESINV-INV"
LINES = "POSTEDSALESLINE-INV"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def post(world: World, number: str, customer: Row, *lines: Row, **header: Any) -> str:
    """A posted invoice with these lines (amounts without VAT); its id."""
    id, company = str(uuid4()), world.sandbox.business_central
    totals = [sum(line["netAmount"] for line in lines), sum(line["netAmountIncludingTax"] for line in lines)]
    values = {
        "id": id,
        "number": number,
        "customerNumber": customer["number"],
        "totalAmountExcludingTax": totals[0],
        "totalAmountIncludingTax": totals[1],
        "remainingAmount": totals[1],
        "custLedgerEntryNumber": 1,
        **header,
    }
    company.load(COMPANY, "postedSalesInvoices", [values])
    numbered = [
        {"documentId": id, "documentNumber": number, "sequence": 10000 * place, **line}
        for place, line in enumerate(lines, 1)
    ]
    company.load(COMPANY, "postedSalesInvoiceLines", numbered)
    return id


def line(description: str, price: float, quantity: float = 1, tax: float = 0, **values: Any) -> Row:
    """A line of an account."""
    net = price * quantity - values.get("discountAmount", 0)
    return {
        "lineType": "Account",
        "lineObjectNumber": "6410",
        "description": description,
        "quantity": quantity,
        "unitPrice": price,
        "netAmount": net,
        "netAmountIncludingTax": net + tax,
        **values,
    }


@pytest.fixture
async def customer(world: World) -> Row:
    for name in ("SALESPEOPLE", "CURRENCY"):
        await world.sync(name, full=True)
    found = await world.bob.create("customers", {"displayName": "Adatum"})
    await world.sync(full=True)
    return found


async def invoice(world: World, number: str) -> Row:
    return await world.alice.one("invoices", f"invoicenumber eq '{number}'")


async def lines(world: World, found: Row) -> list[Row]:
    rows = await world.alice.rows("invoicedetails", f"_invoiceid_value eq {found['invoiceid']}")
    return sorted(rows, key=lambda row: row["lineitemnumber"] or 0)


@pytest.mark.rule("INV-12")
@pytest.mark.rule("INV-15")
@pytest.mark.rule("INV-23")
@pytest.mark.rule("INV-13")
async def test_an_invoice_arrives_with_its_lines(world: World, customer: Row) -> None:
    sent = {"shipToCity": "Oslo", "shipToCountry": "NO", "shipmentDate": "2024-05-02"}
    post(world, "PS-1", customer, line("Freight", 100, tax=21), line("Handling", 10, 2, tax=4.2), **sent)
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    found = await invoice(world, "PS-1")
    account = await world.account_of(customer)
    assert (found["name"], found["_customerid_value"]) == ("PS-1", account["accountid"])
    assert (found["totalamountlessfreight"], found["totaltax"], found["totalamount"]) == (120, 25.2, 145.2)
    assert (found["statecode"], found["statuscode"]) == (0, 4)
    freight, handling = await lines(world, found)
    assert found["freightamount"] == 0
    assert freight["productdescription"] == "6410 Freight."
    assert (freight["shipto_city"], freight["shipto_country"]) == ("Oslo", "NO")
    assert freight["actualdeliveryon"][:10] == "2024-05-02"
    assert (freight["isproductoverridden"], freight["ispriceoverridden"]) == (True, True)
    assert (handling["quantity"], handling["priceperunit"], handling["tax"]) == (2, 10, 4.2)
    assert (handling["baseamount"], handling["extendedamount"]) == (20, 24.2)
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-16")
@pytest.mark.rule("INV-20")
async def test_prices_with_vat_leave_a_line_of_rounding(world: World, customer: Row) -> None:
    """Three at 10.00 including 21 %: 8.26 each and 5.21 VAT make 29.99."""
    sold = line("Bell", 10, 3, netAmount=24.79, netAmountIncludingTax=30)
    post(world, "PS-2", customer, sold, pricesIncludeTax=True)
    await world.sync(INVOICE, full=True)
    found = await invoice(world, "PS-2")
    bell, rounding = await lines(world, found)
    assert bell["sequencenumber"] < rounding["sequencenumber"]
    assert (bell["priceperunit"], bell["tax"]) == (8.26, 5.21)
    assert (rounding["productdescription"], rounding["quantity"], rounding["priceperunit"]) == ("Rounding", 1, 0.01)
    assert found["totalamount"] == 30
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-18")
@pytest.mark.rule("INV-19")
async def test_amounts_and_totals_are_those_of_business_central(world: World, customer: Row) -> None:
    sold = line("Frame", 1000, discountAmount=60, invDiscountAmount=40, netAmount=900, netAmountIncludingTax=1089)
    post(world, "PS-3", customer, sold, discountAmount=40)
    await world.sync(INVOICE, full=True)
    found = await invoice(world, "PS-3")
    [frame] = await lines(world, found)
    amounts = [frame[name] for name in ("baseamount", "extendedamount", "tax", "manualdiscountamount")]
    assert amounts == [1000, 1129, 189, 60]
    totals = ("totalamountlessfreight", "totaltax", "totalamount", "totallineitemdiscountamount", "totaldiscountamount")
    assert [found[name] for name in totals] == [900, 189, 1089, 60, 40]
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-19")
async def test_where_dataverse_calculates_prices_discounts_of_lines_count_too(world: World, customer: Row) -> None:
    world.sandbox.dataverse.organization["issopintegrationenabled"] = False
    sold = line("Frame", 1000, discountAmount=60, invDiscountAmount=40, netAmount=900, netAmountIncludingTax=1089)
    post(world, "PS-3", customer, sold, discountAmount=40)
    await world.sync(INVOICE, full=True)
    found = await invoice(world, "PS-3")
    assert (found["totaldiscountamount"], found["totalamount"]) == (100, 1089)
    await world.quiet(INVOICE)


def settle(world: World, id: str, **values: Any) -> None:
    """What is paid, or that it was cancelled, as Business Central's account of the customer says."""
    system = world.sandbox.business_central
    Work(system, system.companies[COMPANY], BOB.id).change("postedSalesInvoices", id, values)


async def state(world: World, number: str) -> tuple[int, int]:
    found = await invoice(world, number)
    return found["statecode"], found["statuscode"]


@pytest.mark.rule("INV-21")
async def test_the_state_follows_the_payments(world: World, customer: Row) -> None:
    id = post(world, "PS-4", customer, line("Freight", 100))
    post(world, "PS-5", customer, line("Freight", 100), remainingAmount=0)
    await world.sync(INVOICE, full=True)
    assert (await state(world, "PS-4"), await state(world, "PS-5")) == ((0, 4), (2, 100001))
    for remaining, expected in ((40, (2, 100002)), (0, (2, 100001)), (100, (0, 4))):
        settle(world, id, remainingAmount=remaining)
        assert (await world.sync(INVOICE)).counts["updated"] == 1
        assert await state(world, "PS-4") == expected
        await world.quiet(INVOICE)


@pytest.mark.rule("INV-22")
async def test_a_cancelled_invoice_and_one_that_only_dataverse_cancelled(world: World, customer: Row) -> None:
    id = post(world, "PS-6", customer, line("Freight", 100))
    post(world, "PS-7", customer, line("Freight", 100))
    await world.sync(INVOICE, full=True)
    settle(world, id, cancelled=True, remainingAmount=0)
    await world.alice.update("invoices", (await invoice(world, "PS-7"))["invoiceid"], statecode=3, statuscode=100003)
    await world.sync(INVOICE)
    assert (await state(world, "PS-6"), await state(world, "PS-7")) == ((3, 100003), (0, 4))
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-24")
async def test_a_changed_header_goes_without_its_lines(world: World, customer: Row) -> None:
    id = post(world, "PS-8", customer, line("Freight", 100), remainingAmount=0)
    await world.sync(INVOICE, full=True)
    settle(world, id, dueDate="2025-01-31")
    result = await world.sync(INVOICE)
    assert (result.counts["updated"], result.parts) == (1, [])
    found = await invoice(world, "PS-8")
    assert (found["duedate"], found["statecode"]) == ("2025-01-31", 2)


@pytest.mark.rule("INV-03")
async def test_an_invoice_without_lines_waits(world: World, customer: Row) -> None:
    id = post(world, "PS-9", customer)
    assert (await world.sync(INVOICE, full=True)).counts["failed"] == 1
    [failure] = await world.failures(INVOICE)
    assert (failure.code, failure.kind) == ("INV-03", "transient")
    late = {"documentId": id, "documentNumber": "PS-9", "sequence": 10000, **line("Freight", 100)}
    world.sandbox.business_central.load(COMPANY, "postedSalesInvoiceLines", [late])
    assert (await world.sync(INVOICE)).counts["created"] == 1
    assert len(await lines(world, await invoice(world, "PS-9"))) == 1


@pytest.mark.rule("INV-08")
@pytest.mark.rule("INV-01")
async def test_an_invoice_waits_for_its_customer(world: World, customer: Row) -> None:
    other = await world.bob.create("customers", {"displayName": "Fabrikam"})
    post(world, "PS-10", other, line("Freight", 100))
    assert (await world.sync(INVOICE, full=True)).counts["failed"] == 1
    [failure] = await world.failures(INVOICE)
    assert (failure.code, failure.via) == ("INV-08", "CUSTOMER")
    assert other["number"] in failure.message
    await world.sync(full=True)
    assert (await world.sync(INVOICE)).counts["created"] == 1


@pytest.mark.rule("INV-02")
async def test_new_invoices_come_with_a_full_run_only(world: World, customer: Row) -> None:
    post(world, "PS-11", customer, line("Freight", 100))
    assert (await world.sync(INVOICE)).counts["created"] == 0
    assert (await world.sync(INVOICE, full=True)).counts["created"] == 1


@pytest.mark.rule("INV-10")
async def test_the_salesperson_owns_the_invoice(world: World, customer: Row) -> None:
    post(world, "PS-12", customer, line("Freight", 100), salesperson="PAM")
    post(world, "PS-13", customer, line("Freight", 100), salesperson="EXT")
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    assert (await invoice(world, "PS-12"))["_ownerid_value"] == PAM
    [failure] = await world.failures(INVOICE)
    assert failure.message == "salesperson EXT is not coupled in SALESPEOPLE"


@pytest.mark.rule("INV-11")
@pytest.mark.rule("OPT-05")
async def test_terms_and_description(world: World, customer: Row) -> None:
    for options in ("PAYMENT TERMS", "SHIPPING AGENT"):
        await world.sync(options, full=True)
    post(world, "PS-14", customer, line("Freight", 100), shipmentMethodCode="EXW", paymentTermsCode="NET 30")
    post(world, "PS-15", customer, line("Freight", 100), workDescription="As agreed", shippingAgentCode="DHL")
    await world.sync(INVOICE, full=True)
    first, second = await invoice(world, "PS-14"), await invoice(world, "PS-15")
    assert (first["description"], second["description"]) == ("Ex Works", "As agreed")
    assert await world.label("paymenttermscode", first["paymenttermscode"]) in ("NET 30", "Net 30")
    assert await world.label("address1_shippingmethodcode", second["shippingmethodcode"]) == "DHL"
    await world.quiet(INVOICE)


async def order(world: World, **values: Any) -> Row:
    """An order in Dataverse that an invoice comes from."""
    dollar = (await world.alice.one("transactioncurrencies", "isocurrencycode eq 'USD'"))["transactioncurrencyid"]
    prices = await world.alice.create(
        "pricelevels", {"name": "Bikes", "transactioncurrencyid@odata.bind": f"/transactioncurrencies({dollar})"}
    )
    bound = {
        "pricelevelid@odata.bind": f"/pricelevels({prices['pricelevelid']})",
        "transactioncurrencyid@odata.bind": f"/transactioncurrencies({dollar})",
    }
    values = {"name": "Bikes for Adatum", "ordernumber": "ORD-1", **bound, **values}
    return await world.alice.create("salesorders", values)


@pytest.mark.rule("INV-06")
@pytest.mark.rule("INV-07")
async def test_an_invoice_takes_after_the_order_that_it_comes_from(world: World, customer: Row) -> None:
    account = await world.account_of(customer)
    there = await order(world, **{"customerid_account@odata.bind": f"/accounts({account['accountid']})"})
    post(world, "PS-16", customer, line("Freight", 100), yourReference="ORD-1")
    other = await world.bob.create("customers", {"displayName": "Fabrikam"})
    await world.sync(full=True)
    post(world, "PS-17", other, line("Freight", 100), yourReference="ORD-1")
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    found = await invoice(world, "PS-16")
    assert (found["name"], found["_salesorderid_value"]) == ("Bikes for Adatum", there["salesorderid"])
    assert (found["_customerid_value"], found["_ownerid_value"]) == (account["accountid"], there["_ownerid_value"])
    [failure] = await world.failures(INVOICE)
    assert failure.code == "INV-07"
    assert failure.message == (
        "the customer of its order ORD-1 was changed or is not coupled: "
        f"the invoice is for {other['number']}, the order for {customer['number']}"
    )


@pytest.mark.rule("INV-07")
@pytest.mark.rule("GEN-04")
async def test_the_team_of_an_order_owns_its_invoice(world: World, customer: Row) -> None:
    [team] = world.sandbox.dataverse.load("team", [{"name": "Export", "_businessunitid_value": BUSINESS_UNIT_ID}])
    account = await world.account_of(customer)
    there = await order(world, **{"customerid_account@odata.bind": f"/accounts({account['accountid']})"})
    await world.alice.update("salesorders", there["salesorderid"], {"ownerid@odata.bind": f"/teams({team})"})
    post(world, "PS-16", customer, line("Freight", 100), yourReference="ORD-1")
    await world.sync(INVOICE, full=True)
    assert (await invoice(world, "PS-16"))["_owningteam_value"] == team
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-09")
async def test_each_currency_has_a_price_list(world: World, customer: Row) -> None:
    post(world, "PS-18", customer, line("Freight", 100), currencyCode="EUR", currencyFactor=0.9)
    post(world, "PS-19", customer, line("Freight", 100), currencyCode="EUR", currencyFactor=0.9)
    post(world, "PS-20", customer, line("Freight", 100))
    shown = [action async for action in plan(world.session, INVOICE, Request(full=True))]
    assert [write.name for action in shown for write in action.before if action.name == "PS-18"] == [
        "Price List in EUR"
    ]
    assert (await world.sync(INVOICE, full=True)).counts["created"] == 3
    euro = await world.alice.one("pricelevels", "name eq 'Price List in EUR'")
    local = await world.alice.one("pricelevels", "name eq 'Business Central Default Price List'")
    lists = [(await invoice(world, number))["_pricelevelid_value"] for number in ("PS-18", "PS-19", "PS-20")]
    assert lists == [euro["pricelevelid"], euro["pricelevelid"], local["pricelevelid"]]
    assert await world.currency(await invoice(world, "PS-18")) == "EUR"
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-05")
@pytest.mark.rule("INV-14")
@pytest.mark.rule("INV-17")
async def test_items_are_products_at_the_price_of_the_invoice(world: World, customer: Row) -> None:
    for number in ("BELL", "RACK"):
        values = {"number": number, "displayName": number.title(), "unitPrice": 15, "baseUnitOfMeasureCode": "PCS"}
        await world.bob.create("items", values)
    await world.sync("UNIT OF MEASURE", full=True)
    sold = line("Bell", 12, 2, lineType="Item", lineObjectNumber="BELL")
    post(world, "PS-21", customer, sold, currencyCode="EUR", currencyFactor=0.9)
    assert (await world.sync(INVOICE, full=True)).counts["failed"] == 1
    [failure] = await world.failures(INVOICE)
    assert (failure.code, failure.message) == ("INV-05", "item BELL on its lines is not coupled in ITEM-PRODUCT")
    await world.sync("ITEM-PRODUCT", full=True)
    assert (await world.sync(INVOICE)).counts["created"] == 1
    found = await invoice(world, "PS-21")
    [bell] = await lines(world, found)
    product = await world.alice.one("products", "productnumber eq 'BELL'")
    assert (bell["_productid_value"], bell["_uomid_value"]) == (product["productid"], product["_defaultuomid_value"])
    assert (bell["isproductoverridden"], bell["priceperunit"], bell["baseamount"]) == (False, 12, 24)
    prices = f"_productid_value eq {product['productid']} and _pricelevelid_value eq {found['_pricelevelid_value']}"
    assert (await world.alice.one("productpricelevels", prices))["amount"] == 12
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-04")
@pytest.mark.rule("INV-15")
async def test_blocked_items_and_those_that_are_left_out(world: World, customer: Row) -> None:
    for number, blocked in (("OLD", True), ("FREE", False)):
        values = {"number": number, "displayName": number, "baseUnitOfMeasureCode": "PCS", "blocked": blocked}
        await world.bob.create("items", values)
    world.change(
        "ITEM-PRODUCT",
        business_central=msgspec.structs.replace(
            world.mappings["ITEM-PRODUCT"].business_central, filter="blocked eq false and number ne 'FREE'"
        ),
    )
    post(world, "PS-22", customer, line("Old", 1, lineType="Item", lineObjectNumber="OLD"))
    post(world, "PS-23", customer, line("Free", 1, lineType="Item", lineObjectNumber="FREE"))
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    [failure] = await world.failures(INVOICE)
    assert (failure.code, failure.message) == ("INV-04", "item OLD on its lines is blocked")
    world.change(INVOICE, parameters={"blocked": "write_in"})
    assert (await world.sync(INVOICE, full=True)).counts["created"] == 1
    [old] = await lines(world, await invoice(world, "PS-22"))
    assert (old["isproductoverridden"], old["productdescription"]) == (True, "OLD Old.")
    [free] = await lines(world, await invoice(world, "PS-23"))
    assert (free["isproductoverridden"], free["productdescription"]) == (True, "FREE Free.")


@pytest.mark.rule("INV-21")
async def test_a_payment_alone_is_noticed(world: World, customer: Row) -> None:
    """Business Central does not count it as a change of the invoice: its customer's account tells."""
    post(world, "PS-24", customer, line("Freight", 100))
    await world.sync(INVOICE, full=True)
    await world.quiet(INVOICE)
    stored = await world.bob.one("postedSalesInvoices", "number eq 'PS-24'")
    world.sandbox.business_central.companies[COMPANY].stores["postedSalesInvoices"].rows[stored["id"]] |= {
        "remainingAmount": 0
    }
    entry = {"entryNumber": 1, "documentNumber": "PS-24", "customerNumber": customer["number"], "remainingAmount": 0}
    world.sandbox.business_central.load(COMPANY, "customerLedgerEntries", [entry])
    assert (await world.sync(INVOICE)).counts["updated"] == 1
    assert await state(world, "PS-24") == (2, 100001)
    await world.quiet(INVOICE)


@pytest.mark.rule("GEN-13")
@pytest.mark.rule("INV-08")
async def test_a_missing_customer_is_brought_along_if_customers_are_created(world: World, customer: Row) -> None:
    other = await world.bob.create("customers", {"displayName": "Fabrikam"})
    bad = await world.bob.create("customers", {"displayName": "Blocked"})
    await world.bob.update("customers", bad["id"], blocked="All")
    post(world, "PS-25", other, line("Freight", 100))
    post(world, "PS-26", bad, line("Freight", 100))
    world.change("CUSTOMER", only_coupled=False)
    shown = [action async for action in plan(world.session, INVOICE, Request(full=True))]
    remedies = [action.refusal.remedy for action in shown if action.refusal]
    assert remedies[0] == f"the run synchronises {other['number']} in CUSTOMER first"
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 1)
    assert [part.mapping for part in result.parts] == ["CUSTOMER", LINES]
    assert (await invoice(world, "PS-25"))["_customerid_value"] == (await world.account_of(other))["accountid"]
    assert [failure.record_name for failure in await world.failures(INVOICE)] == ["PS-26"]
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-12")
@pytest.mark.parametrize("restored", [True, False])
async def test_an_invoice_that_is_made_anew_gets_its_lines_anew(world: World, customer: Row, restored: bool) -> None:
    id = post(world, "PS-1", customer, line("Freight", 100), line("Handling", 10))
    await world.sync(INVOICE, full=True)
    if restored:
        world.change(INVOICE, deletions="restore")
    else:
        await uncouple(world.session, INVOICE, [id])
    await world.alice.delete("invoices", (await invoice(world, "PS-1"))["invoiceid"])
    await world.sync(INVOICE, full=not restored)
    assert await world.failures(LINES) == []
    found = await invoice(world, "PS-1")
    assert [row["priceperunit"] for row in await lines(world, found)] == [100, 10]
    assert found["totalamount"] == 110
    await world.quiet(INVOICE)


@pytest.mark.rule("INV-12")
async def test_an_invoice_that_is_made_anew_waits_for_its_lines_like_a_new_one(world: World, customer: Row) -> None:
    post(world, "PS-1", customer, line("Freight", 100), remainingAmount=0)
    await world.sync(INVOICE, full=True)
    world.change(INVOICE, deletions="restore")
    await world.alice.delete("invoices", (await invoice(world, "PS-1"))["invoiceid"])
    world.sandbox.dataverse.missing_privileges[KOPPEL.id] = {"prvCreateInvoiceDetail"}
    await world.sync(INVOICE)
    assert len(await world.failures(LINES)) == 1
    assert (await invoice(world, "PS-1"))["statecode"] == 0
    world.sandbox.dataverse.missing_privileges.clear()
    await world.sync(INVOICE)
    found = await invoice(world, "PS-1")
    assert ((await lines(world, found))[0]["priceperunit"], found["statecode"]) == (100, 2)
    await world.quiet(INVOICE)

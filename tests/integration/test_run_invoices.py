"""Posted invoices with their lines: what is sent, in what order, and what closes them (INV-…)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from world import World, new_world
from world_data import Row

from koppel.sandbox.seed_business_central import COMPANY
from koppel.store.database import Database

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
async def test_an_invoice_arrives_with_its_lines(world: World, customer: Row) -> None:
    post(world, "PS-1", customer, line("Freight", 100, tax=21), line("Handling", 10, 2, tax=4.2))
    result = await world.sync(INVOICE, full=True)
    assert (result.counts["created"], result.counts["failed"]) == (1, 0), result
    found = await invoice(world, "PS-1")
    account = await world.account_of(customer)
    assert (found["name"], found["_customerid_value"]) == ("PS-1", account["accountid"])
    assert (found["totalamountlessfreight"], found["totaltax"], found["totalamount"]) == (120, 25.2, 145.2)
    assert (found["statecode"], found["statuscode"]) == (0, 4)
    freight, handling = await lines(world, found)
    assert freight["productdescription"] == "6410 Freight."
    assert (freight["isproductoverridden"], freight["ispriceoverridden"]) == (True, True)
    assert (handling["quantity"], handling["priceperunit"], handling["tax"]) == (2, 10, 4.2)
    assert (handling["baseamount"], handling["extendedamount"]) == (20, 24.2)
    await world.quiet(INVOICE)

"""Fills both systems with what they start with, straight into their tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Literal, get_args

from koppel.sandbox.adventureworks import lines
from koppel.sandbox.business_central.company import BusinessCentral, NumberSeries
from koppel.sandbox.business_central.users import login_rows
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.dataverse.service import Dataverse
from koppel.sandbox.seed_business_central import (
    COMPANY,
    LOCAL_CURRENCY,
    RELATION_CODE,
    CustomerRows,
    customer_rows,
    setup_rows,
)
from koppel.sandbox.seed_dataverse import account_rows, organization_rows, user_rows
from koppel.sandbox.seed_documents import seed_documents
from koppel.sandbox.seed_opportunities import opportunity_rows
from koppel.sandbox.seed_products import FREIGHT, VENDOR_RELATION_CODE, WRITE_IN, product_rows, vendor_rows
from koppel.sandbox.seed_sales import invoice_rows
from koppel.sandbox.seed_vat import vat_setup
from koppel.sandbox.tokens import BOB, USERS, User

Data = Literal["adventureworks", "empty"]
"""Adventure Works, or nothing but the organisation, the company and those who may log in."""
DATA: tuple[Data, ...] = get_args(Data)

INVOICES = 500
"""How many of the 25,164 orders are posted as invoices, the last ones, unless more are asked for."""

_CHUNK = 5_000


def seed_dataverse(dataverse: Dataverse, data: Data, customers: int | None, users: Iterable[User]) -> None:
    """Load the organisation and its users; with data also the accounts typed by hand and what was sold to them."""
    for table, rows in organization_rows().items():
        dataverse.load(table, rows)
    dataverse.load("systemuser", user_rows(users, salespeople=data == "adventureworks"))
    if data == "adventureworks":
        seed_documents(dataverse, dataverse.load("account", account_rows(customers)))


def seed_business_central(system: BusinessCentral, data: Data, customers: int | None, invoices: int = INVOICES) -> None:
    """Make the company; with data load its tables, and up to so many posted invoices.

    Customers come in chunks: there may be a million.
    """
    company = system.add_company(COMPANY, local_currency=LOCAL_CURRENCY, display_name="Adventure Works")
    company.series["CONT"] = NumberSeries("CT3000000")
    marketing = {
        "contactNumberSeries": "CONT",
        "opportunityNumberSeries": "OPP",
        "businessRelationCodeForCustomers": RELATION_CODE,
        "businessRelationCodeForVendors": VENDOR_RELATION_CODE,
    }
    system.load(COMPANY, "marketingSetup", [marketing], user=BOB.id)
    system.load(COMPANY, "users", login_rows(USERS))
    if data == "empty":
        return
    sales = {"freightGLAccNo": FREIGHT, "writeInProductType": "Resource", "writeInProductNo": WRITE_IN}
    system.load(COMPANY, "salesReceivablesSetup", [sales], user=BOB.id)
    system.load(COMPANY, "vatPostingSetup", vat_setup(), user=BOB.id)
    for tables in (setup_rows(), vendor_rows(), product_rows()):
        for table, rows in tables.items():
            system.load(COMPANY, table, rows, user=BOB.id)
    coming = customer_rows(customers)
    while chunk := list(islice(coming, _CHUNK)):
        _load_customers(system, chunk)
    if customers is None or customers > len(lines("company_customers.csv")):
        _load_invoices(system, invoices)  # stores, which come first, have no orders


def _load_invoices(system: BusinessCentral, number: int) -> None:
    coming = invoice_rows(Work(system, system.companies[COMPANY], BOB.id), number)
    while chunk := list(islice(coming, _CHUNK)):
        system.load(COMPANY, "postedSalesInvoices", (rows.invoice for rows in chunk), user=BOB.id)
        system.load(COMPANY, "postedSalesInvoiceLines", (line for rows in chunk for line in rows.lines), user=BOB.id)
        system.load(COMPANY, "customerLedgerEntries", (row for rows in chunk for row in rows.entries), user=BOB.id)


def _load_customers(system: BusinessCentral, chunk: list[CustomerRows]) -> None:
    """Relations first, since contacts show them."""
    system.load(COMPANY, "contactBusinessRelations", (rows.relation for rows in chunk), user=BOB.id)
    system.load(COMPANY, "contacts", (contact for rows in chunk for contact in rows.contacts), user=BOB.id)
    system.load(COMPANY, "customers", (rows.customer for rows in chunk), user=BOB.id)
    opportunities = (row for rows in chunk for row in opportunity_rows(rows))
    system.load(COMPANY, "opportunities", opportunities, user=BOB.id)

"""The posted invoices that the sandbox starts with: those of the files, added up, with whole references."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from koppel.sandbox.business_central import BusinessCentral, Company, create_business_central
from koppel.sandbox.business_central.invoices import kind_of
from koppel.sandbox.business_central.logic.amounts import exact
from koppel.sandbox.business_central.work import Work
from koppel.sandbox.clock import Clock
from koppel.sandbox.seed import INVOICES, seed_business_central
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.seed_sales import invoice_rows
from koppel.sandbox.tables import Row
from koppel.sandbox.tokens import BOB

ORDERS, LINES = 25_164, 56_046


def _system(customers: int | None) -> BusinessCentral:
    system = create_business_central(Clock(), caller=lambda _: None)
    seed_business_central(system, "adventureworks", customers, ORDERS)
    return system


@pytest.fixture(scope="module")
def system() -> BusinessCentral:
    return _system(None)


@pytest.fixture
def company(system: BusinessCentral) -> Company:
    return system.companies[COMPANY]


def _rows(company: Company, table: str) -> list[Row]:
    return list(company.stores[table].rows.values())


def _sum(rows: list[Row], name: str) -> Decimal:
    return sum((exact(row.get(name, 0)) for row in rows), Decimal())


def test_all_orders_of_the_source_are_there(company: Company) -> None:
    assert len(_rows(company, "postedSalesInvoices")) == ORDERS
    assert len(_rows(company, "postedSalesInvoiceLines")) == LINES


def test_references_are_whole(company: Company) -> None:
    for table, names in {
        "postedSalesInvoices": {
            "customerId": "customers",
            "currencyId": "currencies",
            "paymentTermsId": "paymentTerms",
        },
        "postedSalesInvoiceLines": {"documentId": "postedSalesInvoices", "itemId": "items"},
    }.items():
        for name, related in names.items():
            used = {row[name] for row in _rows(company, table) if name in row}
            assert used, name
            assert used <= company.stores[related].rows.keys(), name


def test_values_fit_their_fields(company: Company) -> None:
    for table in ("postedSalesInvoices", "postedSalesInvoiceLines", "customerLedgerEntries"):
        fields = company.stores[table].info.fields
        for row in _rows(company, table)[::50]:
            for name, value in row.items():
                assert value != fields[name].empty, (table, name)
                longest = fields[name].max_length
                assert longest is None or len(value) <= longest, (table, name)


def test_headers_are_the_sums_of_their_lines(company: Company) -> None:
    lines: dict[str, list[Row]] = {}
    for line in _rows(company, "postedSalesInvoiceLines"):
        lines.setdefault(line["documentId"], []).append(line)
    for invoice in _rows(company, "postedSalesInvoices"):
        own = lines[invoice["id"]]
        assert _sum(own, "netAmount") == exact(invoice["totalAmountExcludingTax"])
        assert _sum(own, "netAmountIncludingTax") == exact(invoice["totalAmountIncludingTax"])
        assert _sum(own, "invDiscountAmount") == exact(invoice.get("discountAmount", 0))


def test_there_is_every_kind_of_invoice(company: Company) -> None:
    invoices = _rows(company, "postedSalesInvoices")
    assert {invoice.get("currencyCode", "USD") for invoice in invoices} == {"USD", "EUR", "GBP", "AUD", "CAD"}
    for name in ("pricesIncludeTax", "discountAmount", "totalTaxAmount"):
        assert {name in invoice for invoice in invoices} == {True, False}
    assert all(("currencyFactor" in invoice) == ("currencyCode" in invoice) for invoice in invoices)


def test_the_ledger_says_what_is_open(company: Company) -> None:
    entries = {row["entryNumber"]: row for row in _rows(company, "customerLedgerEntries")}
    assert sorted(entries) == list(range(1, len(entries) + 1))
    kinds: Counter[str] = Counter()
    for invoice in _rows(company, "postedSalesInvoices"):
        entry = entries[invoice["custLedgerEntryNumber"]]
        assert (entry["documentType"], entry["documentNumber"]) == ("Invoice", invoice["number"])
        assert entry.get("remainingAmount", 0) == invoice.get("remainingAmount", 0)
        assert entry.get("open", False) is not invoice.get("closed", False)
        kinds[kind_of(invoice)] += 1
    assert kinds == {"paid": 17_616, "partly": 2_516, "open": 5_032}
    left = _sum(list(entries.values()), "remainingAmount")
    assert left == _sum(list(entries.values()), "amount") > 0


def test_the_default_are_the_last_ones_none_of_a_blocked_item(system: BusinessCentral, company: Company) -> None:
    rows = list(invoice_rows(Work(system, company, BOB.id), INVOICES))
    assert len(rows) == 500
    assert {row.invoice["postingDate"] for row in rows} == {f"2017-06-{day}" for day in range(23, 31)}
    items = company.stores["items"]
    used = {line["lineObjectNumber"] for row in rows for line in row.lines}
    assert not any((items.find(number) or {}).get("blocked") for number in used)
    assert [entry["entryNumber"] for row in rows for entry in row.entries][:3] == [1, 2, 3]


def test_only_orders_of_customers_that_are_there() -> None:
    company = _system(1_000).companies[COMPANY]
    numbers = {row["number"] for row in _rows(company, "customers")}
    used = {row["customerNumber"] for row in _rows(company, "postedSalesInvoices")}
    assert used
    assert used <= numbers

"""Which columns the companion has to expose: those that mappings in use read, write or ask by, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

import koppel.rules  # noqa: F401 - registers them
from koppel.companion import uses_of
from koppel.mapping.load import load_mappings

MAPPING = """\
mapping: MINE
business_central:
  table: {table}
  key: number
  filter: blocked eq 'All' and startswith(city, 'B')
  new: type eq 'Company'
  known_by: phoneNumber
  watch: [{{table: currencyExchangeRates, column: currencyCode, key: salespersonCode}}, {{table: currencies}}]
  create: {{creditLimit: 1}}
  deactivate: {{taxLiable: false}}
  templates:
    - {{values: {{contact: x}}, filter: name eq 'a'}}
dataverse:
  table: account
  key: accountnumber
  filter: statecode eq 0
  templates:
    - {{values: {{fax: x}}, filter: email eq 'a'}}
left_filter: deactivate
match:
  - - {{business_central: website, dataverse: websiteurl}}
fields:
  - {{business_central: displayName, dataverse: name}}
  - {{business_central: faxNo, dataverse: fax, enabled: false}}
  - business_central: country
    dataverse: address1_country
    direction: to_dataverse
    to_dataverse: [{{do: look_up, table: countriesRegions, where: code, take: displayName}}]
"""


def used(tmp_path: Path, text: str, *, asked: bool = False) -> dict[str, list[str]]:
    """By table, the columns that the mapping of a file uses, or is asked by."""
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    found: dict[str, list[str]] = {}
    for use in uses_of([load_mappings([tmp_path])["MINE"]]):
        if not asked or use.asked:
            found.setdefault(use.table, []).append(use.column)
    return {table: sorted(set(columns)) for table, columns in found.items()}


def test_everything_that_a_mapping_says_counts(tmp_path: Path) -> None:
    text = MAPPING.format(table="customers")
    assert used(tmp_path, text) == {
        "customers": [
            *("blocked", "city", "contact", "country", "creditLimit", "displayName"),
            *("email", "number", "phoneNumber", "salespersonCode", "taxLiable", "type", "website"),
        ],
        "currencyExchangeRates": ["currencyCode"],
        "currencies": ["id"],
        "countriesRegions": ["code", "displayName"],
    }
    assert used(tmp_path, text, asked=True) == {
        "customers": ["blocked", "city", "number", "phoneNumber", "salespersonCode", "type"],
        "currencyExchangeRates": ["currencyCode"],
        "currencies": ["id"],
        "countriesRegions": ["code"],
    }


def test_what_is_off_counts_for_nothing(tmp_path: Path) -> None:
    assert used(tmp_path, MAPPING.format(table="customers") + "enabled: false\n") == {}


@pytest.mark.parametrize(
    ("table", "found"), [("koppel/sync/v1.0/customers", True), ("v2.0/customers", False), ("a/b/v1.0/customers", False)]
)
def test_only_the_companions_route_counts(tmp_path: Path, table: str, found: bool) -> None:
    assert ("customers" in used(tmp_path, MAPPING.format(table=table))) is found


def test_rules_count_with_what_they_read_and_need() -> None:
    uses = uses_of([load_mappings()["POSTEDSALESINV-INV"]])
    columns = {(use.table, use.column) for use in uses}
    assert {("postedSalesInvoices", "workDescription"), ("shipmentMethods", "displayName")} <= columns
    asked = {(use.table, use.column) for use in uses if use.asked}
    assert asked == {
        ("postedSalesInvoices", "number"),
        ("postedSalesInvoiceLines", "documentId"),
        ("items", "number"),
        ("resources", "number"),
        ("customerLedgerEntries", "documentNumber"),
    }


def test_references_that_a_rule_knows_count() -> None:
    columns = {(use.table, use.column) for use in uses_of([load_mappings()["CONTACT"]])}
    assert ("contactBusinessRelations", "contactNumber") in columns
    assert ("contacts", "salutationCode") not in columns


def test_parts_are_asked_by_their_whole() -> None:
    uses = uses_of([load_mappings()["POSTEDSALESLINE-INV"]])
    assert ("postedSalesInvoiceLines", "documentId") in {(use.table, use.column) for use in uses if use.asked}


def test_what_rules_write_counts_though_no_mapping_names_it() -> None:
    columns = {(use.table, use.column) for use in uses_of([load_mappings()["SALESORDER-ORDER"]])}
    assert {("salesOrders", "customerId"), ("salesOrderLines", "attachedToLineNumber")} <= columns

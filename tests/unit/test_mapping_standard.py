"""The standard mappings: what stands in them, and that it fits the systems they are written for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import koppel.rules  # noqa: F401 - registers them
from koppel.engine.rule import RULES
from koppel.mapping.load import load_mappings
from koppel.mapping.model import FieldMapping, TableMapping
from koppel.odata.syntax import columns_of, parse_filter
from koppel.rules.statistics import FIGURES

STANDARD = load_mappings([])


def known_rules() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in RULES.values():
        found.setdefault(rule.kind, set()).add(rule.name)
    return found


def field(mapping: str, name: str) -> FieldMapping:
    return next(each for each in STANDARD[mapping].fields if each.name == name)


def all_fields() -> Iterator[tuple[TableMapping, FieldMapping]]:
    return ((mapping, each) for mapping in STANDARD.values() for each in mapping.fields)


def test_every_rule_they_name_exists() -> None:
    assert load_mappings([], known_rules=known_rules()) == STANDARD


@pytest.mark.parametrize(
    ("name", "direction", "table", "partner", "fields", "disabled"),
    [
        ("SALESPEOPLE", "from_dataverse", "salespeoplePurchasers", "systemuser", 5, 2),
        ("CURRENCY", "to_dataverse", "currencies", "transactioncurrency", 4, 0),
        ("UNIT OF MEASURE", "to_dataverse", "unitsOfMeasure", "uomschedule", 2, 0),
        ("UNIT GROUP", "to_dataverse", "unitGroups", "uomschedule", 2, 0),
        ("ITEM UOM", "to_dataverse", "itemUnitsOfMeasure", "uom", 3, 0),
        ("RESOURCE UOM", "to_dataverse", "resourceUnitsOfMeasure", "uom", 3, 0),
        ("PAYMENT TERMS", "to_dataverse", "paymentTerms", "account", 1, 0),
        ("SHIPMENT METHOD", "to_dataverse", "shipmentMethods", "account", 1, 0),
        ("SHIPPING AGENT", "to_dataverse", "shippingAgents", "account", 1, 0),
        ("ITEM-PRODUCT", "both", "items", "product", 17, 0),
        ("RESOURCE-PRODUCT", "both", "resources", "product", 14, 0),
        ("CUSTPRCGRP-PRICE", "to_dataverse", "customerPriceGroups", "pricelevel", 2, 0),
        ("SALESPRC-PRODPRICE", "to_dataverse", "salesPrices", "productpricelevel", 8, 1),
        ("CUSTOMER", "both", "customers", "account", 21, 2),
        ("VENDOR", "both", "vendors", "account", 20, 2),
        ("CONTACT", "both", "contacts", "contact", 20, 1),
        ("SALESORDER-ORDER", "both", "salesOrders", "salesorder", 26, 1),
        ("OPPORTUNITY", "both", "opportunities", "opportunity", 9, 3),
        ("SALES ORDER NOTES", "both", "recordNotes", "annotation", 2, 0),
        ("SALESQUOTE-QUOTE", "from_dataverse", "salesQuotes", "quote", 3, 0),
        ("SALES QUOTE NOTES", "from_dataverse", "recordNotes", "annotation", 2, 0),
        ("POSTEDSALESINV-INV", "to_dataverse", "postedSalesInvoices", "invoice", 31, 0),
        ("ACCOUNT STATISTICS", "to_dataverse", "customerStatistics", "nav_accountstatistics", 16, 0),
        ("POSTEDSALESLINE-INV", "to_dataverse", "postedSalesInvoiceLines", "invoicedetail", 13, 0),
    ],
)
def test_what_they_pair(name: str, direction: str, table: str, partner: str, fields: int, disabled: int) -> None:
    mapping = STANDARD[name]
    assert (mapping.direction, mapping.business_central.table, mapping.dataverse.table) == (direction, table, partner)
    assert len(mapping.fields) == fields
    assert sum(not each.enabled for each in mapping.fields) == disabled


def test_they_only_keep_coupled_records_in_step_and_ask_in_conflicts() -> None:
    assert all(mapping.conflicts == "ask" for mapping in STANDARD.values())
    creating = {"POSTEDSALESLINE-INV", "SALESORDER-ORDER", "SALESPRC-PRODPRICE", "SALES ORDER NOTES"}
    creating |= {"SALESORDER-ORDER-TWO-WAY", "SOLINE-ORDERDETAIL", "SALES ORDER NOTES-TWO-WAY"}
    creating |= {"SALESQUOTE-QUOTE", "SALES QUOTE NOTES", "UNIT GROUP", "ITEM UOM", "RESOURCE UOM"}
    creating |= {"ACCOUNT STATISTICS"}
    assert {mapping.name for mapping in STANDARD.values() if not mapping.only_coupled} == creating


def test_what_goes_beyond_the_request_is_off() -> None:
    assert {mapping.name for mapping in STANDARD.values() if not mapping.enabled} == {
        "UNIT GROUP",
        "ITEM UOM",
        "RESOURCE UOM",
        "SALESORDER-ORDER-TWO-WAY",
        "SOLINE-ORDERDETAIL",
        "SALES ORDER NOTES-TWO-WAY",
        "SALESQUOTE-QUOTE",
        "SALES QUOTE NOTES",
        "ACCOUNT STATISTICS",
    }


@pytest.mark.rule("SP-01")
def test_users_who_are_salespeople() -> None:
    assert columns_of(parse_filter(STANDARD["SALESPEOPLE"].dataverse.filter)) == {
        "isdisabled",
        "islicensed",
        "isintegrationuser",
    }


@pytest.mark.rule("SP-02")
def test_salespeople_come_from_dataverse_only() -> None:
    pairs = {(each.business_central, each.dataverse) for each in STANDARD["SALESPEOPLE"].fields if each.enabled}
    assert pairs == {("displayName", "fullname"), ("email", "internalemailaddress"), ("phoneNo", "mobilephone")}
    assert {each.direction for each in STANDARD["SALESPEOPLE"].fields} == {"from_dataverse"}


@pytest.mark.rule("SP-03")
def test_salespeople_come_first() -> None:
    assert next(iter(STANDARD)) == "SALESPEOPLE"
    assert "SALESPEOPLE" in STANDARD["CUSTOMER"].depends_on


@pytest.mark.rule("CUR-01")
def test_currencies_match_on_their_iso_code() -> None:
    ((pair,),) = STANDARD["CURRENCY"].match
    assert (pair.business_central, pair.dataverse) == ("code", "isocurrencycode")


@pytest.mark.rule("OPT-01")
@pytest.mark.parametrize(
    ("mapping", "column"),
    [
        ("PAYMENT TERMS", "paymenttermscode"),
        ("SHIPMENT METHOD", "address1_freighttermscode"),
        ("SHIPPING AGENT", "address1_shippingmethodcode"),
    ],
)
def test_option_mappings_couple_the_choices_of_accounts(mapping: str, column: str) -> None:
    assert STANDARD[mapping].kind == "options"
    assert STANDARD[mapping].dataverse.column == STANDARD[mapping].dataverse.key == column
    assert [each.options for each in STANDARD["CUSTOMER"].fields if each.dataverse == column] == [mapping]


@pytest.mark.rule("OPT-02")
def test_an_option_without_coupling_leaves_the_field_empty() -> None:
    assert {each.on_missing for each in STANDARD["CUSTOMER"].fields if each.options} == {"empty"}


@pytest.mark.rule("CUST-01")
def test_which_customers_take_part() -> None:
    customer = STANDARD["CUSTOMER"]
    assert customer.business_central.filter == "blocked eq '_x0020_'"
    assert customer.dataverse.filter == "statecode eq 0 and customertypecode eq 3"
    assert customer.dataverse.create == {"customertypecode": 3}


@pytest.mark.rule("GEN-03")
@pytest.mark.parametrize("mapping", ["CUSTOMER", "CONTACT"])
def test_the_salesperson_says_the_owner(mapping: str) -> None:
    owner = field(mapping, "salespersonCode")
    assert (owner.dataverse, owner.direction, owner.keep_blank) == ("ownerid", "to_dataverse", True)
    assert owner.lookup is not None
    assert (owner.lookup.mapping, owner.lookup.required) == ("SALESPEOPLE", True)


@pytest.mark.parametrize("mapping", ["CUSTOMER", "CONTACT"])
def test_an_address_is_one_value(mapping: str) -> None:
    together = {each.dataverse for each in STANDARD[mapping].fields if each.group == "address"}
    parts = ("line1", "line2", "postalcode", "city", "country", "stateorprovince")
    assert together == {f"address1_{part}" for part in parts}


@pytest.mark.rule("CUST-07")
def test_the_primary_contact_waits_until_it_is_coupled() -> None:
    lookup = field("CUSTOMER", "primaryContactNo").lookup
    assert lookup is not None
    assert (lookup.mapping, lookup.required) == ("CONTACT", False)


@pytest.mark.rule("CUST-14")
def test_number_and_mobile_are_switched_off() -> None:
    assert {each.name for each in STANDARD["CUSTOMER"].fields if not each.enabled} == {"number", "mobilePhoneNo"}


@pytest.mark.rule("CONT-03")
def test_a_contact_needs_its_company_in_business_central() -> None:
    lookup = field("CONTACT", "companyNumber").lookup
    assert lookup is not None
    assert lookup.required_towards("business_central")
    assert not lookup.required_towards("dataverse")


@pytest.mark.rule("CONT-11")
def test_contacts_from_dataverse_are_people() -> None:
    kind = field("CONTACT", "type")
    assert (kind.constant, kind.direction) == ("Person", "from_dataverse")


def test_codes_are_compared_as_codes() -> None:
    columns = {"code", "country", "postalCode", "number", "companyNumber", "primaryContactNo"}
    named = (each for _, each in all_fields() if not (each.lookup and each.lookup.by == "id"))
    codes = [each for each in named if each.business_central in columns or each.lookup or each.options]
    assert len(codes) > 15
    assert all(each.code for each in codes)


def test_the_day_of_statistics_is_that_of_all_their_figures() -> None:
    mapping = STANDARD["ACCOUNT STATISTICS"]
    figures = {each.business_central: each.dataverse for each in mapping.fields if each.last}
    assert figures == FIGURES
    assert mapping.dataverse.create == dict.fromkeys(FIGURES.values(), 1)

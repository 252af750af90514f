"""What the sandbox starts with: exact counts, whole references, lengths that fit, and accounts as people type them."""

from __future__ import annotations

from collections import Counter

import pytest

from koppel.sandbox.adventureworks import record_id
from koppel.sandbox.clock import Clock
from koppel.sandbox.dataverse import create_dataverse
from koppel.sandbox.seed import seed_dataverse
from koppel.sandbox.seed_business_central import EXTERNAL_CUSTOMERS, CustomerRows, customer_rows, setup_rows
from koppel.sandbox.seed_dataverse import CURRENCY_ID, account_rows, organization_rows, user_rows
from koppel.sandbox.tables import Row
from koppel.sandbox.tokens import USERS

LENGTHS = {
    "number": 20,
    "displayName": 100,
    "addressLine1": 100,
    "addressLine2": 50,
    "city": 30,
    "state": 30,
    "country": 10,
    "postalCode": 20,
    "phoneNumber": 30,
    "email": 80,
    "jobTitle": 30,
    "firstName": 30,
    "surname": 30,
    "companyName": 100,
}


@pytest.fixture(scope="module")
def everything() -> list[CustomerRows]:
    return list(customer_rows())


@pytest.fixture(scope="module")
def accounts() -> list[Row]:
    return account_rows()


def test_counts_are_those_of_the_source(everything: list[CustomerRows]) -> None:
    contacts = Counter(contact["type"] for rows in everything for contact in rows.contacts)
    assert len(everything) == 701 + 18_148
    assert contacts == {"Company": 18_849, "Person": 753}
    assert {table: len(rows) for table, rows in setup_rows().items()} == {
        "currencies": 105,
        "currencyExchangeRates": 420,
        "unitsOfMeasure": 38,
        "countriesRegions": 6,
        "paymentTerms": 7,
        "shipmentMethods": 6,
        "shippingAgents": 5,
        "salespeoplePurchasers": 18,
    }


def test_every_code_that_a_customer_names_exists(everything: list[CustomerRows]) -> None:
    setup = {table: {row.get("code") for row in rows} for table, rows in setup_rows().items()}
    for column, table in {
        "currencyCode": "currencies",
        "salespersonCode": "salespeoplePurchasers",
        "paymentTermsCode": "paymentTerms",
        "shipmentMethodCode": "shipmentMethods",
        "shippingAgentCode": "shippingAgents",
        "country": "countriesRegions",
    }.items():
        used = {rows.customer[column] for rows in everything if column in rows.customer}
        assert used, column
        assert used <= setup[table], column


@pytest.mark.rule("CUST-08")
def test_a_customer_has_its_company_contact_and_the_relation_between_them(everything: list[CustomerRows]) -> None:
    for rows in everything:
        company, *people = rows.contacts
        assert company["companyNumber"] == company["number"] == rows.relation["contactNumber"]
        assert rows.relation["number"] == rows.customer["number"]
        assert company["displayName"] == rows.customer["displayName"]
        assert {person["companyNumber"] for person in people} <= {company["number"]}
        assert rows.customer.get("primaryContactNo") == (people[0]["number"] if people else None)


def test_the_local_currency_is_stored_blank(everything: list[CustomerRows]) -> None:
    currencies = Counter(rows.customer.get("currencyCode", "") for rows in everything)
    assert currencies == {"": 8110, "EUR": 3608, "AUD": 3575, "GBP": 1905, "CAD": 1651}


def test_three_customers_have_a_salesperson_who_is_no_user(everything: list[CustomerRows]) -> None:
    users = {row["internalemailaddress"] for row in user_rows(USERS)}
    without = {row["code"] for row in setup_rows()["salespeoplePurchasers"] if row["email"] not in users}
    found = {rows.customer["number"] for rows in everything if rows.customer.get("salespersonCode") in without}
    assert without == {"EXTERN"}
    assert found == EXTERNAL_CUSTOMERS


@pytest.mark.parametrize("number", [0, 5, 900, 40_000])
def test_any_number_of_customers_is_there_and_all_are_distinct(number: int) -> None:
    rows = list(customer_rows(number))
    assert len(rows) == number
    assert len({row.customer["number"] for row in rows}) == number
    assert len({row.customer["id"] for row in rows}) == number
    contacts = [contact for row in rows for contact in row.contacts]
    assert (
        len({contact["number"] for contact in contacts})
        == len({contact["id"] for contact in contacts})
        == len(contacts)
    )


def test_nothing_is_longer_than_its_column() -> None:
    for rows in customer_rows(60_000):
        for row in (rows.customer, *rows.contacts):
            for column, length in LENGTHS.items():
                assert len(row.get(column, "")) <= length, (column, row)
            assert row["displayName"]


def test_repeated_customers_differ_in_number_name_and_address() -> None:
    rows = list(customer_rows(18_849 * 2))
    first, second = rows[800].customer, rows[800 + 18_849].customer
    assert second["number"] == f"{first['number']}-2"
    assert second["displayName"] == f"{first['displayName']} 2"
    assert second["email"] != first["email"]
    assert second["city"] == first["city"]


def test_a_rate_is_a_pair_of_amounts() -> None:
    euro = [row for row in setup_rows()["currencyExchangeRates"] if row["currencyCode"] == "EUR"]
    latest = max(euro, key=lambda row: str(row["startingDate"]))
    assert latest["startingDate"] == "2014-05-31"
    assert 0.5 < latest["exchangeRateAmount"] / latest["relationalExchangeRateAmount"] < 1.5


def test_seventeen_users_are_the_salespeople_and_four_others_never_are() -> None:
    rows = user_rows(USERS)
    salespeople = {row["email"] for row in setup_rows()["salespeoplePurchasers"]}
    usable = [r for r in rows if r["islicensed"] and not r["isdisabled"] and not r["isintegrationuser"]]
    assert len([row for row in usable if row["internalemailaddress"] in salespeople]) == 17
    assert len([row for row in rows if row["isdisabled"]]) == 1
    assert len([row for row in rows if row["isintegrationuser"]]) == 2
    assert len([row for row in rows if not row["islicensed"] and not row["isintegrationuser"]]) == 1


def kind(account: Row, by_name: dict[tuple[str, str], list[str]], times: Counter[tuple[str, str]]) -> str:
    key = _name_and_postal_code(account)
    if account.get("accountnumber"):
        return "number"
    if key not in by_name:
        return "unknown"
    return "ambiguous" if times[key] > 1 or len(by_name[key]) > 1 else "name"


def test_accounts_match_customers_as_announced(everything: list[CustomerRows], accounts: list[Row]) -> None:
    by_name: dict[tuple[str, str], list[str]] = {}
    for rows in everything:
        key = (rows.customer["displayName"].casefold(), rows.customer["postalCode"])
        by_name.setdefault(key, []).append(rows.customer["number"])
    times = Counter(map(_name_and_postal_code, accounts))
    kinds = Counter(kind(account, by_name, times) for account in accounts)
    assert kinds == {"number": 150, "name": 90, "ambiguous": 20, "unknown": 40}
    assert {a["accountnumber"] for a in accounts if "accountnumber" in a} <= {r.customer["number"] for r in everything}


def _name_and_postal_code(account: Row) -> tuple[str, str]:
    return account["name"].strip().casefold(), account["address1_postalcode"]


def test_accounts_were_typed_by_people(accounts: list[Row]) -> None:
    users = {row["systemuserid"]: row for row in user_rows(USERS)}
    for account in accounts:
        assert (account["customertypecode"], account["statecode"]) == (3, 0)
        assert account["_ownerid_value"] in users
        assert not users[account["_modifiedby_value"]]["isintegrationuser"]
    assert len({account["accountid"] for account in accounts}) == 300
    assert any(account["name"] != account["name"].strip() for account in accounts)
    assert any("telephone1" not in account for account in accounts)


@pytest.mark.parametrize(("customers", "accounts"), [(0, 0), (40, 4), (1000, 100), (3000, 300), (100_000, 300)])
def test_fewer_customers_bring_fewer_accounts(customers: int, accounts: int) -> None:
    assert len(account_rows(customers)) == accounts


def test_accounts_are_the_same_in_every_run(accounts: list[Row]) -> None:
    assert account_rows() == accounts
    assert account_rows(1_000_000) == accounts


def test_the_base_currency_is_the_local_one() -> None:
    tables = organization_rows()
    [currency] = tables["transactioncurrency"]
    [organization] = tables["organization"]
    assert currency["isocurrencycode"] == "USD"
    assert organization["_basecurrencyid_value"] == currency["transactioncurrencyid"] == CURRENCY_ID


def test_ids_are_guids_that_never_change() -> None:
    assert record_id("customers", "AW00000001") == "f3ab69d5-ccf3-4d52-8e16-aff29ac77005"


def test_people_have_sold_something_in_dataverse() -> None:
    dataverse = create_dataverse(Clock())
    seed_dataverse(dataverse, "adventureworks", 1_000, USERS)
    assert len(dataverse.tables["opportunity"].rows) == 5
    orders = {row["ordernumber"]: row for row in dataverse.tables["salesorder"].rows.values()}
    assert {number: row["statecode"] for number, row in orders.items()} == {"WEB-1001": 1, "WEB-1002": 0}
    assert [orders["WEB-1001"][name] for name in ("totallineitemamount", "totalamount")] == [177.5, 181.12]
    assert {row["_customerid_value"] for row in orders.values()} <= dataverse.tables["account"].rows.keys()
    assert len(dataverse.tables["salesorderdetail"].rows) == 3
    again = create_dataverse(Clock())
    seed_dataverse(again, "adventureworks", 1_000, USERS)
    assert again.tables["salesorderdetail"].rows.keys() == dataverse.tables["salesorderdetail"].rows.keys()

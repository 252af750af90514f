"""The rows that Dataverse starts with: its organisation, its users, and accounts that people typed by hand."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from koppel.sandbox.adventureworks import Customer, Line, customers, lines, record_id, salespeople_by_code
from koppel.sandbox.tables import Row
from koppel.sandbox.tokens import ALICE, User

ORGANIZATION_ID = record_id("organization", "AdventureWorks")
BUSINESS_UNIT_ID = record_id("businessunit", "AdventureWorks")
CURRENCY_ID = record_id("transactioncurrency", "USD")

MAX_ACCOUNTS = 300
"""Accounts that exist already; fewer than 3,000 customers bring a tenth of their number."""

_SEED = 20250801


def organization_rows() -> dict[str, list[Row]]:
    """The one organisation, its business unit and its base currency."""
    return {
        "organization": [
            {
                "organizationid": ORGANIZATION_ID,
                "name": "AdventureWorks",
                "_basecurrencyid_value": CURRENCY_ID,
                "currencydecimalprecision": 2,
                "pricingdecimalprecision": 2,
                # Orders and invoices are led by the ERP: the connection's user writes their amounts as they are there.
                "issopintegrationenabled": True,
            }
        ],
        "businessunit": [
            {
                "businessunitid": BUSINESS_UNIT_ID,
                "name": "AdventureWorks",
                "_organizationid_value": ORGANIZATION_ID,
            }
        ],
        "transactioncurrency": [
            {
                "transactioncurrencyid": CURRENCY_ID,
                "isocurrencycode": "USD",
                "currencyname": "US Dollar",
                "currencysymbol": "$",
                "currencyprecision": 2,
                "exchangerate": 1.0,
                "_organizationid_value": ORGANIZATION_ID,
                "statecode": 0,
                "statuscode": 1,
            }
        ],
    }


def user_rows(users: Iterable[User], salespeople: bool = True) -> list[Row]:
    """Users of Dataverse: those who ask for tokens, the salespeople, one who left and one without a licence."""
    rows = [_login(user) for user in users]
    if salespeople:
        rows += [_salesperson(line) for line in lines("salespeople.csv")]
        rows.append(_person("Karen", "Berge", "karen1@adventure-works.com") | {"isdisabled": True})
        rows.append(_person("Brian", "Welcker", "brian3@adventure-works.com") | {"islicensed": False})
    return rows


def account_rows(number: int | None = None) -> list[Row]:
    """Accounts that were there before anything was synchronised, for the first ``number`` customers (None: all).

    Half of them carry the customer's number; three in ten match by name and postal code only; two in thirty were typed
    in twice; the rest are companies that Business Central does not know.
    """
    originals = list(customers(None if number is None else min(number, _originals())))
    total = min(MAX_ACCOUNTS, len(originals) // 10)
    dice = random.Random(_SEED)
    numbered, named, twice = total // 2, total * 3 // 10, total // 30
    chosen = dice.sample(originals, numbered + named + twice)
    rows = [_by_number(customer, dice) for customer in chosen[:numbered]]
    rows += [_by_name(customer, dice) for customer in chosen[numbered : numbered + named]]
    rows += [row for customer in chosen[numbered + named :] for row in _typed_twice(customer, dice)]
    strangers = dice.sample(lines("vendors.csv"), total - len(rows))
    rows += [_stranger(line, dice) for line in strangers]
    return [_finished(row, index) for index, row in enumerate(rows)]


def _originals() -> int:
    return len(lines("company_customers.csv")) + len(lines("person_customers.csv.gz"))


def _login(user: User) -> Row:
    row = _person(user.first_name, user.last_name, user.email) | {"systemuserid": user.id}
    if user.application:
        row |= {
            "applicationid": record_id("application", user.client_id),
            "isintegrationuser": True,
            "islicensed": False,
            "accessmode": 4,
        }
    return row


def _salesperson(line: Line) -> Row:
    extra = {"mobilephone": line["phone"], "jobtitle": line["job_title"]}
    return _person(line["first_name"], line["last_name"], line["email"]) | extra


def _person(first: str, last: str, email: str) -> Row:
    return {
        "systemuserid": record_id("systemuser", email),
        "fullname": f"{first} {last}".strip(),
        "firstname": first,
        "lastname": last,
        "internalemailaddress": email or None,
        "domainname": email,
        "isdisabled": False,
        "islicensed": True,
        "isintegrationuser": False,
        "accessmode": 0,
        "_businessunitid_value": BUSINESS_UNIT_ID,
        "organizationid": ORGANIZATION_ID,
    }


def _by_number(customer: Customer, dice: random.Random) -> Row:
    return _as_typed(customer, dice) | {"accountnumber": customer.number}


def _by_name(customer: Customer, dice: random.Random) -> Row:
    name = dice.choice((str, str.lower, str.upper, _with_blank))(customer.name)
    return _as_typed(customer, dice) | {"name": name, "address1_postalcode": customer.line["postal_code"]}


def _with_blank(name: str) -> str:
    return name + " "


def _typed_twice(customer: Customer, dice: random.Random) -> Iterator[Row]:
    return (_by_name(customer, dice) for _ in range(2))


def _stranger(line: Line, dice: random.Random) -> Row:
    return _address(line) | {
        "name": line["name"],
        "_ownerid_value": _salesperson_id(dice.choice(lines("salespeople.csv"))),
    }


def _as_typed(customer: Customer, dice: random.Random) -> Row:
    """The customer as somebody entered it: some columns left out, some written another way."""
    row: Row = {"name": customer.name} | _address(customer.line) | {"telephone1": customer.line.get("phone")}
    row["emailaddress1"] = customer.email or None
    for column, mistyped in _MISTYPED.items():
        row[column] = dice.choice((row[column], row[column], None, mistyped(row[column] or "") or None))
    return row | {"_ownerid_value": _owner(customer.line)}


def _address(line: Line) -> Row:
    return {
        "address1_line1": line["address1"],
        "address1_line2": line["address2"] or None,
        "address1_city": line["city"],
        "address1_stateorprovince": line["state"],
        "address1_postalcode": line["postal_code"],
        "address1_country": line["country_code"],
    }


_MISTYPED = {
    "address1_line1": lambda text: text.replace("Street", "St.").replace("Avenue", "Ave."),
    "address1_city": str.upper,
    "telephone1": lambda text: text.replace("-", " "),
    "emailaddress1": str.upper,
    "address1_country": str.lower,
}


def _owner(line: Line) -> str:
    salesperson = salespeople_by_code().get(line.get("salesperson_code", ""))
    return _salesperson_id(salesperson) if salesperson else ALICE.id


def _salesperson_id(line: Line) -> str:
    return record_id("systemuser", line["email"])


def _finished(row: Row, index: int) -> Row:
    given = {
        "accountid": record_id("account", f"typed/{index}"),
        "customertypecode": 3,
        "statecode": 0,
        "statuscode": 1,
        "_transactioncurrencyid_value": CURRENCY_ID,
        "_createdby_value": ALICE.id,
        "_modifiedby_value": ALICE.id,
    }
    return given | {column: value for column, value in row.items() if value is not None}

"""The set-up tables of a small world: salespeople and users, currencies, terms."""

from __future__ import annotations

from typing import Any

from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.server import Sandbox
from koppel.sandbox.tokens import BOB

Row = dict[str, Any]

JO = "20000000-0000-4000-8000-000000000001"
PAM = "20000000-0000-4000-8000-000000000002"


def _user(key: str, first: str, last: str) -> Row:
    return {
        "systemuserid": key,
        "firstname": first,
        "lastname": last,
        "fullname": f"{first} {last}",
        "internalemailaddress": f"{first.lower()}@example.com",
        "mobilephone": "555-0100",
        "isdisabled": False,
        "islicensed": True,
        "isintegrationuser": False,
        "accessmode": 0,
    }


USERS = [_user(JO, "Jo", "Berry"), _user(PAM, "Pam", "Stone")]
ROWS: dict[str, list[Row]] = {
    "currencies": [
        {"code": "EUR", "displayName": "Euro", "symbol": "€"},
        {"code": "GBP", "displayName": "Pound Sterling"},
    ],
    "currencyExchangeRates": [
        {"currencyCode": code, "startingDate": day, "exchangeRateAmount": rate, "relationalExchangeRateAmount": 100}
        for code, day, rate in (("EUR", "2020-01-01", 80), ("EUR", "2021-01-01", 90), ("GBP", "2021-01-01", 75))
    ],
    "unitsOfMeasure": [{"code": "PCS", "displayName": "Piece"}, {"code": "BOX", "displayName": "Box"}],
    "countriesRegions": [{"code": "US"}, {"code": "NL"}],
    "paymentTerms": [{"code": "NET 30", "displayName": "Net 30 days"}, {"code": "COD", "displayName": "Cash"}],
    "shipmentMethods": [{"code": "EXW", "displayName": "Ex Works"}],
    "shippingAgents": [{"code": "DHL", "displayName": "DHL"}],
    "salespeoplePurchasers": [
        {"code": "JO", "displayName": "Jo Berry", "email": "jo@example.com"},
        {"code": "PAM", "displayName": "Pam Stone", "email": "pam@example.com"},
        {"code": "EXT", "displayName": "Agency", "email": "agency@example.com"},
    ],
}


def set_up(sandbox: Sandbox) -> None:
    """What customers and accounts refer to: salespeople and users, currencies, terms."""
    fill(sandbox, COMPANY)
    sandbox.dataverse.load("systemuser", USERS)


def fill(sandbox: Sandbox, company: str) -> None:
    """The set-up tables of one company."""
    for table, rows in ROWS.items():
        sandbox.business_central.load(company, table, rows, user=BOB.id)

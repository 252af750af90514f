"""The opportunities that Business Central starts with: what a few people at the stores may buy."""

from __future__ import annotations

from koppel.sandbox.adventureworks import record_id
from koppel.sandbox.seed_business_central import CustomerRows
from koppel.sandbox.tables import Row

_SUBJECTS = ("Bicycles for the new season", "Clothing for the team", "Rental fleet", "Spare parts", "Second branch")
_STATES: tuple[Row, ...] = (
    {"status": "In_x0020_Progress", "probabilityPercent": 40, "estimatedClosingDate": "2017-09-30"},
    {"status": "Not_x0020_Started"},
    {"status": "In_x0020_Progress", "probabilityPercent": 75, "estimatedClosingDate": "2017-08-15"},
    {"status": "Won", "probabilityPercent": 100, "closed": True, "dateClosed": "2017-05-20"},
    {"status": "In_x0020_Progress", "probabilityPercent": 20, "estimatedClosingDate": "2017-12-31"},
    {"status": "Lost", "closed": True, "dateClosed": "2017-06-02"},
)
_EACH = 8
_CREATED = "2017-04-03"


def opportunity_rows(rows: CustomerRows) -> list[Row]:
    """The opportunities at one customer: with one in eight of its people, by the person's number."""
    people = (person for person in rows.contacts if person["type"] == "Person")
    return [_opportunity(person, rows.customer) for person in people if _place(person) % _EACH == 0]


def _place(person: Row) -> int:
    digits = person["number"].removeprefix("CT").partition("-")[0]
    return int(digits) // 2


def _opportunity(person: Row, customer: Row) -> Row:
    turn = _place(person) // _EACH
    number = person["number"].replace("CT", "OP", 1)
    row: Row = {
        "id": record_id("opportunities", number),
        "number": number,
        "description": f"{_SUBJECTS[turn % len(_SUBJECTS)]}, {customer['displayName']}",
        "contactNumber": person["number"],
        "contactName": person["displayName"],
        "contactCompanyNo": person["companyNumber"],
        "contactCompanyName": person["companyName"],
        "creationDate": _CREATED,
    } | _STATES[turn % len(_STATES)]
    if "salespersonCode" in person:
        row["salespersonCode"] = person["salespersonCode"]
    if row["status"] == "In_x0020_Progress":
        row["estimatedValue"] = customer["creditLimit"] // 10
        row["calculatedCurrentValue"] = row["estimatedValue"] * row["probabilityPercent"] / 100
    return row

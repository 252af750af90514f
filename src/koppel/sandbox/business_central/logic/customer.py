"""Customers, and the company contact that stands for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import contact, relation
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.business_central.pages import ZERO_GUID
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def _named(work: Work, row: Row, before: str) -> None:
    if not row.get("displayName"):
        raise errors.dialog('The blank "displayName" is not allowed.')


def _tax_area(work: Work, row: Row, before: str) -> None:
    if row.get("taxAreaId", ZERO_GUID) != ZERO_GUID:
        raise errors.not_implemented("tax areas")


def _primary_contact(work: Work, row: Row, before: str) -> None:
    """A primary contact belongs to the customer's company; a person gives its name to ``contact``."""
    number = row.get("primaryContactNo", "")
    person = work.store("contacts").find(number) if number else None
    if person is None:
        row.pop("contact", None)
        return
    company = relation.contact_of(work, row) if row.get("number") else None
    if company is None or person.get("companyNumber") != company["number"]:
        raise errors.dialog(
            f"Contact {number} {person.get('displayName', '')} is not related to customer {row.get('number', '')} "
            f"{row.get('displayName', '')}."
        )
    if contact.is_person(person):
        contact.put_values(row, {"contact": person.get("displayName", "")})


def _insert(work: Work, row: Row) -> None:
    if not row.get("displayName"):
        raise errors.dialog('A "displayName" must be provided.')
    give_number(work, "customers", row, "CUST")


def _inserted(work: Work, row: Row) -> None:
    """The company contact and its relation, where marketing setup has a relation code for customers (CUST-08)."""
    code = work.store("marketingSetup").only().get("businessRelationCodeForCustomers", "")
    if not code:
        return
    person = {"type": "Person", **contact.split_name(row["displayName"])} if row.get("type") == "Person" else {}
    values = person | {name: row.get(own, "") for name, own in contact.SHARED.items()}
    made: Row = {name: value for name, value in values.items() if value}
    made["searchName"] = row["displayName"].upper()
    contact.complete(work, made)
    made["contactBusinessRelation"] = "Customer"
    work.insert("contacts", made)
    link = {"businessRelationCode": code, "linkToTable": "Customer", "number": row["number"]}
    work.insert(relation.RELATIONS, {"contactNumber": made["number"], **link})


def _modified(work: Work, before: Row, after: Row) -> None:
    if before["number"] != after["number"]:
        _rename_relations(work, before["number"], after["number"])
    changed = {name: after.get(own, "") for name, own in contact.SHARED.items() if after.get(own) != before.get(own)}
    company = relation.contact_of(work, after) if changed else None
    if company is None:
        return
    name = changed.get("displayName")
    if name and contact.is_person(company):
        changed |= contact.split_name(name)
    elif name:
        changed["companyName"] = name
    if name and company.get("searchName", "") == company.get("displayName", "").upper():
        changed["searchName"] = name.upper()
    contact.tell_people(work, company, work.change("contacts", company["id"], changed))


def _rename_relations(work: Work, old: str, new: str) -> None:
    for link in list(work.store(relation.RELATIONS).having("number", old)):
        if link.get("linkToTable") == "Customer":
            work.change(relation.RELATIONS, link["id"], {"number": new})


def _deleted(work: Work, row: Row) -> None:
    """The relation goes with the customer; its contact stays, and is nobody's."""
    for link in list(work.store(relation.RELATIONS).having("number", row["number"])):
        if link.get("linkToTable") == "Customer":
            work.delete(relation.RELATIONS, link["id"])
            relation.refresh(work, link["contactNumber"])


LOGIC = Logic(
    validate={"displayName": _named, "taxAreaId": _tax_area, "primaryContactNo": _primary_contact},
    insert=_insert,
    inserted=_inserted,
    modified=_modified,
    deleted=_deleted,
)

"""Customers and vendors: the company contact that stands for each of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import contact, relation
from koppel.sandbox.business_central.logic.hooks import Logic, Validate
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.business_central.logic.relation import Party
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work


def party_logic(party: Party, series: str, validate: dict[str, Validate]) -> Logic:
    """What customers and vendors have in common; ``series`` numbers them, ``validate`` is what only these do."""
    return Logic(
        validate={"displayName": _named, "primaryContactNo": partial(_primary_contact, party), **validate},
        insert=partial(_insert, party, series),
        inserted=partial(_inserted, party),
        modified=partial(modified, party),
        deleted=partial(deleted, party),
    )


def _named(work: Work, row: Row, before: str) -> None:
    if not row.get("displayName"):
        raise errors.dialog('The blank "displayName" is not allowed.')


def _primary_contact(party: Party, work: Work, row: Row, before: str) -> None:
    """A primary contact belongs to the record's company; a person gives its name to ``contact``."""
    number = row.get("primaryContactNo", "")
    person = work.store("contacts").find(number) if number else None
    if person is None:
        row.pop("contact", None)
        return
    company = relation.contact_of(work, party, row) if row.get("number") else None
    if company is None or person.get("companyNumber") != company["number"]:
        raise errors.dialog(
            f"Contact {number} {person.get('displayName', '')} is not related to {party.link.lower()} "
            f"{row.get('number', '')} {row.get('displayName', '')}."
        )
    if contact.is_person(person):
        contact.put_values(row, {"contact": person.get("displayName", "")})


def _insert(party: Party, series: str, work: Work, row: Row) -> None:
    if not row.get("displayName"):
        raise errors.dialog('A "displayName" must be provided.')
    give_number(work, party.table, row, series)


def _inserted(party: Party, work: Work, row: Row) -> None:
    """The company contact and its relation, where marketing setup has a relation code (CUST-08, VEND-02)."""
    code = work.store("marketingSetup").only().get(party.code, "")
    if not code:
        return
    person = {"type": "Person", **contact.split_name(row["displayName"])} if row.get("type") == "Person" else {}
    values = person | {name: row.get(own, "") for name, own in party.shared.items()}
    made: Row = {name: value for name, value in values.items() if value}
    made["searchName"] = row["displayName"].upper()
    contact.complete(work, made)
    made["contactBusinessRelation"] = party.link
    work.insert("contacts", made)
    link = {"businessRelationCode": code, "linkToTable": party.link, "number": row["number"]}
    work.insert(relation.RELATIONS, {"contactNumber": made["number"], **link})


def modified(party: Party, work: Work, before: Row, after: Row) -> None:
    """The relation follows a new number, the company contact the rest."""
    if before["number"] != after["number"]:
        for link in relation.links_of(work, party, before["number"]):
            work.change(relation.RELATIONS, link["id"], {"number": after["number"]})
    changed = {name: after.get(own, "") for name, own in party.shared.items() if after.get(own) != before.get(own)}
    company = relation.contact_of(work, party, after) if changed else None
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


def deleted(party: Party, work: Work, row: Row) -> None:
    """The relation goes with the record; its contact stays, and is nobody's."""
    for link in relation.links_of(work, party, row["number"]):
        work.delete(relation.RELATIONS, link["id"])
        relation.refresh(work, link["contactNumber"])

"""``contactsInformation``: a table that exists only while it is read, made for one parent."""

from __future__ import annotations

from koppel.catalogue.pages import Page
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.company import Company
from koppel.sandbox.business_central.filters import Filter
from koppel.sandbox.business_central.logic.relation import PARTIES, RELATIONS
from koppel.sandbox.business_central.store import Store


def information_of(company: Company, page: Page, parent_id: str) -> Store:
    """The contacts of a customer or vendor: its company contact and that one's people."""
    store = Store(page.table)
    for party in PARTIES.values():
        parent = company.stores[party.table].rows.get(parent_id)
        links = [] if parent is None else company.stores[RELATIONS].having("number", parent["number"])
        for link in links:
            if link.get("linkToTable") == party.link:
                _add(company, store, link["contactNumber"], parent_id, party.link)
    return store


def _add(company: Company, store: Store, number: str, parent_id: str, link: str) -> None:
    contacts = company.stores["contacts"]
    own = contacts.find(number)
    for contact in {
        row["id"]: row for row in ([own] if own else []) + contacts.having("companyNumber", number)
    }.values():
        row = {
            "id": contact["id"],
            "contactId": contact["id"],
            "contactNumber": contact["number"],
            "contactName": contact.get("displayName", ""),
            "contactType": contact.get("type", "Company"),
            "relatedId": parent_id,
            "relatedType": link,
        }
        store.put(row, ("", store.generation))


def information_by_filter(company: Company, page: Page, given: Filter | None) -> Store:
    """The rows of the one parent that a filter names. ``ServiceError`` when it names none."""
    equal = {} if given is None else given.equal
    related, types = equal.get("relatedId"), equal.get("relatedType")
    if not related or not types:
        raise errors.dialog("id type not specified.")
    if len(related) > 1 or len(types) > 1 or types[0] not in PARTIES:
        raise errors.not_implemented("contactsInformation of anything but one customer or vendor")
    return information_of(company, page, related[0])

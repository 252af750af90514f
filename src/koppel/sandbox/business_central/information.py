"""``contactsInformation``: a table that exists only while it is read, made for one parent."""

from __future__ import annotations

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.company import Company
from koppel.sandbox.business_central.filters import Filter
from koppel.sandbox.business_central.pages import Page
from koppel.sandbox.business_central.store import Store


def information_of(company: Company, page: Page, customer_id: str) -> Store:
    """The contacts of a customer: its company contact and that one's people."""
    store = Store(page.table)
    customer = company.stores["customers"].rows.get(customer_id)
    if customer is None:
        return store
    contacts = company.stores["contacts"]
    for link in company.stores["contactBusinessRelations"].having("number", customer["number"]):
        if link.get("linkToTable") != "Customer":
            continue
        own = contacts.find(link["contactNumber"])
        people = contacts.having("companyNumber", link["contactNumber"])
        for contact in {row["id"]: row for row in ([own] if own else []) + people}.values():
            row = {
                "id": contact["id"],
                "contactId": contact["id"],
                "contactNumber": contact["number"],
                "contactName": contact.get("displayName", ""),
                "contactType": contact.get("type", "Company"),
                "relatedId": customer_id,
                "relatedType": "Customer",
            }
            store.put(row, ("", store.generation))
    return store


def information_by_filter(company: Company, page: Page, given: Filter | None) -> Store:
    """The rows of the one parent that a filter names. ``ServiceError`` when it names none."""
    equal = {} if given is None else given.equal
    related, types = equal.get("relatedId"), equal.get("relatedType")
    if not related or not types:
        raise errors.dialog("id type not specified.")
    if len(related) > 1 or types != ["Customer"]:
        raise errors.not_implemented("contactsInformation of anything but one customer")
    return information_of(company, page, related[0])

"""Contact business relations: which customer or vendor a company contact stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

RELATIONS = "contactBusinessRelations"


class Party(msgspec.Struct, frozen=True):
    """A kind of record that has a company contact.

    ``link`` is what the relation calls it, ``code`` the field of marketing setup with the relation's code; ``shared``
    are the fields of a contact, and those of the record, that follow each other.
    """

    table: str
    link: str
    code: str
    shared: dict[str, str]


_SHARED = {
    "displayName": "displayName",
    "addressLine1": "addressLine1",
    "addressLine2": "addressLine2",
    "city": "city",
    "state": "state",
    "country": "country",
    "postalCode": "postalCode",
    "phoneNumber": "phoneNumber",
    "mobilePhoneNumber": "mobilePhoneNo",
    "email": "email",
    "website": "website",
    "faxNo": "faxNo",
    "salespersonCode": "salespersonCode",
    "currencyCode": "currencyCode",
    "taxRegistrationNumber": "taxRegistrationNumber",
}
CUSTOMER = Party("customers", "Customer", "businessRelationCodeForCustomers", _SHARED)
VENDOR = Party("vendors", "Vendor", "businessRelationCodeForVendors", _SHARED | {"salespersonCode": "purchaserCode"})
PARTIES = {party.link: party for party in (CUSTOMER, VENDOR)}
"""By what relations call them."""


def kind_of(work: Work, contact: Row) -> str:
    """What a contact shows as its business relation: its own and its company's count."""
    store = work.store(RELATIONS)
    numbers = {contact.get("number", ""), contact.get("companyNumber", "")} - {""}
    found = [row for number in sorted(numbers) for row in store.having("contactNumber", number)]
    if not found:
        return "None"
    if len(found) > 1:
        return "Multiple"
    link: str = found[0].get("linkToTable", "_x0020_")
    return "Other" if link == "_x0020_" else link


def parties_of(work: Work, contact: Row) -> list[tuple[Party, Row]]:
    """The customers and vendors that a contact stands for."""
    found = []
    for relation in work.store(RELATIONS).having("contactNumber", contact.get("number", "")):
        party = PARTIES.get(relation.get("linkToTable", ""))
        row = None if party is None else work.store(party.table).find(relation.get("number", ""))
        if party is not None and row is not None:
            found.append((party, row))
    return found


def links_of(work: Work, party: Party, number: str) -> list[Row]:
    """The relations of a customer or vendor."""
    return [row for row in work.store(RELATIONS).having("number", number) if row.get("linkToTable") == party.link]


def contact_of(work: Work, party: Party, row: Row) -> Row | None:
    """The contact that stands for a customer or vendor."""
    return next(
        (work.store("contacts").find(link["contactNumber"]) for link in links_of(work, party, row["number"])), None
    )


def refresh(work: Work, contact_number: str) -> None:
    """Bring the business relation that a contact and its people show up to date."""
    store = work.store("contacts")
    contact = store.find(contact_number)
    own = [] if contact is None else [contact]
    people = store.having("companyNumber", contact_number)
    for row in {row["id"]: row for row in (*own, *people)}.values():
        if row.get("contactBusinessRelation") != (kind := kind_of(work, row)):
            work.modify("contacts", {**store.rows[row["id"]], "contactBusinessRelation": kind})


def _check(work: Work, row: Row) -> None:
    link, number = row.get("linkToTable", "_x0020_"), row.get("number", "")
    party = PARTIES.get(link)
    if party is not None and number and work.store(party.table).find(number) is None:
        raise errors.no_related("No.", "Contact Business Relation", number, party.link)
    if party is None and link != "_x0020_":
        raise errors.not_implemented(f"contact business relations to the table {link}")


def _modified(work: Work, before: Row, after: Row) -> None:
    _check(work, after)
    for number in {before["contactNumber"], after["contactNumber"]}:
        refresh(work, number)


def _refresh_contact(work: Work, row: Row) -> None:
    refresh(work, row["contactNumber"])


LOGIC = Logic(
    insert=_check,
    inserted=_refresh_contact,
    modified=_modified,
    deleted=_refresh_contact,
    loaded=_refresh_contact,
)

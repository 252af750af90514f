"""Contact business relations: which customer a company contact stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

RELATIONS = "contactBusinessRelations"


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


def customer_of(work: Work, contact: Row) -> Row | None:
    """The customer that a contact stands for."""
    for relation in work.store(RELATIONS).having("contactNumber", contact.get("number", "")):
        if relation.get("linkToTable") == "Customer":
            return work.store("customers").find(relation.get("number", ""))
    return None


def contact_of(work: Work, customer: Row) -> Row | None:
    """The contact that stands for a customer."""
    for relation in work.store(RELATIONS).having("number", customer["number"]):
        if relation.get("linkToTable") == "Customer":
            return work.store("contacts").find(relation["contactNumber"])
    return None


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
    if link == "Customer" and number and work.store("customers").find(number) is None:
        raise errors.no_related("No.", "Contact Business Relation", number, "Customer")
    if link not in ("Customer", "_x0020_"):
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

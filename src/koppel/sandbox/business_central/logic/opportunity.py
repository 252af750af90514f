"""Opportunities: whom they are with, what may no longer change, and how they go on.

No page lets one write states and estimates: they come from entries that Business Central makes when its users update or
close an opportunity. Whoever plays these users does so by ``update`` and ``close``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

OPPORTUNITIES = "opportunities"
_OPEN = "Not_x0020_Started"
_ACTIVE = "In_x0020_Progress"


def _check_open(caption: str, row: Row) -> None:
    if row.get("status", _OPEN) not in (_OPEN, _ACTIVE):
        raise errors.dialog(f"You cannot change {caption} because opportunity {row['number']} is closed.")


def _contact(work: Work, row: Row, before: str) -> None:
    """The company of the contact follows; once the opportunity has begun it stays the same."""
    _check_open("Contact No.", row)
    contact = work.store("contacts").find(row.get("contactNumber", ""))
    if contact is None:
        raise errors.must_have_value("Contact No.", "Opportunity")
    company = contact.get("companyNumber", "")
    if row.get("status", _OPEN) == _ACTIVE and before and company != row.get("contactCompanyNo", ""):
        raise errors.dialog(
            f"Contact {contact['number']} {contact.get('displayName', '')} is related to another company."
        )
    work.store(OPPORTUNITIES).fill(row, {"contactCompanyNo": company, **_names(work, row, company)})


def _names(work: Work, row: Row, company: str) -> dict[str, str]:
    """What an opportunity shows of its contact and that one's company."""
    numbers = {"contactName": row.get("contactNumber", ""), "contactCompanyName": company}
    found = {name: work.store("contacts").find(number) for name, number in numbers.items()}
    return {name: contact.get("displayName", "") if contact else "" for name, contact in found.items()}


def _salesperson(work: Work, row: Row, before: str) -> None:
    _check_open("Salesperson Code", row)
    if before and not row.get("salespersonCode"):
        raise errors.must_have_value("Salesperson Code", "Opportunity")


def _insert(work: Work, row: Row) -> None:
    series = work.store("marketingSetup").only().get("opportunityNumberSeries", "")
    if not row.get("number") and not series:
        raise errors.must_have_value("Opportunity Nos.", "Marketing Setup")
    give_number(work, OPPORTUNITIES, row, series)
    row["creationDate"] = work.system.today()


def _delete(work: Work, row: Row) -> None:
    if row.get("status", _OPEN) == _ACTIVE:
        raise errors.dialog("You cannot delete this opportunity while it is active.")


def _loading(work: Work, row: Row) -> None:
    """What a seeded opportunity lacks: the company of its contact, and both names."""
    contact = work.store("contacts").find(row.get("contactNumber", ""))
    if contact is not None:
        row.setdefault("contactCompanyNo", contact.get("companyNumber", ""))
        work.store(OPPORTUNITIES).fill(row, _names(work, row, row["contactCompanyNo"]))


def show_contact(work: Work, contact: Row) -> None:
    """Let the opportunities of a contact, and of its company, show its present name."""
    for field in ("contactNumber", "contactCompanyNo"):
        for row in work.store(OPPORTUNITIES).having(field, contact["number"]):
            work.flow(OPPORTUNITIES, row["id"], _names(work, row, row.get("contactCompanyNo", "")))


def check_contact_goes(work: Work, contact: Row) -> None:
    """A contact with opportunities that are not closed stays."""
    found = work.store(OPPORTUNITIES).having("contactNumber", contact["number"])
    if any(row.get("status", _OPEN) in (_OPEN, _ACTIVE) for row in found):
        raise errors.dialog(
            f"You cannot delete contact {contact['number']} because it has opportunities that are not closed."
        )


def update(work: Work, number: str, values: Row) -> None:
    """Go on with an opportunity, with new estimates (``estimatedValue``, ``probabilityPercent``, ...).

    It is active from then on, which moves its time; estimates alone do not. ``ServiceError`` when it is closed.
    """
    row = _not_closed(work, number)
    work.change(OPPORTUNITIES, row["id"], {"status": _ACTIVE})
    shown = {**row, **values}
    current = shown.get("estimatedValue", 0) * shown.get("probabilityPercent", 0) / 100
    work.flow(OPPORTUNITIES, row["id"], {**values, "calculatedCurrentValue": round(current, 2)})


def close(work: Work, number: str, *, won: bool) -> None:
    """Close an opportunity. ``ServiceError`` when it is closed already."""
    row = _not_closed(work, number)
    closed = {"status": "Won" if won else "Lost", "closed": True, "dateClosed": work.system.today()}
    work.change(OPPORTUNITIES, row["id"], closed)
    work.flow(OPPORTUNITIES, row["id"], {"probabilityPercent": 100 if won else 0, "completedPrc": 100})


def _not_closed(work: Work, number: str) -> Row:
    store = work.store(OPPORTUNITIES)
    row = store.find(number)
    if row is None:
        raise errors.not_found(store.info.caption, f"No.='{number}'", 400)
    if row.get("closed"):
        raise errors.must_be("Closed", "No", f"Opportunity: No.={number}", "Yes")
    return row


LOGIC = Logic(
    validate={"contactNumber": _contact, "salespersonCode": _salesperson},
    insert=_insert,
    delete=_delete,
    loading=_loading,
)

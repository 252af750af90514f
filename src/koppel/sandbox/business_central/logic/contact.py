"""Contacts: people, companies, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from koppel.catalogue.pages import ZERO_GUID
from koppel.sandbox.business_central import errors
from koppel.sandbox.business_central.logic import opportunity, relation
from koppel.sandbox.business_central.logic.hooks import Logic
from koppel.sandbox.business_central.logic.numbers import give_number
from koppel.sandbox.tables import Row

if TYPE_CHECKING:
    from koppel.sandbox.business_central.work import Work

PARTS = ("firstName", "middleName", "surname")
_PART_LENGTH = 30


def is_person(row: Row) -> bool:
    """Whether the contact is a person; blank is a company."""
    return bool(row.get("type") == "Person")


def joined_name(row: Row) -> str:
    """The parts of a person's name, joined by single blanks (CONT-10)."""
    return " ".join(part for name in PARTS if (part := row.get(name, "")))


def split_name(name: str) -> dict[str, str]:
    """Parts of a name: the last word is the surname, of three or more the last but one the middle name.

    A single word is a first name.
    """
    words = name.split()
    surname = words.pop() if len(words) > 1 else ""
    middle = words.pop() if len(words) > 1 else ""
    return {part: text[:_PART_LENGTH] for part, text in zip(PARTS, (" ".join(words), middle, surname), strict=True)}


def put_values(row: Row, values: dict[str, Any]) -> None:
    """Set values in a row that is being written; blank texts leave it."""
    for name, value in values.items():
        if value:
            row[name] = value
        else:
            row.pop(name, None)


def named(work: Work, row: Row, before: str) -> None:
    """After ``displayName``: a person's parts follow, and the search name as long as it was the name."""
    name = row.get("displayName", "")
    if not name:
        raise errors.dialog('The blank "displayName" is not allowed.')
    if is_person(row):
        put_values(row, split_name(name))
    _name_changed(row, before)


def _name_changed(row: Row, before: str) -> None:
    if row.get("searchName", "") in ("", before.upper()):
        put_values(row, {"searchName": row.get("displayName", "").upper()})
    if not is_person(row) and row.get("number"):
        put_values(row, {"companyName": row.get("displayName", "")})


def _part_named(work: Work, row: Row, before: str) -> None:
    if not is_person(row):
        return
    name = row.get("displayName", "")
    put_values(row, {"displayName": joined_name(row)})
    _name_changed(row, name)


def _type_changed(work: Work, row: Row, before: str) -> None:
    if is_person(row):
        if row.get("companyNumber") == row.get("number"):
            put_values(row, {"companyNumber": "", "companyName": ""})
        if any(row.get(name) for name in PARTS):
            _part_named(work, row, "")
        else:
            put_values(row, split_name(row.get("displayName", "")))
    elif before == "Person":
        put_values(row, dict.fromkeys((*PARTS, "jobTitle"), ""))
        _own_company(row)


def _own_company(row: Row) -> None:
    put_values(row, {"companyNumber": row.get("number", ""), "companyName": row.get("displayName", "")})


def _company_set(work: Work, row: Row, before: str) -> None:
    number = row.get("companyNumber", "")
    company = work.store("contacts").find(number) if number else None
    if company is not None and is_person(company):
        raise errors.no_related("Company No.", "Contact", number, "Contact")
    put_values(row, {"companyName": company.get("displayName", "") if company else ""})


def _company_named(work: Work, row: Row, before: str) -> None:
    name = row.get("companyName", "")
    companies = work.store("contacts").having("displayName", name) if name else []
    number = next((found["number"] for found in companies if not is_person(found)), "")
    if name and not number:
        raise errors.dialog(f"There is no contact of the type Company with the name '{name}'.")
    put_values(row, {"companyNumber": number})


def _insert(work: Work, row: Row) -> None:
    if not row.get("displayName"):
        raise errors.dialog('A "displayName" must be provided.')
    complete(work, row)


def complete(work: Work, row: Row) -> None:
    """What a new contact gets: number, company, relation."""
    series = work.store("marketingSetup").only().get("contactNumberSeries", "")
    if not row.get("number") and not series:
        raise errors.must_have_value("Contact Nos.", "Marketing Setup")
    give_number(work, "contacts", row, series)
    if not is_person(row):
        put_values(row, dict.fromkeys(PARTS, ""))
        row.setdefault("companyNumber", row["number"])
        _check_own_company(row)
        _own_company(row)
    row["contactBusinessRelation"] = relation.kind_of(work, row)


def _check_own_company(row: Row) -> None:
    if row.get("companyNumber") != row["number"]:
        raise errors.must_be("Type", "Person", f"Contact: No.={row['number']}", "Company")


def _modified(work: Work, before: Row, after: Row) -> None:
    if not is_person(after):
        _check_own_company(after)
        tell_people(work, before, after)
        _update_parties(work, after)
        return
    if before.get("displayName") != after.get("displayName"):
        opportunity.show_contact(work, after)
    if before.get("companyNumber") != after.get("companyNumber"):
        work.change("contacts", after["id"], {"contactBusinessRelation": relation.kind_of(work, after)})


def tell_people(work: Work, before: Row, after: Row) -> None:
    """The people of a company show its name, and so do its opportunities."""
    name = after.get("displayName", "")
    if name == before.get("displayName", "") and before["number"] == after["number"]:
        return
    for row in list(work.store("contacts").having("companyNumber", after["number"])):
        work.change("contacts", row["id"], {"companyName": name})
    opportunity.show_contact(work, after)


def _update_parties(work: Work, contact: Row) -> None:
    """A company contact passes its fields on to the customer and the vendor that it stands for."""
    for party, row in relation.parties_of(work, contact):
        values = {to: contact.get(name, "") for name, to in party.shared.items()}
        work.change(party.table, row["id"], values | currency_pair(work, contact))


def currency_pair(work: Work, row: Row) -> Row:
    """Id of the row's currency, as customers and vendors hold it beside the code."""
    currency = work.store("currencies").find(row.get("currencyCode", ""))
    return {"currencyId": currency["id"] if currency else ZERO_GUID}


def _delete(work: Work, row: Row) -> None:
    """A company takes its people and its relations along."""
    opportunity.check_contact_goes(work, row)
    for link in list(work.store(relation.RELATIONS).having("contactNumber", row["number"])):
        work.delete(relation.RELATIONS, link["id"])
    if not is_person(row):
        for person in list(work.store("contacts").having("companyNumber", row["number"])):
            if person["id"] != row["id"]:
                _delete(work, person)
                work.delete("contacts", person["id"])


def _loading(work: Work, row: Row) -> None:
    """What a seeded contact lacks: its search name, its relation, its own company number."""
    row.setdefault("searchName", row.get("displayName", "").upper())
    row.setdefault("contactBusinessRelation", relation.kind_of(work, row))
    if not is_person(row):
        row.setdefault("companyNumber", row.get("number", ""))
        row.setdefault("companyName", row.get("displayName", ""))


LOGIC = Logic(
    validate={
        "displayName": named,
        "firstName": _part_named,
        "middleName": _part_named,
        "surname": _part_named,
        "type": _type_changed,
        "companyNumber": _company_set,
        "companyName": _company_named,
    },
    insert=_insert,
    modified=_modified,
    delete=_delete,
    loading=_loading,
)

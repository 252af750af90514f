"""Opportunities: the currency that Dataverse asks for, and whom they are with (OPP-04, OPP-06, OPP-07)."""

from __future__ import annotations

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, complete, compute, refuse
from koppel.odata.records import Scalar
from koppel.rules.contact import (
    companies_needed,
    companies_of,
    existence_needed,
    missing_parties,
    parties_needed,
    with_parties,
)
from koppel.rules.currency import LOCAL_CURRENCY, local_currency

_COMPANY = "contactCompanyNo"


@complete(needs=LOCAL_CURRENCY)
def currency(batch: Batch) -> list[dict[str, Scalar]]:
    """Estimates are in local currency, and so is a new opportunity (OPP-06)."""
    return [{"transactioncurrencyid": local_currency(batch)} for _ in batch.records]


@compute(reads=("contactNumber", _COMPANY))
def person(batch: Batch) -> list[Scalar | Refusal]:
    """The contact, unless it is the company itself, which is no contact in Dataverse (OPP-03).

    The standard API does not show the company.
    """
    contacts = batch.column("contactNumber")
    companies = batch.column(_COMPANY) if _COMPANY in batch.columns else [None] * len(contacts)
    return ["" if contact == company else contact for contact, company in zip(contacts, companies, strict=True)]


@refuse(reads=(_COMPANY,), needs=parties_needed(lambda batch: batch.column(_COMPANY)), of="new")
def of_customer(batch: Batch) -> list[Refusal | None]:
    """An opportunity with nobody's contact, or with a company that is neither customer nor vendor, is none to share
    (OPP-05)."""
    known = with_parties(batch)
    refusal = Refusal(
        code="OPP-05",
        message="its contact belongs to no customer or vendor",
        remedy="nothing is to be done, unless the company of its contact shall be a customer",
        field=_COMPANY,
        skip=True,
    )
    return [None if company in known else refusal for company in batch.column(_COMPANY)]


@compute(reads=(_COMPANY,), needs=existence_needed(lambda batch: batch.column(_COMPANY)))
def company(batch: Batch) -> list[Scalar | Refusal]:
    """The company as it is, unless its customer or vendor does not exist (OPP-04)."""
    missing = missing_parties(batch, _COMPANY, "OPP-04")
    return [refusal or number for number, refusal in zip(batch.column(_COMPANY), missing, strict=True)]


@complete(
    side="dataverse",
    reads=("parentcontactid", "parentaccountid"),
    needs=(
        Need(
            name="contacts",
            couplings="CONTACT",
            key="dataverse_id",
            of=lambda batch: batch.column("parentcontactid"),
        ),
        *companies_needed(lambda batch: batch.column("parentaccountid"), optional=True),
    ),
    writes={"": ("contactNumber",)},
)
def contact(batch: Batch) -> list[dict[str, Scalar]]:
    """A new opportunity is with the contact that is coupled, whose company follows by itself; else with the company of
    the account that is coupled (OPP-07)."""
    people = {row["dataverse_id"]: row["key"] for row in batch.table("contacts")}
    companies = companies_of(batch)
    found = [
        people.get(person) or companies.get(account)
        for person, account in zip(batch.column("parentcontactid"), batch.column("parentaccountid"), strict=True)
    ]
    return [{"contactNumber": number} if number else {} for number in found]

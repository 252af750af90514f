"""Contacts belong to a company: a company contact here, the account of its customer or vendor there (CONT-…)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Need, references, refuse
from koppel.engine.translate import References
from koppel.odata.records import Scalar


class Party(NamedTuple):
    """What a company contact may be the company of: its table, and the mapping that couples it."""

    table: str
    mapping: str


PARTIES: Mapping[str, Party] = {"Customer": Party("customers", "CUSTOMER"), "Vendor": Party("vendors", "VENDOR")}
"""By what relations call them, the first one before the other."""

_RELATIONS = "contactBusinessRelations"
_RELATION = ("contactNumber", "linkToTable", "number")
Values = Callable[[Batch], Iterable[Scalar]]


def companies_needed(accounts: Values, *, optional: bool = False) -> tuple[Need, ...]:
    """What leads from accounts to their company contacts; ``optional``: nothing does where the route lacks it."""

    def of_account(kind: str) -> Need:
        return Need(name=f"accounts of {kind}", couplings=PARTIES[kind].mapping, key="dataverse_id", of=accounts)

    return (
        *(of_account(kind) for kind in PARTIES),
        Need(
            name="relations of parties",
            table=_RELATIONS,
            columns=_RELATION,
            key="number",
            of=lambda batch: [row["key"] for kind in PARTIES for row in batch.table(f"accounts of {kind}")],
            optional=optional,
        ),
    )


def companies_of(batch: Batch) -> dict[Scalar, Scalar]:
    """By account, the number of the company contact of its customer, else of its vendor."""
    found: dict[Scalar, Scalar] = {}
    for kind in reversed(tuple(PARTIES)):
        relations = [row for row in batch.table("relations of parties") if row["linkToTable"] == kind]
        companies = {row["number"]: row["contactNumber"] for row in relations}
        accounts = batch.table(f"accounts of {kind}")
        found |= {row["dataverse_id"]: companies[row["key"]] for row in accounts if row["key"] in companies}
    return found


def parties_needed(companies: Values) -> tuple[Need, ...]:
    """What leads from company contacts to their customers and vendors, and to the accounts of these."""

    def of_company(kind: str) -> Need:
        return Need(
            name=f"coupled {kind}",
            couplings=PARTIES[kind].mapping,
            key="key",
            of=lambda batch: _numbers(batch, kind),
        )

    return (
        Need(name="relations", table=_RELATIONS, columns=_RELATION, key="contactNumber", of=companies),
        *(of_company(kind) for kind in PARTIES),
    )


def existence_needed(companies: Values) -> tuple[Need, ...]:
    """What tells whether the customers and vendors of company contacts are there."""

    def itself(kind: str) -> Need:
        return Need(
            name=f"existing {kind}",
            table=PARTIES[kind].table,
            columns=("number",),
            key="number",
            of=lambda batch: _uncoupled(batch, kind),
        )

    return (*parties_needed(companies), *(itself(kind) for kind in PARTIES))


def missing_parties(batch: Batch, field: str, code: str) -> list[Refusal | None]:
    """Why companies in the column ``field`` stand for nothing: their customer or vendor does not exist."""
    gone: dict[Scalar, str] = {}
    for kind in PARTIES:
        existing = {row["number"] for row in batch.table(f"existing {kind}")}
        lost = {number: company for number, company in _uncoupled(batch, kind).items() if number not in existing}
        gone |= {company: f"{kind.lower()} {number}" for number, company in lost.items()}
    return [
        Refusal(
            code=code,
            message=f"its company {company} is related to {gone[company]}, which does not exist",
            remedy="correct the business relation of the company contact",
            field=field,
            value=str(company),
        )
        if company in gone
        else None
        for company in batch.column(field)
    ]


def with_parties(batch: Batch) -> set[Scalar]:
    """The company contacts that are customers or vendors (``parties_needed``)."""
    return {company for kind in PARTIES for company in _numbers(batch, kind).values()}


def _numbers(batch: Batch, kind: str) -> dict[Scalar, Scalar]:
    """By customer or vendor, its company contact."""
    return {row["number"]: row["contactNumber"] for row in batch.table("relations") if row["linkToTable"] == kind}


def _coupled(batch: Batch, kind: str) -> dict[Scalar, Scalar]:
    """By customer or vendor, its account."""
    return {row["key"]: row["dataverse_id"] for row in batch.table(f"coupled {kind}")}


def _uncoupled(batch: Batch, kind: str) -> dict[Scalar, Scalar]:
    """By customer or vendor without an account, its company contact."""
    coupled = _coupled(batch, kind)
    return {number: company for number, company in _numbers(batch, kind).items() if number not in coupled}


@references(needs=(*companies_needed(lambda batch: batch.ids), *parties_needed(lambda batch: batch.keys)))
def company(batch: Batch) -> References:
    """The number of a company contact stands for the account of its customer, else of its vendor (CONT-05)."""
    accounts: dict[Scalar, Scalar] = {}
    for kind in reversed(tuple(PARTIES)):
        coupled = _coupled(batch, kind)
        accounts |= {company: coupled[number] for number, company in _numbers(batch, kind).items() if number in coupled}
    return References(accounts, companies_of(batch))


@refuse(reads=("companyNumber",), needs=existence_needed(lambda batch: batch.column("companyNumber")))
def company_is_customer(batch: Batch) -> list[Refusal | None]:
    """A contact whose company is neither customer nor vendor stays in Business Central, without an error (CONT-02);
    one whose customer or vendor does not exist is an error (CONT-05)."""
    known = with_parties(batch)
    missing = missing_parties(batch, "companyNumber", "CONT-05")
    return [
        refusal if number in known else _no_customer(number)
        for number, refusal in zip(batch.column("companyNumber"), missing, strict=True)
    ]


def _no_customer(number: Scalar) -> Refusal:
    return Refusal(
        code="CONT-02",
        message=f"its company {number} is not related to a customer or vendor",
        remedy="create a customer or vendor from the company contact, or leave the contact where it is",
        field="companyNumber",
        value=str(number),
        skip=True,
    )

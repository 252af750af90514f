"""What a customer owes and has ordered, as statistics of its account (STAT-…)."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.engine.action import FollowUp, Refusal
from koppel.engine.rule import Batch, Found, Need, compute, follow, refuse
from koppel.odata.records import Scalar

STATISTICS, CUSTOMERS = "ACCOUNT STATISTICS", "CUSTOMER"
LINK = "nav_accountstatisticsid"
FIGURES = {
    "balanceLCY": "nav_balancelcy",
    "outstandingOrdersLCY": "nav_outstandingorderslcy",
    "shippedNotInvoicedLCY": "nav_shippednotinvoicedlcy",
    "outstandingInvoicesLCY": "nav_outstandinginvoiceslcy",
    "outstandingServOrdersLCY": "nav_outstandingserviceorderslcy",
    "servShippedNotInvoicedLCY": "nav_servshippednotinvoicedlcy",
    "outstandingServInvoicesLCY": "nav_outstandingservinvoiceslcy",
    "totalAmountLCY": "nav_totallcy",
    "creditLimit": "nav_creditlimitlcy",
    "overdueAmountLCY": "nav_overdueamountslcy",
    "salesThisYearLCY": "nav_totalsaleslcy",
    "invoicedPrepaymentLCY": "nav_invoicedprepaymentamountlcy",
}
"""By column of Business Central, that of the statistics."""

_ACCOUNTS = (
    Need(
        name="customers",
        couplings=CUSTOMERS,
        key="business_central_id",
        of=lambda batch: [record.id for record in batch.records],
    ),
    Need(
        name="accounts",
        side="dataverse",
        table="account",
        columns=("accountid", LINK),
        key="accountid",
        of=lambda batch: [row["dataverse_id"] for row in batch.table("customers")],
    ),
)


def _accounts(batch: Batch) -> list[Found | None]:
    """The account of each customer; none where it is gone."""
    ids = {row["business_central_id"]: row["dataverse_id"] for row in batch.table("customers")}
    rows = {row["accountid"]: row for row in batch.table("accounts")}
    return [rows.get(ids.get(record.id)) for record in batch.records]


@refuse(reads=("number",), needs=_ACCOUNTS)
def account_is_there(batch: Batch) -> list[Refusal | None]:
    """Statistics of an account that was deleted are told, and then left alone (STAT-04)."""
    return [
        None if account else _without_account(str(number))
        for account, number in zip(_accounts(batch), batch.column("number"), strict=True)
    ]


def _without_account(number: str) -> Refusal:
    return Refusal(
        code="STAT-04",
        message=f"the account of customer {number} was deleted in Dataverse",
        remedy=f"koppel uncouple {CUSTOMERS} {number}; its statistics are deleted in the next run",
        field="number",
        value=number,
    )


@compute(
    reads=tuple(FIGURES),
    needs=(
        Need(
            name="known",
            couplings=STATISTICS,
            key="business_central_id",
            of=lambda batch: [record.id for record in batch.records],
        ),
        Need(
            name="statistics",
            side="dataverse",
            table="nav_accountstatistics",
            columns=("nav_accountstatisticsid", "nav_overdueamountsasof", *FIGURES.values()),
            key="nav_accountstatisticsid",
            of=lambda batch: [row["dataverse_id"] for row in batch.table("known")],
        ),
    ),
    daily=True,
)
def as_of(batch: Batch) -> list[Scalar | Refusal]:
    """The work date, as long as there is anything to write: the date alone is no reason to (STAT-02, STAT-03).

    What is overdue depends on the day, so on a new day all customers are looked at.
    """
    ids = {row["business_central_id"]: row["dataverse_id"] for row in batch.table("known")}
    rows = {row["nav_accountstatisticsid"]: row for row in batch.table("statistics")}
    today = batch.today.isoformat()
    columns = [batch.column(name) for name in FIGURES]
    return [
        _date_of(rows.get(ids.get(record.id)), dict(zip(FIGURES.values(), values, strict=True))) or today
        for record, *values in zip(batch.records, *columns, strict=True)
    ]


def _date_of(row: Found | None, figures: Mapping[str, Scalar]) -> Scalar:
    """The date of statistics that show these figures; none of others."""
    shown = row is not None and all(_amount(row[column]) == _amount(value) for column, value in figures.items())
    return row["nav_overdueamountsasof"] if row and shown else None


def _amount(value: Scalar) -> float:
    """As money is compared: nothing is 0."""
    return round(float(value or 0), 2)


@follow(reads=("number",), needs=_ACCOUNTS, foreseen=True)
def link(batch: Batch) -> list[FollowUp]:
    """The account shows its statistics (STAT-02)."""
    found = zip(batch.records, batch.partners, _accounts(batch), batch.column("number"), strict=True)
    return [
        FollowUp(
            side="dataverse",
            table="account",
            id=str(account["accountid"]),
            values={LINK: statistics},
            record=record.id,
            name=f"statistics of {number}",
            reason="the account shows the statistics of its customer (STAT-02)",
        )
        for record, statistics, account, number in found
        if account and account[LINK] != statistics
    ]

"""What a new order or quote of Business Central takes from Dataverse's: customer, currency, header, lines (SO-03 …
SO-14)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from koppel.engine.action import Refusal
from koppel.engine.rule import Batch, Found, Need, Parts, complete
from koppel.odata.records import Scalar
from koppel.rules.currency import LOCAL_CURRENCY, local_code
from koppel.rules.document import ORDER, Kind, amount, in_units
from koppel.rules.order_line import COLUMNS, Line, Terms, discountable, line_needs, new_lines

REFERENCE = 35
"""Characters that a reference to another document takes."""
TOTALS = ("discountamount", "discountpercentage", "totallineitemamount", "totalamountlessfreight")
"""What ``order_discount`` looks at."""
_CUSTOMER = 3
"""The relationship type (``customertypecode``) of accounts that buy."""

_ACCOUNTS = (
    Need(
        name="parents",
        side="dataverse",
        table="contact",
        columns=("contactid", "parentcustomerid_account"),
        key="contactid",
        of=lambda batch: batch.column("customerid_contact"),
    ),
    Need(
        name="accounts",
        side="dataverse",
        table="account",
        columns=("accountid", "name", "customertypecode"),
        key="accountid",
        of=lambda batch: _account_ids(batch),
    ),
    Need(name="buyers", couplings="CUSTOMER", key="dataverse_id", of=lambda batch: _account_ids(batch)),
    Need(
        name="customers",
        table="customers",
        columns=("id", "number", "billToCustomerNo", "vatBusPostingGroup", "pricesIncludingVAT"),
        key="id",
        of=lambda batch: [row["business_central_id"] for row in batch.table("buyers")],
    ),
    Need(
        name="payers",
        table="customers",
        columns=("number", "vatBusPostingGroup", "pricesIncludingVAT"),
        key="number",
        of=lambda batch: [row["billToCustomerNo"] for row in batch.table("customers")],
    ),
)


def _account_ids(batch: Batch) -> list[Scalar]:
    """The account of each order: its customer, or of a contact the company (SO-04)."""
    parents = {row["contactid"]: row["parentcustomerid_account"] for row in batch.table("parents")}
    customers = zip(batch.column("customerid_account"), batch.column("customerid_contact"), strict=True)
    return [account or parents.get(contact) for account, contact in customers]


def _customers(batch: Batch, kind: Kind) -> list[Found | Refusal]:
    """Business Central's customer of each document, or why there is none (SO-04)."""
    accounts = {row["accountid"]: row for row in batch.table("accounts")}
    buyers = {row["dataverse_id"]: row["business_central_id"] for row in batch.table("buyers")}
    customers = {row["id"]: row for row in batch.table("customers")}
    return [
        _no_customer(kind, id, accounts.get(id), buyers.get(id)) or customers.get(buyers.get(id)) or _lost(accounts[id])
        for id in _account_ids(batch)
    ]


def _no_customer(kind: Kind, id: Scalar, account: Found | None, coupled: Scalar) -> Refusal | None:
    refusal = Refusal(code="SO-04", message="", field="customerid", value=str(id or ""))
    if id is None:
        message, remedy = "it has no account: nobody, or a contact without a company", "name the account that buys"
    elif account is None:
        message, remedy = f"its account {id} does not exist", "name the account that buys"
    elif account["customertypecode"] != _CUSTOMER:
        message = f"account {account['name']} is no customer"
        remedy = "give it the relationship type Customer"
    elif coupled is None:
        refusal = msgspec.structs.replace(refusal, kind="dependency", via="CUSTOMER")
        message = f"account {account['name']} is not coupled in CUSTOMER"
        remedy = f"couple or synchronise it in CUSTOMER, then this {kind.word} goes through by itself"
    else:
        return None
    return msgspec.structs.replace(refusal, message=message, remedy=remedy)


def _lost(account: Found) -> Refusal:
    return Refusal(
        code="SO-04",
        message=f"the customer of account {account['name']} was deleted",
        remedy="couple the account with another customer in CUSTOMER, then retry",
        field="customerid",
        value=str(account["accountid"]),
    )


_CURRENCIES = (
    *LOCAL_CURRENCY,
    Need(
        name="iso",
        side="dataverse",
        table="transactioncurrency",
        columns=("transactioncurrencyid", "isocurrencycode"),
        key="transactioncurrencyid",
        of=lambda batch: batch.column("transactioncurrencyid"),
    ),
    Need(
        name="codes",
        table="currencies",
        columns=("code",),
        key="code",
        of=lambda batch: [row["isocurrencycode"] for row in batch.table("iso")],
    ),
)


def _currencies(batch: Batch) -> list[str | Refusal]:
    """The currency of each order by its code (GEN-10); the local one counts too, whatever the customer's."""
    iso = {row["transactioncurrencyid"]: str(row["isocurrencycode"]) for row in batch.table("iso")}
    local = local_code(batch)
    known = {local, *(row["code"] for row in batch.table("codes"))}
    codes = [iso.get(id, local) for id in batch.column("transactioncurrencyid")]
    return [code if code in known else _no_currency(code) for code in codes]


def _no_currency(code: str) -> Refusal:
    return Refusal(
        code="GEN-10",
        message=f"Business Central has no currency {code}",
        remedy=f"make currency {code} in Business Central, then retry",
        field="transactioncurrencyid",
        value=code,
    )


_OPTIONS = {
    "shippingmethodcode": ("shippingAgentCode", "SHIPPING AGENT"),
    "paymenttermscode": ("paymentTermsCode", "PAYMENT TERMS"),
    "freighttermscode": ("shipmentMethodCode", "SHIPMENT METHOD"),
}
"""Choice columns of an order, what they are in Business Central, and the mapping that couples their options."""
_ADDRESS = {
    "line1": "AddressLine1",
    "line2": "AddressLine2",
    "postalcode": "PostCode",
    "city": "City",
    "country": "Country",
    "stateorprovince": "State",
}
_DAY = "2026-01-31"
_PREFIXES = {"billto_": "billTo", "shipto_": "shipTo"}
_COPIED = ("name", "description", "discountpercentage", *_OPTIONS)


def columns_of(kind: Kind) -> tuple[str, ...]:
    """The columns of Dataverse that ``new_documents`` looks at."""
    return (
        *("customerid_account", "customerid_contact", "transactioncurrencyid", "freightamount", kind.number),
        *_COPIED,
        *kind.days,
        *TOTALS,
        *(prefix + part for prefix in _PREFIXES for part in _ADDRESS),
    )


def needs_of(kind: Kind) -> tuple[Need, ...]:
    """The tables that ``new_documents`` looks at."""
    return (
        *_ACCOUNTS,
        *_CURRENCIES,
        *(Need(name=mapping, options=mapping) for _, mapping in _OPTIONS.values()),
        *line_needs(kind),
    )


def written_of(kind: Kind) -> Mapping[str, tuple[str, ...]]:
    """What ``new_documents`` supplies."""
    return {
        "": (
            *("customerId", "currencyCode", "yourReference", "externalDocumentNumber"),
            *("paymentDiscountPercent", "workDescription", *kind.days.values()),
            *(name for name, _ in _OPTIONS.values()),
            *(prefix + name for prefix in _PREFIXES.values() for name in _ADDRESS.values()),
        ),
        kind.lines: (*COLUMNS, *(["unitOfMeasureCode"] if kind.in_units else [])),
    }


@complete(side="dataverse", reads=columns_of(ORDER), needs=needs_of(ORDER), writes=written_of(ORDER))
def with_lines(batch: Batch) -> list[Parts | Refusal]:
    """The whole order of Business Central, its lines included, or why it cannot be made (SO-03)."""
    return new_documents(batch, ORDER)


_IN_UNITS = in_units(ORDER)


@complete(side="dataverse", reads=columns_of(ORDER), needs=needs_of(_IN_UNITS), writes=written_of(_IN_UNITS))
def with_lines_in_units(batch: Batch) -> list[Parts | Refusal]:
    """The same, each line in its unit (UOM-14)."""
    return new_documents(batch, _IN_UNITS)


def new_documents(batch: Batch, kind: Kind) -> list[Parts | Refusal]:
    """Whole documents of Business Central, their lines included, or why they cannot be made."""
    customers, payers = _customers(batch, kind), {row["number"]: row for row in batch.table("payers")}
    terms = {
        record.id: _terms(payers.get(customer["billToCustomerNo"], customer))
        for record, customer in zip(batch.records, customers, strict=True)
        if not isinstance(customer, Refusal)
    }
    lines = new_lines(batch, kind, terms)
    codes = {column: _codes(batch, mapping) for column, (_, mapping) in _OPTIONS.items()}
    both = batch.parameters.get("payment_discount") is True
    return [
        _new_document(kind, customer, currency, lines.get(record.id, []), {**row, **_coded(row, codes)}, both=both)
        for record, row, customer, currency in zip(
            batch.records, batch.rows(), customers, _currencies(batch), strict=True
        )
    ]


def _codes(batch: Batch, mapping: str) -> dict[Scalar, Scalar]:
    return {row["value"]: row["code"] for row in batch.table(mapping)}


def _coded(order: Found, codes: Mapping[str, Mapping[Scalar, Scalar]]) -> Found:
    """The options of an order as codes; one that is not coupled leaves the customer's (SO-07)."""
    return {column: known.get(order[column]) for column, known in codes.items()}


def _terms(payer: Found) -> Terms:
    return Terms(str(payer["vatBusPostingGroup"] or ""), bool(payer["pricesIncludingVAT"]))


def _new_document(
    kind: Kind,
    customer: Found | Refusal,
    currency: str | Refusal,
    lines: list[Line] | Refusal,
    row: Found,
    *,
    both: bool,
) -> Parts | Refusal:
    if isinstance(customer, Refusal):
        return customer
    if isinstance(currency, Refusal):
        return currency
    if isinstance(lines, Refusal):
        return lines
    header = {"customerId": customer["id"], "currencyCode": currency, **_header(kind, row, both=both)}
    return _no_discount(row, lines) or {**header, kind.lines: lines}


def _header(kind: Kind, order: Found, *, both: bool) -> dict[str, Scalar]:
    """What a new order takes from Dataverse's (SO-05 … SO-08); what is blank there stays as the customer has it."""
    found: dict[str, Scalar] = {
        "yourReference": order[kind.number],
        "externalDocumentNumber": str(order["name"] or "")[:REFERENCE].strip(),
        **{name: str(order[column] or "")[: len(_DAY)] for column, name in kind.days.items()},
        **{name: order[column] for column, (name, _) in _OPTIONS.items()},
        "paymentDiscountPercent": order["discountpercentage"] if both else None,
        "workDescription": order["description"],
    }
    return {name: value for name, value in found.items() if value} | _addresses(order)


def _addresses(order: Found) -> dict[str, Scalar]:
    """An address that says anything takes the place of the customer's, blanks and all (SO-06)."""
    found: dict[str, Scalar] = {}
    for prefix, ours in _PREFIXES.items():
        if any(order[prefix + part] for part in _ADDRESS):
            found |= {ours + name: order[prefix + part] or "" for part, name in _ADDRESS.items()}
    return found


def order_discount(order: Found) -> Decimal:
    """Both discounts of an order or quote, as an amount (SO-14)."""
    if not (order["discountamount"] or order["discountpercentage"]):
        return Decimal(0)
    return amount(order["totallineitemamount"]) - amount(order["totalamountlessfreight"])


def _no_discount(order: Found, lines: list[Line]) -> Refusal | None:
    """Why the order discount cannot be given, which is to be known before anything is made."""
    discount, most = order_discount(order), discountable(lines)
    if discount <= max(most, Decimal(0)):
        return None
    return Refusal(
        code="SO-14",
        message=f"its discount of {discount} is more than {most}, what its lines that allow one come to",
        remedy="lower the discount; accounts, which stand for freight, allow none",
        field="discountamount",
        value=str(discount),
    )

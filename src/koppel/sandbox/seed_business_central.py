"""The rows that Business Central starts with, under the names of its API and companion pages."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from koppel.sandbox.adventureworks import (
    Customer,
    Line,
    contacts_by_company,
    customers,
    lines,
    record_id,
    repeated,
)
from koppel.sandbox.seed_vat import vat_group
from koppel.sandbox.tables import Row

COMPANY = "AdventureWorks"
LOCAL_CURRENCY = "USD"
RELATION_CODE = "CUST"

EXTERNAL_SALESPERSON: Row = {"code": "EXTERN", "displayName": "External Agency", "email": "agency@example.com"}
"""Sells for the company without being a user of Dataverse."""
EXTERNAL_CUSTOMERS = frozenset({"AW00000007", "AW00000017", "AW00000027"})

PAYMENT_TERMS: tuple[Row, ...] = (
    {"code": "COD", "displayName": "Cash on delivery", "dueDateCalculation": "0D"},
    {"code": "CM", "displayName": "Current month", "dueDateCalculation": "CM"},
    {"code": "NET 14", "displayName": "Net 14 days", "dueDateCalculation": "14D"},
    {"code": "NET 30", "displayName": "Net 30 days", "dueDateCalculation": "30D"},
    {"code": "NET 45", "displayName": "Net 45 days", "dueDateCalculation": "45D"},
    {"code": "NET 60", "displayName": "Net 60 days", "dueDateCalculation": "60D"},
    {
        "code": "1M(8D)",
        "displayName": "1 Month/2% 8 days",
        "dueDateCalculation": "1M",
        "discountDateCalculation": "8D",
        "discountPercent": 2,
    },
)
SHIPMENT_METHODS: tuple[Row, ...] = (
    {"code": "CIF", "displayName": "Cost, Insurance and Freight"},
    {"code": "DDP", "displayName": "Delivered Duty Paid"},
    {"code": "EXW", "displayName": "Ex Works"},
    {"code": "FCA", "displayName": "Free Carrier"},
    {"code": "FOB", "displayName": "Free on Board"},
    {"code": "PICKUP", "displayName": "Pickup at Location"},
)


class CustomerRows(msgspec.Struct, frozen=True):
    """All rows that one customer brings: itself, its contacts (its own first), and the link between the two."""

    customer: Row
    contacts: list[Row]
    relation: Row


def setup_rows() -> dict[str, list[Row]]:
    """Rows by table, for every table that customers refer to."""
    return {
        "currencies": [_currency(line["code"], line["name"]) for line in lines("currencies.csv")],
        "currencyExchangeRates": _rates(),
        "unitsOfMeasure": _named(
            "unitsOfMeasure", [(line["code"], line["name"]) for line in lines("units_of_measure.csv")]
        ),
        "countriesRegions": _countries(),
        "paymentTerms": [_with_id("paymentTerms", row) for row in PAYMENT_TERMS],
        "shipmentMethods": [_with_id("shipmentMethods", row) for row in SHIPMENT_METHODS],
        "shippingAgents": _named(
            "shippingAgents", [(_agent(line["name"]), line["name"]) for line in lines("ship_methods.csv")]
        ),
        "salespeoplePurchasers": _salespeople(),
    }


def customer_rows(number: int | None = None) -> Iterator[CustomerRows]:
    """The rows of the first ``number`` customers (None: of all)."""
    agents = [_agent(line["name"]) for line in lines("ship_methods.csv")]
    for index, customer in enumerate(customers(number)):
        yield _rows_of(customer, index, agents)


def _rows_of(customer: Customer, index: int, agents: list[str]) -> CustomerRows:
    contact_number = f"CT{1_000_001 + index}"
    row = _customer(customer) | _terms(index, agents)
    company = _company_contact(row, contact_number, customer.line)
    people = [_person_contact(line, customer, company) for line in _people(customer)]
    if people:
        row |= {"primaryContactNo": people[0]["number"], "contact": people[0]["displayName"]}
    return CustomerRows(row, [company, *people], _relation(contact_number, row["number"]))


def _customer(customer: Customer) -> Row:
    line, number = customer.line, customer.number
    row = {
        "id": record_id("customers", number),
        "number": number,
        "displayName": customer.name,
        "addressLine1": line["address1"],
        "addressLine2": line["address2"],
        "city": line["city"],
        "state": line["state"],
        "country": line["country_code"],
        "postalCode": line["postal_code"],
        "phoneNumber": line.get("phone", ""),
        "email": customer.email,
        "currencyCode": "" if line["currency"] == LOCAL_CURRENCY else line["currency"],
        "salespersonCode": "EXTERN" if number in EXTERNAL_CUSTOMERS else line.get("salesperson_code", ""),
        "creditLimit": int(line.get("annual_sales", "0")) // 20,
        "customerPriceGroup": "RESELLER" if customer.is_company else "CUSTOMER",
        "vatBusPostingGroup": (group := vat_group(line["country_code"])),
        "pricesIncludingVAT": group == "EU" and not customer.is_company,
    }
    return _sparse(row)


def _terms(index: int, agents: list[str]) -> Row:
    """Terms for most customers; which ones follows from the customer's place in the file."""
    row: Row = {}
    if index % 10 < 8:
        row["paymentTermsCode"] = PAYMENT_TERMS[index % len(PAYMENT_TERMS)]["code"]
    if index % 5 < 3:
        row["shipmentMethodCode"] = SHIPMENT_METHODS[index % len(SHIPMENT_METHODS)]["code"]
    if index % 4 < 2:
        row["shippingAgentCode"] = agents[index % len(agents)]
    return row


_SHARED = (
    "displayName",
    "addressLine1",
    "addressLine2",
    "city",
    "state",
    "country",
    "postalCode",
    "phoneNumber",
    "email",
    "currencyCode",
    "salespersonCode",
)


def _company_contact(customer: Row, number: str, line: Line) -> Row:
    """The contact that Business Central itself makes for a customer (rule CUST-08)."""
    own = {"id": record_id("contacts", number), "number": number, "type": "Company", "companyNumber": number}
    own["companyName"] = customer["displayName"]
    prefix = {"salutationCode": line["prefix"]} if line.get("prefix") else {}
    return own | {name: customer[name] for name in _SHARED if name in customer} | prefix


def _people(customer: Customer) -> list[Line]:
    return contacts_by_company().get(customer.line["number"], []) if customer.is_company else []


def _person_contact(line: Line, customer: Customer, company: Row) -> Row:
    number = repeated(line["number"], "-", customer.round)
    row = {
        "id": record_id("contacts", number),
        "number": number,
        "type": "Person",
        "displayName": f"{line['first_name']} {line['last_name']}".strip(),
        "firstName": line["first_name"],
        "surname": line["last_name"],
        "companyNumber": company["number"],
        "companyName": company["companyName"],
        "jobTitle": line["job_title"],
        "phoneNumber": line["phone"],
        "email": line["email"],
        "salespersonCode": company.get("salespersonCode", ""),
        "currencyCode": company.get("currencyCode", ""),
    }
    return _sparse(row)


def _relation(contact_number: str, customer_number: str) -> Row:
    return {
        "id": record_id("contactBusinessRelations", contact_number),
        "contactNumber": contact_number,
        "businessRelationCode": RELATION_CODE,
        "linkToTable": "Customer",
        "number": customer_number,
    }


def _salespeople() -> list[Row]:
    rows = [
        {
            "code": line["code"],
            "displayName": line["name"],
            "email": line["email"],
            "phoneNo": line["phone"],
            "jobTitle": line["job_title"],
            "commisionPercent": round(float(line["commission_pct"]) * 100, 5),
        }
        for line in lines("salespeople.csv")
    ]
    return [_with_id("salespeoplePurchasers", row) for row in [*rows, EXTERNAL_SALESPERSON]]


def _currency(code: str, name: str) -> Row:
    return _with_id("currencies", {"code": code, "displayName": name})


def _rates() -> list[Row]:
    """Units of the currency for one of the local one, as Business Central stores a rate: a pair of amounts."""
    return [
        {
            "id": record_id("currencyExchangeRates", f"{line['to_currency']}/{line['date']}"),
            "currencyCode": line["to_currency"],
            "startingDate": line["date"],
            "exchangeRateAmount": float(line["rate"]),
            "relationalExchangeRateAmount": 1,
        }
        for line in lines("currency_rates.csv")
    ]


def _countries() -> list[Row]:
    sources = (*lines("company_customers.csv"), *lines("person_customers.csv.gz"))
    return _named("countriesRegions", sorted({(line["country_code"], line["country"]) for line in sources}))


def _agent(name: str) -> str:
    """A shipping agent's code: the first word of its name."""
    return name.split()[0]


def _named(table: str, pairs: list[tuple[str, str]]) -> list[Row]:
    return [_with_id(table, {"code": code.strip().upper(), "displayName": name}) for code, name in pairs]


def _with_id(table: str, row: Row) -> Row:
    return {"id": record_id(table, row["code"])} | row


def _sparse(row: Row) -> Row:
    return {name: value for name, value in row.items() if value}

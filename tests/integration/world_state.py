"""What both systems hold, read from their tables and told without ids, versions and times: to compare worlds by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from world import World
from world_data import Row

from koppel.sandbox.seed_business_central import COMPANY

State = dict[str, list[str]]


def state_of(world: World) -> State:
    """By table, a line a row, sorted. What refers to a row is told by its name."""
    return {
        "customers": _told(_customers(world)),
        "persons": _told(_persons(world)),
        "companies": _told(
            (row.get("displayName"),) for row in _ours(world, "contacts") if row.get("type") != "Person"
        ),
        "salespeople": _told(
            (row["code"][:6], row.get("displayName"), row.get("phoneNo"))
            for row in _ours(world, "salespeoplePurchasers")
        ),
        "accounts": _told(_accounts(world)),
        "contacts": _told(_contacts(world)),
        "currencies": _told(
            (row["isocurrencycode"], row["currencyname"], row["exchangerate"])
            for row in _theirs(world, "transactioncurrency")
        ),
        "groups": _told((row["name"], row["baseuomname"]) for row in _theirs(world, "uomschedule")),
        "units": _told((row["name"],) for row in _theirs(world, "uom")),
        "options": _told(_options(world)),
        "products": _told(_products(world)),
        "prices": _told(_prices(world)),
        "sales orders": _told(tuple(row.get(name) for name in SALES_ORDER) for row in _ours(world, "salesOrders")),
        "their lines": _told(tuple(row.get(name) for name in LINE) for row in _ours(world, "salesOrderLines")),
        "orders": _told(tuple(row.get(name) for name in ORDER) for row in _theirs(world, "salesorder")),
    }


def _told(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    return sorted("|".join("" if value in (None, "") else str(value).strip() for value in row) for row in rows)


def _ours(world: World, table: str) -> Iterable[Row]:
    return list(world.sandbox.business_central.companies[COMPANY].stores[table].rows.values())


def _theirs(world: World, table: str) -> Iterable[Row]:
    return list(world.sandbox.dataverse.tables[table].rows.values())


def _named(rows: Iterable[Row], key: str, name: str) -> dict[Any, Any]:
    return {row[key]: row.get(name) for row in rows}


def _products(world: World) -> Iterable[tuple[Any, ...]]:
    lists = _named(_theirs(world, "pricelevel"), "pricelevelid", "name")
    for row in _theirs(world, "product"):
        columns = (row.get(name) for name in ("productnumber", "name", "price", "statecode", "quantitydecimal"))
        yield (*columns, lists.get(row.get("_pricelevelid_value")))


def _prices(world: World) -> Iterable[tuple[Any, ...]]:
    lists = _named(_theirs(world, "pricelevel"), "pricelevelid", "name")
    for row in _theirs(world, "productpricelevel"):
        yield lists[row["_pricelevelid_value"]], row["productnumber"], row["amount"]


def _customers(world: World) -> Iterable[tuple[Any, ...]]:
    persons = _named(_ours(world, "contacts"), "number", "displayName")
    for row in _ours(world, "customers"):
        values = [row.get(name) for name in CUSTOMER]
        yield (*values, persons.get(row.get("primaryContactNo")))


def _accounts(world: World) -> Iterable[tuple[Any, ...]]:
    people = _named(_theirs(world, "contact"), "contactid", "fullname")
    for row in _theirs(world, "account"):
        values = [row.get(name) for name in ACCOUNT]
        yield (*values, *_seen(world, row), people.get(row.get("_primarycontactid_value")))


def _seen(world: World, row: Row) -> tuple[Any, ...]:
    users = _named(_theirs(world, "systemuser"), "systemuserid", "fullname")
    currencies = _named(_theirs(world, "transactioncurrency"), "transactioncurrencyid", "isocurrencycode")
    options = world.sandbox.dataverse.option_sets
    labels = [
        options[f"account_{column}"].label(row.get(column, -1)) for column in OPTIONS if f"account_{column}" in options
    ]
    return users[row["_ownerid_value"]], currencies.get(row.get("_transactioncurrencyid_value")), *labels


def _persons(world: World) -> Iterable[tuple[Any, ...]]:
    for row in _ours(world, "contacts"):
        if row.get("type") == "Person":
            yield tuple(row.get(name) for name in PERSON)


def _contacts(world: World) -> Iterable[tuple[Any, ...]]:
    accounts = _named(_theirs(world, "account"), "accountid", "name")
    for row in _theirs(world, "contact"):
        yield (*(row.get(name) for name in CONTACT), accounts.get(row.get("_parentcustomerid_value")))


def _options(world: World) -> Iterable[tuple[Any, ...]]:
    for column in OPTIONS:
        for name, found in world.sandbox.dataverse.option_sets.items():
            if found.table == "account" and found.column == column:
                yield from ((name, choice.label) for choice in found.current.values())


CUSTOMER = (
    "displayName",
    "phoneNumber",
    "website",
    "email",
    "addressLine1",
    "city",
    "postalCode",
    "country",
    "salespersonCode",
    "currencyCode",
    "paymentTermsCode",
    "shipmentMethodCode",
    "shippingAgentCode",
    "creditLimit",
    "contact",
)
ACCOUNT = (
    "name",
    "telephone1",
    "websiteurl",
    "emailaddress1",
    "address1_line1",
    "address1_city",
    "address1_postalcode",
    "address1_country",
    "creditlimit",
    "address1_primarycontactname",
    "customertypecode",
    "statecode",
)
PERSON = ("displayName", "firstName", "middleName", "surname", "phoneNumber", "email", "companyName", "salespersonCode")
CONTACT = ("fullname", "firstname", "middlename", "lastname", "telephone1", "emailaddress1")
SALES_ORDER = ("yourReference", "customerNumber", "status", "discountAmount", "shipToCity", "totalAmountIncludingTax")
LINE = ("sequence", "lineObjectNumber", "description", "quantity", "unitPrice", "netAmount")
ORDER = (
    "ordernumber",
    "statecode",
    "statuscode",
    "lastbackofficesubmit",
    "shipto_city",
    "totalamount",
    "discountamount",
)
OPTIONS = ("paymenttermscode", "address1_freighttermscode", "address1_shippingmethodcode")


async def bookkeeping_of(world: World) -> State:
    """What is written down, by table: the mapping of each row."""
    connection = world.session.connection
    found: State = {}
    for table in ("coupling", "failure", "conflict", "intent", "pending", "option_coupling"):
        rows = await (await connection.execute(f"SELECT mapping FROM {table}".encode())).fetchall()
        found[table] = sorted(row[0] for row in rows)
    await connection.commit()
    return found


def differences(expected: State, found: State) -> dict[str, Any]:
    """By table, the lines that only one of two states has."""
    told: dict[str, Any] = {}
    for table, lines in expected.items():
        one, two = Counter(lines), Counter(found[table])
        if one != two:
            told[table] = {"missing": list((one - two).elements()), "too much": list((two - one).elements())}
    return told

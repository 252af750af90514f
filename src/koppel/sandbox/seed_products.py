"""What Business Central sells when it starts: items with their stock, resources, prices, and the vendors."""

from __future__ import annotations

from collections.abc import Iterator

from koppel.sandbox.adventureworks import Line, lines, record_id
from koppel.sandbox.seed_vat import STANDARD
from koppel.sandbox.tables import Row

VENDOR_RELATION_CODE = "VEND"
PRICE_GROUPS: tuple[Row, ...] = (
    {"code": "CUSTOMER", "description": "Consumers", "allowInvoiceDisc": True, "allowLineDisc": True},
    {"code": "RESELLER", "description": "Stores", "allowInvoiceDisc": True, "allowLineDisc": True},
)
HOUR: Row = {"code": "HOUR", "displayName": "Hour"}
"""The unit of the resources; the files have none for time."""

RESOURCES: tuple[Row, ...] = (
    {"number": "MECHANIC", "type": "Person", "displayName": "Bicycle mechanic", "unitCost": 38, "unitPrice": 75},
    {"number": "FITTER", "type": "Person", "displayName": "Bike fitting", "unitCost": 45, "unitPrice": 120},
    {"number": "STAND", "type": "Machine", "displayName": "Repair stand", "unitCost": 4, "unitPrice": 12.5},
    {"number": "TRUER", "type": "Machine", "displayName": "Wheel truing machine", "unitCost": 6.5, "unitPrice": 20},
    {"number": "TRAINER", "type": "Person", "displayName": "Riding lessons", "unitPrice": 60, "blocked": True},
    {"number": "WRITE-IN", "type": "Machine", "displayName": "Write-in product"},
)
WRITE_IN = "WRITE-IN"
"""What stands for products that only exist on an order (SO-10)."""

ACCOUNTS: tuple[Row, ...] = (
    {"number": "2310", "displayName": "Customers", "category": "Assets"},
    {"number": "5610", "displayName": "Sales VAT", "category": "Liabilities"},
    {"number": "6110", "displayName": "Sales of Goods", "category": "Income"},
    {"number": "6210", "displayName": "Sales of Services", "category": "Income"},
    {"number": "6810", "displayName": "Freight Income", "category": "Income"},
    {"number": "6910", "displayName": "Invoice Rounding", "category": "Income"},
)
FREIGHT = "6810"
_POSTED = {"directPosting": True, "vatProdPostingGroup": STANDARD}

_GRAMS_IN_A_POUND = 453.59237
_START = "2017-06-30"


def product_rows() -> dict[str, list[Row]]:
    """Rows by table; each table after those that it refers to, units and groups before what they belong to."""
    items = [_item(line, index) for index, line in enumerate(lines("items.csv"))]
    resources = [_resource(row) for row in RESOURCES]
    return {
        "accounts": [_with_id("accounts", row["number"], row | _POSTED) for row in ACCOUNTS],
        "unitsOfMeasure": [_with_id("unitsOfMeasure", HOUR["code"], HOUR)],
        "itemUnitsOfMeasure": [_base_unit("itemUnitsOfMeasure", "itemNo", row) for row in items],
        "resourceUnitsOfMeasure": [
            _base_unit("resourceUnitsOfMeasure", "resourceNo", row) | {"relatedToBaseUnitOfMeas": True}
            for row in resources
        ],
        "unitGroups": [_group("Item", row) for row in items] + [_group("Resource", row) for row in resources],
        "itemLedgerEntries": list(_entries(items)),
        "items": items,
        "resources": resources,
        "customerPriceGroups": [_with_id("customerPriceGroups", row["code"], row) for row in PRICE_GROUPS],
        "salesPrices": [*_ordinary_prices(), *_offers()],
    }


def vendor_rows() -> dict[str, list[Row]]:
    """The vendors with their company contacts and the links between the two, as Business Central makes them."""
    vendors = [_vendor(line, index) for index, line in enumerate(lines("vendors.csv"))]
    contacts = [_vendor_contact(row, f"CT{9_000_001 + index}") for index, row in enumerate(vendors)]
    links = [
        {
            "id": record_id("contactBusinessRelations", contact["number"]),
            "contactNumber": contact["number"],
            "businessRelationCode": VENDOR_RELATION_CODE,
            "linkToTable": "Vendor",
            "number": vendor["number"],
        }
        for vendor, contact in zip(vendors, contacts, strict=True)
    ]
    return {"contactBusinessRelations": links, "contacts": contacts, "vendors": vendors}


def _item(line: Line, index: int) -> Row:
    row = {
        "number": line["number"],
        "displayName": line["name"],
        "baseUnitOfMeasureCode": line["unit"],
        "unitPrice": float(line["list_price"]),
        "unitCost": float(line["standard_cost"]),
        "standardCost": float(line["standard_cost"]),
        "grossWeight": _pounds(line),
        "blocked": line["sell_end"] != "",
        "inventory": _stock(line, index),
        "vatProdPostingGroup": STANDARD,
    } | _bought(line, index)
    return _with_id("items", line["number"], {name: value for name, value in row.items() if value})


def _pounds(line: Line) -> float:
    weight = float(line["weight"] or 0)
    return round(weight / _GRAMS_IN_A_POUND, 5) if line["weight_unit"] == "G" else weight


def _stock(line: Line, index: int) -> int:
    """What is there of an item follows from its place in the file; of a few, more was sold than there was."""
    if line["sell_end"]:
        return 0
    return -3 if index % 60 == 30 else index * 7 % 400


def _bought(line: Line, index: int) -> Row:
    """Parts that the company does not make come from a vendor."""
    if line["finished_good"] == "true":
        return {}
    vendors = lines("vendors.csv")
    return {"vendorNo": vendors[index % len(vendors)]["number"], "vendorItemNo": f"{line['number']}-{index:03d}"}


def _entries(items: list[Row]) -> Iterator[Row]:
    """The movements that made the stock: one for each item."""
    for number, row in enumerate((row for row in items if row.get("inventory")), start=1):
        kind = "Positive" if row["inventory"] > 0 else "Negative"
        entry = {
            "entryNumber": number,
            "itemNumber": row["number"],
            "postingDate": _START,
            "entryType": f"{kind}_x0020_Adjmt_x002E_",
            "documentNumber": "START",
            "quantity": row["inventory"],
        }
        yield _with_id("itemLedgerEntries", str(number), entry)


def _resource(row: Row) -> Row:
    unit = {"baseUnitOfMeasureCode": HOUR["code"], "searchName": row["displayName"].upper(), "capacity": 160}
    return _with_id("resources", row["number"], row | unit | {"vatProdPostingGroup": STANDARD})


def _base_unit(table: str, owner: str, row: Row) -> Row:
    number, code = row["number"], row["baseUnitOfMeasureCode"]
    return _with_id(table, f"{number}/{code}", {owner: number, "code": code, "qtyPerUnitOfMeasure": 1})


def _group(source: str, row: Row) -> Row:
    key = {"sourceType": source, "sourceId": row["id"], "sourceNo": row["number"]}
    return _with_id("unitGroups", f"{source}/{row['number']}", key)


def _ordinary_prices() -> Iterator[Row]:
    """Both groups pay the list price of the time."""
    for line in lines("item_price_history.csv"):
        for group in PRICE_GROUPS:
            yield _price(group["code"], line["item_number"], line, 0, float(line["list_price"]))


def _offers() -> Iterator[Row]:
    """Special offers lower the list price of an item for one group: for a time, from a quantity."""
    offers = {line["id"]: line for line in lines("special_offers.csv")}
    prices = {line["number"]: float(line["list_price"]) for line in lines("items.csv")}
    for line in lines("special_offer_items.csv"):
        offer, item = offers[line["offer_id"]], line["item_number"]
        if offer["category"].upper() in {group["code"] for group in PRICE_GROUPS}:
            price = round(prices[item] * (1 - float(offer["discount_pct"])), 4)
            yield _price(offer["category"].upper(), item, offer, max(1, int(offer["min_qty"])), price)


def _price(group: str, item: str, dates: Line, quantity: int, price: float) -> Row:
    row = {
        "itemNo": item,
        "salesType": "Customer_x0020_Price_x0020_Group",
        "salesCode": group,
        "startingDate": dates["start_date"],
        "endingDate": dates["end_date"],
        "unitOfMeasureCode": "EA",
        "minimumQuantity": quantity,
        "unitPrice": price,
        "allowInvoiceDisc": True,
        "allowLineDisc": True,
    }
    key = f"{item}/{group}/{dates['start_date']}/{quantity}"
    return _with_id("salesPrices", key, {name: value for name, value in row.items() if value})


def _vendor(line: Line, index: int) -> Row:
    salespeople = lines("salespeople.csv")
    row = {
        "number": line["number"],
        "displayName": line["name"],
        "addressLine1": line["address1"],
        "addressLine2": line["address2"],
        "city": line["city"],
        "state": line["state"],
        "country": line["country_code"],
        "postalCode": line["postal_code"],
        "purchaserCode": salespeople[index % len(salespeople)]["code"] if index % 4 else "",
        "paymentTermsCode": "NET 30" if line["preferred"] == "true" else "COD",
        "blocked": "" if line["active"] == "true" else "All",
    }
    return _with_id("vendors", line["number"], {name: value for name, value in row.items() if value})


_SHARED = ("displayName", "addressLine1", "addressLine2", "city", "state", "country", "postalCode")


def _vendor_contact(vendor: Row, number: str) -> Row:
    own = {"number": number, "type": "Company", "companyNumber": number, "companyName": vendor["displayName"]}
    purchaser = {"salespersonCode": vendor["purchaserCode"]} if "purchaserCode" in vendor else {}
    shared = {name: vendor[name] for name in _SHARED if name in vendor}
    return _with_id("contacts", number, own | shared | purchaser)


def _with_id(table: str, key: str, row: Row) -> Row:
    return {"id": record_id(table, key)} | row

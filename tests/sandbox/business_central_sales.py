"""A company that sells: customers, items, a resource, accounts, VAT, and orders."""

from __future__ import annotations

from typing import Any

from business_central_company import COMPANION, Answer, World

Row = dict[str, Any]
ADDRESS = {"addressLine1": "1 Main St", "city": "Ede", "country": "NL", "postalCode": "6711"}
TABLES: dict[str, list[Row]] = {
    "vatPostingSetup": [
        {"vatBusPostingGroup": "DOMESTIC", "vatProdPostingGroup": "STANDARD", "vatPercent": 21},
        {"vatBusPostingGroup": "DOMESTIC", "vatProdPostingGroup": "REDUCED", "vatPercent": 9},
        {"vatBusPostingGroup": "EXPORT", "vatProdPostingGroup": "STANDARD"},
    ],
    "currencyExchangeRates": [
        {"currencyCode": "EUR", "startingDate": date, "exchangeRateAmount": rate, "relationalExchangeRateAmount": 100}
        for date, rate in (("2026-01-01", 90), ("2026-02-01", 80), ("2026-04-01", 70))
    ],
    "paymentTerms": [
        {
            "code": "1M(8D)",
            "dueDateCalculation": "1M",
            "discountDateCalculation": "8D",
            "discountPercent": 2,
        }
    ],
    "unitsOfMeasure": [{"code": "PCS"}, {"code": "BOX"}, {"code": "HOUR"}],
    "customers": [
        {
            "number": "10000",
            "displayName": "Adatum",
            "contact": "Jo",
            "email": "jo@adatum.example",
            "vatBusPostingGroup": "DOMESTIC",
            "paymentTermsCode": "1M(8D)",
            "shipmentMethodCode": "EXW",
            "shippingAgentCode": "DHL",
            "salespersonCode": "JO",
            **ADDRESS,
        },
        {"number": "20000", "displayName": "Trey", "currencyCode": "EUR", "vatBusPostingGroup": "EXPORT"},
        {"number": "30000", "displayName": "Shop", "pricesIncludingVAT": True, "vatBusPostingGroup": "DOMESTIC"},
        {"number": "40000", "displayName": "Branch", "billToCustomerNo": "10000"},
        {"number": "50000", "displayName": "Debtor", "blocked": "All"},
    ],
    "items": [
        {
            "number": "1000",
            "displayName": "Bicycle",
            "baseUnitOfMeasureCode": "PCS",
            "unitPrice": 100,
            "vatProdPostingGroup": "STANDARD",
        },
        {"number": "1001", "displayName": "Book", "unitPrice": 20, "vatProdPostingGroup": "REDUCED"},
        {"number": "1002", "displayName": "Relic", "unitPrice": 5, "blocked": True},
        {
            "number": "1003",
            "displayName": "Bell",
            "unitPrice": 121,
            "priceIncludesTax": True,
            "vatBusPostingGrPrice": "DOMESTIC",
            "vatProdPostingGroup": "STANDARD",
        },
    ],
    "itemUnitsOfMeasure": [
        {"itemNo": "1000", "code": "PCS", "qtyPerUnitOfMeasure": 1},
        {"itemNo": "1000", "code": "BOX", "qtyPerUnitOfMeasure": 12},
    ],
    "resources": [
        {
            "number": "LIFT",
            "displayName": "Lift",
            "baseUnitOfMeasureCode": "HOUR",
            "unitPrice": 50,
            "vatProdPostingGroup": "STANDARD",
        }
    ],
    "accounts": [
        {"number": "6110", "displayName": "Freight", "directPosting": True, "vatProdPostingGroup": "STANDARD"},
        {"number": "6999", "displayName": "Total"},
    ],
}


class Sales(World):
    """The company, and how one sells in it. Requests go by the companion route."""

    def __init__(self) -> None:
        super().__init__()
        for table, rows in TABLES.items():
            self.system.load("CRONUS", table, rows)

    async def order(self, customer: str = "10000", *lines: Row, **values: Any) -> Row:
        """A new order with its lines."""
        body = {"customerNumber": customer, **values, "salesOrderLines": list(lines)}
        return await self.made("salesOrders?$expand=salesOrderLines", body, COMPANION)

    async def again(self, order: Row) -> Row:
        """The order as it is now."""
        shown: Row = (await self.get(f"salesOrders({order['id']})?$expand=salesOrderLines", COMPANION)).json
        return shown

    async def act(self, order: Row, action: str) -> Answer:
        return await self.post(f"salesOrders({order['id']})/Microsoft.NAV.{action}", None, COMPANION)

    async def change(self, order: Row, **values: Any) -> Answer:
        return await self.patch(f"salesOrders({order['id']})", values, COMPANION)

    async def change_line(self, line: Row, **values: Any) -> Answer:
        return await self.patch(f"salesOrderLines({line['id']})", values, COMPANION)

    async def invoices(self) -> list[Row]:
        """All posted invoices, with their lines."""
        path = "postedSalesInvoices?$expand=postedSalesInvoiceLines"
        return (await self.get(path, COMPANION)).values

    async def entries(self) -> list[Row]:
        """The customers' ledger."""
        return (await self.get("customerLedgerEntries", COMPANION)).values


def item(number: str = "1000", quantity: float = 1, **values: Any) -> Row:
    """A line of an item."""
    return {"lineType": "Item", "lineObjectNumber": number, "quantity": quantity, **values}

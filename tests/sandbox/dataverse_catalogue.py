"""A small catalogue in the simulated Dataverse: units, products, price lists and their items."""

from __future__ import annotations

from typing import Any

from dataverse_org import EURO, Organisation, Row

PUBLISHED = {"statecode": 0, "statuscode": 1}
RETIRED = {"statecode": 1, "statuscode": 2}
DRAFT = {"statecode": 2, "statuscode": 0}
REVISED = {"statecode": 3, "statuscode": 3}


def bind(**ids: str) -> dict[str, str]:
    """Lookups to write: ``bind(productid=key)`` is ``{"productid@odata.bind": "/products(key)"}``."""
    return {f"{name}@odata.bind": f"/{_SETS[name]}({key})" for name, key in ids.items()}


_SETS = {
    "baseuom": "uoms",
    "customerid_account": "accounts",
    "customerid_contact": "contacts",
    "defaultpricelevelid": "pricelevels",
    "defaultuomid": "uoms",
    "defaultuomscheduleid": "uomschedules",
    "invoiceid": "invoices",
    "opportunityid": "opportunities",
    "parentaccountid": "accounts",
    "parentcontactid": "contacts",
    "parentproductid": "products",
    "pricelevelid": "pricelevels",
    "productid": "products",
    "quoteid": "quotes",
    "salesorderid": "salesorders",
    "transactioncurrencyid": "transactioncurrencies",
    "uomid": "uoms",
    "uomscheduleid": "uomschedules",
}


LINES = {
    "opportunities": ("opportunityproducts", "opportunityid"),
    "quotes": ("quotedetails", "quoteid"),
    "salesorders": ("salesorderdetails", "salesorderid"),
    "invoices": ("invoicedetails", "invoiceid"),
}
"""The lines of each document: their set and the lookup that leads back."""


class Catalogue:
    """``group`` with its only ``unit``; ``customer``: the account that documents are for."""

    def __init__(self, org: Organisation, group: str, customer: str) -> None:
        self.org = org
        self.group = group
        self.customer = customer
        self.unit = next(iter(org.dataverse.tables["uom"].rows))

    async def product(self, number: str = "P1", *, active: bool = True, **values: Any) -> str:
        units = bind(defaultuomscheduleid=self.group, defaultuomid=self.unit)
        body = {"productnumber": number, "name": f"Product {number}", "quantitydecimal": 2, **units, **values}
        key = await self.org.create("products", **body)
        if active:
            assert (await self.org.patch(f"products({key})", PUBLISHED)).status == 204
        return key

    async def price_list(self, name: str = "Retail", currency: str = EURO) -> str:
        return await self.org.create("pricelevels", name=name, **bind(transactioncurrencyid=currency))

    async def price(self, prices: str, product: str, amount: float = 10, **values: Any) -> str:
        body = bind(pricelevelid=prices, productid=product, uomid=self.unit) | {"amount": amount, **values}
        return await self.org.create("productpricelevels", **body)

    async def document(self, set_name: str, prices: str, currency: str = EURO, **values: Any) -> str:
        """A document of one of the ``LINES``."""
        lookups = bind(customerid_account=self.customer, pricelevelid=prices, transactioncurrencyid=currency)
        return await self.org.create(set_name, name="Document", **lookups, **values)

    def line(self, set_name: str, document: str, product: str, quantity: float = 1, **values: Any) -> Row:
        """The body of a catalogue line."""
        link = LINES[set_name][1]
        return bind(**{link: document}, productid=product, uomid=self.unit) | {"quantity": quantity, **values}

    async def add(self, set_name: str, document: str, product: str, quantity: float = 1, **values: Any) -> str:
        """A catalogue line."""
        return await self.org.create(LINES[set_name][0], **self.line(set_name, document, product, quantity, **values))


def write_in(set_name: str, document: str, price: float, quantity: float = 1, **values: Any) -> Row:
    """The body of a line without product."""
    body = {"isproductoverridden": True, "productdescription": "Write-in", "priceperunit": price, "quantity": quantity}
    return {**body, **bind(**{LINES[set_name][1]: document}), **values}


async def catalogue(org: Organisation) -> Catalogue:
    group = await org.create("uomschedules", name="PCS", baseuomname="PCS")
    return Catalogue(org, group, await org.create("accounts", name="Customer"))

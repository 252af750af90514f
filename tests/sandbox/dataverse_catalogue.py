"""A small catalogue in the simulated Dataverse: units, products, price lists and their items."""

from __future__ import annotations

from typing import Any

from dataverse_org import EURO, Organisation

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
    "parentproductid": "products",
    "pricelevelid": "pricelevels",
    "productid": "products",
    "quoteid": "quotes",
    "salesorderid": "salesorders",
    "transactioncurrencyid": "transactioncurrencies",
    "uomid": "uoms",
    "uomscheduleid": "uomschedules",
}


class Catalogue:
    """``group`` with its only ``unit``; products are numbered as they come."""

    def __init__(self, org: Organisation, group: str) -> None:
        self.org = org
        self.group = group
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


async def catalogue(org: Organisation) -> Catalogue:
    return Catalogue(org, await org.create("uomschedules", name="PCS", baseuomname="PCS"))

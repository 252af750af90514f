"""What tests of sales orders share: a company that sells, and orders that Alice submits in Dataverse."""

from __future__ import annotations

from typing import Any

from world import ADDRESS, COMPANION, World
from world_data import Row

from koppel.sandbox.tokens import BOB
from koppel.systems.auth import Credentials, tokens_for
from koppel.systems.transport import AsgiTransport, Request

ORDER = "SALESORDER-ORDER"
ON = ("SALESPEOPLE", "CURRENCY", "UNIT OF MEASURE", "PAYMENT TERMS", "SHIPMENT METHOD", "SHIPPING AGENT")
SHOP: dict[str, list[Row]] = {
    "vatPostingSetup": [{"vatBusPostingGroup": "HOME", "vatProdPostingGroup": "FULL", "vatPercent": 21}],
    "accounts": [{"number": "6110", "displayName": "Freight", "directPosting": True, "vatProdPostingGroup": "FULL"}],
    "resources": [{"number": "WRITE-IN", "displayName": "Written in", "vatProdPostingGroup": "FULL"}],
    "salesReceivablesSetup": [
        {"writeInProductType": "Resource", "writeInProductNo": "WRITE-IN", "freightGLAccNo": "6110"}
    ],
}
PRODUCTS: dict[str, list[Row]] = {
    "items": [
        {"number": "BIKE", "displayName": "Bicycle", "unitPrice": 500},
        {
            "number": "BELL",
            "displayName": "Bell",
            "unitPrice": 121,
            "priceIncludesTax": True,
            "vatBusPostingGrPrice": "HOME",
        },
    ],
    "resources": [{"number": "LIFT", "displayName": "Lift", "unitPrice": 50}],
}


async def open_shop(world: World) -> Row:
    """Set-up tables are synchronised, write-ins and freight are set up; a customer, who has an account."""
    for table, rows in SHOP.items():
        world.sandbox.business_central.load(world.company, table, rows)
    for name in ON:
        await world.sync(name, full=True)
    customer = await world.bob.create("customers", displayName="Adatum", vatBusPostingGroup="HOME")
    await world.sync(full=True)
    return customer


async def stock(world: World) -> None:
    """Items and a resource, which are products in Dataverse."""
    for table, rows in PRODUCTS.items():
        for row in rows:
            values = {"baseUnitOfMeasureCode": "PCS", "vatProdPostingGroup": "FULL", **row}
            await world.bob.create(table, values)
    for name in ("ITEM-PRODUCT", "RESOURCE-PRODUCT"):
        await world.sync(name, full=True)


def written_in(text: str, price: float = 100, quantity: float = 1, **values: Any) -> Row:
    """A line of an order that somebody wrote in."""
    return {
        "isproductoverridden": True,
        "productdescription": text,
        "priceperunit": price,
        "quantity": quantity,
        **values,
    }


async def of_product(world: World, number: str, quantity: float = 1, **values: Any) -> Row:
    """A line of an order that sells a product, at its price unless another is given."""
    product = await world.alice.one("products", f"productnumber eq '{number}'")
    return {
        "productid@odata.bind": f"/products({product['productid']})",
        "uomid@odata.bind": f"/uoms({product['_defaultuomid_value']})",
        "quantity": quantity,
        **({"ispriceoverridden": True} if "priceperunit" in values else {}),
        **values,
    }


async def order(world: World, customer: Row | None, *lines: Row, submit: bool = True, **values: Any) -> Row:
    """An order of a customer's account in Dataverse, in US dollars, submitted unless it is not to be."""
    header = {"name": "Bikes for Adatum", "ordernumber": "ORD-1", **await _bound(world, "USD"), **values}
    if customer is not None:
        header["customerid_account@odata.bind"] = f"/accounts({(await world.account_of(customer))['accountid']})"
    made = await world.alice.create("salesorders", header)
    for line in lines:
        bound = {"salesorderid@odata.bind": f"/salesorders({made['salesorderid']})"}
        await world.alice.create("salesorderdetails", {**bound, **line})
    if submit:
        await submitted(world, made)
    return made


async def submitted(world: World, made: Row) -> None:
    """Submit an order of Dataverse."""
    await world.alice.update("salesorders", made["salesorderid"], statecode=1, statuscode=3)


async def _bound(world: World, currency: str) -> Row:
    """A price list in a currency, and the currency: the default list of products, or one that is made."""
    found = await world.alice.one("transactioncurrencies", f"isocurrencycode eq '{currency}'")
    id = found["transactioncurrencyid"]
    lists = await world.alice.rows("pricelevels", f"_transactioncurrencyid_value eq {id}")
    values = {"name": f"List in {currency}", "transactioncurrencyid@odata.bind": f"/transactioncurrencies({id})"}
    prices = lists[0] if lists else await world.alice.create("pricelevels", values)
    return {
        "pricelevelid@odata.bind": f"/pricelevels({prices['pricelevelid']})",
        "transactioncurrencyid@odata.bind": f"/transactioncurrencies({id})",
    }


async def in_currency(world: World, code: str) -> Row:
    """What puts an order into a currency."""
    return await _bound(world, code)


async def there(world: World, made: Row) -> Row:
    """The order of Dataverse as it is now."""
    return await world.alice.row("salesorders", made["salesorderid"])


async def here(world: World, number: str = "ORD-1") -> Row:
    """The only order of Business Central that was made of Dataverse's order of this number."""
    return await world.bob.one("salesOrders", f"yourReference eq '{number}'")


async def lines_here(world: World, number: str = "ORD-1") -> list[Row]:
    """Its lines."""
    found = await here(world, number)
    rows = await world.bob.rows("salesOrderLines", f"documentId eq {found['id']}")
    return sorted(rows, key=lambda row: row["sequence"])


async def act(world: World, made: Row, action: str) -> None:
    """What Bob does with the order of Business Central that was made of this one: release, ship, ..."""
    await act_on(world, await here(world, made["ordernumber"]), action)


async def act_on(world: World, found: Row, action: str) -> None:
    """What Bob does with an order of Business Central."""
    company = world.sandbox.business_central.companies[world.company].id
    root = f"{ADDRESS}/bc/v2.0/Production/api/{COMPANION}/companies({company})/"
    transport = AsgiTransport(world.sandbox.faults.app)
    tokens = tokens_for(Credentials("common", BOB.client_id, BOB.secret, f"{ADDRESS}/.default", ADDRESS), transport)
    headers = {"Authorization": f"Bearer {await tokens.get()}"}
    url = f"{root}salesOrders({found['id']})/Microsoft.NAV.{action}"
    answer = await transport.send(Request("POST", url, headers, b""))
    assert answer.status == 204, answer.body

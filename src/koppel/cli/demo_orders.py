"""An order's way in the demo: submitted in Dataverse, made, shipped and invoiced in Business Central, paid, and seen on
both sides at every step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

import aiohttp
import msgspec

from koppel.cli.demo_edits import People
from koppel.errors import ExistsError, KoppelError, OutcomeUnknownError
from koppel.odata.records import Scalar
from koppel.store import couplings
from koppel.sync.request import Request
from koppel.sync.run import synchronise
from koppel.sync.session import Session
from koppel.systems.system import Create, Update, Written

NUMBER = "ORD-DEMO"
ORDER, INVOICE = "SALESORDER-ORDER", "POSTEDSALESINV-INV"
ACTIONS = ("release", "ship", "invoice")
TRIES = 5
RUNS = 3


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did, and what came of it on the other side. ``arrived``: it is what it should be."""

    who: str
    did: str
    came: str
    arrived: bool


async def follow_an_order(session: Session, people: People, base_url: str) -> list[Step]:
    """See an order through, from its submission to its payment."""
    order = await _submit(session, people)
    await synchronise(session, ORDER)
    made = await _of_order(people)
    steps = [_step("alice", f"submits order {NUMBER}", f"order {made[1]} in Business Central", arrived=bool(made[1]))]
    for action in ACTIONS:
        await _act(people, made[0], action)
    posted = await _posted(people)
    await _runs(session, ORDER, Request(), lambda: _is_state(people, "salesorder", order, _INVOICED))
    only = Request(records=(posted,), create=True)
    await _runs(session, INVOICE, only, lambda: _is_invoice(people, posted, _OPEN))
    state, invoice = await _state(people, "salesorder", order), await _invoice(people, posted)
    came = f"the order is {_named(_ORDER_STATES, state)}, invoice {posted} is {_named(_INVOICE_STATES, invoice)}"
    arrived = (state, invoice) == (_INVOICED, _OPEN)
    steps.append(_step("bob", f"releases, ships and invoices {made[1]}", came, arrived=arrived))
    await _pay(base_url, posted)
    await _runs(session, INVOICE, Request(), lambda: _is_invoice(people, posted, _PAID))
    paid = await _invoice(people, posted)
    came = f"invoice {posted} is {_named(_INVOICE_STATES, paid)}"
    return [*steps, _step("bob", f"enters the payment of {posted}", came, arrived=paid == _PAID)]


_INVOICED, _OPEN, _PAID = 4, 0, 2
_ORDER_STATES = {0: "active", 1: "submitted", 2: "cancelled", 3: "fulfilled", _INVOICED: "invoiced"}
_INVOICE_STATES = {_OPEN: "open", _PAID: "paid", 3: "cancelled"}


def _named(states: Mapping[int, str], state: Scalar) -> str:
    return "not there" if state is None else states.get(int(state), str(state))


def _step(who: str, did: str, came: str, *, arrived: bool) -> Step:
    return Step(who=who, did=did, came=came, arrived=arrived)


async def _submit(session: Session, people: People) -> str:
    """An order of a product in stock and of something written in, by a customer who pays in local currency."""
    product, prices, currency, unit = await _product(people)
    order = str(uuid4())
    header: dict[str, Scalar] = {
        "name": "Two bikes and a repair",
        "ordernumber": NUMBER,
        "customerid_account": await _buyer(session, people),
        "pricelevelid": prices,
        "transactioncurrencyid": currency,
    }
    lines: list[dict[str, Scalar]] = [
        {"productid": product, "uomid": unit, "quantity": 2},
        {"isproductoverridden": True, "productdescription": "Repair", "quantity": 1, "priceperunit": 40},
    ]
    _check(await people.alice.create("salesorder", [Create(order, header)], ()))
    rows = [Create(str(uuid4()), {"salesorderid": order, **line}) for line in lines]
    _check(await people.alice.create("salesorderdetail", rows, ()))
    _check(await people.alice.update("salesorder", [Update(order, "*", {"statecode": 1, "statuscode": 3})], ()))
    return order


async def _product(people: People) -> tuple[Scalar, ...]:
    """An active product in stock: its id, price list, currency and unit."""
    columns = ("productid", "pricelevelid", "transactioncurrencyid", "defaultuomid")
    wanted = "statecode eq 0 and producttypecode eq 1 and quantityonhand gt 10"
    async for page in people.alice.query("product", columns, filter=wanted):
        for record in page.records:
            return record.values
    raise KoppelError("no product is in stock", remedy="synchronise ITEM-PRODUCT first")


async def _buyer(session: Session, people: People) -> str:
    """The account of a coupled customer in local currency."""
    async for page in people.bob.query("customers", ("id",), filter="currencyCode eq 'USD' and blocked eq '_x0020_'"):
        ids = [record.id for record in page.records[:500]]
        coupled = await couplings.by_ids(session.connection, "CUSTOMER", "business_central", ids)
        await session.connection.commit()
        for id in ids:
            if id in coupled:
                return coupled[id].dataverse_id
    raise KoppelError("no customer is coupled", remedy="use at least 100 customers")


async def _of_order(people: People) -> tuple[str, str]:
    """Id and number of the order in Business Central; blank as long as there is none."""
    found = await people.bob.by_keys("salesOrders", ("number",), "yourReference", [NUMBER])
    return (found[0].id, str(found[0].values[0])) if found else ("", "")


async def _act(people: People, order: str, action: str) -> None:
    """What Bob does with an order; when no answer comes, it may have been done."""

    async def acted() -> None:
        await people.bob.act("salesOrders", order, action)

    await _until(acted, lambda: _is_done(people, order, action))


async def _is_done(people: People, order: str, action: str) -> bool:
    columns = ("status", "fullyShipped")
    found = (await people.bob.by_ids("salesOrders", columns, [order])).get(order)
    if action == "invoice":
        return found is None
    return found is not None and (found.values[0] == "Released" if action == "release" else bool(found.values[1]))


async def _until(act: Callable[[], Awaitable[None]], done: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(TRIES):
        try:
            await act()
            return
        except OutcomeUnknownError:
            if await done():
                return
    raise KoppelError("Business Central did not answer", remedy="try again")


async def _posted(people: People) -> str:
    found = await people.bob.by_keys("postedSalesInvoices", ("number",), "yourReference", [NUMBER])
    return str(found[0].values[0])


async def _runs(session: Session, name: str, request: Request, there: Callable[[], Awaitable[bool]]) -> None:
    """Run a mapping until something has arrived: on a bad day that takes another run or two, as by schedule."""
    for _ in range(RUNS):
        await synchronise(session, name, request)
        if await there():
            return


async def _is_state(people: People, table: str, id: str, wanted: int) -> bool:
    return await _state(people, table, id) == wanted


async def _is_invoice(people: People, number: str, wanted: int) -> bool:
    return await _invoice(people, number) == wanted


async def _state(people: People, table: str, id: str) -> Scalar:
    found = (await people.alice.by_ids(table, ("statecode",), [id])).get(id)
    return found.values[0] if found else None


async def _invoice(people: People, number: str) -> Scalar:
    found = await people.alice.by_keys("invoice", ("statecode",), "invoicenumber", [number])
    return found[0].values[0] if found else None


async def _pay(base_url: str, number: str) -> None:
    """The payment arrives: the sandbox plays the bank."""
    async with (
        aiohttp.ClientSession(trust_env=False) as http,
        http.post(f"{base_url}/sandbox/invoices", json={"pay": number}) as answer,
    ):
        answer.raise_for_status()


def _check(written: list[Written]) -> None:
    """A creation whose answer got lost is told to exist when it is sent again."""
    for one in written:
        if one.error and not isinstance(one.error, ExistsError):
            raise one.error

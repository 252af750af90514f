"""Orders that go both ways: whose they are, by company and by owner (SO-41, GEN-02 to GEN-08)."""

from __future__ import annotations

from uuid import uuid4

import pytest
from both_ways_scenes import BOTH, details, edited, entered, lines, of_item, only_there, reopened
from order_scenes import act_on, here, order, there, written_in
from world import World
from world_data import JO, Row

from koppel.config import Ownership
from koppel.sandbox.seed_dataverse import BUSINESS_UNIT_ID
from koppel.sync.uncouple import uncouple

STAMP, OWNER = "_bcbi_companyid_value", "_ownerid_value"
TEAM = "30000000-0000-4000-8000-000000000001"


def id_of(world: World) -> str:
    return world.sandbox.business_central.companies[world.company].id


@pytest.mark.rule("SO-41")
@pytest.mark.rule("GEN-03")
async def test_the_salesperson_owns_the_order(world: World, customer: Row) -> None:
    made = await entered(world, customer, of_item("BIKE"), salesperson="JO")
    await world.sync(BOTH)
    assert (await only_there(world))[OWNER] == JO
    async with reopened(world, made):
        await world.bob.update("salesOrders", made["id"], salesperson="")
    await world.sync(BOTH)
    assert (await only_there(world))[OWNER] == JO, "nobody is no owner"
    await world.quiet(BOTH)


@pytest.mark.rule("SO-41")
@pytest.mark.rule("GEN-04")
@pytest.mark.rule("GEN-06")
async def test_an_order_belongs_to_team_and_company(world: World, customer: Row) -> None:
    team = {"teamid": TEAM, "name": "Sales", "teamtype": 0, "_businessunitid_value": BUSINESS_UNIT_ID}
    world.sandbox.dataverse.load("team", [team])
    world.sandbox.dataverse.load("teamroles", [{"teamid": TEAM, "roleid": str(uuid4())}])
    await world.set_up(ownership=Ownership(model="team", team="Sales"), stamping="all")
    made = await entered(world, customer, of_item("BIKE"), salesperson="JO")
    await world.sync(BOTH)
    order = await only_there(world)
    assert (order["statecode"], order[OWNER], order[STAMP]) == (1, TEAM, id_of(world))
    (bike,) = await details(world, order)
    async with edited(world, order):
        await world.alice.update("salesorderdetails", bike["salesorderdetailid"], quantity=3)
    await world.sync(BOTH)
    assert [row["quantity"] for row in await lines(world, made)] == [3]
    assert [await world.failures(name) for name in (BOTH, "SOLINE-ORDERDETAIL")] == [[], []]
    await world.quiet(BOTH)


@pytest.mark.rule("GEN-06")
@pytest.mark.rule("GEN-08")
async def test_a_submitted_order_gets_its_stamp_and_loses_it_when_it_is_uncoupled(world: World, customer: Row) -> None:
    await world.set_up(stamping="all")
    made = await order(world, customer, written_in("Painting"))
    await world.sync(BOTH)
    found = await there(world, made)
    assert (found["statecode"], found[STAMP]) == (1, id_of(world))
    await world.quiet(BOTH)
    await uncouple(world.session, BOTH, [found["salesorderid"]])
    found = await there(world, made)
    assert (found["statecode"], found[STAMP]) == (1, None)


@pytest.mark.rule("GEN-08")
@pytest.mark.rule("SO-48")
async def test_a_posted_order_stays_with_its_company_a_deleted_one_does_not(world: World, customer: Row) -> None:
    await world.set_up(stamping="all")
    posted = await entered(world, customer, of_item("BIKE"))
    deleted = await entered(world, customer, of_item("LIFT"))
    await world.sync(BOTH)
    await act_on(world, posted, "shipAndInvoice")
    await world.bob.update("salesOrders", deleted["id"], status="Open")
    await world.bob.delete("salesOrders", deleted["id"])
    await world.sync(BOTH, full=True)
    assert not await world.failures(BOTH)
    found = {row["bcbi_businesscentralordernumber"]: row for row in await world.alice.rows("salesorders")}
    left = [(found[made["number"]]["statecode"], found[made["number"]][STAMP]) for made in (posted, deleted)]
    assert left == [(4, id_of(world)), (1, None)]
    await world.quiet(BOTH)


@pytest.mark.rule("GEN-07")
async def test_where_documents_are_stamped_others_are_left_alone(world: World, customer: Row) -> None:
    await world.set_up(stamping="documents")
    await order(world, customer, written_in("Painting"))
    await world.sync(BOTH)
    assert not await world.bob.rows("salesOrders"), "it is for no company"
    await entered(world, customer, of_item("BIKE"))
    await world.sync(BOTH)
    own: Row = {"bcbi_CompanyId@odata.bind": f"/bcbi_companies({id_of(world)})"}
    await order(world, customer, written_in("Fitting"), ordernumber="ORD-2", **own)
    await world.sync(BOTH)
    assert (await here(world, "ORD-2"))["status"] == "Released"
    assert sorted(str(row[STAMP]) for row in await world.alice.rows("salesorders")) == ["None", *[id_of(world)] * 2]
    await world.quiet(BOTH)

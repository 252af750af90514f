"""Opportunities: whom they are with, what they show of them, and what may no longer change."""

from __future__ import annotations

from typing import Any

import pytest
from business_central_company import COMPANION, STANDARD, USER, World

from koppel.sandbox.business_central.errors import ServiceError
from koppel.sandbox.business_central.logic import opportunity
from koppel.sandbox.business_central.work import Work


@pytest.fixture
def world() -> World:
    world = World().with_relations()
    companies = [{"number": "CT1", "displayName": "Acme"}, {"number": "CT2", "displayName": "Ajax"}]
    person = {"number": "CT3", "type": "Person", "displayName": "Ann Bee", "companyNumber": "CT1"}
    world.system.load("CRONUS", "contacts", [*companies, person])
    return world


def load(world: World, **values: Any) -> None:
    row = {"number": "OP1", "contactNumber": "CT3", "salespersonCode": "JO", **values}
    world.system.load("CRONUS", "opportunities", [row])


async def only(world: World) -> dict[str, Any]:
    [row] = (await world.get("opportunities", COMPANION)).values
    return row


async def refused(world: World, row: dict[str, Any], **values: Any) -> str:
    return (await world.patch(f"opportunities({row['id']})", values, COMPANION)).code


async def test_a_new_opportunity_has_a_number_a_date_and_the_company_of_its_contact(world: World) -> None:
    row = await world.made("opportunities", {"description": "Bicycles", "contactNumber": "ct3"}, COMPANION)
    assert (row["number"], row["creationDate"]) == ("OP000001", "2026-03-01")
    assert (row["status"], row["closed"]) == ("Not_x0020_Started", False)
    assert (row["contactCompanyNo"], row["contactName"], row["contactCompanyName"]) == ("CT1", "Ann Bee", "Acme")
    alone = await world.made("opportunities", {"description": "Whoever"}, STANDARD)
    assert (alone["contactNumber"], alone["salespersonCode"], alone["estimatedValue"]) == ("", "", 0)


async def test_numbers_need_a_series(world: World) -> None:
    world.system.load("CRONUS", "marketingSetup", [{"opportunityNumberSeries": ""}])
    refusal = await world.post("opportunities", {"description": "Bicycles"})
    assert refusal.code == "Application_FieldValidationException"
    assert (await world.made("opportunities", {"number": "X1"}))["number"] == "X1"


async def test_contact_and_salesperson_must_be_there_and_do_not_go_blank(world: World) -> None:
    load(world)
    row = await only(world)
    assert await refused(world, row, contactNumber="CT9") == "Internal_InvalidTableRelation"
    assert await refused(world, row, salespersonCode="NOBODY") == "Internal_InvalidTableRelation"
    for field in ("contactNumber", "salespersonCode"):
        assert await refused(world, row, **{field: ""}) == "Application_FieldValidationException"


async def test_what_is_computed_cannot_be_written(world: World) -> None:
    load(world, status="In_x0020_Progress", estimatedValue=5000, estimatedClosingDate="2026-06-30")
    row = await only(world)
    assert (row["estimatedValue"], row["estimatedClosingDate"]) == (5000, "2026-06-30")
    for name in ("status", "estimatedValue", "estimatedClosingDate", "contactCompanyNo", "probabilityPercent"):
        assert await refused(world, row, **{name: row[name]}) == "BadRequest_InvalidOperation"


async def test_an_active_opportunity_stays_with_its_company(world: World) -> None:
    load(world)
    row = await only(world)
    answer = await world.patch(f"opportunities({row['id']})", {"contactNumber": "CT2"}, COMPANION)
    assert answer.json["contactCompanyNo"] == "CT2"
    load(world, status="In_x0020_Progress")
    assert await refused(world, row, contactNumber="CT2") == "Application_DialogException"
    assert (await world.patch(f"opportunities({row['id']})", {"contactNumber": "CT1"})).status == 200


@pytest.mark.parametrize("status", ["Won", "Lost"])
async def test_a_closed_opportunity_keeps_contact_and_salesperson(world: World, status: str) -> None:
    load(world, status=status, closed=True)
    row = await only(world)
    assert await refused(world, row, contactNumber="CT1") == "Application_DialogException"
    assert await refused(world, row, salespersonCode="PS") == "Application_DialogException"
    assert (await world.patch(f"opportunities({row['id']})", {"description": "Done"})).json["description"] == "Done"
    assert (await world.delete(f"opportunities({row['id']})")).status == 204


async def test_an_active_opportunity_cannot_be_deleted(world: World) -> None:
    load(world, status="In_x0020_Progress")
    row = await only(world)
    assert (await world.delete(f"opportunities({row['id']})")).code == "Application_DialogException"


async def test_an_opportunity_shows_the_present_names_and_its_time_stands(world: World) -> None:
    load(world)
    before = await only(world)
    assert (before["contactName"], before["contactCompanyName"]) == ("Ann Bee", "Acme")
    world.clock.advance(seconds=1)
    contacts = {row["number"]: row["id"] for row in (await world.get("contacts")).values}
    await world.patch(f"contacts({contacts['CT3']})", {"displayName": "Bea Cee"})
    await world.patch(f"contacts({contacts['CT1']})", {"displayName": "Acme Inc."})
    after = await only(world)
    assert (after["contactName"], after["contactCompanyName"]) == ("Bea Cee", "Acme Inc.")
    for name in ("lastModifiedDateTime", "systemRowVersion"):
        assert after[name] == before[name]
    assert after["@odata.etag"] != before["@odata.etag"]


async def test_a_renamed_contact_keeps_its_opportunities_and_one_with_open_ones_stays(world: World) -> None:
    load(world)
    contacts = {row["number"]: row["id"] for row in (await world.get("contacts")).values}
    await world.patch(f"contacts({contacts['CT3']})", {"number": "NEW"})
    await world.patch(f"contacts({contacts['CT1']})", {"number": "FIRM"})
    row = await only(world)
    assert (row["contactNumber"], row["contactCompanyNo"]) == ("NEW", "FIRM")
    for number in ("CT3", "CT1"):
        assert (await world.delete(f"contacts({contacts[number]})")).code == "Application_DialogException"
    load(world, contactNumber="NEW", status="Won")
    assert (await world.delete(f"contacts({contacts['CT3']})")).status == 204


async def test_an_opportunity_goes_on_until_it_is_closed(world: World) -> None:
    load(world)
    work, began = Work(world.system, world.company, USER), await only(world)
    world.clock.advance(seconds=1)
    opportunity.update(
        work, "OP1", {"estimatedValue": 500, "probabilityPercent": 50, "estimatedClosingDate": "2026-04-01"}
    )
    active = await only(world)
    assert (active["status"], active["estimatedValue"]) == ("In_x0020_Progress", 500)
    assert (active["calculatedCurrentValue"], active["estimatedClosingDate"]) == (250, "2026-04-01")
    assert active["lastModifiedDateTime"] > began["lastModifiedDateTime"]
    world.clock.advance(seconds=1)
    opportunity.update(work, "OP1", {"estimatedValue": 600})
    raised = await only(world)
    assert raised["estimatedValue"] == 600
    assert raised["lastModifiedDateTime"] == active["lastModifiedDateTime"]
    opportunity.close(work, "OP1", won=True)
    closed = await only(world)
    assert (closed["status"], closed["closed"], closed["dateClosed"]) == ("Won", True, "2026-03-01")
    assert closed["lastModifiedDateTime"] > active["lastModifiedDateTime"]
    for number in ("OP1", "OP2"):
        with pytest.raises(ServiceError):
            opportunity.close(work, number, won=False)
    with pytest.raises(ServiceError):
        opportunity.update(work, "OP1", {"estimatedValue": 1})

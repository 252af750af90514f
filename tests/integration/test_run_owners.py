"""Teams own rows of Dataverse, by default or for want of a salesperson (GEN-02 to GEN-05)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from order_scenes import open_shop
from world import World, new_world
from world_data import JO, PAM

from koppel.config import Ownership
from koppel.errors import ConfigError
from koppel.mapping.model import Template
from koppel.sandbox.seed_dataverse import BUSINESS_UNIT_ID
from koppel.store.database import Database

TEAM = "30000000-0000-4000-8000-000000000001"
OTHERS = "30000000-0000-4000-8000-000000000002"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        team(world, TEAM, "Sales")
        yield world


def team(world: World, key: str, name: str, *, role: bool = True, **values: Any) -> None:
    """A team of Dataverse that may own rows, if it has a role."""
    row = {"teamid": key, "name": name, "teamtype": 0, "_businessunitid_value": BUSINESS_UNIT_ID, **values}
    world.sandbox.dataverse.load("team", [row])
    if role:
        world.sandbox.dataverse.load("teamroles", [{"teamid": key, "roleid": str(uuid4())}])


def by_team(**more: Any) -> Ownership:
    return Ownership(model="team", team="Sales", **more)


@pytest.mark.rule("GEN-02")
@pytest.mark.rule("GEN-04")
async def test_the_team_owns_new_accounts_whoever_the_salesperson_is(world: World) -> None:
    await world.set_up(ownership=by_team())
    coded = await world.bob.create("customers", displayName="Adatum", salespersonCode="JO")
    nobodys = await world.bob.create("customers", displayName="Contoso", salespersonCode="EXT")
    result = await world.sync(full=True)
    assert (result.counts["created"], result.counts["failed"]) == (2, 0)
    for customer in (coded, nobodys):
        assert (await world.account_of(customer))["_owningteam_value"] == TEAM
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-04")
async def test_neither_owner_nor_salesperson_changes_the_other(world: World) -> None:
    await world.set_up(ownership=by_team())
    customer = await world.bob.create("customers", displayName="Adatum", salespersonCode="JO")
    await world.sync(full=True)
    account = await world.account_of(customer)
    await world.bob.update("customers", customer["id"], salespersonCode="PAM", city="Utrecht")
    await world.sync()
    now = await world.account_of(customer)
    assert (now["address1_city"], now["_ownerid_value"]) == ("Utrecht", TEAM)
    await world.alice.update("accounts", account["accountid"], {"ownerid@odata.bind": f"/systemusers({JO})"})
    await world.alice.update("accounts", account["accountid"], address1_city="Gouda")
    await world.sync()
    row = await world.bob.row("customers", customer["id"])
    assert (row["city"], row["salespersonCode"]) == ("Gouda", "PAM")
    assert (await world.account_of(customer))["_ownerid_value"] == JO
    await world.quiet("CUSTOMER")


@pytest.mark.rule("SP-08")
async def test_salespeople_are_left_out_where_teams_own(world: World) -> None:
    await world.set_up(ownership=by_team())
    assert not world.mappings["SALESPEOPLE"].enabled
    assert all("SALESPEOPLE" not in mapping.depends_on for mapping in world.mappings.values())


@pytest.mark.rule("OPP-09")
async def test_a_new_opportunity_belongs_to_team_and_company(world: World) -> None:
    await world.set_up(ownership=by_team(), stamping="all")
    customer = await open_shop(world)
    company = await world.company_contact(customer)
    await world.bob.create("opportunities", description="Bikes", contactNumber=company["number"])
    await world.sync("OPPORTUNITY", full=True)
    row = await world.alice.one("opportunities", "name eq 'Bikes'")
    own = world.sandbox.business_central.companies[world.company].id
    assert (row["_ownerid_value"], row["_bcbi_companyid_value"]) == (TEAM, own)
    await world.quiet("OPPORTUNITY")


@pytest.mark.rule("OPP-05")
async def test_where_teams_own_an_opportunity_of_no_customer_is_left_out(world: World) -> None:
    await world.set_up(ownership=by_team())
    customer = await open_shop(world)
    company = await world.company_contact(customer)
    prospect = await world.bob.create("contacts", type="Company", displayName="Prospect")
    alone = await world.bob.create("contacts", type="Person", displayName="Kim")
    for contact in (company, prospect, alone):
        await world.bob.create("opportunities", description=contact["displayName"], contactNumber=contact["number"])
    result = await world.sync("OPPORTUNITY", full=True)
    assert (result.counts["created"], result.counts["skipped"], result.counts["failed"]) == (1, 2, 0)
    assert any("its contact belongs to no customer or vendor" in line for line in result.notices), result.notices
    assert [row["name"] for row in await world.alice.rows("opportunities")] == ["Adatum"]
    await world.quiet("OPPORTUNITY")


@pytest.mark.rule("GEN-03")
async def test_a_customer_without_salesperson_belongs_to_the_team(world: World) -> None:
    await world.sync("SALESPEOPLE", full=True)
    await world.set_up(ownership=Ownership(team=TEAM))
    nobodys = await world.bob.create("customers", displayName="Adatum")
    pams = await world.bob.create("customers", displayName="Contoso", salespersonCode="PAM")
    await world.sync(full=True)
    assert (await world.account_of(nobodys))["_ownerid_value"] == TEAM
    assert (await world.account_of(pams))["_ownerid_value"] == PAM
    await world.quiet("CUSTOMER")
    await world.bob.update("customers", nobodys["id"], salespersonCode="PAM")
    await world.sync()
    assert (await world.account_of(nobodys))["_ownerid_value"] == PAM
    await world.quiet("CUSTOMER")


@pytest.mark.rule("GEN-05")
@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"role": False}, "team Nobodies has no security role, and so can own nothing"),
        ({"teamtype": 1}, "team Nobodies is an access team, which owns nothing"),
        ({"name": "Elsewhere"}, "there is no team Nobodies"),
    ],
)
async def test_a_default_team_that_can_own_nothing_is_told_and_left_out(
    world: World, values: dict[str, Any], mistake: str
) -> None:
    team(world, OTHERS, **{"name": "Nobodies", **values})
    await world.set_up(ownership=Ownership(model="team", team="Nobodies"))
    customer = await world.bob.create("customers", displayName="Adatum")
    result = await world.sync(full=True)
    assert result.notices == [f"{mistake}: new rows belong to whom Dataverse says"]
    assert (await world.account_of(customer))["_owningteam_value"] is None
    with pytest.raises(ConfigError, match=mistake):
        await world.set_up(ownership=Ownership(model="team", team="Nobodies", unsound="fail"))


@pytest.mark.rule("GEN-05")
async def test_other_teams_are_of_the_same_business_unit(world: World) -> None:
    unit = await world.alice.create("businessunits", name="Export")
    team(world, OTHERS, "Export", _businessunitid_value=unit["businessunitid"])
    export = Template(filter="country eq 'NL'", values={"ownerid": f"teams({OTHERS})"})
    world.change(dataverse=with_templates(world, export))
    await world.set_up(ownership=by_team())
    customer = await world.bob.create("customers", displayName="Adatum", country="NL")
    result = await world.sync(full=True)
    assert any("team Export is in another business unit" in line for line in result.notices), result.notices
    assert (await world.account_of(customer))["_ownerid_value"] == TEAM


@pytest.mark.rule("GEN-05")
async def test_a_template_may_name_another_owner(world: World) -> None:
    team(world, OTHERS, "Export")
    export = Template(filter="country eq 'NL'", values={"ownerid": f"teams({OTHERS})"}, priority=1)
    rest = Template(values={"ownerid": f"systemusers({PAM})"}, priority=2)
    world.change(dataverse=with_templates(world, export, rest))
    await world.set_up(ownership=by_team())
    dutch = await world.bob.create("customers", displayName="Adatum", country="NL")
    other = await world.bob.create("customers", displayName="Contoso")
    result = await world.sync(full=True)
    assert result.notices == []
    assert (await world.account_of(dutch))["_ownerid_value"] == OTHERS
    assert (await world.account_of(other))["_ownerid_value"] == PAM


@pytest.mark.rule("GEN-05")
async def test_a_user_who_left_is_no_owner(world: World) -> None:
    world.sandbox.dataverse.tables["systemuser"].rows[PAM]["isdisabled"] = True
    world.change(dataverse=with_templates(world, Template(values={"ownerid": PAM})))
    await world.set_up(ownership=by_team())
    customer = await world.bob.create("customers", displayName="Adatum")
    result = await world.sync(full=True)
    assert result.notices == [f"there is no user {PAM} who works: the owner is left out"]
    assert (await world.account_of(customer))["_ownerid_value"] == TEAM


def with_templates(world: World, *templates: Template) -> Any:
    return msgspec.structs.replace(world.mappings["CUSTOMER"].dataverse, templates=templates)

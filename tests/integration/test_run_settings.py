"""What a mapping file may set beside its fields, seen from the outside: templates, brakes, on and off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from world import World, new_world

from koppel.engine.brakes import Brakes
from koppel.errors import BrakeError, MappingError
from koppel.mapping.model import Limits, Template
from koppel.odata.records import Side
from koppel.store.database import Database
from koppel.sync.explain import explain
from koppel.sync.review import recommend
from koppel.sync.verify import verify


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def end(world: World, side: Side, **values: Any) -> None:
    """Edit one side of the mapping CUSTOMER."""
    edited: dict[str, Any] = {side: msgspec.structs.replace(world.mappings["CUSTOMER"].endpoint(side), **values)}
    world.change(**edited)


ROME = Template(filter="city eq 'Rome'", values={"telephone1": "39", "description": "Roman", "industrycode": 2})
OTHERS = Template(priority=9, values={"telephone1": "0", "description": "Foreign"})


@pytest.mark.rule("GEN-12")
async def test_the_first_template_that_fits_the_source_gives_its_values(world: World) -> None:
    end(world, "dataverse", templates=(OTHERS, ROME))
    rome = await world.bob.create("customers", displayName="Adatum", city="Rome", phoneNumber="1")
    oslo = await world.bob.create("customers", displayName="Fabrikam", city="Oslo")
    await world.sync(full=True)
    found = await world.account_of(rome)
    assert (found["description"], found["industrycode"], found["customertypecode"]) == ("Roman", 2, 3)
    found = await world.account_of(oslo)
    assert (found["description"], found["industrycode"]) == ("Foreign", None)
    await world.quiet("CUSTOMER")


async def test_mapped_values_go_before_a_template(world: World) -> None:
    end(world, "dataverse", templates=(ROME,))
    rome = await world.bob.create("customers", displayName="Adatum", city="Rome", phoneNumber="1")
    await world.sync(full=True)
    assert (await world.account_of(rome))["telephone1"] == "1"
    await world.quiet("CUSTOMER")


async def test_unless_it_overwrites_and_that_is_no_edit(world: World) -> None:
    end(world, "dataverse", templates=(msgspec.structs.replace(ROME, overwrite=True),))
    rome = await world.bob.create("customers", displayName="Adatum", city="Rome", phoneNumber="1")
    await world.sync(full=True)
    assert (await world.account_of(rome))["telephone1"] == "39"
    assert (await world.bob.row("customers", rome["id"]))["phoneNumber"] == "1"
    await world.quiet("CUSTOMER")
    await world.bob.update("customers", rome["id"], phoneNumber="2")
    await world.sync()
    assert (await world.account_of(rome))["telephone1"] == "2"


async def test_a_default_in_a_field_that_is_blank_stays_where_it_is(world: World) -> None:
    end(world, "dataverse", templates=(ROME,))
    rome = await world.bob.create("customers", displayName="Adatum", city="Rome")
    await world.sync(full=True)
    assert (await world.account_of(rome))["telephone1"] == "39"
    assert (await world.bob.row("customers", rome["id"]))["phoneNumber"] == ""
    assert (await world.sync(full=True)).write_requests == 0
    found = await verify(world.session, ["CUSTOMER"])
    assert found.sound
    assert "a value that the mapping gives to new records" in [d.explained for d in found.explained]


@pytest.mark.rule("GEN-12")
async def test_templates_of_business_central_look_at_the_account(world: World) -> None:
    roman = Template(filter="address1_city eq 'Rome' and revenue gt 100", values={"taxRegistrationNumber": "IT"})
    end(world, "business_central", templates=(roman,))
    rich = await world.alice.create("accounts", name="Adatum", customertypecode=3, address1_city="Rome", revenue=500)
    poor = await world.alice.create("accounts", name="Fabrikam", customertypecode=3, address1_city="Rome", revenue=5)
    await world.sync(full=True)
    assert (await world.customer_of(rich))["taxRegistrationNumber"] == "IT"
    assert (await world.customer_of(poor))["taxRegistrationNumber"] == ""
    await world.quiet("CUSTOMER")


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("create", {"industrycod": 1}, "table account has no column 'industrycod'"),
        ("templates", (Template(values={"nme": "x"}, line=7),), "no column 'nme'"),
        ("templates", (Template(values={"name": "x"}, filter="cty eq 'Rome'", line=7),), "no column 'cty'"),
        ("templates", (Template(values={"modifiedon": "x"}, line=7),), "modifiedon cannot be written in Dataverse"),
        ("deactivate", {"state": 1}, "no column 'state'"),
    ],
)
async def test_unknown_columns_are_refused(world: World, key: str, values: Any, said: str) -> None:
    end(world, "dataverse", **{key: values})
    with pytest.raises(MappingError, match=said):
        await world.sync()


async def test_a_mapping_has_brakes_of_its_own(world: World) -> None:
    world.change(deletions="delete", brakes=Limits(deletions=0))
    adatum = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    await world.alice.delete("accounts", adatum["id"])
    with pytest.raises(BrakeError, match="would delete 1 records, 0 are allowed"):
        await world.sync()
    world.change(brakes=Limits(deletions=1))
    assert (await world.sync()).counts["deleted"] == 1


async def test_uncoupling_many_at_once_is_braked_too(world: World) -> None:
    world.change(deletions="uncouple", brakes=Limits(changes_percent=50))
    world.session.brakes = Brakes(changes_from=2)
    made = [await world.bob.create("customers", displayName=name) for name in ("Adatum", "Fabrikam", "Litware")]
    await world.sync(full=True)
    for customer in made[:2]:
        await world.alice.delete("accounts", customer["id"])
    with pytest.raises(BrakeError, match="would change 2 of 3 coupled records, 50 % are allowed"):
        await world.sync()
    assert len(await world.couplings()) == 3


async def test_what_a_person_chose_is_not_braked_as_a_change(world: World) -> None:
    world.session.brakes = Brakes(changes_from=0, changes_percent=0)
    adatum = await world.bob.create("customers", displayName="Adatum")
    await world.sync(full=True)
    await world.bob.update("customers", adatum["id"], phoneNumber="2")
    with pytest.raises(BrakeError):
        await world.sync()
    assert (await world.sync(records=(adatum["number"],))).counts["updated"] == 1


async def test_a_mapping_that_is_off_is_left_out_and_named(world: World) -> None:
    world.change(enabled=False)
    await world.bob.create("customers", displayName="Adatum")
    result = await world.sync(full=True)
    assert (result.job, result.write_requests, dict(result.counts)) == (0, 0, {})
    assert "the mapping is off" in result.notices[0]
    assert await world.planned(full=True) == []
    [line] = await recommend(world.session, ["CUSTOMER"])
    assert (line.recommendation, line.reason) == ("nothing", "off (`enabled: false`)")
    world.change(enabled=True)
    assert (await world.sync(full=True)).counts["created"] == 1


async def test_explain_tells_what_a_template_would_write(world: World) -> None:
    end(world, "dataverse", templates=(ROME,))
    rome = await world.bob.create("customers", displayName="Adatum", city="Rome")
    found = await explain(world.session, "CUSTOMER", rome["number"])
    assert found.full[0].to_dataverse["description"] == "Roman"

"""Values that are transformed on their way: what arrives, what comes back, and that a second run writes nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from world import World, new_world
from world_data import Row

from koppel.errors import MappingError
from koppel.mapping.load import load_mappings
from koppel.mapping.model import FieldMapping, MatchPair
from koppel.mapping.steps import Call, FormatDecimal, LookUp, ParseDecimal, Replace, ReplacePattern, Round
from koppel.store.database import Database
from koppel.sync.verify import verify


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def map_field(world: World, **said: Any) -> None:
    """Add a field to CUSTOMER, in place of those that use its columns."""
    field = FieldMapping(**said)
    taken = {field.business_central, field.dataverse}
    others = [f for f in world.mappings["CUSTOMER"].fields if not taken & {f.business_central, f.dataverse}]
    world.change(fields=(*others, field))


async def pair(world: World, **values: Any) -> tuple[Row, Row]:
    """A customer and its account, in step."""
    customer = await world.bob.create("customers", {"displayName": "Adatum", **values})
    await world.sync(full=True)
    return await world.bob.row("customers", customer["id"]), await world.account_of(customer)


async def test_a_lossy_step_on_a_two_way_field_writes_once(world: World) -> None:
    map_field(world, business_central="website", dataverse="websiteurl", to_dataverse=("lower",), lossy=True)
    customer, account = await pair(world, website="Adatum.Example")
    assert account["websiteurl"] == "adatum.example"
    await world.quiet("CUSTOMER")
    await world.bob.update("customers", customer["id"], website="ADATUM.example")
    assert (await world.sync()).write_requests == 0
    await world.alice.update("accounts", account["accountid"], websiteurl="adatum.com")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["website"] == "adatum.com"
    await world.quiet("CUSTOMER")
    assert (await verify(world.session, ["CUSTOMER"])).sound


async def test_a_number_and_the_text_of_it(world: World) -> None:
    """Between a decimal column and a text, both ways; a text that is no number fails its record only."""
    map_field(world, business_central="creditLimit", dataverse="fax", to_dataverse=(FormatDecimal(culture="da-DK"),))
    customer, account = await pair(world, creditLimit=1234.5)
    assert account["fax"] == "1234,5"
    await world.quiet("CUSTOMER")
    await world.alice.update("accounts", account["accountid"], fax="2.000,75")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["creditLimit"] == 2000.75
    assert (await world.alice.row("accounts", account["accountid"]))["fax"] == "2.000,75"
    await world.quiet("CUSTOMER")
    await world.alice.update("accounts", account["accountid"], fax="2.00", telephone1="5")
    other = await world.bob.create("customers", {"displayName": "Other"})
    result = await world.sync(full=True)
    assert (result.counts["failed"], result.counts["created"]) == (1, 1)
    [failure] = await world.failures()
    assert (failure.kind, failure.code, failure.field, failure.value) == (
        "data",
        "transformation",
        "creditLimit",
        "2.00",
    )
    assert failure.message == "creditLimit '2.00' is no number as this culture writes it"
    assert (await world.bob.row("customers", customer["id"]))["creditLimit"] == 2000.75
    assert (await world.account_of(other))["name"] == "Other"
    await world.alice.update("accounts", account["accountid"], fax="2,00")
    assert (await world.sync()).counts["failed"] == 0
    customer = await world.bob.row("customers", customer["id"])
    assert (customer["creditLimit"], customer["phoneNumber"]) == (2, "5")
    assert await world.failures() == []
    assert (await verify(world.session, ["CUSTOMER"])).sound


async def test_a_text_that_is_no_number_may_be_emptied(world: World) -> None:
    step = ParseDecimal(culture="da-DK", otherwise="empty")
    map_field(
        world, business_central="creditLimit", dataverse="fax", direction="from_dataverse", from_dataverse=(step,)
    )
    customer, account = await pair(world)
    await world.alice.update("accounts", account["accountid"], fax="7,5")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["creditLimit"] == 7.5
    await world.alice.update("accounts", account["accountid"], fax="plenty")
    assert (await world.sync()).counts["failed"] == 0
    assert (await world.bob.row("customers", customer["id"]))["creditLimit"] == 0
    await world.quiet("CUSTOMER")


async def test_a_way_there_and_a_way_back(world: World) -> None:
    map_field(
        world,
        business_central="phoneNumber",
        dataverse="telephone1",
        to_dataverse=("trim", Replace(find="+31", by="0")),
        from_dataverse=(Replace(find="0", by="+31"),),
        lossy=True,
    )
    customer, account = await pair(world, phoneNumber=" +3115")
    assert account["telephone1"] == "015"
    await world.alice.update("accounts", account["accountid"], telephone1="016")
    await world.sync()
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "+3116"
    await world.quiet("CUSTOMER")


async def test_an_edit_on_both_sides_to_the_same_is_no_conflict(world: World) -> None:
    map_field(world, business_central="website", dataverse="websiteurl", to_dataverse=("lower",), lossy=True)
    customer, account = await pair(world, website="A.example")
    await world.bob.update("customers", customer["id"], website="B.example")
    await world.alice.update("accounts", account["accountid"], websiteurl="b.example")
    result = await world.sync()
    assert (result.counts["conflicts"], result.write_requests) == (0, 0)
    await world.bob.update("customers", customer["id"], website="C.example")
    await world.alice.update("accounts", account["accountid"], websiteurl="d.example")
    assert (await world.sync()).counts["conflicts"] == 1


async def test_a_field_is_looked_up_in_another_table(world: World) -> None:
    """The rows are fetched for the whole chunk; what is not there is a failure, unless the mapping says otherwise."""
    step = LookUp(table="paymentTerms", where="code", take="displayName")
    map_field(
        world,
        business_central="paymentTermsCode",
        dataverse="fax",
        direction="to_dataverse",
        to_dataverse=(step, "upper"),
    )
    first, account = await pair(world, paymentTermsCode="COD")
    assert account["fax"] == "CASH"
    for name in ("B", "C"):
        await world.bob.create("customers", {"displayName": name, "paymentTermsCode": "NET 30"})
    sent = len(world.line.requests)
    assert (await world.sync(full=True)).counts["created"] == 2
    asked = [r for r in world.line.requests[sent:] if "paymentTerms?" in r.url]
    assert len(asked) <= 3
    await world.quiet("CUSTOMER")
    assert (await verify(world.session, ["CUSTOMER"])).sound
    map_field(
        world,
        business_central="city",
        dataverse="fax",
        direction="to_dataverse",
        to_dataverse=(step,),
    )
    await world.bob.update("customers", first["id"], city="Delft")
    await world.sync()
    [failure] = await world.failures()
    assert failure.message == "city 'Delft' is no code of paymentTerms in Business Central"
    map_field(
        world,
        business_central="city",
        dataverse="fax",
        direction="to_dataverse",
        to_dataverse=(LookUp(table="paymentTerms", where="code", take="displayName", otherwise="keep"),),
    )
    await world.sync()
    assert (await world.account_of(first))["fax"] == "Delft"


async def test_a_function_of_ones_own(world: World, tmp_path: Path) -> None:
    (tmp_path / "names.py").write_text(
        "def initials(value):\n    return ''.join(word[0] for word in value.split())\n"
        "def picky(value):\n    raise LookupError(f'no idea of {value}')\n",
        "utf-8",
    )
    world.change(functions=str(tmp_path))
    map_field(
        world,
        business_central="displayName",
        dataverse="fax",
        direction="to_dataverse",
        to_dataverse=(Call(function="names:initials"),),
    )
    customer, account = await pair(world, displayName="Jan van Dam")
    assert account["fax"] == "JvD"
    map_field(
        world,
        business_central="city",
        dataverse="fax",
        direction="to_dataverse",
        to_dataverse=(Call(function="names:picky"),),
    )
    await world.bob.update("customers", customer["id"], city="Delft")
    assert (await world.sync()).counts["failed"] == 1
    [failure] = await world.failures()
    assert failure.message == "city 'Delft' made names:picky fail: LookupError: no idea of Delft"
    assert (failure.kind, failure.field, failure.value) == ("data", "city", "Delft")


async def test_changed_steps_are_applied_to_what_is_there(world: World) -> None:
    said = {"business_central": "website", "dataverse": "websiteurl", "direction": "to_dataverse"}
    map_field(world, **said)
    _, account = await pair(world, website="Adatum.Example")
    map_field(world, **said, to_dataverse=("lower",))
    await world.sync()
    assert (await world.alice.row("accounts", account["accountid"]))["websiteurl"] == "adatum.example"
    map_field(world, **said)
    await world.sync()
    assert (await world.alice.row("accounts", account["accountid"]))["websiteurl"] == "Adatum.Example"
    await world.quiet("CUSTOMER")


async def test_a_result_that_does_not_fit_holds_the_record(world: World) -> None:
    long = Replace(find="a", by="a" * 300)
    map_field(world, business_central="displayName", dataverse="name", direction="to_dataverse", to_dataverse=(long,))
    await world.bob.create("customers", {"displayName": "aa"})
    assert (await world.sync(full=True)).counts["failed"] == 1
    assert [failure.code for failure in await world.failures()] == ["too-long"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {
                "business_central": "creditLimit",
                "dataverse": "fax",
                "direction": "to_dataverse",
                "to_dataverse": ("upper",),
            },
            "`upper` takes text, and gets a number",
        ),
        (
            {
                "business_central": "city",
                "dataverse": "creditlimit",
                "direction": "to_dataverse",
                "to_dataverse": ("trim",),
            },
            "creditlimit holds a number, and gets text",
        ),
        (
            {
                "business_central": "city",
                "dataverse": "creditlimit",
                "to_dataverse": (ParseDecimal(otherwise="keep"),),
                "from_dataverse": (FormatDecimal(),),
            },
            "creditlimit holds a number, and gets text",
        ),
        (
            {
                "business_central": "city",
                "dataverse": "creditlimit",
                "to_dataverse": (ParseDecimal(), Round(precision=1)),
            }
            | {"from_dataverse": ("trim",)},
            "`trim` takes text, and gets a number",
        ),
        (
            {
                "business_central": "city",
                "dataverse": "fax",
                "direction": "to_dataverse",
                "to_dataverse": (LookUp(table="paymentTerm", where="code", take="displayName"),),
            },
            "Business Central has no table 'paymentTerm'",
        ),
        (
            {
                "business_central": "city",
                "dataverse": "fax",
                "direction": "to_dataverse",
                "to_dataverse": (LookUp(table="paymentTerms", where="kode", take="displayName"),),
            },
            "table paymentTerms has no column 'kode'",
        ),
    ],
)
async def test_steps_that_do_not_go_with_the_columns(world: World, said: dict[str, Any], message: str) -> None:
    map_field(world, line=7, **said)
    with pytest.raises(MappingError, match=re.escape(message)) as caught:
        await world.sync()
    assert caught.value.place.endswith(":7")
    assert caught.value.remedy


@pytest.mark.parametrize("full", [True, False])
async def test_records_are_matched_by_what_they_are_transformed_to(world: World, full: bool) -> None:
    step = Replace(find="-", by="")
    back = ReplacePattern(pattern=r"^(\w)(\d+)$", by=r"\1-\2")
    map_field(world, business_central="website", dataverse="websiteurl", to_dataverse=(step,), from_dataverse=(back,))
    world.change(match=((MatchPair("website", "websiteurl"),),))
    customer = await world.bob.create("customers", {"displayName": "Adatum", "website": "M-12"})
    account = await world.alice.create("accounts", {"name": "Adatum", "websiteurl": "m12", "customertypecode": 3})
    result = await world.sync(full=full, create=True)
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)
    assert (await world.account_of(customer))["accountid"] == account["accountid"]


def test_a_match_by_what_is_looked_up_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vendor.yaml").write_text(
        "mapping: DEALER\n"
        "business_central: {table: vendors, key: number}\n"
        "dataverse: {table: account, key: name}\n"
        "match: [[{business_central: city, dataverse: name}]]\n"
        "direction: to_dataverse\n"
        "fields:\n"
        "  - {business_central: city, dataverse: name, to_dataverse: [{do: look_up, table: t, where: a, take: b}]}\n",
        "utf-8",
    )
    with pytest.raises(MappingError, match=r"vendor\.yaml:4: a match cannot compare what is looked up in a table"):
        load_mappings([tmp_path])


async def test_a_changed_table_is_carried_by_a_full_run_or_the_next_edit(world: World) -> None:
    step = LookUp(table="paymentTerms", where="code", take="displayName")
    map_field(
        world, business_central="paymentTermsCode", dataverse="fax", direction="to_dataverse", to_dataverse=(step,)
    )
    customer, _ = await pair(world, paymentTermsCode="COD")
    terms = await world.bob.one("paymentTerms", "code eq 'COD'")
    await world.bob.update("paymentTerms", terms["id"], displayName="At once")
    await world.quiet("CUSTOMER")
    await world.sync(full=True)
    assert (await world.account_of(customer))["fax"] == "At once"
    await world.bob.update("paymentTerms", terms["id"], displayName="Today")
    await world.bob.update("customers", customer["id"], phoneNumber="1")
    await world.sync()
    assert (await world.account_of(customer))["fax"] == "Today"
    await world.quiet("CUSTOMER")


async def test_an_edit_that_is_kept_is_not_taken_for_a_changed_table(world: World) -> None:
    step = LookUp(table="paymentTerms", where="code", take="displayName")
    map_field(
        world, business_central="paymentTermsCode", dataverse="fax", direction="to_dataverse", to_dataverse=(step,)
    )
    customer, account = await pair(world, paymentTermsCode="COD")
    await world.alice.update("accounts", account["accountid"], fax="By hand")
    for full in (False, True, True):
        assert (await world.sync(full=full)).write_requests == 0
        await world.bob.update("customers", customer["id"], phoneNumber=f"{full}")
        await world.sync()
        assert (await world.account_of(customer))["fax"] == "By hand"
    assert (await verify(world.session, ["CUSTOMER"])).sound
    await world.bob.update("customers", customer["id"], paymentTermsCode="NET 30")
    await world.sync()
    assert (await world.account_of(customer))["fax"] == "Net 30 days"

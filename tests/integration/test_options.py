"""Codes and options of both directions, those that are gone, and single ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
from world import World, new_world

from koppel.errors import StoreError, UsageError
from koppel.sandbox.faults import Faults, SystemFaults
from koppel.store import options
from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.request import Request
from koppel.sync.run import plan
from koppel.systems.dataverse import Dataverse

NAME = "PAYMENT TERMS"
COLUMN = "paymenttermscode"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


def backwards(world: World, **values: object) -> None:
    """The mapping runs from Dataverse to Business Central."""
    field = msgspec.structs.replace(world.mappings[NAME].fields[0], direction="from_dataverse")
    world.change(NAME, direction="from_dataverse", fields=(field,), **values)


async def labels(world: World) -> dict[str, int]:
    client = cast(Dataverse, world.session.systems["dataverse"])
    return {label: value for value, label in (await client.options("account", COLUMN)).items()}


async def coupled(world: World) -> dict[str, int]:
    found = {option.code: option.value for option in await options.every(world.session.connection, NAME)}
    await world.session.connection.commit()
    return found


async def add_option(world: World, label: str) -> int:
    client = cast(Dataverse, world.session.systems["dataverse"])
    value = await client.insert_option("account", COLUMN, label)
    await client.publish("account")
    return value


async def remove_option(world: World, label: str) -> None:
    body = {"EntityLogicalName": "account", "AttributeLogicalName": COLUMN, "Value": (await labels(world))[label]}
    await world.alice.create("DeleteOptionValue", body)
    await cast(Dataverse, world.session.systems["dataverse"]).publish("account")


async def test_one_code_is_synchronised_alone(world: World) -> None:
    await world.bob.create("paymentTerms", code="NET 88")
    await world.bob.create("paymentTerms", code="NET 99")
    assert (await world.sync(NAME, records=("net 99",))).counts["created"] == 1
    assert {"NET 88", "NET 99"} & (await coupled(world)).keys() == {"NET 99"}
    assert (await world.sync(NAME, records=())).counts["unchanged"] == 0


@pytest.mark.parametrize(
    ("policy", "counted", "there"),
    [("none", "failed", False), ("uncouple", "uncoupled", False), ("restore", "created", True)],
)
async def test_an_option_that_is_gone_is_treated_as_the_mapping_says(
    world: World, policy: str, counted: str, there: bool
) -> None:
    world.change(NAME, deletions=policy)
    await world.sync(NAME)
    await remove_option(world, "COD")
    result = await world.sync(NAME)
    assert (result.counts[counted], "COD" in await labels(world)) == (1, there)
    assert ("COD" in await coupled(world)) is (policy != "uncouple")
    if policy == "none":
        assert any("is gone from Dataverse" in line for line in result.notices)
    if policy != "none":
        assert (await world.sync(NAME)).write_requests == 0


async def test_options_become_codes_where_the_mapping_runs_that_way(world: World) -> None:
    backwards(world)
    value = await add_option(world, "Net 77")
    long = await add_option(world, "Forty-five days net")
    result = await world.sync(NAME)
    assert (await world.bob.one("paymentTerms", "code eq 'NET 77'"))["code"] == "NET 77"
    assert (await coupled(world))["NET 77"] == value
    assert long not in (await coupled(world)).values()
    assert any("is too long for a code of 10 characters" in line for line in result.notices)
    again = await world.sync(NAME)
    assert (again.counts["created"], again.write_requests) == (0, 0)


@pytest.mark.rule("OPT-06")
async def test_an_option_with_the_label_of_a_code_is_coupled_to_it(world: World) -> None:
    backwards(world)
    await world.bob.create("paymentTerms", code="NET 66")
    await add_option(world, "net 66")
    assert (await world.sync(NAME)).counts["coupled"] >= 1
    assert len(await world.bob.rows("paymentTerms", "code eq 'NET 66'")) == 1


async def test_eng_340_a_label_that_is_edited_renames_no_code(world: World) -> None:
    backwards(world)
    value = await add_option(world, "Net 55")
    await world.sync(NAME)
    client = cast(Dataverse, world.session.systems["dataverse"])
    await client.update_option("account", COLUMN, value, "Net 56")
    await client.publish("account")
    assert (await world.sync(NAME)).write_requests == 0
    assert (await world.bob.one("paymentTerms", "code eq 'NET 55'"))["code"] == "NET 55"


async def test_a_code_that_is_gone_is_created_again_where_the_mapping_says_so(world: World) -> None:
    backwards(world, deletions="restore")
    await add_option(world, "Net 44")
    await world.sync(NAME)
    row = await world.bob.one("paymentTerms", "code eq 'NET 44'")
    await world.bob.delete("paymentTerms", row["id"])
    assert (await world.sync(NAME)).counts["created"] == 1
    assert (await world.bob.one("paymentTerms", "code eq 'NET 44'"))["id"] != row["id"]
    assert (await world.sync(NAME)).write_requests == 0


@pytest.mark.parametrize("asked_for", [{"full": True}, {"records": ("NET 44",)}])
async def test_what_was_uncoupled_is_made_anew_only_for_who_asks(world: World, asked_for: dict[str, Any]) -> None:
    backwards(world, deletions="uncouple")
    value = await add_option(world, "Net 44")
    await world.sync(NAME)
    row = await world.bob.one("paymentTerms", "code eq 'NET 44'")
    await world.bob.delete("paymentTerms", row["id"])
    assert (await world.sync(NAME)).counts["uncoupled"] == 1
    for _ in range(2):
        assert (await world.sync(NAME)).write_requests == 0
    assert (await world.sync(NAME, **asked_for)).counts["created"] == 1
    assert (await coupled(world))["NET 44"] == value
    row = await world.bob.one("paymentTerms", "code eq 'NET 44'")
    await world.bob.delete("paymentTerms", row["id"])
    await world.sync(NAME)
    assert (await world.sync(NAME)).write_requests == 0


async def test_what_was_uncoupled_is_coupled_with_what_comes_back(world: World) -> None:
    backwards(world, deletions="uncouple")
    value = await add_option(world, "Net 44")
    await world.sync(NAME)
    row = await world.bob.one("paymentTerms", "code eq 'NET 44'")
    await world.bob.delete("paymentTerms", row["id"])
    await world.sync(NAME)
    await world.bob.create("paymentTerms", code="NET 44")
    assert (await world.sync(NAME)).counts["coupled"] == 1
    assert (await coupled(world))["NET 44"] == value


async def test_a_code_and_an_option_are_coupled_by_hand(world: World) -> None:
    await world.bob.create("paymentTerms", code="NET 33")
    value = await add_option(world, "Thirty-three")
    assert (await couple(world.session, NAME, "net 33", "thirty-three")).counts["coupled"] == 1
    assert await coupled(world) == {"NET 33": value}
    result = await world.sync(NAME, records=("NET 33",))
    assert (result.counts["created"], result.counts["updated"]) == (0, 1), "the label becomes the code"
    assert (await labels(world))["NET 33"] == value
    await world.bob.create("paymentTerms", code="NET 34")
    with pytest.raises(StoreError, match="code NET 33 is coupled to option"):
        await couple(world.session, NAME, "NET 34", str(value))
    with pytest.raises(UsageError, match="no option 'Nothing'"):
        await couple(world.session, NAME, "NET 34", "Nothing")
    with pytest.raises(UsageError, match="no code 'NET 35'"):
        await couple(world.session, NAME, "NET 35", "NET 33")


@pytest.mark.rule("OPT-05")
@pytest.mark.rule("OPT-07")
@pytest.mark.rule("OPT-08")
async def test_documents_know_the_same_options(world: World) -> None:
    await world.sync(NAME)
    client = cast(Dataverse, world.session.systems["dataverse"])
    there = [("quote", COLUMN), ("salesorder", COLUMN), ("invoice", COLUMN)]
    added = (await labels(world))["COD"]
    assert [found.get(added) for found in await client.option_sets(there)] == ["COD"] * 3
    assert (await world.sync(NAME)).write_requests == 0
    await world.bob.update("paymentTerms", (await world.bob.one("paymentTerms", "code eq 'COD'"))["id"], code="CASH")
    await world.sync(NAME)
    assert [found.get(added) for found in await client.option_sets(there)] == ["CASH"] * 3
    world.change(
        NAME, dataverse=msgspec.structs.replace(world.mappings[NAME].dataverse, also=("contact.paymenttermscode",))
    )
    shown = [action.name async for action in plan(world.session, NAME, Request()) if action.kind == "create"]
    assert "CASH in contact.paymenttermscode" in shown


@pytest.mark.rule("OPT-07")
async def test_answers_that_get_lost_keep_no_option_from_the_documents(world: World) -> None:
    world.sandbox.faults.set(Faults(dataverse=SystemFaults(lost=0.4)))
    await world.sync(NAME)
    world.sandbox.faults.set(Faults())
    await world.sync(NAME)
    client = cast(Dataverse, world.session.systems["dataverse"])
    [there] = await client.option_sets([("invoice", COLUMN)])
    assert there.items() >= {value: code for code, value in (await coupled(world)).items()}.items()
    assert len(set(there.values())) == len(there)
    assert (await world.sync(NAME)).write_requests == 0

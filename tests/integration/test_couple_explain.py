"""Coupling by hand, uncoupling, and why a record is as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from world import World, new_world
from world_data import Row

from koppel.errors import StoreError, UsageError
from koppel.store import history, pending
from koppel.store.database import Database
from koppel.sync.couple import couple
from koppel.sync.explain import Explanation, explain
from koppel.sync.full import outcome
from koppel.sync.preview import match_now, match_preview
from koppel.sync.uncouple import uncouple

ADATUM = {"displayName": "Adatum", "postalCode": "1000", "salespersonCode": "JO"}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in world.on_their_own():
            if name not in ("CUSTOMER", "CONTACT"):
                await world.sync(name, full=True)
        yield world


async def strangers(world: World) -> tuple[Row, Row]:
    """A customer and an account that do not look alike."""
    customer = await world.bob.create("customers", ADATUM)
    account = await world.alice.create("accounts", name="A. Datum Ltd", customertypecode=3, telephone1="555")
    return customer, account


async def explained(world: World, name: str) -> Explanation:
    return await explain(world.session, "CUSTOMER", name)


async def test_a_pair_coupled_by_hand_is_synchronised_and_the_initial_side_wins(world: World) -> None:
    customer, account = await strangers(world)
    result = await couple(world.session, "CUSTOMER", customer["number"], "A. Datum Ltd")
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)
    account = await world.alice.row("accounts", account["accountid"])
    assert (account["name"], account["telephone1"]) == ("Adatum", None)
    entries = await history.find(world.session.connection, record_ids=[account["accountid"]])
    assert {entry.action for entry in entries} == {"couple", "update"}
    await world.quiet("CUSTOMER")


async def test_a_record_keeps_its_one_partner(world: World) -> None:
    customer, account = await strangers(world)
    other = await world.bob.create("customers", {**ADATUM, "displayName": "Other"})
    await couple(world.session, "CUSTOMER", customer["id"], account["accountid"])
    with pytest.raises(StoreError, match=f"in Dataverse is coupled to {customer['number']}"):
        await couple(world.session, "CUSTOMER", other["id"], account["accountid"])
    assert len(await world.couplings()) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "what"),
    [
        ("NOBODY", "A. Datum Ltd", "no record is called 'NOBODY' in Business Central"),
        ("", "Prospect", "outside the filter"),
    ],
)
async def test_what_cannot_be_coupled_is_told(world: World, ours: str, theirs: str, what: str) -> None:
    customer, _ = await strangers(world)
    await world.alice.create("accounts", name="Prospect", customertypecode=8)
    with pytest.raises(UsageError, match=what):
        await couple(world.session, "CUSTOMER", ours or customer["number"], theirs)
    assert await world.couplings() == []


async def test_uncoupling_forgets_what_was_open_and_keeps_the_data(world: World) -> None:
    customer, account = await strangers(world)
    await world.bob.create("paymentTerms", {"code": "NET 99"})
    await world.bob.update("customers", customer["id"], paymentTermsCode="NET 99")
    await couple(world.session, "CUSTOMER", customer["number"], account["accountid"])
    await world.bob.update("customers", customer["id"], phoneNumber="1")
    await world.alice.update("accounts", account["accountid"], telephone1="2")
    await world.sync()
    assert len(await world.conflicts()) == 1
    assert await uncouple(world.session, "CUSTOMER", [account["accountid"]]) == 1
    assert (await world.couplings(), await world.conflicts(), await world.failures()) == ([], [], [])
    assert await pending.waiting(world.session.connection, "CUSTOMER") == []
    await world.quiet("CUSTOMER")
    assert (await world.bob.row("customers", customer["id"]))["phoneNumber"] == "1"


async def test_everything_can_be_uncoupled_at_once(world: World) -> None:
    coupled = len(await world.couplings("SALESPEOPLE"))
    assert await uncouple(world.session, "SALESPEOPLE", everything=True) == coupled > 1
    assert await uncouple(world.session, "PAYMENT TERMS", ["cod"]) == 1
    with pytest.raises(UsageError, match="JO is not coupled"):
        await uncouple(world.session, "SALESPEOPLE", ["JO"])


async def test_matching_tells_unique_ambiguous_and_none_and_couples_the_unique(world: World) -> None:
    customer = await world.bob.create("customers", ADATUM)
    await world.bob.create("customers", {**ADATUM, "displayName": "Twice", "postalCode": "2000"})
    await world.bob.create("customers", {**ADATUM, "displayName": "Nowhere"})
    for name, code in (("adatum ", "1000"), ("Twice", "2000"), ("Twice", "2000"), ("Unknown", "3000")):
        await world.alice.create("accounts", name=name, address1_postalcode=code, customertypecode=3)
    found = await match_preview(world.session, "CUSTOMER")
    assert [(m.business_central.name, m.by) for m in found.unique] == [
        (customer["number"], "displayName and postalCode")
    ]
    assert sorted(len(rivals.rivals) for rivals in found.ambiguous) == [1, 1, 2]
    assert [named.name for named in found.unmatched["dataverse"]] == ["Unknown"]
    assert len(found.unmatched["business_central"]) == 1
    result = await outcome(world.session, match_now(world.session, found))
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)
    assert [c.business_central_id for c in await world.couplings()] == [customer["id"]]


async def test_an_uncoupled_record_is_explained(world: World) -> None:
    customer = await world.bob.create("customers", {**ADATUM, "salespersonCode": "EXT"})
    found = await explained(world, customer["number"])
    assert (found.coupling, found.dataverse) == (None, None)
    assert [action.reason for action in found.next] == ["only coupled records synchronise"]
    assert found.full[0].kind == "hold"
    assert "EXT is not coupled in SALESPEOPLE" in found.full[0].reason
    await world.bob.update("customers", customer["id"], blocked="All")
    seen = (await explained(world, customer["id"])).business_central
    assert seen is not None
    assert seen.outside == ("blocked is 'All'",)


async def test_a_coupled_record_is_explained_field_by_field(world: World) -> None:
    customer, account = await strangers(world)
    await couple(world.session, "CUSTOMER", customer["number"], account["accountid"])
    assert (await explained(world, customer["number"])).next == []
    await world.alice.update("accounts", account["accountid"], telephone1="7")
    found = await explained(world, account["accountid"])
    (phone,) = [field for field in found.fields if field.changed]
    assert (phone.field, phone.base_dataverse, phone.dataverse, phone.changed) == (
        "phoneNumber",
        None,
        "7",
        ("dataverse",),
    )
    assert [action.to_business_central for action in found.next] == [{"phoneNumber": "7"}]
    assert found.job is not None


async def test_nobody_knows_the_record(world: World) -> None:
    with pytest.raises(UsageError, match="no record is called 'C9'"):
        await explained(world, "C9")
    with pytest.raises(UsageError, match="options have no records"):
        await explain(world.session, "PAYMENT TERMS", "COD")

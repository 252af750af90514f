"""Coupling by hand, in bulk and with new partners, and taking couplings apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from world import World, new_world
from world_data import Row

from koppel.errors import StoreError, UsageError
from koppel.mapping.model import MatchPair
from koppel.store import couplings as store
from koppel.store import history
from koppel.store.couplings import Coupling
from koppel.store.database import Database
from koppel.sync.couple import Examined, Wanted, couple, couple_pairs, examine
from koppel.sync.full import Outcome, outcome
from koppel.sync.partners import create_partners, without_partner
from koppel.sync.preview import match_now, match_preview
from koppel.sync.request import Result
from koppel.sync.uncouple import orphans, remove_orphans, uncouple


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY", "PAYMENT TERMS"):
            await world.sync(name, full=True)
        yield world


async def customer(world: World, name: str = "Adatum", **values: Any) -> Row:
    return await world.bob.create("customers", {"displayName": name, **values})


async def account(world: World, name: str = "A. Datum Ltd", **values: Any) -> Row:
    return await world.alice.create("accounts", {"name": name, "customertypecode": 3, **values})


async def coupled(world: World, ours: Row, theirs: Row, **how: Any) -> Result:
    return await couple(world.session, "CUSTOMER", ours["id"], theirs["accountid"], **how)


async def pairs(world: World, *wanted: tuple[str, str]) -> Examined:
    return await examine(world.session, "CUSTOMER", [Wanted(*each, n) for n, each in enumerate(wanted, 1)])


async def matched(world: World, **how: Any) -> Outcome:
    return await outcome(world.session, match_now(world.session, await match_preview(world.session, "CUSTOMER"), **how))


async def settled(world: World) -> None:
    """What Business Central made of a write arrives, and then there is nothing left to do."""
    await world.sync()
    await world.quiet("CUSTOMER")


async def test_the_side_that_wins_is_chosen_with_the_pair(world: World) -> None:
    ours, theirs = await customer(world, phoneNumber="1"), await account(world, telephone1="2")
    await coupled(world, ours, theirs, initial="dataverse")
    now = await world.bob.row("customers", ours["id"])
    assert (now["displayName"], now["phoneNumber"]) == ("A. Datum Ltd", "2")
    await settled(world)


async def test_a_side_that_the_mapping_never_reads_cannot_win(world: World) -> None:
    world.change(direction="to_dataverse", fields=())
    ours, theirs = await customer(world), await account(world)
    with pytest.raises(UsageError, match="Dataverse cannot win: the mapping runs to_dataverse"):
        await coupled(world, ours, theirs, initial="dataverse")
    assert await world.couplings() == []


async def test_a_pair_may_wait_for_the_next_run_and_the_chosen_side_still_wins(world: World) -> None:
    ours, theirs = await customer(world, phoneNumber="1"), await account(world, telephone1="2")
    await coupled(world, ours, theirs, sync=False, initial="dataverse")
    assert (await world.bob.row("customers", ours["id"]))["phoneNumber"] == "1"
    await world.sync()
    assert (await world.bob.row("customers", ours["id"]))["phoneNumber"] == "2"
    await world.quiet("CUSTOMER")


async def test_eng_315_w03_coupling_without_synchronising_makes_no_conflict_later(world: World) -> None:
    ours, theirs = await customer(world, phoneNumber="1"), await account(world, telephone1="1")
    await coupled(world, ours, theirs, sync=False)
    await world.alice.update("accounts", theirs["accountid"], telephone2="9")
    await world.bob.update("customers", ours["id"], phoneNumber="3")
    await world.sync()
    assert await world.conflicts() == []
    assert (await world.account_of(await world.bob.row("customers", ours["id"])))["telephone1"] == "3"


async def test_coupling_what_is_coupled_synchronises_it(world: World) -> None:
    ours, theirs = await customer(world), await account(world)
    await coupled(world, ours, theirs)
    await world.bob.update("customers", ours["id"], phoneNumber="5")
    result = await coupled(world, ours, theirs)
    assert (result.counts["coupled"], result.counts["updated"]) == (0, 1)


async def test_coupled_again_to_another_record_nothing_of_the_old_agreement_counts(world: World) -> None:
    """With the old base, the new partner's telephone would pass for an edit, and Business Central's for none."""
    ours, old, new = (
        await customer(world, phoneNumber="1"),
        await account(world),
        await account(world, "New", telephone1="7"),
    )
    await coupled(world, ours, old)
    await world.alice.update("accounts", old["accountid"], fax="edited")
    with pytest.raises(StoreError, match="is coupled to Adatum"):
        await coupled(world, ours, new)
    await uncouple(world.session, "CUSTOMER", [ours["id"]])
    await coupled(world, ours, new)
    now = await world.alice.row("accounts", new["accountid"])
    assert (now["name"], now["telephone1"]) == ("Adatum", "1")
    entries = await history.find(world.session.connection, record_ids=[new["accountid"]], field="phoneNumber")
    assert [(entry.old, entry.new) for entry in entries] == [("7", "1")]
    left = await world.alice.row("accounts", old["accountid"])
    assert (left["name"], left["fax"], left["telephone1"]) == ("Adatum", "edited", "1")
    await world.quiet("CUSTOMER")


async def test_coupled_again_to_the_same_record_no_edit_made_meanwhile_is_lost(world: World) -> None:
    ours, theirs = await customer(world, phoneNumber="1"), await account(world)
    await coupled(world, ours, theirs)
    await uncouple(world.session, "CUSTOMER", [ours["number"]])
    await world.alice.update("accounts", theirs["accountid"], telephone1="2", fax="3")
    await coupled(world, ours, theirs, initial="dataverse")
    now = await world.bob.row("customers", ours["id"])
    assert (now["phoneNumber"], now["faxNo"]) == ("2", "3")
    await world.quiet("CUSTOMER")


async def test_pairs_of_a_file_are_coupled_and_what_cannot_be_holds_no_other_back(world: World) -> None:
    one, two, three = [await customer(world, name) for name in ("One", "Two", "Three")]
    uno, due = await account(world, "Uno"), await account(world, "Due")
    prospect = await world.alice.create("accounts", name="Prospect", customertypecode=8)
    await account(world, "Twin")
    await account(world, "Twin")
    await coupled(world, three, await account(world, "Tre"))
    found = await pairs(
        world,
        (one["number"].lower(), "uno"),
        (two["id"].upper(), due["accountid"]),
        (two["number"], uno["accountid"]),
        ("C9", "Due"),
        (three["number"], "Due"),
        (one["number"], "Twin"),
        (one["number"], prospect["accountid"]),
        (uno["accountid"], one["id"]),
        (one["number"], "Un"),
        (three["number"], "Three"),
    )
    assert (len(found.pairs), found.already) == (2, 1)
    assert [(each.wanted.line, each.error.message) for each in found.refused] == [
        (3, f"{two['number']} in Business Central is to be coupled to {due['accountid']} already"),
        (4, "no record is called 'C9' in Business Central"),
        (5, f"{three['number']} in Business Central is coupled to Three ({await partner(world, three)}) in Dataverse"),
        (6, "2 records are called 'Twin' in Dataverse"),
        (7, f"{prospect['accountid']} is outside the filter of Dataverse"),
        (8, f"no record is called '{uno['accountid']}' in Business Central"),
        (9, "no record is called 'Un' in Dataverse"),
    ]
    assert "the record of Business Central is written first" in found.refused[5].error.remedy
    result = await outcome(world.session, couple_pairs(world.session, found))
    assert result.counts["coupled"] == 2
    assert (await world.account_of(one))["name"] == "One"
    await world.quiet("CUSTOMER")


async def partner(world: World, ours: Row) -> str:
    return (await world.coupling(ours["number"])).dataverse_id


async def test_a_record_of_another_mapping_is_called_that(world: World) -> None:
    (currency, *_) = await world.couplings("CURRENCY")
    found = await pairs(world, (currency.business_central_id, "Adatum"))
    assert found.refused[0].error.remedy == "It is a record of CURRENCY."


async def test_an_empty_file_couples_nothing(world: World) -> None:
    await matched_strangers(world)
    found = await pairs(world)
    assert (await outcome(world.session, couple_pairs(world.session, found))).finished == []
    assert await world.couplings() == []


async def matched_strangers(world: World) -> tuple[Row, Row]:
    ours = await customer(world, postalCode="1000 AA")
    return ours, await account(world, "adatum", address1_postalcode="1000 AA")


async def test_new_partners_are_created_from_either_side_whatever_the_mapping_says(world: World) -> None:
    world.change(only_coupled=True, create_unmatched=False)
    ours, theirs, pair = await customer(world), await account(world, "Fabrikam"), await customer(world, "Both")
    await coupled(world, pair, await account(world, "Both of them"))
    names = [ours["number"], theirs["accountid"], pair["number"], "C9"]
    found = await without_partner(world.session, "CUSTOMER", names)
    assert (found.records, found.already, found.unknown) == ([ours["id"], theirs["accountid"]], 1, ["C9"])
    result = await outcome(world.session, create_partners(world.session, found))
    assert (result.counts["created"], result.ok) == (2, True)
    assert (await world.account_of(ours))["name"] == "Adatum"
    assert (await world.customer_of(theirs))["displayName"] == "Fabrikam"
    await settled(world)


async def test_a_new_partner_is_no_duplicate_of_what_matches(world: World) -> None:
    ours, theirs = await matched_strangers(world)
    found = await without_partner(world.session, "CUSTOMER", [ours["number"]])
    result = await outcome(world.session, create_partners(world.session, found))
    assert (result.counts["coupled"], result.counts["created"]) == (1, 0)
    assert await partner(world, ours) == theirs["accountid"]


async def test_a_partner_that_is_gone_is_created_anew_on_request(world: World) -> None:
    ours, theirs = await customer(world), await account(world)
    await coupled(world, ours, theirs)
    await world.alice.delete("accounts", theirs["accountid"])
    found = await without_partner(world.session, "CUSTOMER", [ours["id"]])
    assert (found.records, found.already, len(found.stale)) == ([ours["id"]], 0, 1)
    assert (await outcome(world.session, create_partners(world.session, found))).counts["created"] == 1
    assert (await world.account_of(ours))["name"] == "Adatum"
    await world.quiet("CUSTOMER")


async def test_nothing_is_created_where_the_mapping_does_not_write(world: World) -> None:
    fields = tuple(f for f in world.mappings["CUSTOMER"].fields if f.direction == "to_dataverse")
    world.change(direction="to_dataverse", fields=fields)
    theirs = await account(world)
    with pytest.raises(UsageError, match="cannot be created in Business Central"):
        await without_partner(world.session, "CUSTOMER", [theirs["accountid"]])


async def test_matching_creates_the_rest_on_request(world: World) -> None:
    ours, theirs = await matched_strangers(world)
    await customer(world, "Only here")
    await account(world, "Only there")
    assert (await matched(world)).counts["created"] == 0
    result = await matched(world, create=True)
    assert result.counts["created"] == 2
    assert await partner(world, ours) == theirs["accountid"]
    await settled(world)


async def test_matching_may_leave_synchronising_to_the_next_run(world: World) -> None:
    ours, theirs = await matched_strangers(world)
    result = await matched(world, sync=False, initial="dataverse")
    assert result.counts == {"coupled": 1}
    assert (await world.alice.row("accounts", theirs["accountid"]))["name"] == "adatum"
    await world.sync()
    assert (await world.bob.row("customers", ours["id"]))["displayName"] == "adatum"


@pytest.mark.parametrize("full", [True, False], ids=["a full run", "a run that creates"])
async def test_normalised_names_and_telephones_match(world: World, full: bool) -> None:
    name = MatchPair("displayName", "name", normalise=("accents", "punctuation", "company"))
    phone = MatchPair("phoneNumber", "telephone1", normalise=("digits",))
    world.change(match=((phone,), (name,)))
    await world.sync(full=True)
    by_name, by_phone = (
        await customer(world, "Café Zürich GmbH"),
        await customer(world, "X", phoneNumber="+31 (0)20 12 34"),
    )
    cafe, caller = await account(world, "Cafe Zurich, Ltd."), await account(world, "Y", telephone1="0031 201234")
    result = await world.sync(full=full, create=True)
    assert (result.counts["coupled"], result.counts["created"]) == (2, 0)
    assert (await partner(world, by_name), await partner(world, by_phone)) == (cafe["accountid"], caller["accountid"])


async def test_def_01_uncoupling_a_mapping_leaves_others_on_its_tables_alone(world: World) -> None:
    other = Coupling(str(uuid4()), str(uuid4()))
    ours, theirs = await customer(world), await account(world)
    await coupled(world, ours, theirs)
    await store.save(world.session.connection, "VENDOR", [other, Coupling(str(uuid4()), theirs["accountid"])])
    await world.session.connection.commit()
    assert await uncouple(world.session, "CUSTOMER", everything=True) == 1
    assert (len(await world.couplings("CUSTOMER")), len(await world.couplings("VENDOR"))) == (0, 2)


async def test_def_02_couplings_without_records_are_found_told_and_removed(world: World) -> None:
    made = [(await customer(world, name), await account(world, name)) for name in ("Both", "Ours", "Theirs", "Alive")]
    for ours, theirs in made:
        await coupled(world, ours, theirs)
    for ours, _ in made[:2]:
        await world.bob.delete("customers", ours["id"])
    for _, theirs in (made[0], made[2]):
        await world.alice.delete("accounts", theirs["accountid"])
    found = [one async for chunk in orphans(world.session, "CUSTOMER") for one in chunk]
    assert {one.name: one.missing for one in found} == {
        made[0][0]["number"]: ("business_central", "dataverse"),
        made[1][0]["number"]: ("business_central",),
        made[2][0]["number"]: ("dataverse",),
    }
    assert await remove_orphans(world.session, "CUSTOMER", found) == 3
    assert [c.business_central_id for c in await world.couplings()] == [made[3][0]["id"]]
    assert (await world.bob.row("customers", made[2][0]["id"]))["displayName"] == "Theirs"


async def test_orphans_of_options_are_found_and_removed(world: World) -> None:
    (code,) = await world.bob.rows("paymentTerms", "code eq 'COD'")
    await world.bob.delete("paymentTerms", code["id"])
    found = [one async for chunk in orphans(world.session, "PAYMENT TERMS") for one in chunk]
    assert [(one.name, one.missing) for one in found] == [("COD", ("business_central",))]
    assert await remove_orphans(world.session, "PAYMENT TERMS", found) == 1
    assert [one async for chunk in orphans(world.session, "PAYMENT TERMS") for one in chunk] == []


async def test_def_10_an_empty_selection_selects_nothing(world: World) -> None:
    await customer(world)
    await account(world)
    result = await world.sync(records=(), full=True, create=True)
    assert (result.counts, result.notices, result.write_requests) == ({}, ["nothing was selected"], 0)
    assert await world.planned(records=(), full=True) == []
    assert await uncouple(world.session, "SALESPEOPLE", []) == 0
    assert (await without_partner(world.session, "CUSTOMER", [])).records == []
    assert len(await world.couplings("SALESPEOPLE")) > 0


async def test_an_unconditional_run_takes_nothing_for_granted(world: World) -> None:
    ours, theirs = await customer(world), await account(world)
    await coupled(world, ours, theirs)
    await world.sync()
    await world.robot.update("accounts", theirs["accountid"], telephone1="5")
    assert (await world.sync(full=True)).counts["updated"] == 0, "an edit of the connection's own user"
    assert await world.planned(full=True, unconditional=True) == ["update"]
    assert (await world.sync(full=True, unconditional=True)).counts["updated"] == 1
    assert (await world.bob.row("customers", ours["id"]))["phoneNumber"] == "5"
    result = await world.sync(full=True, unconditional=True)
    assert (result.counts["updated"], result.counts["unchanged"], result.write_requests) == (0, 1, 0)


async def test_an_unconditional_run_tries_what_was_skipped(world: World) -> None:
    ours, theirs = await customer(world), await account(world)
    await coupled(world, ours, theirs)
    await world.alice.update("accounts", theirs["accountid"], name="A very long name " * 7)
    for _ in range(3):
        await world.sync()
    assert [failure.state for failure in await world.failures()] == ["skipped"]
    assert (await world.sync(full=True)).counts["failed"] == 0
    assert (await world.sync(full=True, unconditional=True)).counts["failed"] == 1

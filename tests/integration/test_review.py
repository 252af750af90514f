"""The full synchronisation review: what is recommended, what a person makes of it, and that it can be gone on with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from world import CrashError, World, new_world
from world_data import Row

from koppel.errors import LockedError, UsageError
from koppel.mapping.load import in_dependency_order
from koppel.store.database import Database
from koppel.store.locks import mapping_lock
from koppel.sync.full import Outcome, outcome
from koppel.sync.review import (
    REVIEW,
    Line,
    chosen,
    go_on,
    keep_creating,
    only_coupled,
    recommend,
    run_review,
    with_creating,
)
from koppel.systems.transport import Request as HttpRequest

NAMES = ("SALESPEOPLE", "CURRENCY", "PAYMENT TERMS", "CUSTOMER", "CONTACT")


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        yield world


async def review(world: World, **choices: str) -> dict[str, Line]:
    names = [mapping.name for mapping in in_dependency_order(world.mappings.values()) if mapping.name in NAMES]
    return {line.mapping: line for line in chosen(await recommend(world.session, names), choices)}


async def run(world: World, lines: dict[str, Line]) -> Outcome:
    return await outcome(world.session, run_review(world.session, list(lines.values())))


async def states(world: World) -> dict[str, str]:
    return {name: line.state for name, line in (await review(world)).items() if line.state}


async def customer(world: World, **values: object) -> Row:
    return await world.bob.create("customers", {"displayName": "Adatum", "postalCode": "1000 AA", **values})


async def test_each_mapping_is_recommended_what_is_best_wave_by_wave(world: World) -> None:
    await customer(world)
    lines = await review(world)
    assert [(line.mapping, line.wave, line.action) for line in lines.values() if line.mapping in NAMES[3:]] == [
        ("CUSTOMER", 2, "full"),
        ("CONTACT", 3, "nothing"),
    ]
    await world.alice.create("accounts", name="Adatum", customertypecode=3)
    assert (await review(world))["CUSTOMER"].recommendation == "couple"
    await run(world, lines)
    assert (await review(world))["CUSTOMER"].reason == "coupled already: everything is compared"


async def test_where_nothing_tells_which_are_the_same_nothing_is_recommended(world: World) -> None:
    world.change(match=())
    await customer(world)
    await world.alice.create("accounts", name="Adatum", customertypecode=3)
    line = (await review(world))["CUSTOMER"]
    assert (line.action, "couple by hand" in line.reason) == ("nothing", True)
    result = await run(world, {"CUSTOMER": line})
    assert (result.finished, len(await world.alice.rows("accounts"))) == ([], 1)


async def test_a_mapping_that_does_not_fit_keeps_no_other_one_from_its_review(world: World) -> None:
    dataverse = msgspec.structs.replace(world.mappings["CONTACT"].dataverse, table="contakt")
    world.change("CONTACT", dataverse=dataverse)
    await world.reopen()
    lines = await review(world)
    assert (lines["CONTACT"].action, lines["SALESPEOPLE"].action) == ("nothing", "couple")
    assert "no table 'contakt'" in lines["CONTACT"].reason


async def test_a_person_may_choose_otherwise(world: World) -> None:
    world.change(create_unmatched=False)
    await customer(world)
    await world.alice.create("accounts", name="Fabrikam", customertypecode=3)
    lines = await review(world, customer="couple", Contact="nothing")
    await run(world, lines)
    assert (len(await world.couplings("CUSTOMER")), lines["CONTACT"].action) == (0, "nothing")
    lines = await review(world, CUSTOMER="FULL")
    await run(world, {"CUSTOMER": lines["CUSTOMER"]})
    assert len(await world.couplings("CUSTOMER")) == 2
    with pytest.raises(UsageError, match="no mapping 'CUSTOMRE'"):
        await review(world, CUSTOMRE="full")
    with pytest.raises(UsageError, match="CUSTOMER cannot be 'all'"):
        await review(world, CUSTOMER="all")


async def test_eng_345_a_line_that_failed_blocks_no_other_and_is_run_again_alone(world: World) -> None:
    await customer(world)
    lines = await review(world)
    async with world.database.connect() as other, mapping_lock(other, "CUSTOMER"):
        result = await run(world, lines)
    assert [one.mapping for one in result.finished if one.error] == ["CUSTOMER"]
    found = await review(world)
    assert await states(world) == dict.fromkeys(NAMES[:3], "done") | {"CUSTOMER": "failed"}
    assert "CUSTOMER is held by" in found["CUSTOMER"].message
    again = await outcome(world.session, go_on(world.session, ["CUSTOMER"]))
    assert {one.mapping for one in again.finished} == {"CUSTOMER"}
    assert await states(world) == dict.fromkeys(NAMES[:4], "done")
    assert len(await world.couplings()) == 1


async def test_after_a_crash_the_review_goes_on_where_it_was(world: World) -> None:
    company = await world.company_contact(await customer(world))
    await world.bob.create("contacts", type="Person", firstName="Ann", surname="Lee", companyNumber=company["number"])

    async def die(number: int, request: HttpRequest) -> None:
        if request.method == "POST" and b"Adatum" in request.body:
            world.crash()

    world.line.before = die
    with pytest.raises(CrashError):
        await run(world, await review(world))
    await world.revive()
    before = await states(world)
    assert (before["SALESPEOPLE"], before["CUSTOMER"], before["CONTACT"]) == ("done", "interrupted", "waiting")
    result = await outcome(world.session, go_on(world.session))
    assert [one.mapping for one in result.finished if not one.completing] == ["CUSTOMER", "CONTACT"]
    assert await states(world) == dict.fromkeys(NAMES, "done")
    assert (await outcome(world.session, go_on(world.session))).finished == []
    assert len(await world.alice.rows("accounts")) == 1


async def test_two_reviews_do_not_run_at_once(world: World) -> None:
    async with world.database.connect() as other, mapping_lock(other, REVIEW):
        with pytest.raises(LockedError, match="full synchronisation review is held by"):
            await run(world, await review(world))
        with pytest.raises(LockedError):
            await outcome(world.session, go_on(world.session))


async def test_eng_236_creating_goes_on_if_wanted_and_stops_again(world: World) -> None:
    await run(world, await review(world))
    assert only_coupled(world.session, ["CUSTOMER"]) == ["CUSTOMER"]
    await customer(world)
    assert (await world.sync()).counts["created"] == 0
    connection = world.session.connection
    await keep_creating(world.session, ["CUSTOMER"], True)
    world.session.mappings = await with_creating(connection, world.mappings)
    world.session.ready.clear()
    assert only_coupled(world.session, ["CUSTOMER", "CONTACT"]) == ["CONTACT"]
    await customer(world, displayName="Fabrikam")
    assert (await world.sync()).counts["created"] == 2
    await keep_creating(world.session, ["CUSTOMER"], False)
    assert (await with_creating(connection, world.mappings))["CUSTOMER"].only_coupled


async def test_a_forced_review_still_honours_conflicts_and_deletions(world: World) -> None:
    world.change(deletions="none")
    made = await customer(world)
    await run(world, await review(world))
    theirs = (await world.couplings())[0].dataverse_id
    await world.bob.update("customers", made["id"], phoneNumber="1")
    await world.alice.update("accounts", theirs, telephone1="2")
    lines = await review(world)
    await outcome(world.session, run_review(world.session, list(lines.values()), force=True))
    assert len(await world.conflicts()) == 1
    await world.alice.delete("accounts", theirs)
    await outcome(world.session, run_review(world.session, list(lines.values()), force=True))
    assert (len(await world.failures()), len(await world.alice.rows("accounts"))) == (1, 0)

"""Documents and their lines: parts go with their whole, what finishes it comes last, and a closed one is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from world import ADDRESS, CrashError, Person, World, new_world
from world_data import Row

from koppel.engine.action import Action
from koppel.errors import UsageError
from koppel.sandbox.custom import read_tables
from koppel.sandbox.seed_business_central import COMPANY
from koppel.sandbox.tokens import BOB
from koppel.store.database import Database
from koppel.sync.full import outcome, run_in_order
from koppel.sync.request import Request, Result
from koppel.sync.retry import retry
from koppel.sync.run import plan
from koppel.sync.saved import apply_plan, read_plan, save_plan, saved_action
from koppel.systems.transport import Request as HttpRequest
from koppel.systems.transport import no_answer

TABLES = """\
business_central:
  - route: contoso/app/v1.0
    table: visits
    entity: visit
    key: [number]
    columns: {number: {type: code, length: 20}, total: {type: decimal}, closed: {type: integer}}
  - route: contoso/app/v1.0
    table: visitLines
    entity: visitLine
    key: [visitId, lineNumber]
    columns:
      visitId: {type: guid}
      lineNumber: {type: integer}
      description: {length: 50}
      amount: {type: decimal}
dataverse:
  - table: cr_visit
    set: cr_visits
    name: cr_number
    columns: {cr_number: {length: 20}, cr_total: {type: decimal}, cr_closed: {type: integer}}
  - table: cr_visitline
    set: cr_visitlines
    name: cr_description
    columns: {cr_description: {length: 10}, cr_visit: {type: lookup, to: cr_visit}, cr_amount: {type: decimal}}
"""
VISIT = """\
mapping: VISIT
business_central: {table: contoso/app/v1.0/visits, key: number}
dataverse: {table: cr_visit, key: cr_number, reopen: {cr_closed: 0}}
direction: to_dataverse
only_coupled: false
fields:
  - {business_central: number, dataverse: cr_number, code: true}
  - {business_central: total, dataverse: cr_total, last: true}
  - {business_central: closed, dataverse: cr_closed, last: true}
"""
LINE = """\
mapping: VISIT LINE
business_central: {table: contoso/app/v1.0/visitLines, key: lineNumber}
dataverse: {table: cr_visitline, key: cr_description}
direction: to_dataverse
only_coupled: false
part_of: VISIT
fields:
  - {business_central: visitId, dataverse: cr_visit, lookup: {mapping: VISIT, by: id, required: true}}
  - {business_central: description, dataverse: cr_description}
  - {business_central: amount, dataverse: cr_amount, last: true}
"""


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "tables.yml").write_text(TABLES, "utf-8")
    (mappings := tmp_path / "mappings").mkdir()
    (mappings / "visit.yaml").write_text(VISIT, "utf-8")
    (mappings / "line.yaml").write_text(LINE, "utf-8")
    async with new_world(database, folders=[mappings], tables=read_tables(tmp_path / "tables.yml")) as world:
        yield world


def technician(world: World) -> Person:
    company = world.sandbox.business_central.companies[COMPANY].id
    return Person(world.sandbox, BOB, f"{ADDRESS}/bc/v2.0/Production/api/contoso/app/v1.0/companies({company})/")


async def visit(world: World, number: str = "V-1", *descriptions: str, closed: int = 1) -> Row:
    bob = technician(world)
    made = await bob.create("visits", number=number, total=30, closed=closed)
    for place, text in enumerate(descriptions, 1):
        await bob.create("visitLines", visitId=made["id"], lineNumber=place, description=text, amount=10 * place)
    return made


async def finished(world: World, number: str = "V-1") -> tuple[Any, Any, list[Any]]:
    """Total, state and amounts of the lines in Dataverse."""
    row = await world.alice.one("cr_visits", f"cr_number eq '{number}'")
    lines = await world.alice.rows("cr_visitlines", f"_cr_visit_value eq {row['cr_visitid']}")
    return row["cr_total"], row["cr_closed"], sorted(line["cr_amount"] or 0 for line in lines)


async def test_lines_go_with_their_document_and_its_totals_come_last(world: World) -> None:
    await visit(world, "V-1", "Greasing", "Testing")
    seen: list[str] = []

    async def note(number: int, request: HttpRequest) -> None:
        body = request.body.decode()
        seen.extend(word for word in ("Greasing", "cr_total") if word in body and request.method == "POST")

    world.line.before = note
    result = await world.sync("VISIT")
    assert [(part.mapping, part.counts["created"]) for part in result.parts] == [("VISIT LINE", 2)]
    assert (result.counts["created"], result.counts["failed"]) == (1, 0)
    assert seen.index("Greasing") < seen.index("cr_total")
    assert await finished(world) == (30, 1, [10, 20])
    assert len(await world.couplings("VISIT LINE")) == 2
    await world.quiet("VISIT")


async def test_a_closed_document_is_opened_for_a_change_and_closed_again(world: World) -> None:
    made = await visit(world, "V-1", "Greasing")
    await world.sync("VISIT")
    await technician(world).update("visits", made["id"], total=40)
    states: list[str] = []

    async def note(number: int, request: HttpRequest) -> None:
        if b"PATCH" in request.body:
            states.append("opened" if b'"cr_closed":0' in request.body else "closed")

    world.line.before = note
    assert (await world.sync("VISIT")).counts["updated"] == 1
    assert await finished(world) == (40, 1, [10])
    assert states == ["opened", "closed"]
    await world.quiet("VISIT")


async def test_as_long_as_a_line_fails_its_document_waits_for_it(world: World) -> None:
    bob = technician(world)
    await visit(world, "V-1", "Greasing", "Far too long a description")
    await visit(world, "V-2", "Greasing")
    await world.sync("VISIT")
    [failure] = await world.failures("VISIT LINE")
    assert failure.code == "too-long"
    assert await finished(world, "V-1") == (None, None, [10])
    assert await finished(world, "V-2") == (30, 1, [10])
    await world.quiet("VISIT")  # nothing changed: it is not tried for ever

    await bob.update("visitLines", failure.record_id, description="Shorter")
    result = await world.sync("VISIT")
    assert [part.counts["created"] for part in result.parts] == [1]
    assert await finished(world, "V-1") == (30, 1, [10, 20])
    assert not await world.failures("VISIT LINE")
    await world.quiet("VISIT")


async def test_what_failed_is_tried_again_with_its_document(world: World) -> None:
    await visit(world, "V-1", "Far too long a description")
    await world.sync("VISIT")
    world.change("VISIT LINE", fields=world.mappings["VISIT LINE"].fields[:1] + world.mappings["VISIT LINE"].fields[2:])
    done = await outcome(world.session, retry(world.session, "VISIT LINE"))
    assert {one.mapping: one.result.counts["created"] for one in done.finished if one.result} == {
        "VISIT": 0,
        "VISIT LINE": 1,
    }
    assert await finished(world) == (30, 1, [10])


@pytest.mark.parametrize("request_number", range(1, 30))
async def test_a_crash_anywhere_leaves_no_document_that_only_looks_complete(world: World, request_number: int) -> None:
    await visit(world, "V-1", "Greasing", "Testing")
    number = 0

    async def die(count: int, request: HttpRequest) -> None:
        nonlocal number
        number += request.method in ("POST", "PATCH")
        if number == request_number:
            world.crash()

    for when in ("before", "after"):
        setattr(world.line, when, die)
        number = 0
        try:
            await world.sync("VISIT")
        except CrashError:
            await world.revive()
            if (there := await world.alice.rows("cr_visits")) and there[0]["cr_closed"]:
                assert await finished(world) == (30, 1, [10, 20])
    await world.sync("VISIT")
    assert await finished(world) == (30, 1, [10, 20])
    assert len(await world.alice.rows("cr_visits")) == 1
    await world.quiet("VISIT")


async def test_lines_never_run_on_their_own(world: World) -> None:
    with pytest.raises(UsageError, match="VISIT LINE never runs on its own"):
        await world.sync("VISIT LINE")
    await visit(world, "V-1", "Greasing")
    done = await outcome(world.session, run_in_order(world.session, ["VISIT", "VISIT LINE"], Request()))
    assert [one.mapping for one in done.finished] == ["VISIT", "VISIT LINE"]


async def test_a_plan_shows_the_lines_of_new_documents(world: World) -> None:
    made = await visit(world, "V-1", "Greasing")

    async def shown() -> list[Action]:
        return [action async for action in plan(world.session, "VISIT", Request())]

    document, line = await shown()
    assert (document.mapping, document.kind, line.mapping, line.kind) == ("VISIT", "create", "VISIT LINE", "create")
    assert line.to_dataverse["cr_visit"] == document.dataverse_id != ""
    assert not await world.alice.rows("cr_visits")
    await world.sync("VISIT")
    assert await shown() == []
    assert made["id"] == document.business_central_id


async def test_a_chosen_document_takes_along_its_own_lines_only(world: World) -> None:
    await visit(world, "V-1", "Greasing")
    await visit(world, "V-2", "Far too long a description")
    await world.sync("VISIT", records=("V-2",))
    result: Result = await world.sync("VISIT", records=("V-1",))
    assert [part.counts["created"] for part in result.parts] == [1]
    assert result.parts[0].counts["failed"] == 0


async def test_a_saved_plan_takes_the_lines_along(world: World, tmp_path: Path) -> None:
    await visit(world, "V-1", "Greasing")
    names, actions = ["VISIT", "VISIT LINE"], [a async for a in plan(world.session, "VISIT", Request())]
    save_plan(tmp_path / "plan", world.session, names, Request(), [saved_action(action) for action in actions])
    runs = apply_plan(world.session, read_plan(tmp_path / "plan"))
    done = await outcome(world.session, runs)
    assert [one.mapping for one in done.finished] == ["VISIT", "VISIT LINE"]
    assert await finished(world) == (30, 1, [10])
    await world.quiet("VISIT")


@pytest.mark.parametrize("then", ["the same change", "another one", "taken back"])
async def test_a_crash_leaves_no_document_open(world: World, then: str) -> None:
    made = await visit(world, "V-1", "Greasing")
    await world.sync("VISIT")
    await technician(world).update("visits", made["id"], total=40)

    async def die(number: int, request: HttpRequest) -> None:
        if b"PATCH" in request.body:
            world.crash()

    world.line.after = die
    with pytest.raises(CrashError):
        await world.sync("VISIT")
    await world.revive()
    assert await finished(world) == (30, 0, [10])
    total = {"the same change": 40, "another one": 50, "taken back": 30}[then]
    await technician(world).update("visits", made["id"], total=total)
    await world.sync("VISIT")
    assert await finished(world) == (total, 1, [10])
    await world.quiet("VISIT")


async def test_nor_does_a_lost_answer(world: World) -> None:
    made = await visit(world, "V-1", "Greasing")
    await world.sync("VISIT")
    await technician(world).update("visits", made["id"], total=40)

    async def lose(number: int, request: HttpRequest) -> None:
        if b"PATCH" in request.body:
            world.line.after = None
            raise no_answer(request, "lost by a test")

    world.line.after = lose
    for _ in range(2):
        await world.sync("VISIT")
    assert await finished(world) == (40, 1, [10])
    assert not await world.failures("VISIT")
    await world.quiet("VISIT")

"""Verification is a way of its own: it shares no code with the merge, and a merge gone wrong does not blind it."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from world import World, new_world

import koppel.sync
from koppel.engine import pair as engine_pair
from koppel.engine.merge import Verdict
from koppel.store.database import Database
from koppel.sync.undo import job_to_undo, undo
from koppel.sync.verify import verify

MERGE = {"merge", "pair", "glance", "plan", "action"}
DATA = {"other", "Action", "Refusal", "Table"}
"""What is no part of the merge in those modules: the opposite side, and shapes."""
SYNC = Path(koppel.sync.__path__[0])


def imports(name: str) -> set[tuple[str, str]]:
    """(module, name) of what a module of ``sync`` and those it uses take from elsewhere in Koppel."""
    found: set[tuple[str, str]] = set()
    todo, seen = [name], set[str]()
    while todo:
        if (module := todo.pop()) in seen:
            continue
        seen.add(module)
        for node in ast.walk(ast.parse((SYNC / f"{module}.py").read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("koppel."):
                found.update((node.module, alias.name) for alias in node.names)
                if node.module.startswith("koppel.sync."):
                    todo.append(node.module.rpartition(".")[2])
    return found


def of_the_merge(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {
        (module, name) for module, name in found if module in {f"koppel.engine.{m}" for m in MERGE} and name not in DATA
    }


def test_it_uses_nothing_of_the_merge() -> None:
    found = imports("verify")
    assert ("koppel.sync.plain", "plain_forms") in found
    assert of_the_merge(found) - {("koppel.engine.pair", "Table")} == set()
    assert of_the_merge(imports("pairs"))


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_world(database) as world:
        for name in ("SALESPEOPLE", "CURRENCY"):
            await world.sync(name, full=True)
        yield world


@pytest.mark.parametrize("wrong", [Verdict.NOTHING, Verdict.AGREE, Verdict.DRIFT])
async def test_a_merge_that_drops_edits_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch, wrong: Verdict
) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    with monkeypatch.context() as patch:
        patch.setattr(engine_pair, "verdict", lambda *args, **more: wrong)
        await world.sync()
    found = await verify(world.session, ["CUSTOMER"])
    assert [(d.field, d.business_central, d.dataverse) for d in found.differences] == [("phoneNumber", "2", "1")]


async def test_a_merge_that_writes_the_wrong_way_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1", website="a.example")
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    with monkeypatch.context() as patch:
        patch.setattr(engine_pair, "translate", lambda *args, **more: "made up")
        await world.sync()
    found = await verify(world.session, ["CUSTOMER"])
    assert ("phoneNumber", "2", "made up") in [(d.field, d.business_central, d.dataverse) for d in found.differences]


async def test_what_was_taken_back_is_explained_until_the_next_run(world: World) -> None:
    customer = await world.bob.create("customers", displayName="Adatum", phoneNumber="1")
    await world.sync(create=True)
    await world.bob.update("customers", customer["id"], phoneNumber="2")
    job = (await world.sync()).job
    await undo(world.session, await job_to_undo(world.session, job))
    found = await verify(world.session, ["CUSTOMER"])
    explained = {d.field: d.explained for d in found.explained}
    assert explained["phoneNumber"] == "taken back by `koppel undo`, until the next run"
    assert found.sound
    await world.sync()
    found = await verify(world.session, ["CUSTOMER"])
    assert "phoneNumber" not in {d.field for d in found.explained}

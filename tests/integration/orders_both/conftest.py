"""A shop in which orders go both ways, and who buys there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from both_ways_scenes import new_shop
from world import World
from world_data import Row

from koppel.store.database import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with new_shop(database) as world:
        yield world


@pytest.fixture
async def customer(world: World) -> Row:
    return await world.bob.one("customers", "displayName eq 'Adatum'")

"""The database that simulated worlds share: it goes by their clock."""

from __future__ import annotations

import asyncio

import pytest

from koppel.store.database import Database

from .clockwork import new_database


@pytest.fixture(scope="session")
def simulated(postgres: str) -> Database:
    """A database for one world after the other; each leaves it empty."""
    return asyncio.run(new_database(postgres, "simulated"))

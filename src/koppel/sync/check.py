"""Everything that can be tested without writing: connections, permissions, mappings against both schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from koppel.config import Config
from koppel.errors import KoppelError, MappingError, PrivilegeError, RemoteError
from koppel.mapping.model import TableMapping
from koppel.odata.records import SPOKEN, ZERO_GUID, Side
from koppel.store.database import address, open_database
from koppel.sync.check_currency import currency_trouble
from koppel.sync.open import connect_business_central, connect_dataverse, known_mappings
from koppel.sync.prepare import SIDES, Ready, prepare
from koppel.sync.set_up import as_set_up
from koppel.systems.system import System

CURRENCY = "CURRENCY"
Level = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``place``: a system, a mapping file, the database."""

    level: Level
    place: str
    message: str
    remedy: str = ""


async def check(config: Config) -> AsyncIterator[Finding]:
    """Look at everything; one finding after the other. Writes nothing to either system.

    ``ConfigError`` when a mapping file cannot be read or the secrets are missing: then there is nothing to look at.
    """
    mappings = known_mappings(config)
    async with _systems(config) as systems:
        reached: dict[Side, System] = {}
        for side, system in systems.items():
            finding = await _reach(system, mappings.values())
            yield finding
            if finding.level != "error":
                reached[side] = system
        yield await _reach_database(config)
        if len(reached) == len(SIDES):
            try:
                owned = await as_set_up(reached, mappings, config.company_stamp, config.ownership)
                mappings = owned.mappings
                for name, told in owned.warnings.items():
                    for line in told:
                        yield Finding("warning", name, line, "see `ownership` in koppel.yaml")
            except KoppelError as error:
                yield _failed("koppel.yaml", error)
            async for finding in _check_currency(mappings, reached):
                yield finding
        for mapping in mappings.values():
            async for finding in _check_mapping(mapping, reached):
                yield finding


@asynccontextmanager
async def _systems(config: Config) -> AsyncIterator[dict[Side, System]]:
    async with AsyncExitStack() as stack:
        business_central, dataverse = connect_business_central(config), connect_dataverse(config)
        stack.push_async_callback(business_central.close)
        stack.push_async_callback(dataverse.close)
        yield {"business_central": business_central, "dataverse": dataverse}


async def _reach(system: System, mappings: Iterable[TableMapping]) -> Finding:
    """Sign in, read the schema, and find the company, by asking for no record of the first table that is mapped."""
    place = SPOKEN[system.side]
    try:
        tables = await system.tables()
    except KoppelError as error:
        return _failed(place, error)
    try:
        known = (m.endpoint(system.side).table for m in mappings if m.endpoint(system.side).table in tables)
        for table in islice(known, 1):
            await system.by_ids(table, (), [ZERO_GUID])
    except PrivilegeError:
        pass  # said of its mapping below
    except KoppelError as error:
        return _failed(place, error)
    return Finding("ok", place, f"reached; {len(tables)} tables")


async def _reach_database(config: Config) -> Finding:
    place = "database"
    folder: Path = config.folder / "database"
    try:
        async with open_database(config.database, folder):
            return Finding("ok", place, address(config.database) if config.database else f"Koppel's own, in {folder}")
    except KoppelError as error:
        return _failed(place, error)


def _failed(place: str, error: KoppelError) -> Finding:
    where = f"{place}, {error.place}" if error.place else place
    return Finding("error", where, error.message, error.remedy)


async def _check_currency(
    mappings: Mapping[str, TableMapping], systems: Mapping[Side, System]
) -> AsyncIterator[Finding]:
    if CURRENCY not in mappings or not mappings[CURRENCY].enabled:
        return
    try:
        trouble = await currency_trouble(systems)
    except KoppelError as error:
        yield _failed(CURRENCY, error)
    else:
        if trouble:
            yield Finding("error", CURRENCY, *trouble)


async def _check_mapping(mapping: TableMapping, systems: Mapping[Side, System]) -> AsyncIterator[Finding]:
    if not mapping.enabled:
        yield Finding("ok", mapping.name, "off")
        return
    if len(systems) < len(SIDES):
        return
    try:
        ready = await prepare(mapping, systems)
    except MappingError as error:
        yield Finding("error", error.place or mapping.file, error.message, error.remedy)
        return
    except KoppelError as error:
        yield _failed(mapping.name, error)
        return
    found = [*_of_fields(ready), *[f for side in SIDES if (f := await _read(ready, side, systems[side]))]]
    for finding in found:
        yield finding
    if not any(finding.level == "error" for finding in found):
        yield Finding("ok", mapping.name, f"{len(ready.table.fields) or len(mapping.fields)} fields")


def _of_fields(ready: Ready) -> list[Finding]:
    route = "use a route that shows it, or take the field out of the mapping"
    found = [
        Finding("warning", ready.mapping.name, f"left out, the route lacks {line}", route) for line in ready.lacking
    ]
    for field in ready.table.fields:
        for side in SIDES:
            end, direction = field.end(side), "to_dataverse" if side == "business_central" else "from_dataverse"
            if end.column and field.mapping.direction != direction and not (end.creatable or end.updatable):
                message = f"{end.column} cannot be written in {SPOKEN[side]}"
                remedy = f"give the field `direction: {direction}`"
                found.append(Finding("warning", f"{ready.mapping.file}:{field.mapping.line}", message, remedy))
    return found


async def _read(ready: Ready, side: Side, system: System) -> Finding | None:
    """Whether the table may be read, by asking for no record of it."""
    end = ready.end(side)
    try:
        await system.by_ids(end.schema.name, end.columns, [ZERO_GUID])
    except RemoteError as error:
        where = f"{ready.mapping.name}, {SPOKEN[side]} table {end.schema.name}"
        return Finding("error", where, error.message, error.remedy)
    return None

"""Owners that ``koppel.yaml`` and mappings name for new rows: whether Dataverse takes them (GEN-05)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from koppel.config import Ownership
from koppel.errors import ConfigError
from koppel.mapping.model import TableMapping
from koppel.mapping.ownership import OWNED_BY_TEAM, OWNED_FOR_WANT, owners_of, with_owner, without_owner
from koppel.odata.literals import is_guid
from koppel.odata.records import Record, Scalar, Side
from koppel.systems.system import System

ACCESS_TEAM = 1
_TEAM = ("name", "teamtype", "businessunitid")
_ANY_UNIT = frozenset({"account", "contact", "invoice"})
"""Tables whose rows users of any business unit may own."""


class Owned(msgspec.Struct, frozen=True):
    """Mappings with the owners of what they create, and what is wrong with others, by mapping."""

    mappings: dict[str, TableMapping]
    warnings: dict[str, tuple[str, ...]]


async def with_owners(
    systems: Mapping[Side, System], mappings: Mapping[str, TableMapping], ownership: Ownership | None
) -> Owned:
    """The mappings with the default owning team, and without owners that Dataverse could not take: those rows belong to
    whom Dataverse says. ``ConfigError`` instead, if ``unsound`` says so."""
    if ownership is None:
        return Owned(dict(mappings), {})
    team = await _default_team(systems["dataverse"], ownership.team)
    wrong = team if isinstance(team, str) else await _mistake_of_team(systems["dataverse"], team, team)
    found: dict[str, TableMapping] = {}
    warnings: dict[str, tuple[str, ...]] = {}
    for name, mapping in mappings.items():
        found[name], told = await _sound(systems["dataverse"], mapping, team)
        if mapping.dataverse.table in (OWNED_BY_TEAM if ownership.model == "team" else OWNED_FOR_WANT):
            if wrong or isinstance(team, str):
                told = [*told, f"{wrong}: new rows belong to whom Dataverse says"]
            else:
                found[name] = with_owner(found[name], f"teams({team.id})")
        if told:
            warnings[name] = tuple(told)
    if warnings and ownership.unsound == "fail":
        first = next(iter(warnings.values()))[0]
        raise ConfigError(first, place="ownership", remedy="Correct the owner, or write `unsound: warn`.")
    return Owned(found, warnings)


async def _sound(dataverse: System, mapping: TableMapping, team: Record | str) -> tuple[TableMapping, list[str]]:
    """The mapping without the owners that it names in vain, and what is wrong with them."""
    told = []
    for owner in dict.fromkeys(owners_of(mapping)):
        if mistake := await _mistake(dataverse, mapping.dataverse.table, owner, team):
            mapping = without_owner(mapping, owner)
            told.append(f"{mistake}: the owner is left out")
    return mapping, told


async def _default_team(dataverse: System, name: str) -> Record | str:
    """The team of a name or id, or why there is none."""
    found = await dataverse.by_keys("team", _TEAM, "teamid" if is_guid(name) else "name", [name])
    if len(found) == 1:
        return found[0]
    return f"there is no team {name}" if not found else f"{len(found)} teams are called {name}"


async def _mistake(dataverse: System, table: str, owner: str, default: Record | str) -> str:
    """What is wrong with an owner; nothing, as a rule."""
    kind, _, id = owner.rstrip(")").rpartition("(")
    if not is_guid(id):
        return f"owner {owner} is neither teams(ID) nor systemusers(ID)"
    if kind == "teams":
        row = (await dataverse.by_ids("team", _TEAM, [id.lower()])).get(id.lower())
        return await _mistake_of_team(dataverse, row, default) if row else f"there is no team {id}"
    user = (await dataverse.by_ids("systemuser", ("isdisabled", "businessunitid"), [id.lower()])).get(id.lower())
    if user is None or user.values[0]:
        return f"there is no user {id} who works"
    return "" if table in _ANY_UNIT else _mistake_of_unit(f"user {id}", user.values[1], default)


async def _mistake_of_team(dataverse: System, team: Record, default: Record | str) -> str:
    name, kind, unit = team.values
    if kind == ACCESS_TEAM:
        return f"team {name} is an access team, which owns nothing"
    if not await dataverse.by_keys("teamroles", ("roleid",), "teamid", [team.id]):
        return f"team {name} has no security role, and so can own nothing"
    return _mistake_of_unit(f"team {name}", unit, default)


def _mistake_of_unit(owner: str, unit: Scalar, default: Record | str) -> str:
    if isinstance(default, str) or unit == default.values[_TEAM.index("businessunitid")]:
        return ""
    return f"{owner} is in another business unit than the default owning team"

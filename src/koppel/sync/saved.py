"""Plans in a file: looked at today, carried out tomorrow, exactly as they were, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from koppel.engine.action import Action, ActionKind, Change, FollowUp
from koppel.engine.brakes import CHANGES, check_brakes
from koppel.errors import KoppelError, UsageError
from koppel.odata.records import SPOKEN, Nested, Scalar, Side
from koppel.store import couplings
from koppel.sync.along import plans
from koppel.sync.full import Finished
from koppel.sync.prepare import SIDES
from koppel.sync.request import Request
from koppel.sync.run import carry_out_plan, synchronise
from koppel.sync.session import Session, ready_mapping

SHOWN = 20
Key = tuple[str, str, str]
"""Mapping and both ids."""


class SavedAction(msgspec.Struct, frozen=True, kw_only=True):
    """One planned write. ``versions``: of the records as they were read."""

    mapping: str
    kind: ActionKind
    name: str
    reason: str
    business_central_id: str
    dataverse_id: str
    versions: dict[Side, str]
    to_business_central: dict[str, Scalar]
    to_dataverse: dict[str, Scalar]
    changes: tuple[Change, ...]
    before: tuple[FollowUp, ...] = ()
    later: dict[str, Scalar] = {}
    nested: Nested = {}
    after: tuple[FollowUp, ...] = ()

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.mapping, self.business_central_id, self.dataverse_id


class SavedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it stands in a file. ``request``: what it was asked to do; ``mappings``: the digest of each by name."""

    made_at: datetime
    request: Request
    mappings: dict[str, str]
    actions: list[SavedAction]


def saved_action(action: Action) -> SavedAction:
    """An action without what carrying it out needs besides."""
    versions = {side: record.version for side in SIDES if (record := action.record(side)) is not None}
    return SavedAction(
        mapping=action.mapping,
        kind=action.kind,
        name=action.name,
        reason=action.reason,
        business_central_id=action.business_central_id,
        dataverse_id=action.dataverse_id,
        versions=versions,
        to_business_central=action.to_business_central,
        to_dataverse=action.to_dataverse,
        changes=action.changes,
        before=action.before,
        later=action.later,
        nested=action.nested,
        after=action.after,
    )


def is_written(action: Action) -> bool:
    """Whether carrying out the action does anything."""
    return action.kind not in ("hold", "nothing")


def save_plan(
    path: Path, session: Session, names: Sequence[str], request: Request, actions: Sequence[SavedAction]
) -> None:
    """Write a plan into a file. ``UsageError`` when it cannot be written."""
    made = SavedPlan(
        made_at=datetime.now(UTC),
        request=request,
        mappings={name: session.mappings[name].digest for name in names},
        actions=list(actions),
    )
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1))
    except OSError as error:
        raise UsageError(f"the plan cannot be written: {error.strerror}", place=str(path)) from error


def read_plan(path: Path) -> SavedPlan:
    """The plan of a file. ``UsageError`` when there is none in it."""
    remedy = "Make one with `koppel plan --out FILE`."
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except OSError as error:
        raise UsageError(f"the plan cannot be read: {error.strerror}", place=str(path), remedy=remedy) from error
    except msgspec.DecodeError as error:
        raise UsageError(f"this is no plan: {error}", place=str(path), remedy=remedy) from error


async def apply_plan(session: Session, saved: SavedPlan, *, force: bool = False) -> AsyncIterator[Finished]:
    """Carry out a plan if a run would still do just that; else ``KoppelError`` names what moved and nothing is done."""
    _require_same_mappings(session, saved)
    now: dict[str, list[Action]] = {}
    held: dict[Key, str] = {}
    async for name, planned in plans(session, list(saved.mappings), saved.request):
        actions = [action async for action in planned]
        now[name] = [action for action in actions if is_written(action)]
        held |= {saved_action(action).key: action.reason for action in actions if not is_written(action)}
    if moved := await _moved(session, saved.actions, [saved_action(a) for some in now.values() for a in some], held):
        more = f"\n  and {len(moved) - SHOWN:,} more" if len(moved) > SHOWN else ""
        raise KoppelError(
            "the plan is out of date, nothing was written:\n  " + "\n  ".join(moved[:SHOWN]) + more,
            remedy="Make a new one with `koppel plan --out FILE`.",
        )
    if not force:
        await _check_brakes(session, now)
    for name, actions in now.items():
        if actions and session.mappings[name].kind == "options":
            yield Finished(mapping=name, result=await synchronise(session, name))
        elif actions:
            for each in _with_brought(session, name, actions):
                result = await carry_out_plan(session, each, actions)
                for one in (result, *result.parts):
                    yield Finished(mapping=one.mapping, result=one)


def _with_brought(session: Session, name: str, actions: Sequence[Action]) -> list[str]:
    """The mapping after those of which its records bring something along."""
    others = {action.mapping for action in actions}.intersection(session.mappings[name].brings)
    return [*(other for other in session.mappings if other in others), name]


def _require_same_mappings(session: Session, saved: SavedPlan) -> None:
    for name, digest in saved.mappings.items():
        known = session.mappings.get(name)
        if known is None or known.digest != digest:
            raise KoppelError(
                f"mapping {name} is not the one that the plan was made with",
                place=known.file if known else name,
                remedy="Make a new one with `koppel plan --out FILE`.",
            )


async def _moved(
    session: Session, before: Sequence[SavedAction], now: Sequence[SavedAction], held: Mapping[Key, str]
) -> list[str]:
    """One line for each record about which something else is to be done than planned; ``held``: why nothing is."""
    old, new = {action.key: action for action in before}, {action.key: action for action in now}
    lines = [
        f"{new[key].mapping} {new[key].name}: not in the plan ({new[key].reason})" for key in new if key not in old
    ]
    lines += [
        f"{old[key].mapping} {old[key].name}: {held.get(key) or await _why_nothing(session, old[key])}"
        for key in old
        if key not in new
    ]
    both = [(old[key], new[key]) for key in old if key in new]
    return [*lines, *(f"{one.mapping} {one.name}: {_difference(one, two)}" for one, two in both if one != two)]


async def _why_nothing(session: Session, one: SavedAction) -> str:
    """Why there is nothing to do about a record any more: it is gone, uncoupled, or as it should be."""
    ready = await ready_mapping(session, one.mapping)
    ids: dict[Side, str] = {"business_central": one.business_central_id, "dataverse": one.dataverse_id}
    for side in one.versions:
        if not await session.systems[side].by_ids(ready.end(side).schema.name, (), [ids[side]]):
            return f"deleted in {SPOKEN[side]} since"
    coupled = await couplings.by_ids(session.connection, one.mapping, "business_central", [one.business_central_id])
    if one.kind == "update" and ready.mapping.kind == "records" and not coupled:
        return "not coupled any more"
    return "there is nothing to do any more"


def _difference(one: SavedAction, two: SavedAction) -> str:
    """What moved: the versions of the records, and the fields about which something else is planned now."""
    changed = [
        f"changed in {SPOKEN[side]} since (version {one.versions.get(side)} is now {two.versions.get(side)})"
        for side in SIDES
        if one.versions.get(side) != two.versions.get(side)
    ]
    then, now = _by_field(one), _by_field(two)
    fields = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    told = [f"{name}: {then.get(name, 'nothing')} is now {now.get(name, 'nothing')}" for name in fields]
    if one.kind != two.kind or not (changed or told):
        told.append(f"{one.kind} ({one.reason}) is now {two.kind} ({two.reason})")
    return "; ".join((*changed, *told))


def _by_field(action: SavedAction) -> dict[str, str]:
    """What is planned of each field, as ``old -> new``; of a creation the columns."""
    created = {**action.to_business_central, **action.to_dataverse} if action.kind == "create" else {}
    planned = {f"{c.field} in {SPOKEN[c.side]}": f"{c.old!r} -> {c.new!r}" for c in action.changes}
    return {column: repr(value) for column, value in created.items()} | planned


async def _check_brakes(session: Session, planned: Mapping[str, Sequence[Action]]) -> None:
    for name, actions in planned.items():
        check_brakes(
            session.brakes.of(session.mappings[name]),
            name,
            couplings=await couplings.count(session.connection, name),
            updates=sum(action.kind in CHANGES for action in actions),
            deletions=sum(action.kind == "delete" for action in actions),
        )

"""``koppel errors``, ``skipped``, ``retry``, ``conflicts``, ``resolve``: what needs a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast, get_args

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.output import Output, spelled, table
from koppel.cli.running import DONE, AsJson, ConfigPath, run
from koppel.cli.sync import follow
from koppel.errors import UsageError
from koppel.mapping.names import mapping_named
from koppel.odata.records import Side
from koppel.store import conflicts as store_conflicts
from koppel.store import failures as store_failures
from koppel.store.conflicts import Conflict
from koppel.store.failures import Failure, State
from koppel.sync.people import OpenConflict, with_names
from koppel.sync.retry import Winner, contested
from koppel.sync.retry import resolve as decide
from koppel.sync.retry import retry as try_again
from koppel.sync.session import Session

Only = Annotated[str | None, typer.Argument(metavar="[MAPPING]", help="Only this mapping.")]
Limit = Annotated[int, typer.Option(help="How many, the latest first.", min=1)]


def errors(mapping: Only = None, limit: Limit = 100, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Records that failed, each with cause and remedy; they are tried again once that is worth while."""
    _list(mapping, "active", limit, config, as_json)


def skipped(mapping: Only = None, limit: Limit = 100, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Records that failed twice alike and are left alone until they, the mapping, or `koppel retry` change that."""
    _list(mapping, "skipped", limit, config, as_json)


def _list(mapping: str | None, state: State, limit: int, config: ConfigPath, as_json: bool) -> None:
    async def work(session: Session, output: Output) -> int:
        name = mapping_named(session.mappings, mapping) if mapping else None
        found = await store_failures.find(session.connection, mapping=name, state=state, limit=limit)
        nothing = "nothing is skipped" if state == "skipped" else "no record failed"
        output.show({"failures": msgspec.to_builtins(found)}, _failures(found) if found else nothing)
        return DONE

    run(work, config, as_json)


def _failures(found: Sequence[Failure]) -> RenderableType:
    return table(
        ("mapping", "record", "to", "kind", "field", "what", "what to do", "times", "last", "id"),
        [
            (
                failure.mapping,
                failure.record_name,
                failure.direction.removeprefix("to_").replace("from_dataverse", "business central"),
                failure.kind,
                failure.field,
                failure.message,
                failure.remedy,
                failure.attempts,
                failure.last_at,
                failure.record_id,
            )
            for failure in found
        ],
    )


def retry(
    mapping: Only = None,
    records: Annotated[list[str] | None, typer.Argument(metavar="[RECORD]...", help="Ids or numbers.")] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Try failed and skipped records again, at once: some, those of a mapping, or all."""

    async def work(session: Session, output: Output) -> int:
        name = mapping_named(session.mappings, mapping) if mapping else None
        return await follow(session, output, try_again(session, name, records or None))

    run(work, config, as_json)


def conflicts(mapping: Only = None, limit: Limit = 100, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Fields that both sides changed differently and that wait for a decision."""

    async def work(session: Session, output: Output) -> int:
        name = mapping_named(session.mappings, mapping) if mapping else None
        found = await store_conflicts.find(session.connection, mapping=name, limit=limit)
        named = await with_names(session, found)
        output.show(
            {"conflicts": msgspec.to_builtins(named)},
            *([_conflicts(named), _HOW] if named else ["there is no conflict"]),
        )
        return DONE

    run(work, config, as_json)


_HOW = Text("koppel resolve NUMBER... (or MAPPING --all) --use business_central, dataverse or newest", "dim")


def _conflicts(found: Sequence[OpenConflict]) -> RenderableType:
    return table(
        ("no.", "mapping", "record", "field", "was", "Business Central", "edited", "Dataverse", "edited ", "decided"),
        [
            (
                conflict.id,
                conflict.mapping,
                conflict.record_name,
                conflict.field,
                _was(conflict),
                _value(conflict.business_central),
                _edited(conflict, "business_central"),
                _value(conflict.dataverse),
                _edited(conflict, "dataverse"),
                (conflict.decision or "").replace("_", " "),
            )
            for conflict in found
        ],
    )


def _was(conflict: Conflict) -> str:
    base = conflict.base
    return _value(cast("dict[str, store_conflicts.Value]", base).get("business_central")) if base else ""


def _value(value: store_conflicts.Value) -> str:
    """A field alone is shown as its value, a group with the names of its fields."""
    if isinstance(value, dict) and len(value) == 1:
        return spelled(next(iter(value.values())))
    return spelled(value)


def _edited(conflict: OpenConflict, side: Side) -> str:
    time, id, name = (str(getattr(conflict, f"{side}_modified_{what}")) for what in ("at", "by", "by_name"))
    return time[:19].replace("T", " ") + (f" by {name or id}" if name or id else "")


def resolve(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NUMBER]... | [MAPPING]", help="As `koppel conflicts` shows them, or a mapping."),
    ] = None,
    use: Annotated[
        str, typer.Option("--use", metavar="business_central|dataverse|newest", help="The side that wins.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="All conflicts, or all of the mapping.")] = False,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only those of `field=NAME`, or of `record=NAME`.")
    ] = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Decide conflicts and synchronise their records at once."""

    async def work(session: Session, output: Output) -> int:
        winner = use.replace("-", "_").lower()
        if winner not in get_args(Side) and winner != "newest":
            remedy = "Write --use business_central, --use dataverse or --use newest."
            raise UsageError(f"there is no side {use!r}", remedy=remedy)
        numbers = await _numbers(session, which or [], where or [], every=every)
        return await follow(session, output, decide(session, numbers, cast(Winner, winner)))

    run(work, config, as_json)


async def _numbers(session: Session, which: Sequence[str], where: Sequence[str], *, every: bool) -> list[int]:
    """The conflicts that are meant; ``UsageError`` when that is not clear."""
    if which and all(word.isdecimal() for word in which) and not (where or every):
        return [int(word) for word in which]
    if len(which) > 1 or not (where or every):
        remedy = "Give their numbers, or MAPPING --all, or --where field=NAME."
        raise UsageError("it is not clear which conflicts are meant", remedy=remedy)
    mapping = mapping_named(session.mappings, which[0]) if which else None
    return [conflict.id for conflict in await contested(session, mapping, **_conditions(where))]


def _conditions(where: Sequence[str]) -> dict[str, str]:
    conditions = dict(condition.partition("=")[::2] for condition in where)
    if unknown := set(conditions) - {"field", "record"}:
        remedy = "Write --where field=NAME or --where record=NAME."
        raise UsageError(f"conflicts cannot be chosen by {', '.join(sorted(unknown))}", remedy=remedy)
    return conditions

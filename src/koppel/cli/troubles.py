"""``koppel errors``, ``skipped``, ``retry``, ``conflicts``, ``resolve``: what needs a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

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
        output.show(
            {"conflicts": msgspec.to_builtins(found)},
            *([_conflicts(found), _HOW] if found else ["there is no conflict"]),
        )
        return DONE

    run(work, config, as_json)


_HOW = Text("koppel resolve NUMBER... --use business_central, or --use dataverse", "dim")


def _conflicts(found: Sequence[Conflict]) -> RenderableType:
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
                _time(conflict.business_central_modified_at),
                _value(conflict.dataverse),
                _time(conflict.dataverse_modified_at),
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


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def resolve(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="As `koppel conflicts` shows them.")],
    use: Annotated[str, typer.Option("--use", metavar="business_central|dataverse", help="The side that wins.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Decide conflicts and synchronise their records at once."""

    async def work(session: Session, output: Output) -> int:
        side = use.replace("-", "_").lower()
        if side not in ("business_central", "dataverse"):
            raise UsageError(f"there is no side {use!r}", remedy="Write --use business_central or --use dataverse.")
        return await follow(session, output, decide(session, numbers, cast(Side, side)))

    run(work, config, as_json)

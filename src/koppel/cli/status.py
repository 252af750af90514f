"""``koppel status``, ``history``: where things stand, and what was written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.names import Mappings
from koppel.cli.options import Limit, side_named
from koppel.cli.output import Output, moment, spelled, table
from koppel.cli.running import DONE, AsJson, ConfigPath, run
from koppel.errors import UsageError
from koppel.mapping.names import mapping_named, mappings_named
from koppel.store.history import Entry
from koppel.sync.session import Session
from koppel.sync.status import standings, written


def status(names: Mappings = None, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Where each mapping stands: couplings, what waits or failed, the last job, how far reading has got."""

    async def work(session: Session, output: Output) -> int:
        found = await standings(session, mappings_named(session.mappings, names or None))
        output.show(
            {"mappings": {one.mapping: msgspec.to_builtins(one) for one in found}},
            table(
                (
                    "mapping",
                    " ",
                    "couplings",
                    "waiting",
                    "failed",
                    "skipped",
                    "conflicts",
                    "last job",
                    "",
                    "changes read",
                ),
                [
                    (
                        one.mapping,
                        "creates" if one.creates else "",
                        one.numbers.couplings,
                        one.numbers.waiting,
                        one.numbers.failures,
                        one.numbers.skipped,
                        one.numbers.conflicts,
                        f"{one.last_job.id} {one.last_job.type}" if one.last_job else "",
                        one.last_job.status if one.last_job else "",
                        moment(min(one.read_until.values(), default=None)),
                    )
                    for one in found
                ],
            ),
        )
        return DONE

    run(work, config, as_json)


def history(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MAPPING] [RECORD]", help="A mapping; a record: its id on either side, or its number."),
    ] = None,
    job: Annotated[int | None, typer.Option(help="Only this job.")] = None,
    field: Annotated[str | None, typer.Option(help="Only this field.")] = None,
    side: Annotated[
        str | None, typer.Option(metavar="business_central|dataverse", help="Only what was written there.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From then on, as 2026-03-01T08:00 (UTC).")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    limit: Limit = 50,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """What was changed, when and why, the latest first; of a record, a job, a field, a time, or everything."""

    async def work(session: Session, output: Output) -> int:
        mapping, record = _named(session, what or [])
        found = await written(
            session,
            record,
            mapping=mapping,
            job=job,
            field=field,
            side=side_named(side) if side else None,
            since=_time(since),
            until=_time(until),
            limit=limit,
        )
        output.show({"history": [_told(entry) for entry in found]}, _history(found))
        return DONE

    run(work, config, as_json)


def _named(session: Session, words: Sequence[str]) -> tuple[str | None, str | None]:
    """The mapping and the record that are meant; a single word that names no mapping names a record."""
    if len(words) > 2:
        raise UsageError("a mapping and a record, no more", remedy="Write MAPPING RECORD, or one of them.")
    if len(words) == 1 and words[0].casefold() not in (name.casefold() for name in session.mappings):
        return None, words[0]
    return (mapping_named(session.mappings, words[0]) if words else None), words[1] if len(words) > 1 else None


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", remedy="Write it as 2026-03-01 or 2026-03-01T08:00.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _told(entry: Entry) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(entry)
    del told["base"]  # for machines of another kind
    return told


def _history(found: Sequence[Entry]) -> RenderableType:
    if not found:
        return Text("nothing was written that fits")
    return table(
        ("at", "job", "mapping", "record", "side", "did", "field", "old", "new", "why"),
        [
            (
                entry.at,
                str(entry.job),
                entry.mapping,
                entry.record_name or entry.record_id,
                entry.side.replace("_", " "),
                entry.action,
                entry.field,
                "" if entry.old is None else spelled(entry.old),
                "" if entry.new is None else spelled(entry.new),
                entry.why,
            )
            for entry in found
        ],
    )

"""``koppel match``, ``couple``, ``uncouple``: which records belong together."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.names import Mapping
from koppel.cli.output import Output, table
from koppel.cli.running import DONE, AsJson, ConfigPath, run
from koppel.cli.sync import follow
from koppel.errors import UsageError
from koppel.mapping.names import mapping_named
from koppel.odata.records import SPOKEN
from koppel.sync.couple import Preview, match_now, match_preview
from koppel.sync.couple import couple as couple_records
from koppel.sync.couple import uncouple as uncouple_records
from koppel.sync.full import Finished
from koppel.sync.run import Result
from koppel.sync.session import Session

SHOWN = 50


def match(
    name: Mapping,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what matches.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Couple what is the same on both sides by the match fields, and synchronise the pairs; creates nothing."""

    async def work(session: Session, output: Output) -> int:
        mapping = mapping_named(session.mappings, name)
        if preview:
            found = await match_preview(session, mapping)
            output.show(msgspec.to_builtins(found), *_preview(found))
            return DONE
        return await follow(session, output, _finished(mapping, match_now(session, mapping)))

    run(work, config, as_json)


async def _finished(mapping: str, results: AsyncIterator[Result]) -> AsyncIterator[Finished]:
    async for result in results:
        yield Finished(mapping=mapping, result=result)


def _preview(found: Preview) -> list[RenderableType]:
    lines: list[RenderableType] = []
    if found.unique:
        rows = [(m.business_central.name, m.dataverse.name, m.by, m.dataverse.id) for m in found.unique[:SHOWN]]
        lines.append(table(("Business Central", "Dataverse", "by", "Dataverse id"), rows, title="unique"))
    if found.ambiguous:
        rivals = [
            (r.record.name, SPOKEN[r.side], ", ".join(f"{rival.name} ({rival.id})" for rival in r.rivals))
            for r in found.ambiguous[:SHOWN]
        ]
        lines.append(table(("record", "in", "may be"), rivals, title="ambiguous"))
    for side, number in found.unmatched.items():
        named = ", ".join(each.name for each in found.examples[side])
        rest = f" and {number - len(found.examples[side]):,} more" if number > len(found.examples[side]) else ""
        if number:
            lines.append(Text.assemble((f"no match in {SPOKEN[side]}: ", "bold"), f"{number:,}: {named}{rest}"))
    none = sum(found.unmatched.values())
    lines.append(f"\n{len(found.unique):,} unique, {len(found.ambiguous):,} ambiguous, {none:,} without a match")
    return lines


def couple(
    name: Mapping,
    business_central: Annotated[str, typer.Argument(help="Id or number in Business Central.")],
    dataverse: Annotated[str, typer.Argument(help="Id or name in Dataverse.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Couple two records by hand and synchronise them."""

    async def work(session: Session, output: Output) -> int:
        mapping = mapping_named(session.mappings, name)

        async def coupled() -> AsyncIterator[Finished]:
            result = await couple_records(session, mapping, business_central, dataverse)
            yield Finished(mapping=mapping, result=result)

        return await follow(session, output, coupled())

    run(work, config, as_json)


def uncouple(
    name: Mapping,
    records: Annotated[list[str] | None, typer.Argument(help="Ids on either side, or numbers.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every coupling of the mapping.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --all: do not ask.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Take couplings apart; the records stay as they are on both sides."""

    async def work(session: Session, output: Output) -> int:
        mapping = mapping_named(session.mappings, name)
        if bool(records) == everything:
            raise UsageError("which couplings?", remedy="Name the records, or write --all.")
        if everything and not (yes or _agreed(mapping)):
            raise UsageError("nothing was uncoupled", place=mapping, remedy="Write --all --yes to uncouple everything.")
        count = await uncouple_records(session, mapping, records or (), everything=everything)
        output.show(
            {"mapping": mapping, "uncoupled": count}, f"uncoupled {count:,} in {mapping}; the data stays as it is"
        )
        return DONE

    run(work, config, as_json)


def _agreed(mapping: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(f"Uncouple everything in {mapping}?")

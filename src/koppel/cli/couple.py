"""``koppel match``, ``couple``, ``uncouple``: which records belong together."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.lines import Trouble, trouble_lines
from koppel.cli.names import Mapping
from koppel.cli.options import Of, Records, Where, listed_records, side_named, text_of
from koppel.cli.output import Output, described, table
from koppel.cli.running import DONE, FAILED, AsJson, ConfigPath, run
from koppel.cli.sync import follow
from koppel.errors import UsageError
from koppel.mapping.names import mapping_named, mappings_named
from koppel.odata.records import SPOKEN
from koppel.store import overview
from koppel.sync.couple import Examined, Initial, Refused, Wanted, couple_pairs, examine
from koppel.sync.couple import couple as couple_records
from koppel.sync.full import Finished
from koppel.sync.orphan import Orphan
from koppel.sync.partners import create_partners, without_partner
from koppel.sync.preview import Preview, match_now, match_preview
from koppel.sync.selection import choose
from koppel.sync.session import Session
from koppel.sync.uncouple import orphans, remove_orphans
from koppel.sync.uncouple import uncouple as uncouple_records

SHOWN = 50
NAMED = 20

Sync = Annotated[bool, typer.Option("--sync/--no-sync", help="Synchronise the pairs at once, or in the next run.")]
Wins = Annotated[
    str | None,
    typer.Option("--initial", metavar="business_central|dataverse", help="The side that wins where a pair differs."),
]


def match(
    name: Mapping,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what matches.")] = False,
    create: Annotated[bool, typer.Option("--create", help="Create partners for what nothing matches.")] = False,
    sync: Sync = True,
    initial: Wins = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Couple what is the same on both sides by the match fields, and synchronise the pairs."""

    async def work(session: Session, output: Output) -> int:
        found = await match_preview(session, mapping_named(session.mappings, name))
        if preview:
            output.show(msgspec.to_builtins(found), *_unique(found), *_left_alone(found))
            return DONE
        runs = match_now(session, found, sync=sync, initial=_winner(initial), create=create)
        left = {"ambiguous": msgspec.to_builtins(found.ambiguous), "unmatched": msgspec.to_builtins(found.unmatched)}
        status = await follow(session, output, runs, left)
        output.say(*_left_alone(found))
        return status

    run(work, config, as_json)


def _winner(initial: str | None) -> Initial:
    return side_named(initial) if initial else ""


def _unique(found: Preview) -> Iterator[RenderableType]:
    if found.unique:
        rows = [(m.business_central.name, m.dataverse.name, m.by, m.dataverse.id) for m in found.unique[:SHOWN]]
        yield table(("Business Central", "Dataverse", "by", "Dataverse id"), rows, title="unique")


def _left_alone(found: Preview) -> Iterator[RenderableType]:
    if found.ambiguous:
        rivals = [
            (r.record.name, SPOKEN[r.side], ", ".join(f"{rival.name} ({rival.id})" for rival in r.rivals))
            for r in found.ambiguous[:SHOWN]
        ]
        yield table(("record", "in", "may be"), rivals, title="ambiguous")
    for side, records in found.unmatched.items():
        named = ", ".join(each.name for each in records[:NAMED])
        rest = f" and {len(records) - NAMED:,} more" if len(records) > NAMED else ""
        if records:
            yield Text.assemble((f"{len(records):,} in {SPOKEN[side]} without a match: ", "bold"), f"{named}{rest}")
    none = sum(map(len, found.unmatched.values()))
    yield f"\n{len(found.unique):,} unique, {len(found.ambiguous):,} ambiguous, {none:,} without a match"


def couple(
    name: Mapping,
    records: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="The record of Business Central and that of Dataverse, by id or name."),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Couple the pairs of a CSV file: business_central, dataverse.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Create the partners of these records of either side.")] = False,
    file: Records = None,
    where: Where = "",
    of: Of = "business_central",
    sync: Sync = True,
    initial: Wins = None,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Couple two records, the pairs of a file, or records with new partners, and synchronise them."""

    async def work(session: Session, output: Output) -> int:
        mapping, wins = mapping_named(session.mappings, name), _winner(initial)
        if new:
            chosen = await choose(session, [mapping], listed_records(records, file), where, side_named(of))
            return await _create(session, output, mapping, chosen)
        if pairs is not None:
            found = await examine(session, mapping, _pairs(pairs))
            return await _couple_pairs(session, output, found, sync=sync, initial=wins)
        if records is None or len(records) != 2:
            raise UsageError("a pair is two records", remedy="Write MAPPING ID ID, or --pairs FILE, or --new.")
        ours, theirs = records

        async def coupled() -> AsyncIterator[Finished]:
            result = await couple_records(session, mapping, ours, theirs, sync=sync, initial=wins)
            yield Finished(mapping=mapping, result=result)

        return await follow(session, output, coupled())

    run(work, config, as_json)


def _pairs(file: Path) -> list[Wanted]:
    """The pairs of a CSV file; a first line that says ``business_central`` and ``dataverse`` is its heading."""
    rows = list(csv.reader(text_of(file).splitlines()))
    found: list[Wanted] = []
    places = (0, 1)
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if number == 1 and {"business_central", "dataverse"} <= set(cells):
            places = cells.index("business_central"), cells.index("dataverse")
        elif any(cells):
            if len(cells) <= max(places):
                raise UsageError(
                    "a pair is two records", place=f"{file}:{number}", remedy="Write business_central,dataverse."
                )
            found.append(Wanted(cells[places[0]], cells[places[1]], number))
    return found


async def _couple_pairs(session: Session, output: Output, found: Examined, *, sync: bool, initial: Initial) -> int:
    troubles = [_refusal(each) for each in found.refused]
    output.say(f"{len(found.pairs):,} to couple, {found.already:,} coupled already, {len(troubles):,} refused")
    output.say(*trouble_lines(troubles, "bold red", "koppel couple --json"))
    more = {
        "already": found.already,
        "refused": [{**msgspec.to_builtins(each.wanted), **described(each.error)} for each in found.refused],
    }
    status = await follow(session, output, couple_pairs(session, found, sync=sync, initial=initial), more)
    return FAILED if found.refused else status


def _refusal(refused: Refused) -> Trouble:
    return Trouble(f"line {refused.wanted.line}", "", refused.error.message, refused.error.remedy)


async def _create(session: Session, output: Output, mapping: str, chosen: Sequence[str] | None) -> int:
    if chosen is None:
        raise UsageError("which records?", remedy="Name them, or write --records FILE or --where FILTER.")
    found = await without_partner(session, mapping, chosen)
    output.say(f"{len(found.records):,} without a partner, {found.already:,} coupled already")
    if found.unknown:
        output.note(Text(f"no record is called {', '.join(found.unknown)}", "bold red"))
    more = {"already": found.already, "unknown": found.unknown}
    status = await follow(session, output, create_partners(session, found), more)
    return FAILED if found.unknown else status


def uncouple(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MAPPING [ID]...]", help="A mapping and records; with --all or --orphans, mappings."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every coupling of these mappings, or of all.")] = False,
    gone: Annotated[bool, typer.Option("--orphans", help="Couplings whose records are gone.")] = False,
    file: Records = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --all or --orphans: do not ask.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Take couplings apart; the records stay as they are on both sides."""

    async def work(session: Session, output: Output) -> int:
        if everything and gone:
            raise UsageError("--all and --orphans are two questions", remedy="Write one of them.")
        if everything:
            return await _uncouple_all(session, output, mappings_named(session.mappings, names or None), yes)
        if gone:
            return await _uncouple_orphans(session, output, mappings_named(session.mappings, names or None), yes)
        chosen = listed_records((names or [])[1:], file)
        if not names or chosen is None:
            raise UsageError("which couplings?", remedy="Name a mapping and its records, or write --all or --orphans.")
        mapping = mapping_named(session.mappings, names[0])
        return _told(output, {mapping: await uncouple_records(session, mapping, chosen)})

    run(work, config, as_json)


async def _uncouple_all(session: Session, output: Output, mappings: Sequence[str], yes: bool) -> int:
    counted = {one.mapping: one.couplings for one in await overview.numbers(session.connection, mappings)}
    await session.connection.rollback()
    found = {mapping: count for mapping, count in counted.items() if count}
    if found and not yes:
        output.say(table(("mapping", "couplings"), list(found.items())))
        _require_agreed(output, f"Uncouple {sum(found.values()):,}?", "Write --all --yes to uncouple everything.")
    return _told(output, {mapping: await uncouple_records(session, mapping, everything=True) for mapping in found})


async def _uncouple_orphans(session: Session, output: Output, mappings: Sequence[str], yes: bool) -> int:
    found = {mapping: [one async for some in orphans(session, mapping) for one in some] for mapping in mappings}
    every = [one for some in found.values() for one in some]
    if every and not yes:
        output.say(_orphans(every))
        _require_agreed(output, f"Uncouple {len(every):,}?", "Write --orphans --yes to uncouple them.")
    done = {mapping: await remove_orphans(session, mapping, some) for mapping, some in found.items() if some}
    return _told(output, done, {"orphans": msgspec.to_builtins(every)})


def _orphans(found: Sequence[Orphan]) -> RenderableType:
    headings = ("mapping", "record", "gone in", "Business Central id", "Dataverse id")
    return table(headings, [(one.mapping, one.name, _places(one), *_ids(one)) for one in found])


def _places(orphan: Orphan) -> str:
    return " and ".join(SPOKEN[side] for side in orphan.missing)


def _ids(orphan: Orphan) -> tuple[str, str]:
    return orphan.business_central_id, orphan.dataverse_id


def _require_agreed(output: Output, question: str, remedy: str) -> None:
    if not output.confirm(question):
        raise UsageError("nothing was uncoupled", remedy=remedy)


def _told(output: Output, done: dict[str, int], more: dict[str, Any] | None = None) -> int:
    lines = [f"uncoupled {count:,} in {mapping}; the data stays as it is" for mapping, count in done.items()]
    data = {"uncoupled": done, "count": sum(done.values()), **(more or {})}
    output.show(data, *(lines or ["there was nothing to uncouple"]))
    return DONE

"""``koppel explain`` and ``koppel verify``: why a record is as it is, and whether everything agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from koppel.cli.lines import action_lines
from koppel.cli.names import Mapping, Mappings
from koppel.cli.output import Output, moment, spelled, table
from koppel.cli.running import DONE, FAILED, AsJson, ConfigPath, run
from koppel.engine.action import Action
from koppel.mapping.names import mapping_named, mappings_named
from koppel.odata.records import SPOKEN, Side
from koppel.sync.explain import Compared, Explanation, Seen
from koppel.sync.explain import explain as find_out
from koppel.sync.session import Session
from koppel.sync.verify import Difference, Verification
from koppel.sync.verify import verify as compare

SHOWN = 20


def explain(
    name: Mapping,
    record: Annotated[str, typer.Argument(help="A record: its id on either side, or its number.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Why a record did or did not synchronise: filter, coupling, both sides, what is written down, the next run."""

    async def work(session: Session, output: Output) -> int:
        found = await find_out(session, mapping_named(session.mappings, name), record)
        data = {
            field: msgspec.to_builtins(getattr(found, field))
            for field in found.__struct_fields__
            if field not in ("next", "full", "coupling")
        }
        output.show(data | _kept_small(found), *_explained(found))
        return DONE

    run(work, config, as_json)


def _kept_small(found: Explanation) -> dict[str, object]:
    """Coupling and plan without the base, which is for machines of another kind."""
    coupling = found.coupling and {
        "business_central_id": found.coupling.business_central_id,
        "dataverse_id": found.coupling.dataverse_id,
        "state": found.coupling.state,
        "created_at": found.coupling.created_at,
        "synced_at": found.coupling.synced_at,
        "job": found.coupling.job,
    }
    return {"coupling": coupling, "next": _planned(found.next), "full": _planned(found.full)}


def _planned(actions: Sequence[Action]) -> list[dict[str, str]]:
    return [{"kind": action.kind, "reason": action.reason} for action in actions]


def _explained(found: Explanation) -> Iterator[RenderableType]:
    yield Text(found.answer, "bold")
    yield from _side("business_central", found.business_central)
    yield from _side("dataverse", found.dataverse)
    if found.coupling is None:
        yield Text.assemble(("coupled: ", "bold"), "no")
    else:
        synced = found.coupling.synced_at
        last = f"last synchronised {moment(synced)} by job {found.coupling.job}" if synced else "never synchronised"
        yield Text.assemble(("coupled: ", "bold"), f"since {moment(found.coupling.created_at)}, {last}")
    for failure in found.failures:
        state = "skipped until somebody retries it" if failure.state == "skipped" else "failed"
        yield Text.assemble((f"{state}: ", "bold red"), f"{failure.message}\n  {failure.remedy}".rstrip())
    for conflict in found.conflicts:
        yield Text.assemble(
            (f"conflict {conflict.id}: ", "bold red"), f"{conflict.field}, koppel resolve {conflict.id} --use SIDE"
        )
    for waiting in found.waiting:
        yield Text.assemble(
            ("waits: ", "yellow"), f"{waiting.field} until {waiting.reference} is coupled in {waiting.via}"
        )
    if found.business_central or found.dataverse:
        yield table(
            ("field", "Business Central", "Dataverse", "agreed on", "changed"),
            [_compared(field, coupled=found.coupling is not None) for field in found.fields],
        )
    yield from _next(found)


def _side(side: Side, seen: Seen | None) -> Iterator[Text]:
    if seen is None:
        yield Text.assemble((f"{SPOKEN[side]}: ", "bold"), "there is no such record")
        return
    edited = f", edited {seen.modified_at[:19].replace('T', ' ')}" if seen.modified_at else ""
    editor = "the connection's own user" if seen.own else seen.modified_by_name or seen.modified_by
    who = f" by {editor}" if editor else ""
    yield Text.assemble((f"{SPOKEN[side]}: ", "bold"), f"{seen.name} ({seen.id}){edited}{who}")
    for part in seen.outside:
        yield Text(f"  outside the mapping's filter: {part}", "yellow")


def _compared(field: Compared, *, coupled: bool) -> tuple[object, ...]:
    agreed = ""
    if field.agreed:
        one, two = spelled(field.base_business_central), spelled(field.base_dataverse)
        agreed = one if one == two else f"{one} / {two}"
    elif coupled:
        agreed = "nothing yet"
    changed = " and ".join(SPOKEN[side] for side in field.changed) if field.agreed else ""
    return field.field, spelled(field.business_central), spelled(field.dataverse), agreed, Text(changed, "yellow")


def _next(found: Explanation) -> Iterator[Text]:
    outside = any(seen and seen.outside for seen in (found.business_central, found.dataverse))
    for title, actions in (("the next run", found.next), ("a full synchronisation", found.full)):
        if title == "the next run" or actions:
            yield Text.assemble((f"{title}: ", "bold"), "" if actions else _nothing(outside))
        for action in actions:
            yield from [Text(f"  {action.reason}")] if action.kind == "nothing" else action_lines(action)


def _nothing(outside: bool) -> str:
    return "leaves it alone, " + ("it is outside the filter" if outside else "there is nothing to do")


def verify(names: Mappings = None, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Compare every coupled record on both sides, apart from the engine. Exit status 1 when not all agrees."""

    async def work(session: Session, output: Output) -> int:
        found = await compare(session, mappings_named(session.mappings, names or None))
        output.show({"sound": found.sound, **msgspec.to_builtins(found)}, *_verification(found))
        return DONE if found.sound else FAILED

    run(work, config, as_json)


def _verification(found: Verification) -> Iterator[RenderableType]:
    if found.differences:
        yield _differences(found.differences, "differences that nothing explains")
    if found.explained:
        yield table(
            ("mapping", "field", "because", "records"),
            [
                (*key, number)
                for key, number in Counter((d.mapping, d.field, d.explained) for d in found.explained).items()
            ],
            title="differences that are explained",
        )
    for orphan in found.orphans[:SHOWN]:
        places = " and in ".join(SPOKEN[side] for side in orphan.missing)
        yield Text(f"{orphan.mapping} {orphan.name}: its record in {places} is gone", "red")
    for twin in found.duplicates[:SHOWN]:
        yield Text(f"{twin.mapping}: {twin.id} in {SPOKEN[twin.side]} looks like {twin.twin}: {twin.why}", "red")
    yield Text.assemble(
        f"{found.compared:,} pairs, {found.values:,} values: ",
        ("everything agrees", "bold green") if found.sound else ("not everything agrees", "bold red"),
        f"; {len(found.differences):,} differences, {len(found.explained):,} explained, "
        f"{len(found.duplicates):,} duplicates, {len(found.orphans):,} orphans",
    )


def _differences(found: Sequence[Difference], title: str) -> RenderableType:
    rows = [
        (d.mapping, d.name, d.field, spelled(d.business_central), spelled(d.dataverse), d.business_central_id)
        for d in found[:SHOWN]
    ]
    return table(("mapping", "record", "field", "Business Central", "Dataverse", "id"), rows, title=title)

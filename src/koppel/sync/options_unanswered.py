"""Codes and options whose creation or renaming was under way when a run died: history catches up with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from koppel.engine.action import Action
from koppel.odata.records import Side
from koppel.store import history, intents
from koppel.store.history import Entry
from koppel.store.intents import Intended, Intent
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.session import Session
from koppel.systems.dataverse import Dataverse


async def intend_options(session: Session, ready: Ready, actions: Sequence[Action]) -> None:
    """Write down what is about to be created or renamed, and commit, before anything is sent."""
    written = [_intent(session, action) for action in actions if action.kind in ("create", "update")]
    if written:
        await intents.save(session.connection, ready.mapping.name, written)
        await session.connection.commit()


def _intent(session: Session, action: Action) -> Intent:
    side: Side = action.side or "dataverse"
    value, label = str(action.to_dataverse["value"]), str(action.to_dataverse["label"])
    return Intent(
        kind="create" if action.kind == "create" else "update",
        side=side,
        source_id=action.business_central_id if side == "dataverse" else value,
        intended_id=value if action.kind == "update" else "",
        identity={"label": label},
        record_name=action.name,
        changes=tuple(Intended(c.field, c.old, c.new, c.why) for c in action.changes),
        why=action.reason,
        job=session.job,
    )


async def note_options(session: Session, ready: Ready) -> None:
    """Tell what was created or renamed without an answer. What was added is seen by nobody before it is published."""
    mapping = ready.mapping
    found = await intents.unsettled(session.connection, mapping.name)
    await session.connection.commit()
    if not found:
        return
    dataverse, end = cast(Dataverse, session.systems["dataverse"]), ready.business_central
    await dataverse.publish(mapping.dataverse.table)
    labels = await dataverse.options(mapping.dataverse.table, mapping.dataverse.column)
    key, names = mapping.business_central.key, [i.record_name for i in found if i.side == "business_central"]
    records = await session.systems[end.side].by_keys(end.schema.name, (key,), key, names)
    codes = {str(record.values[0]).casefold(): record.id for record in records}
    made = (entry for intent in found for entry in _entries(mapping.name, intent, labels, codes))
    await history.add(session.connection, made)
    await settle_options(session, mapping.name)
    await session.connection.commit()


async def settle_options(session: Session, mapping: str, *, but: Collection[str] = ()) -> None:
    """Forget what was under way: it is known what came of it, ``but`` of these codes."""
    found = await intents.unsettled(session.connection, mapping)
    for side in SIDES:
        mine = [intent.source_id for intent in found if intent.side == side and intent.record_name not in but]
        await intents.settle(session.connection, mapping, side, mine)


def _entries(mapping: str, intent: Intent, labels: Mapping[int, str], codes: Mapping[str, str]) -> Iterator[Entry]:
    def entry(record_id: str, field: str = "", old: history.Value = None, new: history.Value = None) -> Entry:
        assert intent.kind != "succeed", "options pass to no other ones"
        why, job = f"{intent.why}, without an answer", intent.job or 0
        return Entry(job, mapping, intent.side, record_id, intent.kind, field, old, new, why, intent.record_name)

    label = str(intent.identity["label"])
    if intent.kind == "update":
        for change in intent.changes:
            if labels.get(int(intent.intended_id)) == change.new:
                yield entry(intent.intended_id, change.field, change.old, change.new)
    elif intent.side == "dataverse":
        for value in [value for value, text in labels.items() if text == label][-1:]:
            yield entry(str(value), new=label)
    elif intent.record_name.casefold() in codes:
        yield entry(codes[intent.record_name.casefold()], new=intent.record_name)

"""Taking back what a job did about options: couplings and labels. Options that it added stay: rows may hold them."""

from __future__ import annotations

from typing import cast

from koppel.engine.action import Action
from koppel.store import history, options
from koppel.store.history import Entry
from koppel.store.options import Option
from koppel.sync.options import option_entry
from koppel.sync.prepare import Ready
from koppel.sync.relink import keep_options
from koppel.sync.reverse import Past, Reversal
from koppel.sync.session import Session
from koppel.systems.dataverse import Dataverse


async def undo_options(session: Session, ready: Ready, job: int, *, apply: bool) -> Reversal:
    """Plan it and, unless it is only a preview, do it and write it down."""
    entries = [entry async for chunk in history.of_job(session.connection, job) for entry in chunk]
    known = {str(option.value): option for option in await options.every(session.connection, ready.mapping.name)}
    dataverse = cast(Dataverse, session.systems["dataverse"])
    labels = await dataverse.options(ready.mapping.dataverse.table, ready.mapping.dataverse.column)
    found = Reversal(actions=[], left=[])
    for entry in entries:
        action = _reversed(ready, Past(job=job, entries=entries), entry, known.get(entry.record_id), labels, found)
        if action:
            found.actions.append(action)
            if apply:
                await _do(session, ready, dataverse, action, entry)
    if apply and any(action.kind == "update" for action in found.actions):
        await dataverse.publish(ready.mapping.dataverse.table)
    return found


def _reversed(
    ready: Ready, past: Past, entry: Entry, option: Option | None, labels: dict[int, str], found: Reversal
) -> Action | None:
    if entry.side == "business_central":
        found.leave(entry, "records may hold the code")
        return None
    value, label = int(entry.record_id), labels.get(int(entry.record_id))

    def action(kind: str, code: str, reason: str, label: str = "") -> Action:
        return Action(
            kind=kind,  # type: ignore[arg-type]
            mapping=ready.mapping.name,
            name=code,
            reason=reason,
            side="dataverse",
            to_dataverse={"value": value, "label": label},
        )

    match entry.action:
        case "create" if label is not None:
            found.leave(entry, "rows may hold the option")
        case "couple" if option and option.business_central_id == entry.new:
            return action("uncouple", option.code, f"job {past.job} coupled it")
        case "uncouple" if option is None and label is not None:
            return action("couple", entry.record_name, f"job {past.job} uncoupled it", label)
        case "update" if label == entry.new:
            return action("update", entry.record_name, f"job {past.job} renamed it", str(entry.old))
        case "update" if label not in (None, entry.old):
            found.leave(entry, "somebody changed it since")
    return None


async def _do(session: Session, ready: Ready, dataverse: Dataverse, action: Action, entry: Entry) -> None:
    mapping, value = ready.mapping.name, int(entry.record_id)
    label = str(action.to_dataverse["label"])
    if action.kind == "uncouple":
        await options.remove(session.connection, mapping, [value])
    elif action.kind == "couple":
        await keep_options(session, mapping, [Option(str(entry.old), action.name, value, label)])
    else:
        end = ready.mapping.dataverse
        await dataverse.update_option(end.table, end.column, value, label)
    kind = cast(history.Action, action.kind)
    done = option_entry(
        session.job, mapping, kind, value, action.name, entry.field, entry.new, entry.old, action.reason
    )
    await history.add(session.connection, [done])

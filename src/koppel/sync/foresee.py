"""What rules will write beside records, told before anything is written: a plan shows every change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from koppel.engine.action import Action, FollowUp
from koppel.engine.plan import other
from koppel.odata.records import Scalar, Side
from koppel.sync.follow import is_in_step
from koppel.sync.needs import run_rule
from koppel.sync.prepare import SIDES, Ready
from koppel.sync.scope import Scope
from koppel.sync.session import Rows, Session


async def with_following(session: Session, scope: Scope, actions: Sequence[Action]) -> list[Action]:
    """The actions, each with what ``follow`` rules will write after it, as far as that can be foreseen."""
    ready = scope.ready
    wanted: dict[tuple[Side, str], list[FollowUp]] = defaultdict(list)
    for rule in (rule for rule in ready.rules(ready.mapping.rules.follow) if rule.foreseen):
        mine = [action for action in actions if action.record(rule.side) and is_in_step(action)]
        records = [record for action in mine if (record := action.record(rule.side))]
        partners = [action.id(other(rule.side)) for action in mine]
        planned = _planned(ready, mine)
        for write in await run_rule(session, ready, rule, records, partners, planned=planned) if mine else ():
            wanted[rule.side, write.record].append(write)
    return [_with(action, [w for side in SIDES for w in wanted.get((side, action.id(side)), ())]) for action in actions]


def _planned(ready: Ready, actions: Sequence[Action]) -> Rows:
    """What actions will write, to their own tables and first to others."""
    found: dict[tuple[Side, str], dict[Scalar, dict[str, Scalar]]] = defaultdict(lambda: defaultdict(dict))
    for action in actions:
        for side in SIDES:
            if action.id(side) and action.writes(side):
                found[side, ready.end(side).schema.name][action.id(side)] |= action.writes(side)
        for write in action.before:
            found[write.side, write.table][write.id] |= write.values
    return found


def _with(action: Action, writes: Sequence[FollowUp]) -> Action:
    """The action with these writes, but those that come first already. They may be all that is done about a record."""
    first = {(write.table, write.id) for write in action.before}
    after = tuple(write for write in writes if (write.table, write.id) not in first)
    if not after:
        return action
    action = msgspec.structs.replace(action, after=after)
    return (
        action if action.kind != "nothing" else msgspec.structs.replace(action, kind="update", reason=after[0].reason)
    )

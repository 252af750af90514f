"""Decisions of the schedule: what is offered to the workers now, and when a mapping is due after a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from koppel.mapping.model import TableMapping
from koppel.mapping.timing import Timing, next_after, timing_of
from koppel.store.schedules import Ended, Entry

MOST_ATTEMPTS = 10
SOON = timedelta(seconds=10)
"""When a mapping that somebody else was at is tried again."""
LONG = timedelta(hours=6)
MANY = 100
GATHER = timedelta(seconds=5)
"""From the end of a run to the next one when a system tells of many records: those are looked at together."""
ACTIVITY = ("created", "updated", "deleted", "failed")
"""Counters that tell of a change (ENG-240); couplings alone are none."""


class Times(msgspec.Struct, frozen=True):
    """How often a mapping runs, and how many minutes it is on hold after a run without changes (0: not at all)."""

    every: Timing
    inactivity: int


def times_of(mapping: TableMapping, entry: Entry) -> Times:
    """What a person set for a mapping, else what its file says."""
    return Times(
        mapping.schedule.every if entry.every is None else timing_of(entry.every),
        mapping.schedule.inactivity if entry.inactivity is None else entry.inactivity,
    )


def scheduled(mappings: Mapping[str, TableMapping]) -> dict[str, bool]:
    """The mappings that run by themselves, and whether they begin on hold."""
    return {name: one.schedule.hold for name, one in mappings.items() if one.enabled and not one.part_of}


def is_told(entry: Entry, notices: int) -> bool:
    """Whether what a system told is to be looked at now: at once, but in a storm a while after the last run."""
    calm = notices < MANY or entry.last_run is None or entry.now >= entry.last_run + GATHER
    return notices > 0 and calm


def is_due(entry: Entry, times: Times, *, told: bool) -> bool:
    """Whether it should run now: its time has come, or a system told of a change, unless the last try failed.

    While on hold for inactivity it is due to be asked for changes as often as it runs otherwise.
    """
    if entry.state in ("on hold", "error"):
        return False
    if entry.next_run <= entry.now or (told and not entry.message):
        return True
    return entry.state == "inactive" and (entry.looked is None or next_after(times.every, entry.looked) <= entry.now)


def offered(
    mappings: Mapping[str, TableMapping], due: Collection[str], told: Collection[str], in_hand: Collection[str]
) -> list[str]:
    """Which of the mappings that are due may start: none before those that it depends on (ENG-239), except that
    records of which a system told (``told``) do not wait."""
    busy = {*due, *in_hand}
    return [
        name
        for name in mappings
        if name in due and name not in in_hand and (name in told or not busy & _ancestors(mappings, name))
    ]


def _ancestors(mappings: Mapping[str, TableMapping], name: str) -> set[str]:
    found: set[str] = set()
    todo = list(mappings[name].depends_on)
    while todo:
        parent = todo.pop()
        if parent not in found and parent in mappings:
            found.add(parent)
            todo += mappings[parent].depends_on
    return found


def after_run(times: Times, counts: Iterable[Mapping[str, int]], *, now: datetime) -> Ended:
    """When a mapping is due that was run: as usual, or on hold if nothing had changed (ENG-240)."""
    if times.inactivity and not any(one.get(name) for one in counts for name in ACTIVITY):
        usual = next_after(times.every, now)
        return Ended(state="inactive", next_run=max(usual, now + timedelta(minutes=times.inactivity)))
    return Ended(state="ready", next_run=next_after(times.every, now))


def after_records(entry: Entry, times: Times, *, now: datetime) -> Ended:
    """When a mapping is due of which a system told records, which were run: as it was, and no more on hold."""
    usual = next_after(times.every, now)
    return Ended(state="ready", next_run=min(entry.next_run, usual) if entry.next_run > now else usual)


def after_error(entry: Entry, message: str, *, now: datetime) -> Ended:
    """When a run is tried again that failed as a whole: later each time, and no more after the tenth (ENG-243)."""
    attempts = entry.attempts + 1
    if attempts >= MOST_ATTEMPTS:
        return Ended(state="error", next_run=now, attempts=attempts, message=message)
    wait = timedelta(seconds=30, milliseconds=10**attempts) if attempts <= 7 else LONG
    return Ended(state="ready", next_run=now + wait, attempts=attempts, message=message)


def after_collision(entry: Entry, message: str, *, now: datetime) -> Ended:
    """When a mapping is tried again that somebody else was at."""
    return Ended(state="ready", next_run=now + SOON, attempts=entry.attempts, message=message)

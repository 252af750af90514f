"""Decisions of the schedule: what is due, what may start, and when a run is due next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.jobs.schedule import (
    MANY,
    MOST_ATTEMPTS,
    SOON,
    Times,
    after_collision,
    after_error,
    after_records,
    after_run,
    is_due,
    is_told,
    offered,
    scheduled,
    times_of,
)
from koppel.store.schedules import Entry, State
from koppel.sync.open import known_mappings

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIMES = Times(30, 720)
MAPPINGS = known_mappings()

ENTRY = Entry(
    mapping="CUSTOMER",
    state="ready",
    every=None,
    inactivity=None,
    queue=None,
    next_run=NOW + 5 * MINUTE,
    attempts=0,
    job=None,
    last_run=None,
    looked=NOW,
    message="",
    now=NOW,
)


def entry(**values: object) -> Entry:
    return msgspec.structs.replace(ENTRY, **values)


def test_the_standard_mappings_run_as_in_business_central() -> None:
    times = {name: times_of(MAPPINGS[name], ENTRY) for name in scheduled(MAPPINGS)}
    assert "POSTEDSALESLINE-INV" not in times
    assert times["CUSTOMER"] == Times(30, 720)
    assert times["SALESPEOPLE"] == times["ITEM-PRODUCT"] == times["POSTEDSALESINV-INV"] == Times(30, 1440)
    assert times["SALES ORDER NOTES"].every == 5
    assert [name for name, hold in scheduled(MAPPINGS).items() if hold] == ["OPPORTUNITY"]


def test_a_person_decides_otherwise() -> None:
    assert times_of(MAPPINGS["CUSTOMER"], entry(every="0 6 * * *", inactivity=0)) == Times("0 6 * * *", 0)
    assert times_of(MAPPINGS["CUSTOMER"], entry(every="5")) == Times(5, 720)


@pytest.mark.parametrize(
    ("notices", "seconds", "told"),
    [(0, 60, False), (1, 0, True), (MANY - 1, 0, True), (MANY, 4, False), (MANY, 5, True), (10 * MANY, None, True)],
)
def test_many_records_that_a_system_tells_of_gather_for_a_while(notices: int, seconds: int | None, told: bool) -> None:
    last = None if seconds is None else NOW - timedelta(seconds=seconds)
    assert is_told(entry(last_run=last), notices) == told


@pytest.mark.parametrize(
    ("state", "minutes", "told", "due"),
    [
        ("ready", 0, False, True),
        ("ready", 5, False, False),
        ("ready", 5, True, True),
        ("inactive", 500, True, True),
        ("inactive", 500, False, False),
        ("on hold", 0, True, False),
        ("error", 0, True, False),
    ],
)
def test_what_is_due(state: State, minutes: int, told: bool, due: bool) -> None:
    assert is_due(entry(state=state, next_run=NOW + minutes * MINUTE), TIMES, told=told) is due


def test_what_failed_waits_for_its_next_try_whatever_is_told() -> None:
    assert not is_due(entry(message="no answer", attempts=1), TIMES, told=True)


def test_on_hold_it_is_asked_for_changes_as_often_as_it_would_run() -> None:
    on_hold = entry(state="inactive", next_run=NOW + 700 * MINUTE)
    assert not is_due(msgspec.structs.replace(on_hold, looked=NOW - 29 * MINUTE), TIMES, told=False)
    assert is_due(msgspec.structs.replace(on_hold, looked=NOW - 30 * MINUTE), TIMES, told=False)


def test_what_is_due_together_follows_the_dependencies() -> None:
    due = {"CONTACT", "CUSTOMER", "CURRENCY", "OPPORTUNITY", "ITEM-PRODUCT"}
    assert offered(MAPPINGS, due, (), ()) == ["CURRENCY"]
    assert offered(MAPPINGS, due - {"CURRENCY"}, (), ()) == ["CUSTOMER", "ITEM-PRODUCT"]
    assert offered(MAPPINGS, due - {"CURRENCY"}, (), {"CUSTOMER"}) == ["ITEM-PRODUCT"]
    assert offered(MAPPINGS, {"CONTACT"}, (), {"CUSTOMER"}) == []
    assert offered(MAPPINGS, {"CONTACT"}, {"CONTACT"}, {"CUSTOMER"}) == ["CONTACT"]
    assert offered(MAPPINGS, {"CONTACT"}, {"CONTACT"}, {"CONTACT"}) == []


@given(st.sets(st.sampled_from(sorted(MAPPINGS))), st.sets(st.sampled_from(sorted(MAPPINGS))))
def test_something_always_starts(due: set[str], in_hand: set[str]) -> None:
    assert not due or in_hand or offered(MAPPINGS, due, (), in_hand)


def test_a_run_without_changes_puts_it_on_hold() -> None:
    idle = after_run(TIMES, [{"unchanged": 100, "coupled": 3, "created": 0}], now=NOW)
    assert (idle.state, idle.next_run) == ("inactive", NOW + 720 * MINUTE)
    busy = after_run(TIMES, [{"unchanged": 100}, {"failed": 1}], now=NOW)
    assert (busy.state, busy.next_run) == ("ready", NOW + 30 * MINUTE)
    never = after_run(Times(30, 0), [{}], now=NOW)
    assert (never.state, never.next_run) == ("ready", NOW + 30 * MINUTE)


def test_records_that_were_told_of_leave_the_timing_alone() -> None:
    ended = after_records(entry(next_run=NOW + 5 * MINUTE), TIMES, now=NOW)
    assert (ended.state, ended.next_run) == ("ready", NOW + 5 * MINUTE)
    woken = after_records(entry(state="inactive", next_run=NOW + 700 * MINUTE), TIMES, now=NOW)
    assert (woken.state, woken.next_run) == ("ready", NOW + 30 * MINUTE)


def test_a_run_that_fails_is_tried_again_ever_later_and_then_no_more() -> None:
    ends = [after_error(entry(attempts=n), "no answer", now=NOW) for n in range(MOST_ATTEMPTS)]
    waits = [(end.next_run - NOW).total_seconds() for end in ends]
    assert waits[:3] == [30.01, 30.1, 31]
    assert waits[6] == 10_030
    assert waits[7:9] == [6 * 3600] * 2
    assert [end.state for end in ends] == ["ready"] * 9 + ["error"]
    assert ends[-1].attempts == 10
    assert ends[-1].message == "no answer"


def test_a_collision_is_no_failure() -> None:
    ended = after_collision(entry(attempts=2), "held by job 7", now=NOW)
    assert (ended.state, ended.attempts, ended.next_run) == ("ready", 2, NOW + SOON)

"""How often something runs: every so many minutes, or as a cron expression says (UTC); and where it waits then."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from croniter import croniter

Timing = int | str
QUEUE = re.compile(r"[\w.-]{1,100}")


def is_timing(timing: Timing) -> bool:
    """Whether it is minutes from 1 on, or a cron expression of five fields."""
    if isinstance(timing, int):
        return timing >= 1
    return len(timing.split()) == 5 and bool(croniter.is_valid(timing))


def timing_of(text: str) -> Timing:
    """What a person wrote: minutes or a cron expression."""
    return int(text) if text.strip().isdecimal() else text.strip()


def is_queue(text: str) -> bool:
    """Whether a queue may be called so."""
    return bool(QUEUE.fullmatch(text))


def next_after(timing: Timing, moment: datetime) -> datetime:
    """When it is due next after ``moment``, in the same time zone."""
    if isinstance(timing, int):
        return moment + timedelta(minutes=timing)
    due: datetime = croniter(timing, moment).get_next(datetime)
    return due

from __future__ import annotations

import asyncio

import pytest

from koppel.systems.governor import Governor, Limits, Spent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)


def governed(limits: Limits, clock: Clock) -> Governor:
    return Governor(limits, clock=clock, sleep=clock.sleep)


async def spend(governor: Governor, clock: Clock, seconds: float, kind: str = "GET") -> float:
    """One request that takes so long; the time at which it was sent."""
    async with governor.slot(kind):
        sent = clock.now
        clock.now += seconds
        return sent


async def test_no_more_at_once_than_allowed() -> None:
    governor = governed(Limits(start=3, most=3), Clock())
    running = peak = 0

    async def request() -> None:
        nonlocal running, peak
        async with governor.slot("GET"):
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(request() for _ in range(20)))
    assert peak == 3


async def test_more_at_once_while_nothing_slows_down() -> None:
    governor = governed(Limits(start=2, most=5), Clock())

    async def request() -> None:
        async with governor.slot("GET"):
            await asyncio.sleep(0)

    await asyncio.gather(*(request() for _ in range(100)))
    assert governor.allowed == 5


async def test_fewer_at_once_when_requests_begin_to_wait_at_the_other_end() -> None:
    clock = Clock()
    governor = governed(Limits(start=8, most=8), clock)
    await spend(governor, clock, 0.1)
    for _ in range(30):
        await spend(governor, clock, 1.0)
    assert governor.allowed == 4


async def test_requests_of_another_kind_may_take_longer() -> None:
    clock = Clock()
    governor = governed(Limits(start=8, most=8), clock)
    await spend(governor, clock, 0.1, "GET")
    await spend(governor, clock, 9.0, "$batch")
    assert governor.allowed == 8


async def test_a_pause_is_for_everybody() -> None:
    clock = Clock()
    governor = governed(Limits(start=4, most=4), clock)
    governor.pause(30)
    assert await spend(governor, clock, 0) == 30


async def test_throttling_halves_what_is_allowed_down_to_one() -> None:
    governor = governed(Limits(start=8, most=8), Clock())
    governor.slow_down()
    assert governor.allowed == 4
    for _ in range(9):
        governor.slow_down()
    assert governor.allowed == 1


@pytest.mark.parametrize(
    ("limits", "seconds", "most"),
    [(Limits(4, 4, requests=10, window=300), 0.0, 10), (Limits(4, 4, seconds=20, window=300), 2.0, 10)],
)
async def test_the_budget_of_the_window_is_kept(limits: Limits, seconds: float, most: int) -> None:
    clock = Clock()
    governor = governed(limits, clock)
    sent = [await spend(governor, clock, seconds) for _ in range(35)]
    for moment in sent:
        assert sum(moment <= other < moment + limits.window for other in sent) <= most
    assert sent[9] < 100
    assert sent[10] >= 300


async def test_the_systems_own_account_of_time_counts_more_than_ours() -> None:
    clock = Clock()
    governor = governed(Limits(4, 4, seconds=20, window=300), clock)
    governor.heard({"x-ms-ratelimit-time-remaining-xrm-requests": "1,200.00"})
    assert [await spend(governor, clock, 2.0) for _ in range(20)][-1] < 300
    governor.heard({"x-ms-ratelimit-time-remaining-xrm-requests": "0.10"})
    begin = clock.now
    assert await spend(governor, clock, 0) == begin + 1
    governor.heard({"x-ms-ratelimit-time-remaining-xrm-requests": "soon"})
    assert await spend(governor, clock, 0) == begin + 1


async def test_workers_share_what_one_user_may() -> None:
    clock = Clock()
    governor = governed(Limits(start=8, most=52, requests=600, seconds=1200.0), clock)
    governor.share(4)
    assert governor.limits == Limits(start=2, most=13, requests=150, seconds=300.0)
    governor.share(100)
    assert governor.limits.most == 1
    governor.share(1)
    assert governor.limits == Limits(start=8, most=52, requests=600, seconds=1200.0)


async def test_two_workers_together_stay_below_the_budget_of_one() -> None:
    """Each by its own books, over several windows: never more than allowed in any of them."""
    limits, clock = Limits(start=4, most=4, requests=40, window=10.0), Clock()
    governors = [governed(limits, clock) for _ in range(2)]
    for governor in governors:
        governor.share(2)
    sent = sorted([await spend(governors[n % 2], clock, 0.01) for n in range(200)])
    for first in sent:
        assert sum(first <= moment < first + limits.window for moment in sent) <= limits.requests


async def test_who_comes_later_leaves_what_the_others_have_used_already() -> None:
    limits, clock = Limits(start=4, most=4, requests=40, window=10.0), Clock()
    governor, begin = governed(limits, clock), clock()
    governor.share(2, Spent(requests=30))
    sent = [await spend(governor, clock, 0) for _ in range(10)]
    assert sent[-1] == begin
    await spend(governor, clock, 0)
    assert clock() > begin
    assert governor.spent() == Spent(requests=11)
    assert governor.spent() == Spent()

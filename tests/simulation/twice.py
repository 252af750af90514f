"""The same seeds played twice, in two processes and the other way round: each must tell the same story."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from itertools import zip_longest
from multiprocessing import get_context
from unittest import mock

from .clockwork import own_database
from .play import story

Stories = dict[int, list[str]]
BEFORE = 5
"""Lines to show before the first different one."""


def differences(url: str, seeds: Sequence[int]) -> dict[int, str]:
    """By seed whose two stories differ, where they part. ``url``: of a server for the databases."""
    # Sets have another order in each of the two, and each seed has other ones before it.
    with ExitStack() as stack:
        one, two = (
            _tell(stack, url, order, hash_seed) for hash_seed, order in enumerate((seeds, seeds[::-1]), start=1)
        )
        partings = {seed: _parting(one.result()[seed], two.result()[seed]) for seed in seeds}
    return {seed: parting for seed, parting in partings.items() if parting}


def _tell(stack: ExitStack, url: str, seeds: Sequence[int], hash_seed: int) -> Future[Stories]:
    with mock.patch.dict(os.environ, PYTHONHASHSEED=str(hash_seed)):
        pool = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        return pool.submit(_stories, url, seeds)


def _stories(url: str, seeds: Sequence[int]) -> Stories:
    database = own_database(url)
    return {seed: story(database, seed) for seed in seeds}


def _parting(one: Sequence[str], two: Sequence[str]) -> str:
    """The first lines that differ, with some of those before."""
    for place, (here, there) in enumerate(zip_longest(one, two, fillvalue="nothing more")):
        if here != there:
            return "\n".join(("", *one[max(0, place - BEFORE) : place], f"once:  {here}", f"twice: {there}"))
    return ""

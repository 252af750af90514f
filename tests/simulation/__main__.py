"""``make simulate SEEDS=1000`` or ``SEED=17``: play seeds, several at once, and tell which ones end badly.

``TWICE=1``: play each twice, and tell which ones do not replay.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from koppel.store.database import Database
from postgres_server import own_server

from .clockwork import own_database
from .play import play
from .twice import differences

SHARE = 25
"""Seeds that a process plays before it takes the next ones."""


def main() -> int:
    """Play the seeds; 1 if any ends badly."""
    options = _parser().parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    play_all = _tell_twice if options.twice else _play_all
    began = time.monotonic()
    if options.seed is not None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    with own_server() as url:
        bad = play_all(url, list(seeds))
    print(f"{len(seeds)} seeds, {len(bad)} of them bad, {time.monotonic() - began:.0f} s")
    for seed in bad:
        print(f"make simulate SEED={seed}")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--twice", action="store_true", help="play each twice and compare what happened")
    return parser


def _play_all(url: str, seeds: list[int]) -> list[int]:
    shares = [seeds[start : start + SHARE] for start in range(0, len(seeds), SHARE)]
    with ProcessPoolExecutor(min(len(shares), os.cpu_count() or 1)) as pool:
        found = [pool.submit(_play_share, url, share) for share in shares]
        return [seed for future in found for seed in future.result()]


def _tell_twice(url: str, seeds: list[int]) -> list[int]:
    found = differences(url, seeds)
    for text in found.values():
        print(text)
    return list(found)


def _play_share(url: str, seeds: list[int]) -> list[int]:
    database = own_database(url)
    return [seed for seed in seeds if not _ends_well(database, seed)]


def _ends_well(database: Database, seed: int) -> bool:
    try:
        play(database, seed)
    except BaseException:
        print(f"--- seed {seed}\n{traceback.format_exc()}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())

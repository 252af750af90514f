"""``make simulate SEEDS=1000`` or ``SEED=17``: play seeds, several at once, and tell which ones end badly."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from koppel.store.database import Database, open_database
from koppel.store.embedded import embedded_server
from postgres_server import administer, other_database

from .play import play

SHARE = 25
"""Seeds that a process plays before it takes the next ones."""


def main() -> int:
    """Play the seeds; 1 if any ends badly."""
    options = _parser().parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="koppel-test-"))
    if options.seed is not None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with embedded_server(folder) as url:
            administer(url, "ALTER SYSTEM SET fsync = off")
            administer(url, "SELECT pg_reload_conf()")
            bad = _play_all(url, list(seeds))
    finally:
        shutil.rmtree(folder)
    print(f"{len(seeds)} seeds, {len(bad)} of them bad, {time.monotonic() - began:.0f} s")
    for seed in bad:
        print(f"make simulate SEED={seed}")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    return parser


def _play_all(url: str, seeds: list[int]) -> list[int]:
    shares = [seeds[start : start + SHARE] for start in range(0, len(seeds), SHARE)]
    with ProcessPoolExecutor(min(len(shares), os.cpu_count() or 1)) as pool:
        found = [pool.submit(_play_share, url, share) for share in shares]
        return [seed for future in found for seed in future.result()]


def _play_share(url: str, seeds: list[int]) -> list[int]:
    name = f"simulation_{os.getpid()}"
    database = Database(other_database(url, name))
    if not administer(url, f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        administer(url, f"CREATE DATABASE {name}")
        asyncio.run(_migrate(database.url))
    return [seed for seed in seeds if not _ends_well(database, seed)]


async def _migrate(url: str) -> None:
    async with open_database(url, Path()):
        pass


def _ends_well(database: Database, seed: int) -> bool:
    try:
        asyncio.run(play(database, seed))
    except BaseException:
        print(f"--- seed {seed}\n{traceback.format_exc()}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())

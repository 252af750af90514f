"""The mutation score by module, from what ``mutmut results --all true`` prints (``make mutants``).

A mutant that a test noticed, or that made one run out of time, counts; all others survived, also those that no test
reaches.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable

NOTICED = {"killed", "timeout"}


def score(lines: Iterable[str]) -> dict[str, tuple[int, int]]:
    """How many mutants of each module were noticed, and how many there are."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for line in lines:
        mutant, _, status = line.strip().rpartition(": ")
        if mutant:
            module = mutant.rpartition(".")[0]
            noticed, mutants = found[module]
            found[module] = noticed + (status in NOTICED), mutants + 1
    return dict(found)


def table(found: dict[str, tuple[int, int]]) -> Iterable[str]:
    """The score as a table of a page."""
    total = sum(noticed for noticed, _ in found.values()), sum(mutants for _, mutants in found.values())
    yield "| module | mutants | noticed | score |"
    yield "| --- | ---: | ---: | ---: |"
    for module, (noticed, mutants) in [*sorted(found.items()), ("**all**", total)]:
        yield f"| {module.removeprefix('koppel.')} | {mutants} | {noticed} | {noticed * 100 / mutants:.1f} % |"


if __name__ == "__main__":
    print("\n".join(table(score(sys.stdin))))

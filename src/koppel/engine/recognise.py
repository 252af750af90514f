"""Which of the records that are there were made by creations of which no answer came, where the system chose the ids.

People may have edited them meanwhile, or typed others that look alike. What cannot be told is not guessed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import msgspec

Look = Mapping[str, Hashable]
"""The texts of a record by column, in canonical form; blank ones are absent."""

EDITED = 2
"""So many columns somebody may have edited in a record before Koppel looked for it, however few it has."""


class Recognised(msgspec.Struct, frozen=True):
    """``made``: by place of a creation, the place of its record. ``unsure``: by place of a creation of which it cannot
    be told what came of it, the places of the records that may be it. Of all others, nothing came."""

    made: Mapping[int, int]
    unsure: Mapping[int, frozenset[int]]


def recognise(intended: Sequence[Look], found: Sequence[Look], filled: frozenset[str] = frozenset()) -> Recognised:
    """Tell creations and records apart.

    ``intended``: what was to be written; ``found``: the uncoupled records that are new or were edited since.
    ``filled``: columns in which the system puts something by itself, so that they tell nothing if left out. A record
    that is as it was sent is the one; as many as creations that look the same, in any order. Else it is the one that
    holds most of what was intended, if it may be that of no other creation, and no other record may be the one.
    """
    made, unsure = _unchanged(intended, found, filled)
    taken = set(made.values())
    left = {c: look for c, look in enumerate(found) if c not in taken}
    near: dict[int, list[int]] = {i: sorted(places) for i, places in unsure.items()}
    for i in range(len(intended)):
        if i not in made and i not in unsure:
            near[i] = [c for c, look in left.items() if _may_be(intended[i], look, filled)]
    rivals = Counter(c for places in near.values() for c in places)
    for i, places in near.items():
        if len(places) == 1 and rivals[places[0]] == 1 and _is_mostly(intended[i], found[places[0]], filled):
            made[i] = places[0]
        elif places:
            unsure[i] = frozenset(places)
    return Recognised(made, unsure)


def _unchanged(
    intended: Sequence[Look], found: Sequence[Look], filled: frozenset[str]
) -> tuple[dict[int, int], dict[int, frozenset[int]]]:
    """Creations whose records are as they were sent."""
    alike: dict[frozenset[tuple[str, Hashable]], list[int]] = defaultdict(list)
    for place, look in enumerate(intended):
        alike[frozenset(look.items())].append(place)
    made: dict[int, int] = {}
    unsure: dict[int, frozenset[int]] = {}
    for twins in alike.values():
        same = [
            c for c, look in enumerate(found) if c not in made.values() and _is_same(intended[twins[0]], look, filled)
        ]
        if len(same) > len(twins):
            unsure |= {twin: frozenset(same) for twin in twins}
        else:
            made.update(zip(twins, same, strict=False))
    return made, unsure


def _compared(intended: Look, found: Look, filled: frozenset[str]) -> tuple[int, int]:
    """In how many columns two are alike, and in how many they differ."""
    columns = intended.keys() | (found.keys() - filled)
    alike = sum(intended.get(column) == found.get(column) for column in columns)
    return alike, len(columns) - alike


def _is_same(intended: Look, found: Look, filled: frozenset[str]) -> bool:
    return bool(intended) and _compared(intended, found, filled)[1] == 0


def _may_be(intended: Look, found: Look, filled: frozenset[str]) -> bool:
    alike, differ = _compared(intended, found, filled)
    return not intended or differ <= max(EDITED, alike)


def _is_mostly(intended: Look, found: Look, filled: frozenset[str]) -> bool:
    alike, differ = _compared(intended, found, filled)
    return bool(intended) and (alike > differ or intended.items() <= found.items())

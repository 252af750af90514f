"""Finding the records that are the same on both sides before they are coupled.

Groups of column pairs are tried in order and are real alternatives: what the first group leaves unmatched goes to
the next. A match is only taken when it is the only one seen from both sides; otherwise every record involved is
ambiguous and left alone, with its rivals named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set

import msgspec

from koppel.odata.records import Scalar

Keys = tuple[Hashable | None, ...]
"""The match key of one record in each group; ``None`` where a part of it is blank."""


class Matches(msgspec.Struct, frozen=True):
    """``unique``: Business Central id to Dataverse id. ``ambiguous``: id on either side to the ids on the other it
    may be.

    ``group`` tells by which group (from 0) a unique match was found.
    """

    unique: dict[str, str]
    ambiguous_business_central: dict[str, tuple[str, ...]]
    ambiguous_dataverse: dict[str, tuple[str, ...]]
    group: dict[str, int]


def match_key(parts: Sequence[Scalar]) -> Hashable | None:
    """One group's key: case and outer, inner and doubled blanks ignored; none when any part is blank."""
    normal = tuple(" ".join(str(part).casefold().split()) if part is not None else "" for part in parts)
    return None if "" in normal else normal


def match(business_central: Mapping[str, Keys], dataverse: Mapping[str, Keys]) -> Matches:
    """Match uncoupled records by their keys."""
    result = Matches({}, {}, {}, {})
    groups = max((len(keys) for keys in business_central.values()), default=0)
    for group in range(groups):
        ours = _by_key(group, business_central, result.unique.keys() | result.ambiguous_business_central.keys())
        theirs = _by_key(group, dataverse, {*result.unique.values()} | result.ambiguous_dataverse.keys())
        _match_group(group, ours, theirs, result)
    return result


def _by_key(group: int, records: Mapping[str, Keys], taken: Set[str]) -> dict[Hashable, list[str]]:
    found: dict[Hashable, list[str]] = defaultdict(list)
    for id, keys in records.items():
        if keys[group] is not None and id not in taken:
            found[keys[group]].append(id)
    return found


def _match_group(
    group: int, ours: Mapping[Hashable, list[str]], theirs: Mapping[Hashable, list[str]], result: Matches
) -> None:
    for key in ours:
        if key not in theirs:
            continue
        if len(ours[key]) == 1 and len(theirs[key]) == 1:
            result.unique[ours[key][0]] = theirs[key][0]
            result.group[ours[key][0]] = group
            continue
        _mark(ours[key], theirs[key], result.ambiguous_business_central)
        _mark(theirs[key], ours[key], result.ambiguous_dataverse)


def _mark(records: Iterable[str], rivals: Sequence[str], into: dict[str, tuple[str, ...]]) -> None:
    for record in records:
        into[record] = tuple(rivals)

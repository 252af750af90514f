"""Finding the records that are the same on both sides before they are coupled.

Groups of column pairs are tried in order and are real alternatives: what the first group leaves unmatched goes to
the next. A match is only taken when it is the only one seen from both sides; otherwise every record involved is
ambiguous and left alone, with its rivals named.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from unicodedata import combining, normalize

import msgspec

from koppel.mapping.model import MatchPair
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


Form = Callable[[Scalar], str]
"""What of a value counts when it is compared; blank where nothing does."""

_FORMS = """
ab ag aps as bv bvba co company corp corporation gmbh inc incorporated kg kk limited llc llp ltd lp nv oy oyj plc pty
sa sarl sas se sl spa sprl srl
"""
COMPANY_FORMS = frozenset(_FORMS.split())
"""How companies are incorporated, as it stands at the end of their names, without points."""

_NO_LETTER = re.compile(r"[^\w\s]|_")


def form_of(pair: MatchPair) -> Form:
    """How the two columns of a pair are compared."""
    if "digits" in pair.normalise:
        return _digits
    steps: list[Callable[[str], str]] = [] if pair.case else [str.casefold]
    if "accents" in pair.normalise:
        steps.append(_without_accents)
    if "company" in pair.normalise:
        steps.append(_without_company_form)
    if "punctuation" in pair.normalise:
        steps.append(lambda text: _NO_LETTER.sub(" ", text))

    def form(value: Scalar) -> str:
        text = "" if value is None else str(value)
        for step in steps:
            text = step(text)
        return " ".join(text.split())

    return form


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(each for each in normalize("NFKD", text) if not combining(each))


def _without_company_form(text: str) -> str:
    """The name without the forms at its end (``Ltd.``, ``B.V.``, ``GmbH & Co. KG``), if anything is left of it then."""
    words = text.split()
    kept = len(words)
    while kept > 1 and _is_company_form(words[kept - 1]):
        kept -= 1
    return " ".join(words[:kept]).rstrip(" ,")


def _is_company_form(word: str) -> bool:
    return word == "&" or word.replace(".", "").strip(",()").casefold() in COMPANY_FORMS


def _digits(value: Scalar) -> str:
    """The digits of a telephone number. ``00`` and ``+`` mean the same; ``(0)`` is not dialled after either."""
    text = str(value or "").strip()
    abroad = text.startswith(("+", "00"))
    digits = "".join(each for each in (text.replace("(0)", "") if abroad else text) if each.isdecimal())
    return digits.removeprefix("00")


def match_key(parts: Sequence[Scalar], forms: Sequence[Form]) -> Hashable | None:
    """One group's key; none when any part is blank."""
    normal = tuple([form(part) for form, part in zip(forms, parts, strict=True)])
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

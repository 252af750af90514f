"""What a run is asked to do, and what it came to."""

from __future__ import annotations

from collections import Counter

import msgspec

from koppel.mapping.model import Direction
from koppel.store.jobs import Type

KEPT_NOTICES = 500


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked to do.

    ``full``: look at everything, match first, and create what is uncoupled; ``unconditional``: merge every pair of it
    anew, also those that were skipped, that hold what was agreed on, or that the connection's own user edited last.
    ``records``: only these (ids of either side, or Business Central keys), whoever edited them last; an empty
    selection selects nothing. ``create``: uncoupled records are created, also where only coupled ones synchronise;
    ``create_unmatched``: also those that match nothing, where the mapping leaves them alone.
    ``direction``: write towards one side only. ``force``: without brakes. ``lenient``: a record that nobody knows is
    passed over.
    """

    full: bool = False
    unconditional: bool = False
    records: tuple[str, ...] | None = None
    create: bool = False
    create_unmatched: bool = False
    direction: Direction = "both"
    force: bool = False
    lenient: bool = False

    @property
    def type(self) -> Type:
        """What its job is called."""
        if self.records is not None:
            return "records"
        return "unconditional" if self.unconditional else "full" if self.full else "modified"


class Result(msgspec.Struct, kw_only=True):
    """What a run came to. ``requests`` by side; ``notices``: lines a person should read; ``parts``: what became of its
    records' parts, a job of each."""

    mapping: str
    job: int = 0
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    seconds: float = 0.0
    requests: dict[str, int] = {}
    write_requests: int = 0
    notices: list[str] = []
    parts: list[Result] = []

    def notice(self, line: str) -> None:
        """Keep a line for people, as long as they can still read them all."""
        if len(self.notices) < KEPT_NOTICES and line not in self.notices:
            self.notices.append(line)

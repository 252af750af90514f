"""The clock of the simulated systems: real time, and as far ahead of it as a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Call it for the time now (aware, UTC). It only ever moves forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """The time now."""
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move ``seconds`` into the future. ``ValueError`` when negative: versions and cursors rely on time's order."""
        if not seconds >= 0:
            raise ValueError(f"the clock cannot go back ({seconds} s)")
        self._ahead += timedelta(seconds=seconds)

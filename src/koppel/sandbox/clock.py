"""The clocks of the simulated systems: real time, and as far ahead of it, and of each other, as a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send


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


class SystemClock:
    """The clock of one system, as far as it goes wrong: seconds ``ahead`` of the common one, or behind (below 0)."""

    def __init__(self, common: Clock) -> None:
        self._common = common
        self.ahead = 0.0

    def __call__(self) -> datetime:
        """The time now, as this system has it."""
        return self._common() + timedelta(seconds=self.ahead)


def dated(app: ASGIApp, clock: SystemClock) -> ASGIApp:
    """The same application, its answers with the time by its clock."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def stamp(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", format_datetime(clock(), usegmt=True).encode())
                message = {**message, "headers": [*message.get("headers", ()), date]}
            await send(message)

        await app(scope, receive, stamp)

    return answer

"""Somebody on this machine who takes posts: what webhooks are sent to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class Receiver:
    """``posts`` are the bodies, ``headers`` and ``queries`` what came with each; ``status`` is what is answered.

    ``seconds``: how long that takes; ``shakes``: whether it answers the handshake.
    """

    def __init__(self) -> None:
        self.posts: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.status = 200
        self.shakes = True
        self.seconds = 0.0
        self.base = ""
        self._came = asyncio.Event()

    @property
    def url(self) -> str:
        """One of the addresses where it takes posts: it does at every one."""
        return f"{self.base}/hook"

    async def take(self, request: web.Request) -> web.Response:
        """Answer one post."""
        token = request.query.get("validationToken")
        if token is not None:
            return web.Response(text=token if self.shakes else "what?")
        self.posts.append(await request.json())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.queries.append(dict(request.query))
        answer = web.Response(status=self.status)
        self._came.set()
        await asyncio.sleep(self.seconds)
        return answer

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait for posts."""
        async with asyncio.timeout(10):
            while not enough():
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    found = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()

"""Posts that the simulated systems send on their own: webhooks."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

PATIENCE_SECONDS = 60.0


def posting() -> aiohttp.ClientSession:
    """Connections for many posts."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS), auto_decompress=False)


async def post(url: str, body: bytes, headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
    """Post; status and body of the answer, status 0 when there is none."""
    async with posting() as session:
        return await post_with(session, url, body, headers)


async def post_with(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    """The same, over a connection that may be there already."""
    sent = {"content-type": "application/json; charset=utf-8", **headers}
    try:
        async with session.post(url, data=body, headers=sent, allow_redirects=False) as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return 0, b""

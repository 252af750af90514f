"""Posts that the simulated systems send on their own: webhooks."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

PATIENCE_SECONDS = 60.0


async def post(url: str, body: bytes, headers: Mapping[str, str] = {}) -> tuple[int, bytes]:
    """Post; status and body of the answer, status 0 when there is none."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    sent = {"content-type": "application/json; charset=utf-8", **headers}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.post(url, data=body, headers=sent, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return 0, b""

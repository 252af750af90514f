"""Query options as they stand in an address."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

_SAFE = "'()=,;:$@*!"


def encoded(text: str) -> str:
    """Text of a query option, percent-encoded where it has to be."""
    return quote(text, safe=_SAFE)


def query_of(options: Mapping[str, str | None]) -> str:
    """The query string of those options that have a value."""
    return "&".join(f"{name}={encoded(text)}" for name, text in options.items() if text)


def all_of(*filters: str | None) -> str | None:
    """A filter that asks for all of these; ``None`` when there are none."""
    parts = [part for part in filters if part]
    return " and ".join(f"({part})" for part in parts) if len(parts) > 1 else next(iter(parts), None)

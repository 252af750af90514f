"""Koppel keeps Dynamics 365 Business Central and Dynamics 365 Sales on Dataverse in step.

``Koppel`` and ``AsyncKoppel`` are its face for programs; ``koppel.errors`` holds what they raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from koppel.api import AsyncKoppel, Koppel

__all__ = ["AsyncKoppel", "Koppel", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The faces are loaded when they are asked for: a part of Koppel alone does not need all of it."""
    if name in ("AsyncKoppel", "Koppel"):
        from koppel import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

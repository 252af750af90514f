"""Koppel for programs: ``Koppel`` for scripts and notebooks, ``AsyncKoppel`` for code that runs in an event loop."""

from __future__ import annotations

from koppel.api.asynchronous import AsyncKoppel
from koppel.api.blocking import Koppel

__all__ = ["AsyncKoppel", "Koppel"]

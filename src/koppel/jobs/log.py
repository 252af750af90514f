"""What Koppel has to say while it runs by itself."""

from __future__ import annotations

import logging
import sys


def log_to_terminal() -> None:
    """Koppel's own log on standard error; what libraries have to say comes as errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    own = logging.getLogger("koppel")
    own.addHandler(handler)
    own.setLevel(logging.INFO)

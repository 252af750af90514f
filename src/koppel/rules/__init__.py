"""Rules of single tables, one module a table; importing this package registers them all."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from koppel.engine.rule import RULES, Rule

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")


def registered() -> Mapping[str, Rule]:
    """All rules, by the name under which mappings call them."""
    return RULES

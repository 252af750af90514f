"""Names of mappings as people type them."""

from __future__ import annotations

from typing import Annotated

import typer

Mapping = Annotated[str, typer.Argument(metavar="MAPPING", help="Name of a mapping, in capitals or not.")]
Mappings = Annotated[
    list[str] | None, typer.Argument(metavar="[MAPPING]...", help="Names of mappings; all that are on when left out.")
]

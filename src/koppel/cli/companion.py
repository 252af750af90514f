"""``koppel companion``: the AL extension that gives Business Central the companion pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from koppel.cli.output import table
from koppel.cli.running import AsJson, ConfigPath, guarded
from koppel.companion import Extension, Written, extension_for, uses_of, write_extension
from koppel.config import FILE, VARIABLE, Config, find_config, load_config
from koppel.errors import UsageError
from koppel.sync.open import known_mappings


def companion(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write, new or written before.")],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Write the extension of Business Central with the API pages that the mappings in use need."""
    with guarded(as_json) as output:
        uses = uses_of(known_mappings(_config(config)).values())
        if not uses:
            raise UsageError("no mapping that is on uses the companion", remedy="See `koppel mappings`.")
        extension = extension_for(uses)
        written = write_extension(extension, out)
        output.show(_described(extension, written, out), _pages(extension), *_told(extension, written, out))


def _config(path: Path | None) -> Config | None:
    """The configuration, if there is one: else the standard mappings are in use."""
    if path is None and not os.environ.get(VARIABLE) and not Path(FILE).is_file():
        return None
    return load_config(path or find_config())


def _described(extension: Extension, written: Written, folder: Path) -> dict[str, object]:
    return {
        "folder": str(folder),
        "version": written.version,
        "written": written.written,
        "removed": written.removed,
        "pages": {page.page.set_name: [column.name for column in page.columns] for page in extension.pages},
        "left_out": extension.left_out,
    }


def _pages(extension: Extension) -> RenderableType:
    rows = [(page.page.set_name, page.source, len(page.columns)) for page in extension.pages]
    return table(("page", "table", "columns"), rows)


def _told(extension: Extension, written: Written, folder: Path) -> list[str]:
    left_out = [f"left out: {line}" for line in extension.left_out]
    if not written.written and not written.removed:
        return [*left_out, f"{folder} is up to date, version {written.version}"]
    return [*left_out, f"wrote {folder}, version {written.version}", f"{folder / 'README.md'} tells how to install it"]

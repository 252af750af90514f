"""Standard mappings switched on and off as an administrator does it: by copies of their files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

_STANDARD = resources.files("koppel.mapping") / "standard"
OFF = "enabled: false\n"


def switch(folder: Path, *, on: tuple[str, ...] = (), off: tuple[str, ...] = ()) -> Path:
    """The folder, with copies of these standard files (``unit-group``) in which the mapping is on, or off."""
    for name in (*on, *off):
        text = (_STANDARD / f"{name}.yaml").read_text("utf-8").replace(OFF, "")
        said = "overrides: standard\n" + (OFF if name in off else "")
        (folder / f"{name}.yaml").write_text(text + said, "utf-8")
    return folder


UNIT_GROUPS = {"on": ("unit-group", "item-unit", "resource-unit"), "off": ("unit-of-measure",)}
"""What switches unit groups on instead of units of measure."""

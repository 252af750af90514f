"""Writing the extension into a folder: a new one, or one that holds an earlier state of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from koppel.companion.extension import APP, APP_ID, HEAD, SOURCE, Extension, app_json
from koppel.errors import UsageError


class Written(msgspec.Struct, frozen=True):
    """What became of a folder: files that were written anew, and those of pages that nobody uses any more."""

    version: str
    written: tuple[str, ...]
    removed: tuple[str, ...]


def write_extension(extension: Extension, folder: Path) -> Written:
    """Bring the folder up to date. The version counts up when anything changed, as Business Central wants it.

    ``UsageError`` when the folder holds anything else, or cannot be written.
    """
    try:
        before = _version_of(folder)
        written = [path for path, text in extension.files.items() if _text(folder / path) != text]
        removed = [path for path in _ours(folder) if path not in extension.files]
        changed = bool(written or removed)
        now = _next(before, changed)
        if before != now:
            written.append(APP)
        for path in written:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(app_json(now) if path == APP else extension.files[path], "utf-8", newline="\n")
        for path in removed:
            (folder / path).unlink()
    except OSError as error:
        raise UsageError(f"the folder cannot be written: {error.strerror}", place=str(folder)) from error
    return Written(now, tuple(sorted(written)), tuple(removed))


def _version_of(folder: Path) -> str:
    """The version that is there; empty for a new folder."""
    if not folder.exists():
        return ""
    if not folder.is_dir():
        raise UsageError("this is no folder", place=str(folder), remedy="Name a folder, new or empty.")
    app = _app(folder / APP)
    if app.get("id") == APP_ID and isinstance(app.get("version"), str):
        return str(app["version"])
    if any(folder.iterdir()):
        remedy = "Name a new or empty folder, or the one that it was written to before."
        raise UsageError("the folder holds something else than the companion", place=str(folder), remedy=remedy)
    return ""


def _app(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path) or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str | None:
    """What a file holds; ``None`` if there is none, or no text."""
    try:
        return path.read_bytes().decode("utf-8") if path.is_file() else None
    except UnicodeDecodeError:
        return None


def _ours(folder: Path) -> Iterator[str]:
    """The AL files that were written here before."""
    for path in sorted((folder / SOURCE).glob("*.al")):
        if (_text(path) or "").startswith(HEAD):
            yield path.relative_to(folder).as_posix()


def _next(before: str, changed: bool) -> str:
    """``0.1.0.3`` after ``0.1.0.2``; a new release of Koppel begins with build 0."""
    release = version("koppel")
    if not before:
        return f"{release}.0"
    head, _, build = before.rpartition(".")
    if not changed:
        return before
    return f"{release}.{int(build) + 1 if head == release and build.isdigit() else 0}"

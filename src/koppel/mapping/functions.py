"""Python functions of the user, as transformations: found in a folder that ``koppel.yaml`` names.

A function takes one value as it came over the wire (text, a number, true or false; never a blank) and returns what
shall stand in its place, ``None`` for a blank. The same value must always give the same result. Whatever it raises is
told as a failure of the record.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from koppel.document import did_you_mean
from koppel.errors import MappingError
from koppel.odata.records import Scalar

Function = Callable[[Scalar], Scalar]


def load_function(name: str, folder: str) -> Function:
    """The function ``module:function``. ``MappingError`` when there is none, or its module cannot be imported."""
    module, colon, function = name.partition(":")
    if not (colon and module.isidentifier() and function.isidentifier()):
        raise MappingError(f"`{name}` names no function", remedy="Write `module:function`, as in `names:initials`.")
    if not folder:
        remedy = "Name the folder of your modules in koppel.yaml: `functions: functions`."
        raise MappingError(f"there is no folder in which to look for `{name}`", remedy=remedy)
    path = Path(folder) / f"{module}.py"
    if not path.is_file():
        near = did_you_mean(module, (file.stem for file in Path(folder).glob("*.py")), "Modules")
        raise MappingError(f"there is no {path}", remedy=near or "Write it, or correct `functions` in koppel.yaml.")
    loaded = _module(path, path.read_bytes())
    found = getattr(loaded, function, None)
    if not callable(found):
        public = [key for key in vars(loaded) if not key.startswith("_")]
        raise MappingError(f"{path} has no function `{function}`", remedy=did_you_mean(function, public, "It has"))
    return _guarded(name, found)


def source_of(name: str, folder: str) -> str:
    """The text of the module that holds the function; blank where there is none."""
    path = Path(folder) / f"{name.partition(':')[0]}.py"
    return path.read_text("utf-8", errors="replace") if folder and path.is_file() else ""


@cache
def _module(path: Path, source: bytes) -> ModuleType:
    """The module, anew for each text that it had: times and byte code do not tell two edits of one second apart."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(source, path, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise MappingError(f"{path} cannot be imported: {_told(error)}", remedy="Run it with Python to see.") from error
    return module


def _guarded(name: str, function: Function) -> Function:
    def call(value: Scalar) -> Scalar:
        try:
            result = function(value)
        except (Exception, SystemExit) as error:
            raise ValueError(f"made {name} fail: {_told(error)}") from error
        if result is not None and not isinstance(result, str | int | float | bool):
            raise ValueError(f"made {name} return a {type(result).__name__}, which is no single value")
        return result

    return call


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

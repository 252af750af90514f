"""Python functions of the user: found in a folder, and whatever they do is a sentence, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from koppel.errors import MappingError
from koppel.mapping.functions import load_function, source_of

MODULE = """\
import sys

def initials(value):
    return "".join(word[0] for word in value.split())

def fails(value):
    return 1 / 0

def leaves(value):
    sys.exit(1)

def lists(value):
    return [value]

def nothing(value):
    return None

CONSTANT = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "names.py").write_text(MODULE, "utf-8")
    (tmp_path / "broken.py").write_text("def f(value:\n", "utf-8")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n", "utf-8")
    return str(tmp_path)


def test_a_function_is_called(folder: str) -> None:
    assert load_function("names:initials", folder)("Jo Berry") == "JB"
    assert load_function("names:nothing", folder)("x") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("names:fails", "made names:fails fail: ZeroDivisionError: division by zero"),
        ("names:leaves", "made names:leaves fail: SystemExit: 1"),
        ("names:lists", "made names:lists return a list, which is no single value"),
        ("names:initials", "made names:initials fail: AttributeError"),
    ],
)
def test_what_a_function_does_wrong_is_told(folder: str, name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_function(name, folder)(1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("names", "`names` names no function\n  Write `module:function`"),
        ("names.initials", "names no function"),
        ("../names:initials", "names no function"),
        ("nams:initials", "nams.py\n  Did you mean `names`?"),
        ("names:initals", "has no function `initals`\n  Did you mean `initials`?"),
        ("names:CONSTANT", "has no function `CONSTANT`"),
        ("broken:f", "cannot be imported: SyntaxError"),
        ("leaving:f", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_function_that_is_not_there(folder: str, name: str, said: str) -> None:
    with pytest.raises(MappingError) as caught:
        load_function(name, folder)
    assert said in str(caught.value)


def test_without_a_folder_there_are_no_functions() -> None:
    with pytest.raises(MappingError, match=r"Name the folder of your modules in koppel\.yaml"):
        load_function("names:initials", "")


def test_an_edited_module_is_read_again(folder: str) -> None:
    path = Path(folder) / "names.py"
    before = source_of("names:initials", folder)
    assert load_function("names:initials", folder)("Jo") == "J"
    path.write_text(MODULE.replace("word[0]", "word[1]"), "utf-8")
    assert source_of("names:initials", folder) != before
    assert load_function("names:initials", folder)("Jo") == "o"

"""Koppel from Python: the examples of its page run, as written, against a sandbox; and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command_line import SECRET, Shell, open_shell

from koppel import AsyncKoppel, Koppel
from koppel.errors import ConfigError, FilterError, UsageError
from koppel.sandbox.tokens import KOPPEL

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with open_shell(customers=20) as shell, _inside(shell.folder):
        yield shell


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.environ[SECRET] = KOPPEL.secret
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        del os.environ[SECRET]


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "koppel"]


def test_the_examples_of_the_page_run(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), names)
    told = capsys.readouterr().out
    assert "CUSTOMER couple both sides have records" in told
    assert told.endswith("True\n") or told.endswith("False\n")
    assert names["koppel"].status("CUSTOMER")[0].numbers.couplings > 10
    names["koppel"].close()
    assert _threads() == []


def test_every_method_is_on_the_page_and_has_a_blocking_twin() -> None:
    methods = {name for name, value in vars(AsyncKoppel).items() if callable(value) and not name.startswith("_")}
    assert methods - {"settled"} <= set(dir(Koppel))
    page = PAGE.read_text("utf-8")
    assert [name for name in methods if f"`{name}(" not in page] == []
    assert Koppel.sync.__doc__ == AsyncKoppel.sync.__doc__


def test_records_are_chosen_by_a_filter(shell: Shell) -> None:
    with Koppel() as koppel:
        koppel.full(["SALESPEOPLE", "CURRENCY", "CUSTOMER"])
        shell.edit("business_central", "customers", "number", "AW00000002", phoneNumber="2222")
        shell.edit("business_central", "customers", "number", "AW00000003", phoneNumber="3333")
        changed = koppel.plan("CUSTOMER", where="phoneNumber eq '3333'")
        assert [action.name for action in changed] == ["AW00000003"]
        assert koppel.sync("customer", where="phoneNumber eq '3333'").counts["updated"] == 1
        assert koppel.sync("customer", where="telephone1 eq '2222'", side="dataverse").counts == {}
        with pytest.raises(FilterError):
            koppel.plan("CUSTOMER", where="phoneNumber equals 3")
        with pytest.raises(UsageError, match="by name or by a filter"):
            koppel.plan("CUSTOMER", records="AW00000001", where="phoneNumber eq '1'")


def test_an_empty_list_of_mappings_is_no_mapping(shell: Shell) -> None:
    with Koppel() as koppel:
        assert koppel.sync([]).finished == []
        assert koppel.plan("CUSTOMER", records=[]) == []
        with pytest.raises(UsageError, match="one mapping"):
            koppel.sync(records="AW00000001")


async def test_it_works_where_an_event_loop_runs_already(shell: Shell) -> None:
    with Koppel("koppel.yaml") as koppel:
        assert koppel.status("CUSTOMER")
        assert len(_threads()) == 1
    assert _threads() == []


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path, shell: Shell) -> None:
    koppel = Koppel()
    assert "CUSTOMER" in koppel.mappings
    assert _threads() == []
    koppel.close()
    with pytest.raises(ConfigError, match="cannot be read"):
        Koppel(tmp_path / "nowhere.yaml")


def test_one_that_is_forgotten_closes_itself(shell: Shell) -> None:
    koppel = Koppel()
    assert koppel.jobs(limit=1)
    del koppel
    assert _threads() == []


def test_a_job_is_taken_back(shell: Shell) -> None:
    with Koppel() as koppel:
        shell.edit("business_central", "customers", "number", "AW00000004", phoneNumber="4444")
        done = koppel.sync("CUSTOMER", records="AW00000004")
        (job,) = (one.result.job for one in done.finished if one.result)
        result, left = koppel.undo(job)
        assert (result.counts["updated"], left) == (1, [])


def test_ctrl_c_ends_a_call_in_good_order(shell: Shell) -> None:
    with Koppel() as koppel:
        koppel.status("CUSTOMER")
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            koppel.verify()
        assert koppel.status("CUSTOMER")
    assert _threads() == []

"""The files of deploy/ say what Koppel understands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from koppel.cli.main import app

DEPLOY = Path(__file__).parents[2] / "deploy"


def understood(words: list[str]) -> None:
    """Raises unless these are words of Koppel's command line."""
    command = typer.main.get_command(app)
    with command.make_context("koppel", words[:1], resilient_parsing=True) as context:
        found = command.get_command(context, words[0])  # type: ignore[attr-defined]
        assert found is not None, words
        found.make_context(words[0], words[1:])


@pytest.mark.parametrize("unit", ["koppel.service", "koppel-worker@.service"])
def test_units_start_what_there_is(unit: str) -> None:
    lines = dict(line.split("=", 1) for line in (DEPLOY / unit).read_text().splitlines() if "=" in line[1:])
    program, *words = shlex.split(lines["ExecStart"])
    assert program.endswith("/koppel")
    understood(words)
    assert int(lines["TimeoutStopSec"]) > 60, "a run may end its chunk"


def test_containers_start_what_there_is() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name in ("serve", "worker"):
        understood(services[name]["command"])
        assert services[name]["stop_grace_period"] == "90s"
    assert services["worker"]["deploy"]["replicas"] == 2


def test_every_secret_has_a_place() -> None:
    named = (DEPLOY / "secrets.env.example").read_text()
    for name in ("KOPPEL_CLIENT_SECRET", "KOPPEL_WEBHOOK_SECRET", "PGPASSWORD"):
        assert f"\n{name}=" in named

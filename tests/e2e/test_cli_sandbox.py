"""The sandbox as a user starts it, with the script that is installed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

KOPPEL = str(Path(sys.executable).with_name("koppel"))


def test_it_serves_https_and_writes_a_configuration_that_works(tmp_path: Path) -> None:
    config = tmp_path / "koppel.yaml"
    command = [
        KOPPEL,
        "sandbox",
        "--port",
        "0",
        "--customers",
        "3",
        "--https",
        "--webhook-delay",
        "0.2",
        "--init",
        "--config",
        str(config),
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        told = json.loads("".join(iter_object(sandbox)))
        secret = {"KOPPEL_CLIENT_SECRET": told["client_secrets"]["koppel"]}
        checked = subprocess.run(
            [KOPPEL, "check", "--config", config], env=os.environ | secret, capture_output=True, text=True
        )
        base = told["dataverse_url"].removesuffix("/dataverse")
        webhooks = requests.get(f"{base}/sandbox/webhooks", verify=told["ca_file"]).json()
        sandbox.send_signal(signal.SIGTERM)
        assert sandbox.wait(10) == 0
    assert webhooks["delay"] == 0.2
    assert told["dataverse_url"].startswith("https://127.0.0.1:")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    assert checked.stdout.endswith("everything fits\n")


def iter_object(sandbox: subprocess.Popen[str]) -> list[str]:
    """The lines of the object that is printed when it is ready."""
    assert sandbox.stdout is not None
    lines = []
    for line in sandbox.stdout:
        lines.append(line)
        if line == "}\n":
            break
    return lines


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--data", "northwind"), "there is no data 'northwind'"),
        (("--faults", "koppel.none"), "the file cannot be read"),
        (("--tables", "koppel.none"), "the file cannot be read"),
    ],
)
def test_words_that_do_not_fit_are_told(words: tuple[str, ...], part: str) -> None:
    done = subprocess.run([KOPPEL, "sandbox", "--customers", "0", *words], capture_output=True, text=True)
    assert (done.returncode, part in done.stderr) == (2, True), done.stderr


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([KOPPEL, "sandbox", "--data", "empty", "--port", port], capture_output=True, text=True)
    assert (done.returncode, f"cannot listen on 127.0.0.1, port {port}" in done.stderr) == (1, True), done.stderr


def test_the_version_is_told() -> None:
    done = subprocess.run([KOPPEL, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "koppel")

"""Installing the packages for real, in a copied course, where the way to them is broken."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BASE = getattr(sys, "_base_executable", None) or sys.executable
pytestmark = pytest.mark.faults


def run_test_command(course: Path, index: str, *tools: Path, **more: str) -> str:
    """`test` in a copied course with pip set to `index`; the last line of a run that fails."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not re.match("PIP_|UV_|VIRTUAL_ENV|PYTHONPATH|CONDA", name)
    }
    variables |= {"PIP_INDEX_URL": index, "PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}
    variables["PATH"] = os.pathsep.join([*map(str, tools), "/usr/bin", "/bin"])
    command = [BASE, "-m", "gnet_utils", "test"]
    done = subprocess.run(
        command, cwd=course, env={**variables, **more}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (course / ".venv").exists()
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("with_uv", [False, True])
def test_no_network_is_one_sentence_and_leaves_nothing(course, tmp_path, with_uv):
    """The real command in a copied course, with an index that nobody answers at."""
    tools = tmp_path / "tools"
    tools.mkdir()
    if with_uv:  # stands for uv: makes a venv, then finds no network
        uv = tools / "uv"
        uv.write_text(
            f"#!/bin/sh\ncase $1 in venv) exec {BASE} -m venv .venv;; esac\n"
            "echo 'error: Failed to fetch: dns error' >&2\nexit 2\n"
        )
        uv.chmod(0o755)
    last = run_test_command(course, "http://127.0.0.1:9/simple", tools)
    assert last.startswith("error: the package index cannot be reached: connect to the internet")


def test_a_certificate_that_pip_does_not_trust_is_named_and_the_way_out_works(
    course, server, tmp_path
):
    """As behind a school's proxy; with the way out pip gets through, to an index without torch."""
    certificate = server.encrypt(tmp_path)
    last = run_test_command(course, f"{server.url}/missing")
    assert last.startswith("error: a certificate on the way is not trusted")
    names = re.findall("[A-Z_]+_[A-Z]+", last)
    assert names == ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"]
    assert server.asked == []
    last = run_test_command(
        course, f"{server.url}/missing", **dict.fromkeys(names, str(certificate))
    )
    assert last.startswith("error: no PyTorch was found") and "check the index settings" in last
    assert "missing" in server.asked

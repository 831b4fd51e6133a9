"""Faults, load and bad input: one module for each row of the table in tests/README.md.

What takes longer than two seconds is marked `faults`: `python -m gnet_utils test --faults` runs it
with all else in this folder, pytest alone leaves it out.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    if "not faults" not in config.option.markexpr:  # for the number of random inputs
        os.environ["GNET_FAULTS"] = "1"


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run Python code in a process of its own, in a folder of its own; variables as keywords."""

    def run(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
        inherited = {k: v for k, v in os.environ.items() if k not in ("GNET_QUICK", "PYTHONPATH")}
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=600,
        )

    return run

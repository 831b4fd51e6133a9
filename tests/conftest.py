"""Settings for all tests: short training runs, no windows, no GPU."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import fresh, official, server, share  # noqa: F401 - fixtures for all tests

os.environ.setdefault("GNET_QUICK", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is compared is what a CPU computes

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("GNET_CACHE_DIR") or ROOT / "data" / "cache").resolve()


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A copy of the course without notebooks and data, free to be changed by a test."""
    folder = tmp_path / "course"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gnet_utils", folder / "gnet_utils", ignore=ignore)
    (folder / "tests").mkdir()
    (folder / "notebooks").mkdir()
    for name in ("requirements.txt", "pyproject.toml", "README.md", "tests/constraints.txt"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "tests" / "nbval_sanitize.cfg", folder / "tests")
    return folder


@pytest.fixture
def command(course: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run `python -m gnet_utils ARGUMENTS` in the copied course; extra variables as keywords.

    The data come from the cache of the real course, so that they need not be made again.
    """

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        inherited = {name: value for name, value in os.environ.items() if name != "GNET_QUICK"}
        return subprocess.run(
            [sys.executable, "-m", "gnet_utils", *arguments],
            cwd=course,
            env={**inherited, "GNET_CACHE_DIR": str(CACHE), **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run

"""Settings for all tests: short training runs, no windows, no GPU."""

import os
import re
import shutil
from pathlib import Path

import pytest
from tiny_data import fresh, official, server, share  # noqa: F401 - fixtures for all tests

os.environ.setdefault("GNET_QUICK", "1")
os.environ["GNET_REMEMBER"] = "0"
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is compared is what a CPU computes

ROOT = Path(__file__).resolve().parents[1]
# Modules that hold the lessons to what their authors wrote: a teacher's lesson may differ.
AUTHORS = re.compile(r"_notebook|notebook_rules|_claims|answers|minutes|readme|teaching")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if AUTHORS.search(item.path.stem):
            item.add_marker("authors")


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

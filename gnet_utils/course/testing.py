"""The course's own test: one pytest run over the unit tests and, through nbval, all notebooks.

Each notebook runs as it is, with the solutions of its exercises run in their places: so one run
tests that cells work, that compared outputs are as stored, and that solutions work. The hooks at
the end make this module a plugin of that run (not tests/conftest.py: a zip for a class has none).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

from gnet_utils.base import ROOT, UsageError
from gnet_utils.course.notebooks import find_notebooks, read, solutions, write

MAX_WORKERS = 4  # each takes up to about 2 GB of memory
NBVAL = [
    "--nbval-lax",
    "--nbval-current-env",
    "--nbval-cell-timeout=300",
    f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}",
]
COLOUR_CODES = re.compile(r"\x1b\[[0-9;]*m")  # of a kernel's tracebacks


def run_tests(options: argparse.Namespace) -> int:
    """Run what the options of the command `test` ask for; returns pytest's exit code.

    Raises UsageError for an unknown notebook, and for notebooks together with an expression.
    """
    names, expression, slow = options.notebooks, options.expression, options.slow
    if names and expression:
        raise UsageError("-k chooses among the unit tests: name notebooks or give -k, not both")
    paths = [] if slow or expression or options.no_notebooks else find_notebooks(names)
    os.environ["GNET_QUICK"], os.environ["GNET_REMEMBER"] = "1", "0"
    if options.stand_in:
        os.environ["GNET_DATA_SOURCE"] = "stand-in"
        paths = [path for path in paths if "load_fashion_mnist" in path.read_text("utf-8")]
    from gnet_utils.data import prepare  # imports torch: after the arguments are known to be right

    print(f"Testing on {prepare().kind} data.", flush=True)
    tests = ROOT / "tests"
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    command += ["-p", "gnet_utils.course.testing", *NBVAL]
    workers = 1 if slow or len(names) == 1 else min(os.cpu_count() or 1, MAX_WORKERS)
    if workers > 1:  # the cells of a notebook must stay together, and in order
        command += ["-n", str(workers), "--dist", "loadscope"]
    if slow:
        command += [str(tests / slow), "-m", ""]  # takes back what pyproject.toml leaves out
    elif not names and any(tests.glob("test_*.py")):  # a zip for a class has none
        command += [str(tests)]
        command += ["-m", "data and not browser and not faults"] if options.stand_in else []
    command += ["-k", expression] if expression else []
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    with tempfile.TemporaryDirectory(prefix=".test-", dir=ROOT) as folder:
        command += [str(with_solutions(path, Path(folder))) for path in paths]
        env = {**os.environ, "OMP_NUM_THREADS": threads}
        return subprocess.run(command, cwd=ROOT, env=env).returncode


def with_solutions(path: Path, folder: Path) -> Path:
    """A copy of the notebook in `folder`, with each folded solution as a code cell below it.

    The cell fails unless the exercise's check says right.
    """
    notebook = read(path)
    for index, name, code in reversed(solutions(notebook)):
        called = re.search(rf"check\(\"{re.escape(name)}\", (\w+)\)", code)
        code += (
            "\n\nfrom gnet_utils.exercises import mistake_in\n"
            f"mistake = mistake_in({name!r}, {called[1] if called else 'answer'})\n"
            "assert mistake is None, mistake\n"
        )
        cell = nbformat.v4.new_code_cell(code, metadata={"solution_of": name})
        notebook["cells"].insert(index + 1, cell)
    write(notebook, folder / path.name)
    return folder / path.name


# The plugin -------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note which number the reader sees at a cell, or of which exercise it is the solution."""
    seen: dict[Path, int] = {}
    for item in items:
        if item.path.suffix == ".ipynb":
            exercise = item.cell.metadata.get("solution_of")
            count = seen[item.path] = seen.get(item.path, 0) + (exercise is None)
            place = f"solution of {exercise}" if exercise else f"cell [{count}]"
            item.user_properties.append(("cell", f"{item.path.stem} {place}"))
            item.add_marker("data")  # of the notebooks only those are given that use data


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The cells that failed, the data (loud where they are the stand-in), and what to do next."""
    from gnet_utils.data import data_source

    failed, changed = terminalreporter.stats.get("failed", []), set()
    for report in failed:
        if cell := dict(report.user_properties).get("cell"):
            text = COLOUR_CODES.sub("", report.longreprtext)
            errors = re.findall(r"^\w*(?:Error|Exception|Interrupt): .*", text, re.M)
            changed |= set() if errors else {cell[:2]}
            reason = errors[-1][:120] if errors else "its output is not the stored one"
            terminalreporter.write_line(f"FAILED {cell} - {reason}")
    found = data_source()
    kind = "the real Fashion-MNIST" if found.kind == "real" else "THE DRAWN STAND-IN"
    terminalreporter.write_line(
        "This tests the course, not a learner: it is no grade (collect says what a class has done)."
    )
    terminalreporter.write_line(f"Data: {kind} ({found.why.rstrip('.')}).")
    if authors := sum("authors" in report.keywords for report in failed):
        terminalreporter.write_line(
            f"{authors} of the failed tests hold the lessons to what their authors wrote (figures, "
            "lengths, words, the teacher's pages): a lesson that you have changed need not keep it."
        )
    if changed:
        names = " ".join(sorted(changed))
        terminalreporter.write_line(
            f"If you meant this change, store the new output: python3 -m gnet_utils render {names}"
        )

"""The course's own test: unit tests and all notebooks, some at a time, with one summary.

Each notebook runs through nbval as it is, with the solutions of its exercises run in their places:
so one run tests that cells work, that compared outputs are as stored, and that solutions work.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from gnet_utils.environment import ROOT
from gnet_utils.notebooks import bundle, find_notebooks, put_solutions, read, write

CELL_SECONDS = 300
MAX_WORKERS = 4  # each takes up to about 2 GB of memory
NBVAL = [
    "--nbval-lax",
    "--nbval-current-env",
    f"--nbval-cell-timeout={CELL_SECONDS}",
    f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}",
]


# Tests that a plain run leaves out (see addopts in pyproject.toml), by the option that runs them.
SLOW = {"browser": "tests/browser", "faults": "tests/faults"}

COLOURS = re.compile(r"(\x1b|#x1B)\[[0-9;]*m")  # of terminals, in tracebacks, also as XML


@dataclass
class Job:
    """One pytest run: its name, its arguments, and where it happens."""

    name: str
    arguments: list[str]
    labels: list[str] = field(default_factory=list)  # what to call each code cell of a notebook
    python: str = sys.executable
    env: dict[str, str] = field(default_factory=dict)  # besides this process's variables
    without: tuple[str, ...] = ()  # this process's variables that it does not get
    folder: Path = ROOT


@dataclass
class Result:
    """Outcome of one pytest run: counts, seconds, and a line for each failure and skip."""

    name: str
    passed: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    output: str = ""

    def counts(self) -> str:
        """Such as "12 passed, 1 failed"; the last line of pytest reads the same."""
        numbers = (
            (len(self.failed), "failed"),
            (self.passed, "passed"),
            (len(self.skipped), "skipped"),
        )
        return ", ".join(f"{n} {word}" for n, word in numbers if n) or "nothing run"


def run_tests(
    names: Sequence[str] = (),
    *,
    stand_in: bool = False,
    expression: str = "",
    with_notebooks: bool = True,
    slow: Sequence[str] = (),
    on_colab: bool = False,
) -> int:
    """Run unit tests and notebooks, print a summary; returns 0 when all passed, else 1.

    names: only these notebooks, and no unit tests unless `expression` (pytest's -k) asks for some.
    stand_in: only what depends on data, on the drawn stand-in for Fashion-MNIST.
    slow: instead of all else, all tests of these kinds, "browser" or "faults".
    on_colab: only notebooks, with Colab's versions, from the zip, see gnet_utils.colab.
    Raises ValueError for an unknown notebook.
    """
    start = time.perf_counter()
    some_tests = bool(expression or slow)
    paths = find_notebooks(names) if with_notebooks and (names or not some_tests) else []
    os.environ["GNET_QUICK"] = "1"
    if stand_in:
        os.environ["GNET_DATA_SOURCE"] = "stand-in"
        paths = [path for path in paths if uses_data(path)]
    from gnet_utils.data import prepare  # imports torch: after the arguments are known to be right

    source = prepare()
    results = []
    with (
        tempfile.TemporaryDirectory(prefix=".test-", dir=ROOT) as here,
        tempfile.TemporaryDirectory(prefix="gnet-colab-") as elsewhere,
    ):
        folder = Path(here)
        jobs = [_notebook_job(path, folder) for path in reversed(paths)]
        if on_colab:
            jobs = _colab_jobs(jobs, folder, Path(elsewhere))
        elif slow:
            jobs += [_slow_job(kind, expression) for kind in slow]
        elif (expression or not names) and any((ROOT / "tests").glob("test_*.py")):
            jobs.insert(0, Job("unit tests", _unit_command(expression, stand_in)))
        workers = min(os.cpu_count() or 1, MAX_WORKERS, len(jobs))
        runs = f"{len(jobs)} run{'s' * (len(jobs) > 1)}"
        print(f"Testing on {source.kind} data: {runs}, {workers} at a time.", flush=True)
        with ThreadPoolExecutor(workers) as pool:
            waiting = [pool.submit(_run, job, folder, workers) for job in jobs]
            for done in as_completed(waiting):
                result = done.result()
                results.append(result)
                if result.failed:
                    print(result.output)
                place = f"[{len(results):2}/{len(jobs)}]"
                print(
                    f"{place} {result.name:28} {result.counts()}, {result.seconds:.0f} s",
                    flush=True,
                )
    return _summarise(results, source, time.perf_counter() - start)


def uses_data(path: Path) -> bool:
    """Does this notebook work on Fashion-MNIST?"""
    return "load_fashion_mnist" in path.read_text(encoding="utf-8")


def _unit_command(expression: str, data_only: bool) -> list[str]:
    command = [str(ROOT / "tests")]
    if expression:
        command += ["-k", expression]
    if data_only:
        command += ["-m", " and ".join(["data", *(f"not {kind}" for kind in SLOW)])]
    return command


def _slow_job(kind: str, expression: str) -> Job:
    """All tests of one slow kind: -m "" takes back what addopts leaves out."""
    command = [str(ROOT / SLOW[kind]), "-m", ""]
    return Job(f"{kind} tests", [*command, "-k", expression] if expression else command)


def _colab_jobs(jobs: list[Job], folder: Path, elsewhere: Path) -> list[Job]:
    """The same notebooks, each alone in a folder with the zip, in Colab's environment."""
    from gnet_utils import colab

    colab.prepare()
    course = bundle(folder / "gnet-course.zip")
    moved = []
    for job in jobs:
        place = elsewhere / job.name
        copy, env = colab.lay_out(Path(job.arguments[-1]), course, place)
        arguments = [*job.arguments[:-1], f"--rootdir={copy.parent}", str(copy)]
        python = str(colab.python())
        moved.append(Job(job.name, arguments, job.labels, python, env, colab.NOT_KEPT, copy.parent))
    return moved


def _notebook_job(path: Path, folder: Path) -> Job:
    """Put a copy of the notebook with its solutions into `folder`.

    Its code cells are called by the number that the reader sees, or as the solution of an exercise.
    """
    notebook = read(path)
    put_solutions(notebook)
    copy = folder / path.name
    write(notebook, copy)
    labels, count = [], 0
    for cell in notebook["cells"]:
        solved = cell["metadata"].get("solution_of")
        if cell["cell_type"] == "code":
            count += not solved and bool(cell["source"].strip())
            labels.append(f"solution of {solved}" if solved else f"cell [{count}]")
    return Job(path.stem, [*NBVAL, str(copy)], labels)


def _run(job: Job, folder: Path, workers: int) -> Result:
    report = folder / f"{job.name}.xml"
    command = [job.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"]
    command += [f"--junitxml={report}", *job.arguments]
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    kept = {name: value for name, value in os.environ.items() if name not in job.without}
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=job.folder,
        env={**kept, "OMP_NUM_THREADS": threads, **job.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    result = read_report(job.name, report, job.labels)
    result.seconds = time.perf_counter() - start
    result.output = COLOURS.sub("", done.stdout)
    if done.returncode and not result.failed:  # it died, or nothing was there to run
        result.failed.append(f"{job.name} - pytest ended with exit code {done.returncode}")
    return result


def read_report(name: str, report: Path, labels: Sequence[str] = ()) -> Result:
    """Read pytest's JUnit XML file; `labels` name the cells of a notebook."""
    result = Result(name)
    cases = ElementTree.parse(report).iter("testcase") if report.is_file() else ()
    for index, case in enumerate(cases):
        place = name if labels else case.get("classname")
        test = f"{place}::{labels[index] if labels else case.get('name')}"
        bad = [part for part in case if part.tag in ("failure", "error")]
        skip = case.find("skipped")
        if bad:
            result.failed.append(f"{test} - {_reason(bad[0])[:150]}")
        elif skip is not None:
            result.skipped.append(f"{test} - {skip.get('message')}")
        else:
            result.passed += 1
    return result


def _reason(failure: ElementTree.Element) -> str:
    """One line: pytest's message; for a cell nbval's reason and the error, which comes last."""
    lines = [line for line in COLOURS.sub("", failure.text or "").splitlines() if line.strip()]
    if not lines or not lines[0].startswith("Notebook cell"):
        return (failure.get("message") or "no message").splitlines()[0]
    errors = [line for line in lines if re.match(r"\w*(Error|Exception|Interrupt): ", line)]
    return ": ".join([lines[1].partition(": ")[2], *errors[-1:]])


def _summarise(results: list[Result], source: object, seconds: float) -> int:
    total = Result("all", sum(r.passed for r in results), seconds)
    print("\n" + " summary ".center(80, "="))
    for result in sorted(results, key=lambda r: r.name):
        total.failed += result.failed
        total.skipped += result.skipped
        print(f"{result.name:30} {result.counts():34} {result.seconds:6.0f} s")
    kind = "the real Fashion-MNIST" if source.kind == "real" else "THE DRAWN STAND-IN"
    print(f"\nData: {kind} ({source.why.rstrip('.')}).")
    for line in total.skipped:
        print(f"SKIPPED {line}")
    for line in total.failed:
        print(f"FAILED {line}")
    print(f" {total.counts()} in {seconds:.2f}s ".center(80, "="))
    return 1 if total.failed or not total.passed else 0

"""The compared cells of the notebooks on other Pythons and other versions of the packages.

    python -m gnet_utils test --matrix

For each Python 3.10 to 3.13 of this machine two environments, one after the other: the oldest
packages that requirements.txt allows, and the newest that there are. In each the notebooks run
through nbval, which compares the tagged outputs with the stored ones. Each environment takes about
2 GB (PyTorch's CPU build; up to 6.5 GB where that cannot be had) and is deleted when it is done.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gnet_utils.environment import CPU_INDEX, GIGABYTES_CUDA, REQUIREMENTS, ROOT
from gnet_utils.errors import CourseError
from gnet_utils.notebooks import find_notebooks
from gnet_utils.testing import NBVAL, Result, read_report

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ENDS = ("oldest", "newest")
GIGABYTES = 3.0  # of one environment while it is made
SEEN = ("torch", "torchvision", "numpy", "matplotlib", "ipywidgets", "jupyterlab")


@dataclass
class Environment:
    """One environment to make: a Python of this machine, and which end of the versions."""

    python: str
    path: str
    end: str
    note: str = ""  # why it could not be made as asked, or at all
    versions: str = ""
    results: list[Result] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.python}-{self.end}"

    @property
    def agrees(self) -> bool:
        return bool(self.results) and not any(result.failed for result in self.results)


def run_matrix(
    pythons: Sequence[str] = PYTHONS,
    ends: Sequence[str] = ENDS,
    notebooks: Iterable[str] = (),
    folder: Path = ROOT / ".venv-matrix",
    keep: bool = False,
) -> int:
    """Make the environments, run the notebooks in each, print a table; 0 when all agree, else 1.

    pythons: which versions, of those that this machine has. notebooks: their numbers, all where
    none is named. keep: leave the environments in `folder` for a look. Raises CourseError when this
    machine has none of these Pythons.
    """
    environments = plan(pythons, ends)
    paths = find_notebooks(notebooks)
    missing = [python for python in pythons if python not in {e.python for e in environments}]
    if missing:
        print(f"Not on this machine: Python {', '.join(missing)}.", flush=True)
    for environment in environments:
        print(f"Python {environment.python}, {environment.end} packages ...", flush=True)
        start = time.perf_counter()
        try:
            _make(environment, folder / environment.name)
            environment.results = _run_notebooks(environment, folder / environment.name, paths)
        except CourseError as error:
            environment.note = str(error)
        finally:
            if not keep:
                shutil.rmtree(folder / environment.name, ignore_errors=True)
        print(f"  {_outcome(environment)}, {time.perf_counter() - start:.0f} s", flush=True)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(environments))
    return 0 if all(environment.agrees for environment in environments) else 1


def plan(
    pythons: Sequence[str] = PYTHONS,
    ends: Sequence[str] = ENDS,
    find: Callable[[str], str | None] | None = None,
) -> list[Environment]:
    """The environments that this machine allows. Raises CourseError for none, and ValueError."""
    for python in pythons:
        if python not in PYTHONS:
            raise ValueError(f"pythons must be of {', '.join(PYTHONS)}, got {python!r}")
    for end in ends:
        if end not in ENDS:
            raise ValueError(f"ends must be of {', '.join(ENDS)}, got {end!r}")
    find = find or find_python
    found = {python: path for python in pythons if (path := find(python))}
    if not found:
        raise CourseError(
            f"this machine has no Python {', '.join(pythons)}: install one, with `uv python "
            "install 3.12` for example"
        )
    return [Environment(python, path, end) for python, path in found.items() for end in ends]


def find_python(version: str) -> str | None:
    """The path of an installed Python of that version ("3.12") that runs, or None."""
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    candidates = [getattr(sys, "_base_executable", None) or sys.executable]
    candidates = candidates if version == running else []
    candidates.append(shutil.which(f"python{version}"))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates += sorted(map(str, pyenv.glob(f"{version}.*/bin/python")), reverse=True)
    if uv := shutil.which("uv"):  # knows those that it has installed; it fetches none here
        command = [uv, "python", "find", "--no-python-downloads", "--system", version]
        candidates.append(subprocess.run(command, capture_output=True, text=True).stdout.strip())
    return next((path for path in candidates if path and _version_of(path) == version), None)


def _version_of(path: str) -> str:
    """The version that a Python says it has; "" when it does not run (a shim without a Python)."""
    try:
        command = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def oldest_requirements(text: str) -> str:
    """The lines of requirements.txt with each lower bound as the version to take."""
    return re.sub(r"^([A-Za-z0-9._-]+)>=([0-9.]+)", r"\1==\2.*", text, flags=re.MULTILINE)


def install_command(
    environment: Environment, place: Path, requirements: Path, uv: str | None, cpu: bool = True
) -> list[str]:
    """The command line that fills an environment, with PyTorch from its CPU index or the usual."""
    python = str(_python_in(place))
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", python]
        if cpu:  # PyTorch from its own index (smaller, no CUDA), all else from the usual one
            command += ["--index", CPU_INDEX, "--index-strategy", "unsafe-best-match"]
        if environment.end == "oldest":  # only of what we name; their own needs stay free
            command += ["--resolution", "lowest-direct"]
    else:
        command = [python, "-m", "pip", "install", "--quiet"]
        command += ["--extra-index-url", CPU_INDEX] if cpu else []
    # Built packages only: where the oldest is not built for a Python, the next one is taken.
    return [*command, "--only-binary", ":all:", "-r", str(requirements)]


def _python_in(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(environment: Environment, place: Path) -> None:
    """Make the environment at `place`; CourseError says why it cannot be made."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _check_space(place.parent, GIGABYTES)
    shutil.rmtree(place, ignore_errors=True)
    uv = shutil.which("uv")
    make = [uv, "venv", "--quiet", "--python"] if uv else [environment.path, "-m", "venv"]
    _call([*make, environment.path, str(place)] if uv else [*make, str(place)])
    wanted = place / "requirements.txt"
    text = REQUIREMENTS.read_text(encoding="utf-8")
    pinned = oldest_requirements(text) if environment.end == "oldest" and not uv else text
    wanted.write_text(pinned, encoding="utf-8")
    try:
        _call(install_command(environment, place, wanted, uv))
    except CourseError:  # a mirror that has no CPU builds: the usual index then
        _check_space(place.parent, GIGABYTES_CUDA)
        _call(install_command(environment, place, wanted, uv, cpu=False))
    code = (
        "from importlib.metadata import version as v; "
        f"print(', '.join(f'{{n}} {{v(n)}}' for n in {SEEN}))"
    )
    environment.versions = _call([str(_python_in(place)), "-c", code]).strip()


def _check_space(folder: Path, gigabytes: float) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise CourseError(f"not made: it takes {gigabytes:g} GB and {free:.1f} GB are free")


def _call(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise CourseError(f"not made: {' '.join(lines[-3:])[:300] or 'no message'}")
    return done.stdout


def _run_notebooks(environment: Environment, place: Path, paths: Sequence[Path]) -> list[Result]:
    """Each notebook through nbval, in the environment, with short training."""
    variables = {k: v for k, v in os.environ.items() if not re.match("VIRTUAL_ENV|PYTHON", k)}
    results = []
    with tempfile.TemporaryDirectory() as reports:
        for path in paths:
            report = Path(reports) / f"{path.stem}.xml"
            command = [str(_python_in(place)), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            command += [f"--junitxml={report}", *NBVAL, str(path)]
            subprocess.run(
                command, cwd=ROOT, env={**variables, "GNET_QUICK": "1"}, capture_output=True
            )
            result = read_report(path.stem, report)
            if not result.passed and not result.failed:
                result.failed.append(f"{path.stem} - nothing ran")
            results.append(result)
    return results


def _outcome(environment: Environment) -> str:
    if environment.note:
        return environment.note
    cells = sum(result.passed for result in environment.results)
    wrong = [line for result in environment.results for line in result.failed]
    return f"{cells} cells agree" + (f", {len(wrong)} do not: {wrong[0]}" if wrong else "")


def table(environments: Sequence[Environment]) -> str:
    """One line for each environment, with its versions, and one for each cell that differs."""
    lines = []
    for environment in environments:
        sign = "agrees " if environment.agrees else "DIFFERS" if environment.results else "no run "
        lines.append(f"{sign}  Python {environment.name:12}  {_outcome(environment)}")
        if environment.versions:
            lines.append(f"         {environment.versions}")
        lines += [f"         {line}" for result in environment.results for line in result.failed]
    return "\n".join(lines)

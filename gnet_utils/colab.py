"""The notebooks as they run on Colab: its versions, its folder, its way to find the course.

`python -m gnet_utils test --colab` makes `.venv-colab` once, with the versions below and the
PyTorch that is installed here. There each notebook runs through nbval, alone with gnet-course.zip
in a folder outside the repository, as after an upload to Colab; its set-up cell unpacks the zip.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gnet_utils.environment import CPU_INDEX, ROOT
from gnet_utils.errors import CourseError

VENV = ROOT / ".venv-colab"
PYTHON = "3.13"
PINS = {  # what a Colab notebook finds, as of late 2026
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "ipywidgets": "7.7.1",
    "traitlets": "5.7.1",
    "matplotlib": "3.10.0",
    "numpy": "2.1.3",
    "opencv-python": "5.0.0.93",
}
OTHERS = ("safetensors", "tqdm", "pillow", "pytest", "nbval", "setuptools")
AS_HERE = ("torch", "torchvision")
# What tells the set-up cell that this is Colab: the module is loaded before the first cell.
STARTUP = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
NOT_KEPT = ("PYTHONPATH", "VIRTUAL_ENV")  # variables that would let the repository in


def python() -> Path:
    """Path of the Python in .venv-colab."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def requirements() -> list[str]:
    """What is installed: Colab's versions, PyTorch as it is here, the test tools."""
    here = [f"{name}=={importlib.metadata.version(name)}" for name in AS_HERE]
    return [*here, *(f"{name}=={version}" for name, version in PINS.items()), *OTHERS]


def prepare() -> None:
    """Make .venv-colab unless it is complete; CourseError when that fails."""
    wanted = {"requirements": requirements()}
    stamp = VENV / "gnet-stamp.json"
    try:
        if json.loads(stamp.read_text(encoding="utf-8")) == wanted and python().exists():
            return
    except (OSError, ValueError):
        pass
    base = base_python()
    print(f"Making {VENV} with Python {_version_of(base)} and Colab's versions, once.", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    uv = shutil.which("uv")
    _run([*([uv, "venv", "--quiet", "--python", base] if uv else [base, "-m", "venv"]), str(VENV)])
    install = [str(python()), "-m", "pip", "install", "--quiet"]
    if uv:
        install = [uv, "pip", "install", "--quiet", "--python", str(python())]
    here, others = requirements()[: len(AS_HERE)], requirements()[len(AS_HERE) :]
    index = ["--index-url", CPU_INDEX] if "+cpu" in here[0] else []
    _run([*install, *index, *here])
    _run([*install, *here, *others])
    stamp.write_text(json.dumps(wanted), encoding="utf-8")


def base_python() -> str:
    """A Python 3.13 of this machine, else the one that runs, with a line that says so."""
    named = [shutil.which(f"python{PYTHON}"), shutil.which("py")]
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{PYTHON}.*/bin/python"))
    for path in [*named, *map(str, reversed(pyenv))]:
        if path and _version_of(path) == PYTHON:
            return path
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    print(
        f"NO PYTHON {PYTHON} IS HERE, AS COLAB HAS: testing with Python {here}.",
        file=sys.stderr,
        flush=True,
    )
    return getattr(sys, "_base_executable", None) or sys.executable


def _version_of(path: str) -> str:
    check = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", check], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        print(done.stderr, file=sys.stderr)
        raise CourseError(f".venv-colab cannot be made: {lines[-1] if lines else command}")


def lay_out(notebook: Path, course: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """Make `folder` look like Colab after an upload of a notebook and the zip `course`.

    Returns the path of the notebook's copy and the variables that its kernel needs.
    """
    content, startup = folder / "content", folder / "ipython" / "profile_default" / "startup"
    for place in (content, startup):
        place.mkdir(parents=True)
    shutil.copy(course, content / "gnet-course.zip")
    (startup / "00_colab.py").write_text(STARTUP, encoding="utf-8")
    cache = os.environ.get("GNET_CACHE_DIR") or str(ROOT / "data" / "cache")
    env = {"GNET_CACHE_DIR": cache, "IPYTHONDIR": str(folder / "ipython"), "PYTHONNOUSERSITE": "1"}
    return Path(shutil.copy(notebook, content)), env

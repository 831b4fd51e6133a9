"""Makes the course's `.venv`, installs its packages there, and goes on there.

Standard library only: this runs on a fresh machine. Which environment a command uses:

- an active one of the reader (virtualenv, conda) that has every package of requirements.txt:
  used as it is, never changed;
- for `train`, `data` and `bundle` any Python that has the packages which they import: on Colab,
  in a container;
- else the folder `.venv` of the course: made, completed or repaired first, then the command
  starts again inside it.

A stamp in `.venv` says what was installed. It is written as "installing" before anything else and
as "complete" last, so an installation that was killed is seen and made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from gnet_utils.base import ROOT, CourseError

VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements.txt"
CONSTRAINTS = ROOT / "tests" / "constraints.txt"
NEWEST_TESTED = (3, 13)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GIGABYTES_CPU, GIGABYTES_CUDA = 2.0, 6.5  # of .venv when it is complete, measured

# Where Jupyter, IPython, matplotlib and the installers keep their own files, else in the home.
HOME_FOLDERS = {
    "JUPYTER_CONFIG_DIR": "jupyter",
    "JUPYTER_DATA_DIR": "jupyter-data",
    "JUPYTER_RUNTIME_DIR": "jupyter-runtime",
    "IPYTHONDIR": "ipython",
    "MPLCONFIGDIR": "matplotlib",
    "UV_CACHE_DIR": "uv",
    "PIP_CACHE_DIR": "pip",
}

CERTIFICATE = (
    "a certificate on the way is not trusted, as behind a school's or a firm's proxy: set "
    "SSL_CERT_FILE, PIP_CERT and REQUESTS_CA_BUNDLE to the file with the proxy's certificate"
)
# What installers print when the cause lies outside, and what to tell the reader; the first counts.
CAUSES = {
    r"No space left|Disk quota exceeded|not enough space|os error 28\b": (
        "the disk is full: free {gigabytes:g} GB, then run the same command again"
    ),
    r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate": (
        CERTIFICATE + ", then run the same command again"
    ),
    r"NewConnectionError|NameResolution|Temporary failure in name|Name or service not known"
    r"|getaddrinfo|Network is unreachable|Connection (refused|reset|aborted)|ProxyError"
    r"|ConnectTimeout|ReadTimeout|Read timed out|dns error|error sending request"
    r"|Failed to fetch|tcp connect error": (
        "the package index cannot be reached: connect to the internet (or set up your proxy), "
        "then run the same command again"
    ),
    r"No matching distribution found for torch|torch[^\n]* has no wheels|no wheels? with a": (
        "no PyTorch was found for Python {python} on this system ({system}): use a 64-bit Python "
        "3.10 to 3.13 on Linux, Windows or a Mac with Apple silicon; if it is one, check the index "
        "settings of pip or uv"
    ),
}


def missing_packages(names: Collection[str] = ()) -> list[str]:
    """The lines of requirements.txt, or those for `names`, that the running Python lacks."""
    missing = []
    for name, lowest in _requirements():
        if names and name not in names:
            continue
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{name}>={lowest}")
            continue
        if _numbers(found) < _numbers(lowest):
            missing.append(f"{name}>={lowest} (found {found})")
    return missing


def other_versions() -> list[str]:
    """Packages of the running Python whose version is not that of the tests (CONSTRAINTS)."""
    from packaging.requirements import Requirement

    other = []
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        if not (row := line.partition("#")[0].strip()):
            continue
        pin = Requirement(row)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(pin.name)
            if (not pin.marker or pin.marker.evaluate()) and not pin.specifier.contains(found):
                other.append(f"{pin.name} {found} (tests: {pin.specifier})")
    return other


def how_to_mend() -> str:
    """What to do about a package that is missing in the running Python, found by importing it."""
    if _inside():
        return f"delete {VENV} and run it again"
    return (
        f"install it there (`{sys.executable} -m pip install -r requirements.txt`), or leave that "
        "environment, so that the course makes its own"
    )


def enter(arguments: Sequence[str], cpu: bool = False, names: Collection[str] = ()) -> None:
    """Return when this process has all packages; else prepare .venv and start again in it.

    arguments: of `python -m gnet_utils`, for the new start. cpu=True asks for PyTorch's build
    without GPU support. names: the packages that are enough, for a command that imports few.
    Raises CourseError, one sentence, when .venv cannot be made.
    """
    replace_home()
    if _is_complete(cpu) and _inside():
        return
    if not cpu and (names or _in_active_environment()) and not missing_packages(names):
        if not (names or _inside()):
            print(f"Using the active environment {sys.prefix}", flush=True)
        return
    prepare(cpu)
    _start_again(arguments)


def prepare(cpu: bool = False) -> None:
    """Make .venv complete, if it is not; two processes at once do it one after the other."""
    if _is_complete(cpu):
        return
    if not REQUIREMENTS.is_file():
        raise CourseError(
            f"{REQUIREMENTS} is missing: run this in the folder of the course, as downloaded"
        )
    if sys.version_info[:2] > NEWEST_TESTED:
        print(
            f"Python {_python()} is newer than this course was tested with (3.10 to "
            f"{NEWEST_TESTED[0]}.{NEWEST_TESTED[1]}): installing the newest packages instead.",
            file=sys.stderr,
        )
    with _lock():
        if not _is_complete(cpu):  # another process may have done it meanwhile
            _build(cpu)


def replace_home() -> None:
    """Where the home folder cannot be written, let programs keep their files in a temporary one.

    Else Jupyter ends with a traceback: on some school machines, and in containers.
    """
    home = os.path.expanduser("~")
    missing = [name for name in HOME_FOLDERS if not os.environ.get(name)]
    if not missing or os.access(home, os.W_OK):
        return
    folder = Path(tempfile.mkdtemp(prefix="gnet-home-"))  # of this user alone
    for name in missing:
        os.environ[name] = str(folder / HOME_FOLDERS[name])
    print(
        f"The home folder {home} cannot be written: settings of Jupyter are kept in {folder}, "
        "until that is deleted.",
        file=sys.stderr,
        flush=True,
    )


def try_lock(file: IO) -> bool:
    """Lock an empty open file until it is closed; False when another process holds the lock."""
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # no locks on this file system
    return True


def venv_python() -> Path:
    """Path of the Python in .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install_commands(cpu: bool, uv: str | None) -> list[list[str]]:
    """Command lines that install the requirements into .venv, with uv when its path is given.

    torch and torchvision are named in one command, so that they come from one index and fit.
    """
    python = str(venv_python())
    install = [python, "-m", "pip", "install"]
    if uv:  # as pip does, compile what is imported, so that the first start is not slow
        install = [uv, "pip", "install", "--compile-bytecode", "--python", python]
    commands = []
    if cpu:
        commands.append([*install, "--index-url", CPU_INDEX, "torch", "torchvision"])
    commands.append([*install, "-r", str(REQUIREMENTS)])
    if sys.version_info[:2] <= NEWEST_TESTED:
        commands[-1] += ["-c", str(CONSTRAINTS)]
    return commands


# ---------------------------------------------------------------- what is there


def _requirements() -> list[tuple[str, str]]:
    pattern = r"^([A-Za-z0-9._-]+)>=([0-9.]+)"
    return re.findall(pattern, REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[0-9.]*", version)[0].split(".") if part)


def _python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _inside() -> bool:
    return Path(sys.prefix).resolve() == VENV.resolve()


def _in_active_environment() -> bool:
    return (
        sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ or "COLAB_GPU" in os.environ
    )


def _digest(python: str) -> str:
    digest = hashlib.sha256(python.encode())
    for file in (REQUIREMENTS, CONSTRAINTS):
        digest.update(file.read_bytes() if file.is_file() else b"-")
    return digest.hexdigest()


def _stamp() -> dict:
    try:
        stamp = json.loads((VENV / "gnet-stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(**stamp: object) -> None:
    (VENV / "gnet-stamp.json").write_text(json.dumps(stamp), encoding="utf-8")


def _venv_version() -> str:
    """Version of Python that .venv was made with, such as "3.11"; "" when there is none."""
    if _inside():  # what runs here counts: the system's Python may have changed under .venv
        return _python()
    with contextlib.suppress(OSError):
        text = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
        found = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", text, re.MULTILINE)
        return found[1] if found else ""
    return ""


def _is_complete(cpu: bool) -> bool:
    stamp = _stamp()
    return (
        stamp.get("state") == "complete"
        and (stamp.get("cpu") or not cpu)
        and venv_python().exists()
        and stamp.get("digest") == _digest(_venv_version())
    )


# ---------------------------------------------------------------- making it


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Hold .venv.lock; the system lets go of it when the process ends, however it ends."""
    try:
        file = open(ROOT / ".venv.lock", "a+b")  # noqa: SIM115 - closed below
    except OSError as error:
        raise CourseError(
            f"the folder {ROOT} cannot be written ({error.strerror}): copy the course to a folder "
            "of your own, and run the command there"
        ) from error
    with file:
        if not try_lock(file):
            print("Another process is installing the packages: waiting for it.", flush=True)
            while not try_lock(file):
                time.sleep(0.2)
        yield


def _build(cpu: bool) -> None:
    stamp = _stamp()
    if stamp.get("state") == "installing":
        print("The last installation was interrupted: making .venv again.", flush=True)
        _remove_venv()
    elif os.path.lexists(VENV) and not _venv_runs():
        print("The folder .venv does not work: making it again.", flush=True)
        _remove_venv()
    fresh = not VENV.exists()
    if cpu and not fresh and not stamp.get("cpu"):
        raise CourseError(
            "the folder .venv holds the usual build of PyTorch already: delete it, then run the "
            "command with --cpu again"
        )
    cpu = cpu or bool(stamp.get("cpu"))
    gigabytes = _gigabytes(cpu)
    print(
        f"Installing the packages into {VENV} ({gigabytes:g} GB, once; some minutes).", flush=True
    )
    try:
        if fresh:
            _check_space(gigabytes)
            _create_venv()
        _write_stamp(state="installing")
        _install(cpu)
        _verify()
        _write_stamp(state="complete", cpu=cpu, digest=_digest(_venv_version()))
    except BaseException as error:
        if fresh:
            _remove_venv()
        else:
            (VENV / "gnet-stamp.json").unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CourseError(
                _cause(str(error), cpu) or f".venv cannot be made: {error}"
            ) from error
        raise


def _gigabytes(cpu: bool) -> float:
    """Size of .venv: on Linux the usual build of PyTorch brings the CUDA libraries along."""
    return GIGABYTES_CUDA if sys.platform == "linux" and not cpu else GIGABYTES_CPU


def _check_space(gigabytes: float) -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < gigabytes:
        smaller = f", or run with --cpu, which takes {GIGABYTES_CPU:g} GB"
        raise CourseError(
            f"the packages take {gigabytes:g} GB and the disk of {ROOT} has {free:.1f} GB free: "
            f"free some space{smaller if gigabytes > GIGABYTES_CPU else ''}"
        )


def _base_python() -> str:
    return getattr(sys, "_base_executable", None) or sys.executable


def _create_venv() -> None:
    uv = shutil.which("uv")
    if uv:
        command = [uv, "venv", "--quiet", "--seed", "--python", _base_python(), str(VENV)]
    elif importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        command = [_base_python(), "-m", "venv", str(VENV)]
    else:
        raise CourseError(
            f"this Python has no venv module: install it, on Debian or Ubuntu with `sudo apt "
            f"install python{_python()}-venv`, then run the same command again"
        )
    code, output = _run(command)
    if code:
        raise CourseError(_cause(output, False) or f"making .venv failed: {_last_line(output)}")


def _venv_runs() -> bool:
    check = "import sys; sys.exit(sys.version_info < (3, 10))"
    try:
        return subprocess.run([venv_python(), "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


def _install(cpu: bool) -> None:
    """Install with uv, when it is there, and with pip when uv is not or fails."""
    output = ""
    for uv in [path for path in [shutil.which("uv")] if path] + [None]:
        if uv is None and _run([str(venv_python()), "-m", "pip", "--version"], quiet=True)[0]:
            _run([str(venv_python()), "-m", "ensurepip"])  # made by uv or without pip
        for command in install_commands(cpu, uv):
            code, text = _run(command)
            output += text
            if code:
                break
        else:
            return
    raise CourseError(_cause(output, cpu) or f"installing failed: {_last_line(output)}")


def _verify() -> None:
    """Raise CourseError unless .venv has every package, and torch and torchvision fit."""
    check = (
        "from gnet_utils.course.environment import missing_packages as m; print(', '.join(m()));"
        "import torch, torchvision; torchvision.ops.nms"
    )
    done = subprocess.run([venv_python(), "-c", check], cwd=ROOT, capture_output=True, text=True)
    if done.stdout.strip():
        raise CourseError(f"these packages are missing after installing: {done.stdout.strip()}")
    if done.returncode:
        raise CourseError(
            f"torch and torchvision do not work together ({_last_line(done.stderr)}): they must "
            "come from one index; check the index settings of pip or uv, or run with --cpu"
        )


def _run(command: Sequence[str], quiet: bool = False) -> tuple[int, str]:
    """Run a command; its stderr is shown as it comes, and returned with the exit code."""
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stderr:
            lines.append(line)
            if not quiet:
                print(line, end="", file=sys.stderr, flush=True)
    return process.returncode, "".join(lines)


def _cause(output: str, cpu: bool) -> str | None:
    """The sentence for what went wrong outside the course, if the output tells."""
    for pattern, sentence in CAUSES.items():
        if re.search(pattern, output, re.IGNORECASE):
            system = f"{platform.system()} {platform.machine()}"
            return sentence.format(gigabytes=_gigabytes(cpu), python=_python(), system=system)
    return None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _remove_venv() -> None:
    try:
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
    except OSError as error:
        raise CourseError(
            f"{VENV} cannot be removed ({error.strerror}): close what uses it, delete it, and run "
            "the same command again"
        ) from error


def _start_again(arguments: Sequence[str]) -> None:
    python = venv_python()
    os.chdir(ROOT)
    os.environ["VIRTUAL_ENV"] = str(VENV)
    os.environ["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    replace_process([str(python), "-m", "gnet_utils", *arguments])


def replace_process(command: Sequence[str]) -> None:
    """Go on as `command`: in place of this process, or on Windows by waiting for it."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    sys.exit(subprocess.call(command))

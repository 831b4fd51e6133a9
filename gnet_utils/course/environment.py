"""Makes the course's `.venv`, installs its packages there, and goes on there.

Standard library only, and so without filelock and packaging: this runs on a fresh machine. Which
environment a command uses:

- an active one of the reader (virtualenv, conda) that has every package of requirements.txt:
  used as it is, never changed;
- for `train`, `data` and `bundle` any Python that has the packages which they import: on Colab,
  in a container;
- else the folder `.venv` of the course: made or completed first, then the command starts again
  inside it.

A stamp in `.venv` holds the requirements that were installed. It is "installing" until all is
there, so an installation that was killed is seen and made anew.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
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
STAMP = VENV / "gnet-requirements.txt"
REQUIREMENTS = ROOT / "requirements.txt"
CONSTRAINTS = ROOT / "tests" / "constraints.txt"
NEWEST_TESTED = (3, 13)
LOG = ROOT / ".venv.log"  # what the installers print
STEP = re.compile(r" *(Collecting|Downloading|Installing|Resolved|Prepared|Building|Using) ")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ANSWER_SECONDS = 3  # for the package index, before anything is installed

CERTIFICATE = (
    "a certificate on the way is not trusted, as behind a school's or a firm's proxy: set "
    "SSL_CERT_FILE, PIP_CERT and REQUESTS_CA_BUNDLE to the file with the proxy's certificate"
)
# What installers print when the cause lies outside, and what to tell the reader; the first counts.
CAUSES = {
    r"No space left|Disk quota exceeded|not enough space|os error 28\b": (
        "the disk is full: free some space (.venv takes up to 6.5 GB, with --cpu 2 GB), then run "
        "the same command again"
    ),
    r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate": (
        CERTIFICATE + ", then run the same command again"
    ),
    r"NewConnectionError|NameResolution|Temporary failure in name|Name or service not known"
    r"|getaddrinfo|Network is unreachable|Connection (refused|reset|aborted)|ProxyError"
    r"|ConnectTimeout|ReadTimeout|Read timed out|dns error|error sending request"
    r"|Failed to fetch|tcp connect error": (
        "the package index cannot be reached: connect to the internet (or set up your proxy), or "
        'add --wheels FOLDER, a folder that somebody filled with the packages ("Without a network" '
        "in notebooks/TEACHING.md), then run the same command again"
    ),
    r"No matching distribution found for torch|torch[^\n]* has no wheels|no wheels? with a": (
        f"no PyTorch was found for Python {platform.python_version()} on this system "
        f"({platform.system()} {platform.machine()}): use a 64-bit Python 3.10 to 3.13 on Linux, "
        "Windows or a Mac with Apple silicon; if it is one, check the index settings of pip or uv"
    ),
}


def enter(
    arguments: Sequence[str],
    cpu: bool = False,
    wheels: str | None = None,
    names: Collection[str] = (),
) -> None:
    """Return when this process has all packages; else prepare .venv and start again in it.

    arguments: of `python -m gnet_utils`, for the new start. Should .venv be made, cpu=True asks for
    PyTorch's build without GPU support, and wheels is a folder to take all packages from. names:
    the packages that are enough, for a command that imports few. Raises CourseError, one sentence,
    when .venv cannot be made.
    """
    replace_home()
    if _is_complete() and is_inside():
        return
    if (names or _in_active_environment()) and has_packages(names):
        if not (names or is_inside()):
            print(f"Using the active environment {sys.prefix}", flush=True)
        return
    complete_venv(cpu, wheels)
    python = venv_python()
    os.chdir(ROOT)
    os.environ["VIRTUAL_ENV"] = str(VENV)
    os.environ["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    replace_process([str(python), "-m", "gnet_utils", *arguments])


def complete_venv(cpu: bool = False, wheels: str | None = None) -> None:
    """Make .venv complete, if it is not; two processes at once do it one after the other."""
    if _is_complete():
        return
    with _lock():
        if not _is_complete():  # another process may have done it meanwhile
            _build(cpu, Path(wheels).expanduser().resolve() if wheels else None)


def add(requirements: Path) -> None:
    """Install into .venv what a command needs besides, where it is missing.

    Raises CourseError in an environment of the reader's own, which is never changed.
    """
    if has_packages(requirements=requirements):
        return
    install = [sys.executable, "-m", "pip", "install", "-r", str(requirements)]
    if not is_inside():
        raise CourseError(
            f"packages of {requirements.name} are missing here: install them "
            f"(`{' '.join(install)}`), or leave this environment, so that the course takes its own"
        )
    print(f"Installing what {requirements.name} names into {VENV}, once.", flush=True)
    _run([*install, "-c", str(CONSTRAINTS)])


def replace_home() -> None:
    """Where the home folder cannot be written, take a temporary one for this command.

    Else Jupyter, IPython and pip end with a traceback: on some school machines, in containers.
    """
    home = os.path.expanduser("~")
    if os.access(home, os.W_OK):
        return
    folder = tempfile.mkdtemp(prefix="gnet-home-")  # of this user alone
    os.environ["HOME"] = os.environ["USERPROFILE"] = folder
    print(
        f"The home folder {home} cannot be written: settings of Jupyter are kept in {folder}, "
        "until that is deleted.",
        file=sys.stderr,
        flush=True,
    )


def replace_process(command: Sequence[str]) -> None:
    """Go on as `command`: in place of this process, or on Windows by waiting for it."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    sys.exit(subprocess.call(command))


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
    if sys.version_info[:2] <= NEWEST_TESTED:  # for a newer Python the newest packages
        commands[-1] += ["-c", str(CONSTRAINTS)]
    return commands


# What is there ----------------------------------------------------------------------------------


def venv_python() -> Path:
    """Path of the Python in .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_inside() -> bool:
    """Whether this process runs in .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def has_packages(names: Collection[str] = (), requirements: Path | None = None) -> bool:
    """Whether the running Python has all that requirements.txt asks for, or `names` of it."""
    text = (requirements or REQUIREMENTS).read_text(encoding="utf-8")
    for name, lowest in re.findall(r"^([A-Za-z0-9._-]+)>=([0-9.]+)", text, re.MULTILINE):
        if names and name not in names:
            continue
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return False
        if _numbers(found) < _numbers(lowest):
            return False
    return True


def other_versions() -> list[str]:
    """Packages of the running Python whose version is not that of the tests (CONSTRAINTS)."""
    from packaging.requirements import Requirement

    other = []
    for line in re.findall(r"^\w.*", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE):
        pin = Requirement(line)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(pin.name)
            if (not pin.marker or pin.marker.evaluate()) and not pin.specifier.contains(found):
                other.append(f"{pin.name} {found} (tests: {pin.specifier})")
    return other


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[0-9.]*", version)[0].split(".") if part)


def _in_active_environment() -> bool:
    named = any(name in os.environ for name in ("CONDA_PREFIX", "COLAB_GPU"))
    return named or sys.prefix != sys.base_prefix


def _wanted() -> str:
    return REQUIREMENTS.read_text(encoding="utf-8") + CONSTRAINTS.read_text(encoding="utf-8")


def _is_complete() -> bool:
    return _stamp() == _wanted() and venv_python().exists()


def _stamp() -> str:
    return STAMP.read_text(encoding="utf-8") if STAMP.is_file() else ""


# Making it --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Hold .venv.lock; the system lets go of it when the process ends, however it ends."""
    with open(ROOT / ".venv.lock", "ab") as file:
        if not _try_lock(file):
            print("Another process is installing the packages: waiting for it.", flush=True)
            while not _try_lock(file):
                time.sleep(0.2)
        yield


def _try_lock(file: IO) -> bool:
    """Lock an open file until it is closed; False when another process holds the lock."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # no locks on this file system
    return True


def _build(cpu: bool, wheels: Path | None) -> None:
    if wheels and not any(wheels.glob("*.whl")):
        raise CourseError(
            f"--wheels must be a folder with wheels (*.whl), and there are none in {wheels}: fill "
            'it as "Without a network" in notebooks/TEACHING.md says, or name the right one'
        )
    if _stamp() == "installing":
        print("The last installation was interrupted: making .venv again.", flush=True)
        shutil.rmtree(VENV)
    fresh = not VENV.exists()
    if not fresh and not venv_python().exists():
        raise CourseError(
            f"{VENV} holds no Python that works: delete it, then run the same command again"
        )
    # On Linux the usual build of PyTorch brings the CUDA libraries along.
    size = "6.5" if sys.platform == "linux" and not cpu else "2"
    source = f" from {wheels}" if wheels else ""
    print(f"Installing the packages{source} into {VENV} (up to {size} GB, once; some minutes).")
    sys.stdout.flush()
    LOG.unlink(missing_ok=True)
    # Before .venv is made, which takes seconds, where this Python has a pip to ask with.
    early = not wheels and importlib.util.find_spec("pip")
    try:
        if early:
            _ask_index(sys.executable, cpu)
        if fresh:
            _create_venv(wheels)
        if not (early or wheels):
            _ask_index(str(venv_python()), cpu)
        STAMP.write_text("installing", encoding="utf-8")
        _install(cpu, wheels)
        _verify()
        STAMP.write_text(_wanted(), encoding="utf-8")
    except BaseException:
        if fresh:
            shutil.rmtree(VENV, ignore_errors=True)
        else:  # not ruined: the next time only what lacks is installed
            STAMP.unlink(missing_ok=True)
        raise


def _ask_index(python: str, cpu: bool) -> None:
    """Raise CourseError in some seconds where no index answers: installers try for a minute.

    uv and pip ask, each the index that it is set to, for the first page of one small package.
    """
    where = ["--index-url", CPU_INDEX] if cpu else []
    ask = ["--no-input", "--disable-pip-version-check", "index", "versions", *where, "nbval"]
    asking = [[python, "-m", "pip", "-vv", "--retries=0", f"--timeout={ANSWER_SECONDS}", *ask]]
    if uv := shutil.which("uv"):
        asking.append([uv, "pip", "compile", "--no-deps", "--refresh", *where, "-"])
    limits = {"UV_HTTP_TIMEOUT": str(ANSWER_SECONDS), "UV_HTTP_RETRIES": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    pipes |= {"text": True, "errors": "replace", "env": {**os.environ, **limits}}
    running = [subprocess.Popen(command, **pipes) for command in asking]  # at the same time
    said = [process.communicate("nbval\n")[0] for process in running]
    causes = [_cause(text) if p.returncode else None for p, text in zip(running, said, strict=True)]
    if all(causes):  # any other failure is an answer
        LOG.write_text("".join(said), encoding="utf-8")
        raise CourseError(f"{causes[0]} (all that was said stands in {LOG})")


def _create_venv(wheels: Path | None) -> None:
    python = getattr(sys, "_base_executable", None) or sys.executable
    if (uv := shutil.which("uv")) and not wheels:  # --seed takes pip from the index
        command = [uv, "venv", "--quiet", "--seed", "--python", python, str(VENV)]
    elif importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        command = [python, "-m", "venv", str(VENV)]
    else:
        raise CourseError(
            "this Python has no venv module: install it, on Debian or Ubuntu with `sudo apt "
            f"install python3.{sys.version_info[1]}-venv`, then run the same command again"
        )
    _run(command)


def _install(cpu: bool, wheels: Path | None) -> None:
    """Install from wheels alone; else with uv, when it is there, and with pip when that fails."""
    if wheels:
        return _install_from(wheels)
    if uv := shutil.which("uv"):
        with contextlib.suppress(CourseError):
            for command in install_commands(cpu, uv):
                _run(command)
            return
    for command in install_commands(cpu, None):
        _run(command)


def _install_from(wheels: Path) -> None:
    """Install from a folder, whatever index or other folder pip is set to.

    The newest versions there: a folder that is older than the course's constraints does as well.
    """
    command = [str(venv_python()), "-m", "pip", "--isolated", "install", "--no-index"]
    try:
        _run([*command, "--find-links", str(wheels), "-r", str(REQUIREMENTS)])
    except CourseError:
        said = LOG.read_text(encoding="utf-8")
        if lacking := re.search("No matching distribution found for ([^ \n]+)", said):
            raise CourseError(
                f"{wheels} holds no wheel of {lacking[1]} for {_this_python()}: fill it on such a "
                'system, as "Without a network" in notebooks/TEACHING.md says, then run the same '
                f"command again (all that was said stands in {LOG})"
            ) from None
        raise


def _this_python() -> str:
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _verify() -> None:
    """Raise CourseError unless torch and torchvision of .venv fit."""
    check = [venv_python(), "-c", "import torch, torchvision; torchvision.ops.nms"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise CourseError(
            f"torch and torchvision do not work together ({_last_line(done.stderr)}): they must "
            "come from one index; check the index settings of pip or uv, or run with --cpu"
        )


def _run(command: Sequence[str]) -> None:
    """Run a command: its text goes to LOG, one line tells how far it is; CourseError if it fails.

    A terminal shows the line, a file or a pipe does not get it.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    said = []
    with (
        LOG.open("a", encoding="utf-8") as log,
        subprocess.Popen(command, cwd=ROOT, text=True, errors="replace", **pipes) as process,
    ):
        for line in process.stdout:
            said.append(line)
            with contextlib.suppress(OSError):  # the disk is full: what was said is told below
                log.write(line)
            if sys.stdout.isatty() and STEP.match(line):
                print(f"\r{line.strip()[:78]:<78}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r" + 78 * " ", end="\r", flush=True)
    if process.returncode:
        raise CourseError(f"{_reason(''.join(said))} (all that was said stands in {LOG})")


def _reason(said: str) -> str:
    """One sentence for what an installer said: the cause outside the course, if it tells."""
    again = f"delete {VENV}, then run the same command again"
    return _cause(said) or f"installing failed ({_last_line(said)}): {again}"


def _cause(said: str) -> str | None:
    found = (text for pattern, text in CAUSES.items() if re.search(pattern, said, re.IGNORECASE))
    return next(found, None)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1].strip()

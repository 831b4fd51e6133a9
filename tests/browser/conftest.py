"""A real browser for these tests: playwright with the Chromium that this machine has.

Without one, all of them are left out and one line says so. Run them all with
`python -m gnet_utils test --browser`.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gnet_utils.course import bundle

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("GNET_CACHE_DIR") or ROOT / "data" / "cache").resolve()
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
MISSING = [
    *([] if CHROMIUM else ["Chromium (on Debian or Ubuntu: `sudo apt install chromium`)"]),
    *([] if importlib.util.find_spec("playwright") else ["the package playwright"]),
]
collect_ignore_glob = ["test_[!b]*.py"] if MISSING else []


@pytest.fixture
def missing() -> list[str]:
    """What to install before the browser tests can run; empty when all is there."""
    return MISSING


@pytest.fixture(scope="session")
def cache() -> Path:
    """The course's cache, for what is fetched once."""
    return CACHE


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


@dataclass
class Lab:
    """A running JupyterLab: its address, its token, its course folder."""

    url: str
    token: str
    course: Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """`python -m gnet_utils lab`, as a reader starts it."""
    with serve(tmp_path_factory.mktemp("lab"), "gnet_utils", "lab") as found:
        yield found


@contextmanager
def serve(folder: Path, *module: str) -> Iterator[Lab]:
    """A server, `python -m module`, in the course unpacked from its zip below `folder`."""
    zipfile.ZipFile(bundle.bundle(folder / "gnet-course.zip")).extractall(folder)
    token, port, log = secrets.token_hex(16), free_port(), folder / "log.txt"
    found = Lab(f"http://localhost:{port}", token, folder / "gnet-course")
    env = {
        **os.environ,
        "GNET_CACHE_DIR": str(CACHE),
        "GNET_QUICK": "1",
        "JUPYTER_TOKEN": token,
        "JUPYTER_PORT": str(port),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(whole_pages(folder / "settings")),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", *module, "--no-browser"]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=found.course, env=env, stdout=output, stderr=output)
    try:
        wait_for(found, process, log)
        yield found
    finally:
        process.terminate()
        process.wait(30)


def whole_pages(settings: Path) -> Path:
    """Settings with which all cells are on the page; JupyterLab keeps only those in view."""
    whole = settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    whole.parent.mkdir(parents=True)
    whole.write_text('{"windowingMode": "none"}')
    return settings


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(lab: Lab, process: subprocess.Popen, log: Path) -> None:
    """Return when the server answers; fail with its output when it ends or stays silent."""
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{lab.url}/api?token={lab.token}", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                break
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")

"""`python -m gnet_utils lab`: a taken port, no browser, no home, two labs, a large photo."""

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import websocket

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.faults
ADDRESS = re.compile(r"http://(localhost|127\.0\.0\.1):(\d+)/lab\S*[?&]token=([0-9a-f]{20,})")
NEWS = "/lab/api/settings/@jupyterlab/apputils-extension:notification"


class Lab:
    """A lab that runs; `said` is what it printed so far."""

    COMMAND = ("-m", "gnet_utils", "lab")
    FOLDERS = {  # noqa: RUF012
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
    }

    def __init__(self, folder: Path, *options: str, command=COMMAND, **variables: str):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
        settings = {name: str(folder / place) for name, place in self.FOLDERS.items()}
        self.process = subprocess.Popen(
            [sys.executable, *command, *options],
            cwd=ROOT,
            env={**inherited, **settings, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.said, self.lines = "", queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)

    def wait_for(self, pattern: re.Pattern, seconds: float = 240) -> re.Match:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self.said += self.lines.get(timeout=0.2)
            if found := pattern.search(self.said):
                return found
            if self.process.poll() is not None and self.lines.empty():
                break
        raise AssertionError(f"not said: {pattern.pattern}\n{self.said}")

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
                return


def status(url: str) -> int:
    """What the server answers; it prints its address a moment before it listens there."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=60) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            time.sleep(0.5)
    raise AssertionError(f"nobody listens at {url}")


def listening(process: int) -> set[str]:
    """The addresses at which a process and its children can be reached."""
    psutil = pytest.importorskip("psutil", reason="NO LOOK AT PORTS: no psutil")
    family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    ask = "net_connections" if hasattr(family[0], "net_connections") else "connections"
    return {
        place.laddr.ip
        for one in family
        for place in getattr(one, ask)(kind="tcp")
        if place.status == psutil.CONN_LISTEN
    }


@pytest.mark.skipif(sys.platform == "win32", reason="ends the lab with signals")
def test_two_labs_beside_a_taken_port_each_keep_their_token_and_stay_on_this_machine(tmp_path):
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # taken already: as good
            taken.bind(("127.0.0.1", 8888))
            taken.listen()
        (tmp_path / "config").mkdir()
        careless = "c.ServerApp.ip = '0.0.0.0'\n"  # what somebody may have left in their settings
        (tmp_path / "config" / "jupyter_server_config.py").write_text(careless)
        # One without --no-browser and without a browser; it must not fail for that.
        nothing = {"BROWSER": str(tmp_path / "no-such-browser")}
        with Lab(tmp_path, **nothing) as first, Lab(tmp_path, "--no-browser") as second:
            found = [lab.wait_for(ADDRESS) for lab in (first, second)]
            ports, tokens = ({match[part] for match in found} for part in (2, 3))
            assert len(ports) == 2 and "8888" not in ports
            assert len(tokens) == 2
            for lab, match in zip((first, second), found, strict=True):
                place = f"http://localhost:{match[2]}/api/contents/notebooks?content=0"
                assert status(place) == 403
                assert status(f"{place}&token={'0' * 48}") == 403
                assert status(f"{place}&token={match[3]}") == 200
                assert listening(lab.process.pid) <= {"127.0.0.1", "::1"}
                assert "Traceback" not in lab.said
                asked = f"http://localhost:{match[2]}{NEWS}?token={match[3]}"
                with urllib.request.urlopen(asked, timeout=60) as reply:
                    shown = json.load(reply)["schema"]["properties"]
                assert shown["fetchNews"]["default"] == "false"  # nobody is told that it runs
                assert shown["checkForUpdates"]["default"] is False


@pytest.mark.skipif(sys.platform == "win32", reason="ends the lab with signals")
def test_a_lab_for_other_machines_listens_there_at_its_port_and_keeps_its_token(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--no-browser", "--ip", "0.0.0.0", "--port", str(port))
    with Lab(tmp_path, *options) as lab:
        match = lab.wait_for(ADDRESS)
        assert int(match[2]) == port
        place = f"http://127.0.0.1:{port}/api/contents/notebooks?content=0"
        assert status(place) == 403
        assert status(f"{place}&token={match[3]}") == 200
        assert "0.0.0.0" in listening(lab.process.pid)


@pytest.mark.parametrize(
    ("careless", "file"),
    [
        ("c.IdentityProvider.token = ''", "jupyter_server_config.py"),
        ("c.ServerApp.token = ''", "jupyter_lab_config.py"),  # the older name
    ],
)
def test_a_lab_without_a_token_does_not_start(careless, file, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / file).write_text(careless)
    with Lab(tmp_path, "--no-browser") as lab:
        lab.wait_for(re.compile("error: your settings of Jupyter switch its token off"))
        assert lab.process.wait(60) == 1


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a home that nobody can write")
def test_a_lab_starts_without_a_home(tmp_path):
    names, before = dict.fromkeys(Lab.FOLDERS, ""), processes("npm")
    with Lab(tmp_path, "--no-browser", HOME="/proc/nobody", **names) as lab:
        match = lab.wait_for(ADDRESS)
        assert "The home folder /proc/nobody cannot be written" in lab.said
        assert status(f"http://localhost:{match[2]}/api/status?token={match[3]}") == 200
    assert processes("npm") <= before  # without a home it would run for ever


def plain_way() -> list[str]:
    """How the README starts JupyterLab without the course's command, as arguments of Python."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall("^jupyter lab (.+)$", readme, re.MULTILINE)
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return ["-m", "jupyterlab", *shlex.split(line), *root]


@pytest.mark.skipif(sys.platform == "win32", reason="ends the lab with signals")
@pytest.mark.parametrize("command", [Lab.COMMAND, plain_way()], ids=["lab", "plain"])
def test_a_photo_above_10_megabytes_reaches_the_kernel(command, tmp_path):
    with Lab(tmp_path, "--no-browser", command=command) as lab:
        _, port, token = lab.wait_for(ADDRESS).groups()
        place = f"localhost:{port}/api/kernels"
        assert status(f"http://{place}?token={token}") == 200
        ask = urllib.request.Request(f"http://{place}?token={token}", b"{}", method="POST")
        with urllib.request.urlopen(ask, timeout=60) as reply:
            kernel = json.load(reply)["id"]
        channels = websocket.create_connection(
            f"ws://{place}/{kernel}/channels?token={token}", timeout=60
        )
        header = {"msg_id": "photo", "msg_type": "execute_request", "version": "5.3"}
        content = {"code": "x = 1  # " + 30_000_000 * "x"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        channels.send(json.dumps({**message, "channel": "shell"}))
        kind = ""
        while kind != "execute_reply":
            answer = json.loads(channels.recv())
            kind = answer["msg_type"] if answer["parent_header"].get("msg_id") == "photo" else ""
        channels.close()
        assert answer["content"]["status"] == "ok"


def processes(name: str) -> set[str]:
    """The numbers of the processes whose command line begins so."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if file.read_bytes().startswith(name.encode()):
                found.add(file.parent.name)
    return found

"""Installing the packages for real, in a copied course, where the way to them is broken."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from tiny_wheels import write_wheel

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(sysconfig.get_path("purelib"))
BASE = getattr(sys, "_base_executable", None) or sys.executable
pytestmark = pytest.mark.faults


def run_test_command(course: Path, index: str, *tools: Path, **more: str) -> str:
    """`test` in a copied course with pip set to `index`; the last line of a run that fails."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not re.match("PIP_|UV_|VIRTUAL_ENV|PYTHONPATH|CONDA", name)
    }
    variables |= {"PIP_INDEX_URL": index, "PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}
    variables["PATH"] = os.pathsep.join([*map(str, tools), "/usr/bin", "/bin"])
    command = [BASE, "-m", "gnet_utils", "test"]
    done = subprocess.run(
        command, cwd=course, env={**variables, **more}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (course / ".venv").exists()
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("with_uv", [False, True])
def test_no_network_is_one_sentence_and_leaves_nothing(course, tmp_path, with_uv):
    """The real command in a copied course, with an index that nobody answers at."""
    tools = tmp_path / "tools"
    tools.mkdir()
    if with_uv:  # stands for uv: makes a venv, then finds no network
        uv = tools / "uv"
        uv.write_text(
            f"#!/bin/sh\ncase $1 in venv) exec {BASE} -m venv .venv;; esac\n"
            "echo 'error: Failed to fetch: dns error' >&2\nexit 2\n"
        )
        uv.chmod(0o755)
    last = run_test_command(course, "http://127.0.0.1:9/simple", tools)
    assert last.startswith("error: the package index cannot be reached: connect to the internet")


def test_a_certificate_that_pip_does_not_trust_is_named_and_the_way_out_works(
    course, server, tmp_path
):
    """As behind a school's proxy; with the way out pip gets through, to an index without torch."""
    certificate = server.encrypt(tmp_path)
    last = run_test_command(course, f"{server.url}/missing")
    assert last.startswith("error: a certificate on the way is not trusted")
    names = re.findall("[A-Z_]+_[A-Z]+", last)
    assert names == ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"]
    assert server.asked == []
    last = run_test_command(
        course, f"{server.url}/missing", **dict.fromkeys(names, str(certificate))
    )
    assert last.startswith("error: no PyTorch was found") and "check the index settings" in last
    assert "missing" in server.asked


# ---------------------------------------------------------------- a room without a network

LARGE = re.compile("torch|torchvision|triton|nvidia-.+|cuda-.+")  # gigabytes
ROOM = """
import re, subprocess, sys, urllib.request
lab = [sys.executable, "-m", "gnet_utils", "lab", "--no-browser", "--wheels", sys.argv[1]]
with subprocess.Popen(lab, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
    for line in process.stdout:
        print(line, end="")
        if found := re.search(r"(http://localhost:\\d+)/lab\\S*(\\?token=\\w+)", line):
            print("ANSWER", urllib.request.urlopen(f"{found[1]}/api/status{found[2]}").status)
            process.terminate()
            break
sys.exit(subprocess.call([sys.executable, "-m", "gnet_utils", "test", "03"]))
"""


def pack_installed(folder: Path) -> None:
    """Wheels of all packages that these tests run with; PyTorch's files are linked, not packed."""
    links = folder / "links"
    links.mkdir(parents=True)
    for name in ("torch", "torchvision", "torchgen", "functorch", "triton", "nvidia", "cuda"):
        if (SITE / name).exists():
            (links / name).symlink_to(SITE / name)
    for package in importlib.metadata.distributions(path=[str(SITE)]):
        name, version = package.metadata["Name"], package.version
        if LARGE.fullmatch(name):
            files = {"links.pth": str(links)} if name == "torch" else {}
            needs = [need for need in package.requires or [] if "extra ==" not in need]
            write_wheel(folder, name, version, files, requires=needs)
            continue
        stem = f"{re.sub('[-_.]+', '_', name)}-{version}"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            for file in package.files:
                place = file.as_posix()
                if "__pycache__" in place or place.startswith("../../../bin/"):
                    continue  # pip makes both
                if place.startswith("../../../"):
                    place = f"{stem}.data/data/{place.removeprefix('../../../')}"
                place = re.sub(r"^[^/]+\.dist-info", f"{stem}.dist-info", place)
                wheel.write(file.locate(), place)


@pytest.mark.skipif(
    not shutil.which("ip") or subprocess.call(["unshare", "-rn", "true"]) != 0,
    reason="NO ROOM WITHOUT A NETWORK: no unshare, or no ip",
)
def test_without_a_network_wheels_are_enough_for_the_lab_and_for_a_lesson(tmp_path):
    """A fresh copy of the course, no network device, pip set to an index and to another folder."""
    wheels, course = tmp_path / "wheels", tmp_path / "course"
    pack_installed(wheels)
    ignore = shutil.ignore_patterns(".git", ".venv*", "cache", "__pycache__", ".nox", ".test-*")
    shutil.copytree(ROOT, course, ignore=ignore)
    script = tmp_path / "room.py"
    script.write_text(ROOM)
    variables = {
        name: value
        for name, value in os.environ.items()
        if not re.match("JUPYTER|VIRTUAL_ENV|PYTHONPATH|CONDA", name)
    }
    variables |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": str(tmp_path)}
    variables["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    variables |= {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA")}
    inside = ["sh", "-c", f'ip link set lo up && exec "{BASE}" "{script}" "{wheels}"']
    done = subprocess.run(
        ["unshare", "-rn", *inside], cwd=course, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "ANSWER 200" in done.stdout
    assert re.search(r"^\d+ passed in ", done.stdout, re.MULTILINE)
    ask = "import gnet_utils, numpy, json; print(json.dumps([gnet_utils.__file__, numpy.__file__]))"
    python = course / ".venv" / "bin" / "python"
    files = json.loads(subprocess.check_output([python, "-c", ask], cwd=course))
    assert all(Path(file).is_relative_to(course) for file in files)

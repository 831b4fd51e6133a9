"""course/environment.py: one command makes, completes and repairs .venv, or says what to do."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny_wheels import write_wheel

from gnet_utils.base import CourseError, is_quick
from gnet_utils.course import commands, environment

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
INSTALL = environment._install


class FakeInstaller:
    """Stands for venv and pip: makes a tiny .venv, notes each step, fails when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.steps: list[str] = []
        self.failure: BaseException | None = None
        for name in ("REQUIREMENTS", "CONSTRAINTS"):
            monkeypatch.setattr(environment, name, folder / f"{name.lower()}.txt")
            getattr(environment, name).write_text("numpy>=2.1\n")
        monkeypatch.setattr(environment, "ROOT", folder)
        monkeypatch.setattr(environment, "VENV", folder / ".venv")
        monkeypatch.setattr(environment, "STAMP", folder / ".venv" / "stamp")
        monkeypatch.setattr(environment, "LOG", folder / ".venv.log")
        monkeypatch.setattr(environment, "_ask_index", lambda python, cpu: None)
        monkeypatch.setattr(environment, "_create_venv", self.create)
        monkeypatch.setattr(environment, "_install", self.install)
        monkeypatch.setattr(environment, "_verify", lambda: self.steps.append("verify"))

    def create(self, wheels: Path | None = None) -> None:
        self.steps.append("create")
        python = environment.venv_python()
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)

    def install(self, cpu: bool, wheels: Path | None) -> None:
        assert environment.STAMP.read_text() == "installing"
        self.steps.append("install cpu" if cpu else "install")
        if self.failure:
            raise self.failure


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeInstaller:
    return FakeInstaller(monkeypatch, tmp_path)


# ---------------------------------------------------------------- when it installs


def test_a_fresh_folder_gets_a_venv_and_the_next_command_leaves_it_alone(installer):
    environment.complete_venv()
    assert installer.steps == ["create", "install", "verify"]
    environment.complete_venv()
    assert installer.steps == ["create", "install", "verify"]


@pytest.mark.parametrize("changed", ["REQUIREMENTS", "CONSTRAINTS"])
def test_changed_requirements_are_installed_into_the_same_venv(installer, changed):
    environment.complete_venv()
    getattr(environment, changed).write_text("numpy>=2.2\n")
    environment.complete_venv()
    assert installer.steps == ["create", "install", "verify", "install", "verify"]


def test_an_installation_that_was_killed_is_made_anew(installer):
    environment.complete_venv()
    (environment.VENV / "rest").write_text("of the killed installation")
    environment.STAMP.write_text("installing")
    environment.complete_venv()
    assert installer.steps.count("create") == 2
    assert not (environment.VENV / "rest").exists()


def test_a_venv_whose_python_is_gone_is_named_with_what_to_do(installer):
    """As after an update of the system's Python."""
    python = environment.venv_python()
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python")
    with pytest.raises(CourseError, match=r"\.venv holds no Python that works: delete it, then"):
        environment.complete_venv()
    assert installer.steps == []


def test_a_working_venv_made_by_the_reader_is_completed_not_deleted(installer):
    installer.create()
    (environment.VENV / "mine").write_text("keep")
    environment.complete_venv()
    assert installer.steps == ["create", "install", "verify"]
    assert (environment.VENV / "mine").exists()


@pytest.mark.parametrize("failure", [CourseError("no network"), KeyboardInterrupt(), OSError(28)])
def test_a_failed_first_installation_leaves_nothing_behind(installer, failure):
    installer.failure = failure
    with pytest.raises(type(failure)):
        environment.complete_venv()
    assert not environment.VENV.exists()


def test_a_failed_update_keeps_the_venv_and_tries_again_next_time(installer):
    environment.complete_venv()
    environment.REQUIREMENTS.write_text("numpy>=2.2\n")
    installer.failure = CourseError("no network")
    with pytest.raises(CourseError, match="no network"):
        environment.complete_venv()
    assert environment.venv_python().exists()
    installer.failure = None
    environment.complete_venv()
    assert installer.steps.count("create") == 1
    assert environment.STAMP.read_text() == environment._wanted()


def test_cpu_chooses_the_build_when_venv_is_made_and_is_content_with_one_that_is_there(installer):
    environment.complete_venv(cpu=True)
    environment.complete_venv()
    environment.complete_venv(cpu=True)
    assert installer.steps == ["create", "install cpu", "verify"]


def test_two_processes_at_once_install_once(tmp_path):
    script = tmp_path / "prepare.py"
    go = tmp_path / "go"
    script.write_text(
        f"""
import sys, time
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import pytest
from test_environment import FakeInstaller, environment
fake = FakeInstaller(pytest.MonkeyPatch(), Path({str(tmp_path)!r}))
quick = fake.install
def slow(*options):
    quick(*options)
    while not Path({str(go)!r}).exists():
        time.sleep(0.05)
environment._install = slow
environment.complete_venv()
print(fake.steps)
"""
    )
    first = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline().startswith("Installing")
    second = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert second.stdout.readline().startswith("Another process is installing")
    go.touch()
    assert first.communicate()[0] == "['create', 'install', 'verify']\n"
    assert second.communicate()[0] == "[]\n"


# ---------------------------------------------------------------- a folder of wheels


@pytest.fixture
def room(installer, monkeypatch, tmp_path) -> Path:
    """A room without a network, whose pip is set to an index and to a folder that must not count.

    An installer that makes a real .venv, with the pip of these tests, for first and second. Returns
    the folder that its wheels shall be in.
    """

    def create(wheels: Path) -> None:
        command = [sys.executable, "-m", "venv", "--without-pip", str(environment.VENV)]
        subprocess.run(command, check=True)
        (site,) = environment.VENV.rglob("site-packages")
        pip = Path(importlib.util.find_spec("pip").origin).parents[1]
        (site / "pip.pth").write_text(str(pip))

    monkeypatch.setattr(environment, "_create_venv", create)
    monkeypatch.setattr(environment, "_install", INSTALL)
    monkeypatch.setattr(environment, "_ask_index", lambda *_: pytest.fail("it asked an index"))
    monkeypatch.setattr(environment.shutil, "which", lambda name: pytest.fail(f"it took {name}"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "other"))
    environment.REQUIREMENTS.write_text("first>=1\nsecond>=2\n")
    environment.CONSTRAINTS.write_text("first==1.5\n")
    write_wheel(tmp_path / "other", "first", "9.0")
    return tmp_path / "a folder of wheels"


def test_wheels_make_the_venv_from_that_folder_alone(room):
    """Newer or older than the tests' versions, wheels do; what they need comes from there too."""
    write_wheel(room, "first", "1.2", requires=["third"])
    write_wheel(room, "second", "2.0")
    write_wheel(room, "third", "0.1")
    environment.complete_venv(wheels=str(room))
    found = {path.name for path in environment.VENV.rglob("*.dist-info")}
    assert found == {"first-1.2.dist-info", "second-2.0.dist-info", "third-0.1.dist-info"}
    assert environment._is_complete()


@pytest.mark.parametrize("tag", ["", "cp27-cp27m-win32"])
def test_a_wheel_that_is_missing_or_of_another_system_is_named(room, tag):
    write_wheel(room, "first", "1.2")
    if tag:
        write_wheel(room, "second", "2.0", tag=tag)
    here = re.escape(environment._this_python())
    with pytest.raises(CourseError, match=f"holds no wheel of second>=2 for {here}: fill it on"):
        environment.complete_venv(wheels=str(room))
    assert not environment.VENV.exists()


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_wheels_is_named_before_anything_is_made(installer, tmp_path, made):
    folder = tmp_path / "downloads"
    if made:
        folder.mkdir()
        (folder / "torch.tar.gz").touch()
    with pytest.raises(
        CourseError, match=r"wheels \(\*\.whl\), and there are none in .*downloads: "
    ):
        environment.complete_venv(wheels=str(folder))
    assert installer.steps == []


# ---------------------------------------------------------------- no network

ASK_INDEX = environment._ask_index


@pytest.fixture
def ask(installer, monkeypatch):
    """Ask an index as an installation does, with nothing but its address set for pip."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)

    def ask(index: str) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", index)
        ASK_INDEX(sys.executable, False)

    return ask


def test_an_index_that_refuses_is_one_sentence_that_names_the_folder_of_wheels(ask):
    with pytest.raises(CourseError, match=r"cannot be reached: connect .* or add --wheels FOLDER"):
        ask("http://127.0.0.1:9/simple")
    assert "127.0.0.1" in environment.LOG.read_text()


def test_an_index_that_swallows_all_is_given_up_at_the_first_try(ask, server, monkeypatch):
    monkeypatch.setattr(environment, "ANSWER_SECONDS", 0.4)
    with pytest.raises(CourseError, match=r"cannot be reached: .* --wheels FOLDER"):
        ask(f"{server.url}/hang")
    assert "read timeout=0.4" in environment.LOG.read_text()
    assert server.asked == ["hang"]


def test_an_index_that_answers_is_enough_whatever_it_has(ask, server):
    ask(f"{server.url}/missing")
    assert "missing" in server.asked


@pytest.mark.parametrize("said", ["nbval==0.11.0", "error: Failed to fetch: dns error"])
def test_an_index_that_only_uv_is_set_to_counts_too(ask, monkeypatch, tmp_path, said):
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho '{said}'\ntest $(cat) = nbval && test $UV_HTTP_RETRIES = 0\n")
    if "error" in said:
        uv.write_text(uv.read_text() + "exit 2\n")
    uv.chmod(0o755)
    monkeypatch.setattr(environment.shutil, "which", lambda name: str(uv))
    if "error" not in said:
        ask("http://127.0.0.1:9/simple")
        return
    with pytest.raises(CourseError, match="cannot be reached"):
        ask("http://127.0.0.1:9/simple")


@pytest.mark.parametrize(("pip", "steps"), [(True, []), (None, ["create"])])
def test_the_index_is_asked_before_a_venv_is_made_if_this_python_has_pip(
    installer, monkeypatch, pip, steps
):
    asked = []

    def refuse(python: str, cpu: bool) -> None:
        asked.append(python)
        raise CourseError("no network")

    monkeypatch.setattr(environment, "_ask_index", refuse)
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: pip)
    with pytest.raises(CourseError, match="no network"):
        environment.complete_venv()
    assert installer.steps == steps
    assert asked == [sys.executable if pip else str(environment.venv_python())]
    assert not environment.VENV.exists()


# ---------------------------------------------------------------- where a command runs


def test_a_complete_active_environment_is_used(installer, monkeypatch):
    monkeypatch.setattr(environment, "_in_active_environment", lambda: True)
    environment.enter(["test"])
    assert installer.steps == []


@pytest.mark.parametrize("lacking", ["numpy>=99", "no-such-package>=1"])
def test_an_active_environment_that_lacks_a_package_is_not_touched(installer, monkeypatch, lacking):
    started = []
    for name in ("PATH", "VIRTUAL_ENV"):  # set back afterwards
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(environment, "_in_active_environment", lambda: True)
    monkeypatch.setattr(environment, "replace_process", started.append)
    environment.REQUIREMENTS.write_text(f"{lacking}\n")
    environment.enter(["lab"])
    assert installer.steps == ["create", "install", "verify"]
    assert started[0][1:] == ["-m", "gnet_utils", "lab"]


def test_a_python_that_is_no_environment_gets_a_venv_for_lab_but_not_for_data(
    installer, monkeypatch
):
    monkeypatch.setattr(environment, "_in_active_environment", lambda: False)
    environment.enter(["data"], names=("numpy",))
    assert installer.steps == []
    monkeypatch.setattr(environment, "complete_venv", lambda *_: pytest.fail("it made .venv"))
    with pytest.raises(pytest.fail.Exception):
        environment.enter(["lab"])


def test_windows_and_posix_paths_of_python(monkeypatch):
    assert environment.venv_python().relative_to(environment.VENV) == Path("bin/python")
    monkeypatch.setattr(environment.os, "name", "nt")
    path = environment.venv_python()
    monkeypatch.undo()
    assert path.relative_to(environment.VENV) == Path("Scripts/python.exe")


@pytest.mark.parametrize(
    ("value", "quick"), [("1", True), ("0", False), ("", False), (None, False)]
)
def test_quick_runs_are_asked_for_by_a_variable(monkeypatch, value, quick):
    monkeypatch.delenv("GNET_QUICK", raising=False)
    if value is not None:
        monkeypatch.setenv("GNET_QUICK", value)
    assert is_quick() is quick


# ---------------------------------------------------------------- command lines


@pytest.mark.parametrize("uv", [None, "/usr/bin/uv"])
def test_cpu_takes_torch_and_torchvision_together_from_pytorchs_own_index(uv):
    first, second = environment.install_commands(True, uv)
    assert first[-4:] == ["--index-url", environment.CPU_INDEX, "torch", "torchvision"]
    assert environment.CPU_INDEX == "https://download.pytorch.org/whl/cpu"
    assert environment.CPU_INDEX not in second
    assert str(environment.venv_python()) in first
    assert second[second.index("-r") + 1] == str(environment.REQUIREMENTS)


def test_the_usual_installation_is_one_command_with_the_tested_versions():
    (command,) = environment.install_commands(False, None)
    assert command[1:4] == ["-m", "pip", "install"]
    assert command[-2:] == ["-c", str(environment.CONSTRAINTS)]
    assert (ROOT / "tests" / "constraints.txt").samefile(environment.CONSTRAINTS)


def test_a_newer_python_takes_the_newest_packages(monkeypatch):
    monkeypatch.setattr(environment, "NEWEST_TESTED", (3, 9))
    assert "-c" not in environment.install_commands(False, None)[0]


@pytest.fixture
def extra(tmp_path) -> Path:
    """Requirements of one command, with a package that no machine has."""
    (tmp_path / "requirements-extra.txt").write_text("numpy>=1.0\nno-such-package>=1.0\n")
    return tmp_path / "requirements-extra.txt"


def test_what_one_command_needs_is_installed_into_venv_with_the_tested_versions(extra, monkeypatch):
    ran = []
    monkeypatch.setattr(environment, "is_inside", lambda: True)
    monkeypatch.setattr(environment, "_run", ran.append)
    environment.add(extra)
    versions = ["-c", str(environment.CONSTRAINTS)]
    assert ran == [[sys.executable, "-m", "pip", "install", "-r", str(extra), *versions]]
    extra.write_text("numpy>=1.0\n")
    environment.add(extra)
    assert len(ran) == 1, "all is there"


def test_an_environment_of_the_readers_own_is_told_what_is_missing_and_not_changed(
    extra, monkeypatch
):
    monkeypatch.setattr(environment, "is_inside", lambda: False)
    monkeypatch.setattr(environment, "_run", lambda command: pytest.fail("it was changed"))
    with pytest.raises(CourseError, match=r"packages of requirements-extra\.txt are missing here"):
        environment.add(extra)


# ---------------------------------------------------------------- one sentence for each trouble


def test_a_python_that_is_too_old_gets_one_sentence(tmp_path):
    code = (
        "import sys, runpy; sys.version_info = (3, 8, 10, 'final', 0);"
        "runpy.run_module('gnet_utils', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.10 or newer, and this is Python 3.8" in done.stderr


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "course/commands.py"])
def test_an_old_python_can_read_the_file_that_says_so(name):
    source = (ROOT / "gnet_utils" / name).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))
    assert "from __future__ import annotations" not in source  # Python 3.6 rejects it


def test_a_missing_venv_module_names_the_package_to_install(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    monkeypatch.setattr(
        environment.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else 1
    )
    with pytest.raises(CourseError, match=r"sudo apt install python3\.\d+-venv"):
        environment._create_venv(None)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk is full"),
        ("NewConnectionError: Failed to establish a new connection", "cannot be reached"),
        ("error: Failed to fetch: `https://x/simple/`\n dns error", "cannot be reached"),
        ("Temporary failure in name resolution", "cannot be reached"),
        (
            "ERROR: No matching distribution found for torch>=2.11",
            "no PyTorch was found for Python 3",
        ),
        (
            "error: Failed to fetch: https://index.example/simple/torch/\n"
            "  cause: error sending request for url (https://index.example/simple/torch/)\n"
            "  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer",
            "set SSL_CERT_FILE, PIP_CERT and REQUESTS_CA_BUNDLE to the file",
        ),
    ],
)
def test_what_installers_print_is_translated(output, sentence):
    assert sentence in environment._reason(f"line before\n{output}\n")
    other = environment._reason("a line\nsome other failure\n")
    assert other.startswith("installing failed (some other failure): delete ")


LOUD = "import sys; print('Collecting torch'); sys.exit('No space left on device')"


def test_installers_are_quiet_and_what_they_said_is_kept(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(environment, "LOG", tmp_path / "log")
    with pytest.raises(CourseError, match=r"the disk is full: .*stands in .*log\)"):
        environment._run([sys.executable, "-c", LOUD])
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "log").read_text() == "Collecting torch\nNo space left on device\n"


def test_a_terminal_shows_one_line_of_progress(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(environment, "LOG", tmp_path / "log")
    monkeypatch.setattr(environment.sys.stdout, "isatty", lambda: True, raising=False)
    environment._run([sys.executable, "-c", "print('Collecting torch'); print('of no use')"])
    shown = capfd.readouterr().out
    assert "Collecting torch" in shown and "no use" not in shown and "\n" not in shown


def test_pip_takes_over_where_uv_fails(monkeypatch):
    ran = []

    def run(command):
        ran.append(Path(command[0]).name)
        if command[0] == "/usr/bin/uv":
            raise CourseError("uv reads another configuration than pip")

    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(environment, "_run", run)
    environment._install(cpu=False, wheels=None)
    assert ran == ["uv", "python"]


def test_a_torchvision_that_does_not_fit_torch_is_named(monkeypatch, tmp_path):
    (tmp_path / "torch.py").touch()
    torchvision = tmp_path / "torchvision.py"
    torchvision.write_text("class ops:\n    nms = None")
    monkeypatch.setattr(environment, "venv_python", lambda: sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    environment._verify()  # these fit
    torchvision.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(CourseError, match=r"nms does not exist\): they must come from one index"):
        environment._verify()


def test_a_folder_that_cannot_be_written_says_so(installer, monkeypatch, capsys):
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(environment, "_in_active_environment", lambda: False)
    assert commands.main(["lab"]) == 1
    said = capsys.readouterr().err
    assert ".venv.lock cannot be used (Permission denied): " in said
    assert "copy the course to a folder of your own" in said


# ---------------------------------------------------------------- requirements and constraints


def test_the_noxfile_needs_nothing_but_nox():
    """pipx runs nox in an environment of its own, without pytest."""
    code = "import runpy, sys, unittest.mock; sys.modules['nox'] = unittest.mock.MagicMock();"
    code += "print(runpy.run_path('noxfile.py')['COLAB'])"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "'numpy'" in done.stdout, done.stderr


def test_the_course_does_not_offer_itself_as_a_package():
    """A wheel would lack its notebooks, data and requirements: pip must not be able to make one."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    tables = re.findall(r"^\[+([\w-]+)", text, re.MULTILINE)
    assert set(tables) == {"tool"}
    assert not [name for name in ("setup.py", "setup.cfg") if (ROOT / name).exists()]


def _lines(name: str) -> list[Requirement]:
    rows = (ROOT / name).read_text(encoding="utf-8").splitlines()
    rows = [row.split("#")[0].strip() for row in rows]
    return [Requirement(row) for row in rows if row]


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_each_requirement_once_for_every_python(python):
    version = {"python_version": python, "python_full_version": f"{python}.9"}
    pins: dict[str, list[str]] = {}
    for pin in _lines("tests/constraints.txt"):
        if pin.marker is None or pin.marker.evaluate(version):
            (exact,) = pin.specifier
            assert exact.operator == "=="
            pins.setdefault(pin.name, []).append(exact.version)
    assert all(len(versions) == 1 for versions in pins.values())
    for requirement in _lines("requirements.txt"):
        if requirement.name not in ("torch", "torchvision"):
            (pinned,) = pins[requirement.name]
            assert requirement.specifier.contains(pinned)


def test_torch_is_never_pinned_and_nothing_has_an_upper_bound():
    assert not {"torch", "torchvision"} & {pin.name for pin in _lines("tests/constraints.txt")}
    for requirement in _lines("requirements.txt"):
        assert {part.operator for part in requirement.specifier} == {">="}


@pytest.mark.parametrize(
    ("name", "on_colab"),
    [
        ("torch", "2.11"),
        ("torchvision", "0.26"),
        ("numpy", "2.1.3"),
        ("matplotlib", "3.10.0"),
        ("ipywidgets", "7.7.1"),
        ("opencv-python", "5.0"),
    ],
)
def test_lower_bounds_are_at_or_below_colab(name, on_colab):
    (requirement,) = [line for line in _lines("requirements.txt") if line.name == name]
    assert requirement.specifier.contains(on_colab)


def test_versions_that_are_not_those_of_the_tests_are_named(installer):
    import numpy

    environment.CONSTRAINTS.write_text(
        f"# numpy==0\nno-such-package==1\nnumpy==0 ; python_version < '3'\n\n"
        f"numpy=={numpy.__version__}\npytest==0.1\n"
    )
    assert environment.other_versions() == [f"pytest {pytest.__version__} (tests: ==0.1)"]

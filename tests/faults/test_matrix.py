"""`test --matrix` plans the environments that this machine allows and reports what agrees."""

import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gnet_utils import matrix
from gnet_utils.environment import CPU_INDEX, REQUIREMENTS
from gnet_utils.errors import CourseError
from gnet_utils.matrix import Environment, plan
from gnet_utils.testing import Result


def here(*versions: str):
    return lambda version: f"/usr/bin/python{version}" if version in versions else None


def test_each_python_of_the_machine_gets_both_ends():
    names = [e.name for e in plan(find=here("3.10", "3.13"))]
    assert names == ["3.10-oldest", "3.10-newest", "3.13-oldest", "3.13-newest"]
    assert [e.path for e in plan(("3.13",), ("newest",), here("3.13"))] == ["/usr/bin/python3.13"]


def test_a_machine_without_these_pythons_says_so():
    with pytest.raises(CourseError, match=r"no Python 3\.12: install one"):
        plan(("3.12",), find=here("3.11"))


@pytest.mark.parametrize("wrong", [(("2.7",), ("oldest",)), (("3.11",), ("middle",))])
def test_other_names_are_refused(wrong):
    with pytest.raises(ValueError, match="must be of"):
        plan(*wrong, find=here("3.11"))


def test_the_pythons_are_those_that_the_course_promises():
    text = (REQUIREMENTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.10"' in text
    assert matrix.PYTHONS == ("3.10", "3.11", "3.12", "3.13")


def test_the_running_python_is_found_and_is_what_it_says():
    import sys

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    path = matrix.find_python(version)
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == version


def test_a_command_that_does_not_run_is_no_python(tmp_path, monkeypatch):
    """As pyenv puts them on the path for versions that are not switched on."""
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho pyenv: not found >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert matrix.shutil.which("python3.99") and matrix.find_python("3.99") is None


def test_the_oldest_are_the_lower_bounds_of_requirements():
    lines = matrix.oldest_requirements(REQUIREMENTS.read_text(encoding="utf-8")).splitlines()
    lines = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    rows = [Requirement(line) for line in lines]
    assert len(rows) >= 10
    for row in rows:
        (pin,) = row.specifier
        assert pin.operator == "==" and pin.version.endswith(".*"), row
    torch = next(row for row in rows if row.name == "torch")
    assert torch.specifier.contains("2.11.0") and not torch.specifier.contains("2.12.0")


@pytest.mark.parametrize("uv", [None, "/usr/bin/uv"])
@pytest.mark.parametrize("end", matrix.ENDS)
def test_environments_take_the_small_pytorch_and_the_right_end(uv, end, tmp_path):
    environment = Environment("3.12", "/usr/bin/python3.12", end)
    command = matrix.install_command(environment, tmp_path, tmp_path / "r.txt", uv)
    assert CPU_INDEX in command and command[-2:] == ["-r", str(tmp_path / "r.txt")]
    assert command[-4:-2] == ["--only-binary", ":all:"]  # nobody is asked to compile
    assert str(matrix._python_in(tmp_path)) in command
    assert ("lowest-direct" in command) is (end == "oldest" and uv is not None)


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """No installation and no notebook: what would be made is noted, outcomes are given."""
    made, outcomes = [], {}

    def make(environment, place):
        place.mkdir(parents=True)
        made.append(environment.name)
        environment.versions = "torch 2.11"
        if isinstance(outcomes.get(environment.name), CourseError):
            raise outcomes[environment.name]

    def run(environment, place, paths):
        assert place.is_dir()
        wrong = outcomes.get(environment.name, [])
        return [Result(path.stem, passed=5, failed=list(wrong)) for path in paths]

    monkeypatch.setattr(matrix, "find_python", here("3.10", "3.12"))
    monkeypatch.setattr(matrix, "_make", make)
    monkeypatch.setattr(matrix, "_run_notebooks", run)
    return made, outcomes, tmp_path / "matrix"


def test_all_agree(pretended, capsys):
    made, _, folder = pretended
    assert matrix.run_matrix(folder=folder) == 0
    assert made == ["3.10-oldest", "3.10-newest", "3.12-oldest", "3.12-newest"]
    said = capsys.readouterr().out
    assert "Not on this machine: Python 3.11, 3.13." in said
    assert said.count("agrees ") == 4 and "55 cells agree" in said
    assert not folder.exists()


def test_a_cell_that_differs_is_named_and_fails_the_matrix(pretended, capsys):
    _, outcomes, folder = pretended
    outcomes["3.12-oldest"] = ["02_bottlenecks::Cell 7 - outputs differ"]
    assert matrix.run_matrix(notebooks=["02"], folder=folder, keep=True) == 1
    said = capsys.readouterr().out
    assert "DIFFERS  Python 3.12-oldest" in said and "Cell 7 - outputs differ" in said
    assert said.count("agrees ") == 3
    assert (folder / "3.12-oldest").is_dir()


def test_an_environment_that_cannot_be_made_is_said_and_the_others_run(pretended, capsys):
    made, outcomes, folder = pretended
    outcomes["3.10-oldest"] = CourseError("not made: no wheel of numpy 2.1 for Python 3.10")
    assert matrix.run_matrix(folder=folder) == 1
    said = capsys.readouterr().out
    assert "no run   Python 3.10-oldest   not made: no wheel of numpy" in said
    assert len(made) == 4 and said.count("agrees ") == 3


def test_nothing_that_ran_is_no_agreement():
    assert not Environment("3.12", "", "oldest").agrees
    result = matrix.read_report("x", Path("/no/such/report.xml"))
    assert not result.passed and not result.failed


def test_too_little_disk_is_said_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(matrix, "GIGABYTES", 1e9)
    with pytest.raises(CourseError, match="GB are free"):
        matrix._make(Environment("3.12", "", "oldest"), tmp_path / "x")
    assert not (tmp_path / "x").exists()

"""Class servers: .binder and .devcontainer, wheels for a room, updates by nbgitpuller."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from tiny_wheels import write_wheel

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / ".binder"
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())


def wanted(name: str) -> dict[str, Requirement]:
    """Name -> what a requirements file asks of this Python."""
    lines = re.findall(r"^\w[^#\n]*", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {one.name: one for one in found if not one.marker or one.marker.evaluate()}


def test_binder_installs_what_the_tests_run_with_and_pytorch_without_cuda(tmp_path):
    """pip reads the file itself; where both builds of a version are there, it takes "+cpu"."""
    pins = wanted("tests/constraints.txt")
    expected = {name: "99.1+cpu" for name in ("torch", "torchvision")}
    for name in wanted("requirements.txt"):
        if name not in expected:
            expected[name] = str(pins[name].specifier).removeprefix("==")
            write_wheel(tmp_path, name, "99.1")  # newer than that of the tests
        write_wheel(tmp_path, name, expected[name])
        write_wheel(tmp_path, name, expected[name].removesuffix("+cpu"))
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *options, "-r", BINDER / "requirements.txt"]
    variables = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
    }
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = [one["metadata"] for one in json.loads(done.stdout)["install"]]
    assert {one["name"]: one["version"] for one in report} == expected


def test_the_libraries_are_those_that_the_checks_install():
    names = (BINDER / "apt.txt").read_text().split()
    line = " ".join(["--no-install-recommends", *names])
    assert f"{line}\n" in (ROOT / ".ci" / "run").read_text()


def test_both_take_a_python_that_is_tested():
    from gnet_utils.course.environment import NEWEST_TESTED

    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert DEVCONTAINER["image"] == f"python:{version}"
    assert (3, 10) <= tuple(map(int, version.split("."))) <= NEWEST_TESTED


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts, for containers")
def test_binder_prepares_the_data_and_starts_with_the_settings_of_the_course(tmp_path):
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    variables = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    run = {
        "cwd": tmp_path,
        "env": variables,
        "text": True,
    }  # both files can be executed as they are
    assert subprocess.check_output([BINDER / "postBuild"], **run) == "-m gnet_utils data\n"
    place = "echo $JUPYTER_CONFIG_PATH/jupyter_server_config.py"
    settings = subprocess.check_output([BINDER / "start", "sh", "-c", place], **run).strip()
    assert Path(settings).samefile(ROOT / "gnet_utils" / "course" / "jupyter_server_config.py")


def test_the_dev_container_uses_one_environment_and_files_that_are_there():
    text = json.dumps(DEVCONTAINER)
    assert set(re.findall(r"/opt/\w+", text)) == {"/opt/course"}
    assert set(re.findall(r"\.binder/[\w.]+", text)) == {
        ".binder/apt.txt",
        ".binder/requirements.txt",
    }
    assert DEVCONTAINER["postCreateCommand"] == "/opt/course/bin/python -m gnet_utils data"


# ---------------------------------------------------------------- a folder of wheels, as TEACHING


def test_the_line_in_teaching_fills_a_folder_with_the_versions_of_the_tests(tmp_path):
    """As a teacher copies it, with an index that is a folder; a package that needs another."""
    text = (ROOT / "notebooks" / "TEACHING.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\.venv/bin/python (-m pip download .* -r requirements.*)$", text, re.M)
    pins = wanted("tests/constraints.txt")
    expected = {"needed_by_numpy-1.0-py3-none-any.whl"}
    write_wheel(tmp_path / "index", "needed-by-numpy", "1.0")
    for name in wanted("requirements.txt"):
        version = str(pins[name].specifier).removeprefix("==") if name in pins else "99.1"
        needs = ["needed-by-numpy"] if name == "numpy" else []
        if name in pins:
            write_wheel(tmp_path / "index", name, "99.1")  # newer than that of the tests
        expected.add(write_wheel(tmp_path / "index", name, version, requires=needs).name)
    for name in ("requirements.txt", "tests/constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "index", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, *line.split()],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "wheels").iterdir()} == expected


# ---------------------------------------------------------------- an update of the course


@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")), ids=lambda p: p.stem[:2]
)
def test_answers_survive_an_update_and_the_new_text_arrives(path, tmp_path):
    """As nbgitpuller merges: line by line, the student's where both have changed."""

    def stir(by: str, first: int) -> dict:
        """All outputs and counts as after another run."""
        notebook = json.loads(path.read_text(encoding="utf-8"))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for count, cell in enumerate(code, first):
            cell["execution_count"] = count
            for output in cell["outputs"]:
                if "text" in output:
                    output["text"] = [f"{by} {line}" for line in output["text"]] + [f"{by}\n"]
        return notebook

    def write(name: str, notebook: dict) -> Path:
        file = tmp_path / name
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        file.write_text(text, encoding="utf-8")
        return file

    student, teacher = stir("student", 500), stir("teacher", 900)
    exercises = [cell for cell in student["cells"] if "exercise" in cell["metadata"]]
    for number, cell in enumerate(exercises):
        cell["source"] = [f"answer = 'mine {number}'"]
    student["cells"][-1]["source"] = ["My note."]
    for cell in teacher["cells"]:
        if "exercise" in cell["metadata"]:
            cell["source"] = ["answer = None  # a new stub"]
    teacher["cells"][2]["source"] = ["A new text.\n"]
    teacher["cells"].insert(3, nbformat.v4.new_markdown_cell(["A new cell."]))
    command = ["git", "merge-file", "-p", "--ours", write("student", student), path]
    done = subprocess.run([*command, write("teacher", teacher)], capture_output=True, check=True)
    merged = nbformat.reads(done.stdout.decode("utf-8"), 4)
    nbformat.validate(merged)
    sources = [cell["source"] for cell in merged["cells"]]
    assert {f"answer = 'mine {number}'" for number in range(len(exercises))} <= set(sources)
    assert {"My note.", "A new text.\n", "A new cell."} <= set(sources)

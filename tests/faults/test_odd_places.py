"""The course in odd places: folder names with spaces and other letters, notebooks copied elsewhere,
a home that cannot be written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernels import Kernel, code_cells
from torch import nn

from gnet_utils import pictures, runs
from gnet_utils.course import environment, notebooks

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["with space", "Übung – 课程 (1)", "it's 100% $HOME", "-dash", "ends with dot.d"]


@pytest.mark.parametrize("name", NAMES)
def test_files_are_written_and_read_in_folders_of_any_name(name, tmp_path):
    folder = tmp_path / name / name
    net, other = nn.Linear(2, 2), nn.Linear(2, 2)
    runs.save_checkpoint(net, folder / "net é.safetensors")
    runs.load_checkpoint(other, folder / "net é.safetensors")
    assert torch.equal(net.weight.half(), other.weight.half())
    runs.History(recipe={"name": name}, seed=0).save(folder / "run.json")
    assert runs.History.load(folder / "run.json").recipe["name"] == name
    shutil.copy(ROOT / "data" / "pictures" / "plate.png", folder / "Bild ü.png")
    assert pictures.load_picture(folder / "Bild ü.png").shape[2] == 3


def copy_course(folder: Path) -> Path:
    for part in ("gnet_utils", "notebooks", "data/pictures", "data/runs", "data/checkpoints"):
        ignore = shutil.ignore_patterns("__pycache__", "*.tmp")
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    for name in ("requirements.txt", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder


LOOK = (
    "import os; from gnet_utils.course import environment; from gnet_utils import base;"
    "print(os.path.dirname(base.__file__)); print(base.ROOT)"
)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_finds_its_course_in_a_folder_of_any_name(name, tmp_path, python):
    course = copy_course(tmp_path / name)
    place = course / "notebooks" / "my own copies"
    place.mkdir()
    code = f"import os; os.chdir({str(place)!r})\n{notebooks.setup_cell()}\n{LOOK}"
    done = python(code, PYTHONPATH="")
    assert done.stdout.splitlines() == [str(course / "gnet_utils"), str(course)], done.stderr


def test_a_notebook_copied_out_of_the_course_says_what_it_does_not_find(python, tmp_path):
    done = python(notebooks.setup_cell(), PYTHONPATH="")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'gnet_utils'"


@pytest.mark.faults
def test_a_notebook_runs_in_a_folder_with_spaces_and_other_letters(tmp_path):
    course = copy_course(tmp_path / NAMES[1])
    with Kernel(course / "notebooks", GNET_CACHE_DIR=str(ROOT / "data" / "cache")) as kernel:
        for cell in code_cells("00_start_here"):
            done = kernel.run(cell["source"])
            assert done.error == "", done
        assert kernel.run("import gnet_utils; print(gnet_utils.__file__)").text.startswith(
            str(course)
        )


# ---------------------------------------------------------------- home

NOWHERE = "/proc/nobody" if Path("/proc").is_dir() else "/dev/null/nobody"


def test_a_home_that_cannot_be_written_is_replaced(monkeypatch, capsys):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, NOWHERE)
    environment.replace_home()
    said = capsys.readouterr().err
    assert said.startswith(f"The home folder {NOWHERE} cannot be written: ")
    home = Path.home()
    assert home.stat().st_uid == getattr(os, "getuid", lambda: 0)()
    environment.replace_home()  # in the next process, with what this one has set
    assert capsys.readouterr().err == "" and Path.home() == home
    home.rmdir()


def test_a_home_that_can_be_written_is_left_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    before = dict(os.environ)
    environment.replace_home()
    assert dict(os.environ) == before and capsys.readouterr().err == ""


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="homes are named otherwise on Windows")
def test_commands_and_notebooks_work_without_a_home():
    own = ("JUPYTER", "IPYTHON", "MPLCONFIGDIR")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    variables |= {"HOME": NOWHERE, "GNET_QUICK": "1"}
    code = (
        "from gnet_utils.course import environment, notebooks\n"
        "environment.replace_home()\n"
        "import nbformat\n"
        "n = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("
        "'import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show(); print(6 * 7)')])\n"
        "notebooks.execute(n, notebooks.ROOT)\n"
        "print(n['cells'][0]['outputs'][-1])\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout and "Traceback" not in done.stderr

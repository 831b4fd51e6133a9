"""python -m gnet_utils: each command does what it says, or fails with one sentence."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbval.plugin import get_sanitize_patterns

from gnet_utils import data
from gnet_utils.base import CourseError, UsageError
from gnet_utils.course import bundle, environment, notebooks, testing, train
from gnet_utils.course import commands as cli
from gnet_utils.recipes import RECIPES, build_network

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ["lab", "test", "train", "bench", "data", "collect", "render"]
COMMANDS += ["new-exercise", "bundle", "slides", "site"]

WORDS = {"train": ["--list"], "collect": ["FOLDER"], "new-exercise": ["03", "own"]}  # they need


@pytest.fixture
def own_course(course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copied course, as the one that gnet_utils.course.notebooks works on."""
    for module in (bundle, notebooks, testing):
        monkeypatch.setattr(module, "ROOT", course)
    monkeypatch.setattr(notebooks, "NOTEBOOKS", course / "notebooks")
    return course


def make_notebook(course: Path, name: str, *cells: str | dict) -> Path:
    """Write a notebook with the set-up cell; a cell is code, or a whole cell."""
    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_markdown_cell(f"# {name[:2]} Title\n\nPromise.")])
    notebooks.put_setup_cell(notebook)
    for cell in cells:
        notebook["cells"].append(new.new_code_cell(cell) if isinstance(cell, str) else cell)
    path = course / "notebooks" / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def compared(source: str, text: str) -> dict:
    """A code cell whose output nbval compares with `text`."""
    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    tags = {"tags": ["nbval-check-output"]}
    return nbformat.v4.new_code_cell(source, metadata=tags, outputs=[output], execution_count=2)


# ---------------------------------------------------------------- help and usage


def test_help_needs_nothing_installed():
    """-I -S: without site-packages, as on a fresh machine."""
    code = "import sys; sys.path.insert(0, '.'); sys.argv[0] = 'x';"
    code += "from gnet_utils.course.commands import main; main()"
    command = [sys.executable, "-I", "-S", "-c", code, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m gnet_utils")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m gnet_utils {name} ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "gnet_utils: error: the following arguments are required: COMMAND"),
        (["nothing"], "gnet_utils: error: argument COMMAND: invalid choice: 'nothing'"),
        (["train"], "gnet_utils train: error: one of the arguments --recipe --list is required"),
        (["lab", "--cpu", "--wheels", "."], "gnet_utils lab: error: argument --wheels: not allow"),
        (["test", "--wheels"], "gnet_utils test: error: argument --wheels: expected one argument"),
        (["lab", "--port", "x"], "gnet_utils lab: error: argument --port: invalid int value: 'x'"),
        (["train", "--list", "--recipe", "minute"], "gnet_utils train: error: argument --recipe: "),
        *[
            (
                [name, *words, "--nothing"],
                f"gnet_utils {name}: error: unrecognized arguments: --nothing",
            )
            for name in COMMANDS
            for words in [WORDS.get(name, [])]
        ],
    ],
)
def test_wrong_usage_shows_the_usage_of_its_command(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err
    assert printed.err.startswith(f"usage: python -m {said.partition(':')[0]} ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CourseError("no data"), 1, "error: no data\n"),
        (UsageError("no such name"), 1, "error: no such name\n"),
        (PermissionError(13, "Permission denied", "a.zip"), 1, "error: a.zip cannot be used (Perm"),
        (OSError(28, "No space left on device"), 1, "error: the disk is full"),
        (OSError(27, "File too large"), 1, "error: the disk is full"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_troubles_are_one_sentence_on_stderr(monkeypatch, capsys, error, code, said):
    def fail(_):
        raise error

    monkeypatch.setattr(bundle, "bundle", lambda **_: fail(None))
    assert cli.main(["bundle"]) == code
    printed = capsys.readouterr()
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize("inside", [True, False])
def test_a_missing_package_is_one_sentence_that_says_what_to_do(inside, monkeypatch, capsys):
    """.venv may be deleted; the reader's own environment may not, and is told how to be mended."""
    monkeypatch.setattr(environment, "enter", lambda *_, **__: None)
    monkeypatch.setattr(environment, "is_inside", lambda: inside)
    monkeypatch.setitem(sys.modules, "gnet_utils.data", None)  # so that it is imported again
    monkeypatch.delitem(sys.modules, "gnet_utils.data")
    monkeypatch.setitem(sys.modules, "filelock", None)
    monkeypatch.delitem(sys.modules, "gnet_utils.course.dataset", raising=False)
    monkeypatch.delattr("gnet_utils.course.dataset", raising=False)
    assert cli.main(["data", "--stand-in"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: the package filelock is missing from {sys.prefix}: ")
    assert (f"delete {environment.VENV} and run it again" in said) is inside
    assert ("-m pip install -r requirements.txt" in said) is not inside
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "bug",
    [
        TypeError("bundle() got an unexpected keyword argument"),
        ValueError("not enough values to unpack"),
        FileNotFoundError(2, "No such file or directory", "data/runs/a.json"),
        OSError(5, "Input/output error"),
        ModuleNotFoundError("No module named 'gnet_utils.nothing'", name="gnet_utils.nothing"),
        ModuleNotFoundError("No module named 'json.nothing'", name="json.nothing"),
    ],
    ids=lambda bug: type(bug).__name__,
)
def test_a_bug_keeps_its_traceback(bug, monkeypatch):
    def fail(**_):
        raise bug

    monkeypatch.setattr(bundle, "bundle", fail)
    with pytest.raises(type(bug)):
        cli.main(["bundle"])


# ---------------------------------------------------------------- lab


@pytest.mark.data
def test_lab_opens_notebook_00_and_keeps_the_token(monkeypatch, capsys, own_course):
    started = []
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "own")  # set back afterwards
    monkeypatch.setattr(environment, "replace_process", started.append)
    make_notebook(own_course, "00_start_here")
    make_notebook(own_course, "01_next")
    assert cli.main(["lab", "--no-browser"]) == 0
    (command,) = started
    assert command[:3] == [sys.executable, "-m", "gnet_utils.course.start_jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command
    assert "--ServerApp.ip=localhost" in command
    assert "--no-browser" in command
    assert not [part for part in command if "token" in part or "password" in part]
    assert ("--allow-root" in command) is (hasattr(os, "geteuid") and os.geteuid() == 0)
    assert os.environ["JUPYTER_CONFIG_PATH"] == os.pathsep.join(
        [str(ROOT / "gnet_utils" / "course"), "own"]
    )
    assert capsys.readouterr().out.splitlines()[-1].startswith("Data: ")
    assert cli.main(["lab", "1"]) == 0
    assert "--LabApp.default_url=/lab/tree/notebooks/01_next.ipynb" in started[-1]
    assert cli.main(["lab", "--ip", "0.0.0.0", "--port", "9999"]) == 0
    assert {"--ServerApp.ip=0.0.0.0", "--ServerApp.port=9999"} <= set(started[-1])
    assert not [part for part in started[-1] if "token" in part or "password" in part]
    assert cli.main(["lab", "7"]) == 1
    assert "no notebook '7': choose from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--port", "0", "--port must be a number from 1 to 65535, got 0"),
        ("--port", "65536", "--port must be a number from 1 to 65535, got 65536"),
        ("--ip", "1.2.3.999", "--ip must be an address of this machine, got 1.2.3.999 ("),
        ("--ip", "192.0.2.1", "--ip must be an address of this machine, got 192.0.2.1 ("),
        ("--ip", "2001:db8::1", "--ip must be an address of this machine, got 2001:db8::1 ("),
    ],
)
def test_a_lab_at_an_address_that_is_not_here_is_one_sentence(
    option, value, said, own_course, capsys
):
    make_notebook(own_course, "00_start_here")
    assert cli.main(["lab", option, value]) == 1
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_lab_without_notebooks_says_so(own_course, capsys):
    assert cli.main(["lab"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "there are no notebooks" in said


# ---------------------------------------------------------------- test


def solution(value: int) -> dict:
    """A folded solution of the exercise 00.pixels."""
    text = f"<details><summary>Solution</summary>\n\n```python\nanswer = {value}\n```\n</details>"
    return nbformat.v4.new_markdown_cell(text, metadata={"solution": "00.pixels"})


@pytest.mark.data
def test_test_counts_names_and_fails(own_course, monkeypatch, capfd):
    """One run with passes, a skip and failures, of what depends on data, on the stand-in."""
    for name in ("GNET_QUICK", "GNET_DATA_SOURCE"):  # set back afterwards
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(data, "prepare", lambda: data.DataSource("stand-in", "a test"))
    quick = "import os; assert os.environ['GNET_QUICK'] == '1'"
    uses = f"{quick}; assert os.environ['GNET_DATA_SOURCE'] == 'stand-in'  # load_fashion_mnist"
    cells = [compared("print(2 + 3)", "5\n"), compared("print(2 + 3)", "6\n"), uses, "1 / 0"]
    right = ["answer = None", solution(784), "assert answer == 784"]
    make_notebook(own_course, "01_mixed", *cells, *right, solution(56))
    make_notebook(own_course, "02_without_data", "1 / 0")
    (own_course / "tests" / "test_some.py").write_text(
        "import pytest\n"
        "def test_without_data(): assert False\n"
        "@pytest.mark.data\n"
        "def test_good(): pass\n"
        "@pytest.mark.data\n"
        "@pytest.mark.authors\n"
        "def test_bad(): assert 1 + 1 == 3\n"
        "@pytest.mark.data\n"
        "def test_skipped(): pytest.skip('for a reason')\n"
    )
    assert cli.main(["test", "--stand-in"]) == 1
    said = capfd.readouterr().out
    assert re.search(r"^SKIPPED .* for a reason$", said, re.MULTILINE)
    assert "FAILED tests/test_some.py::test_bad - assert (1 + 1) == 3" in said
    assert "FAILED 01_mixed cell [3] - its output is not the stored one" in said
    assert "FAILED 01_mixed cell [5] - ZeroDivisionError: division by zero" in said
    assert "FAILED 01_mixed solution of 00.pixels - AssertionError: 56: that is" in said
    assert "This tests the course, not a learner" in said
    assert "Data: THE DRAWN STAND-IN (GNET_DATA_SOURCE asks for it)." in said
    assert "1 of the failed tests hold the lessons to what their authors wrote" in said
    meant = "If you meant this change, store the new output: python3 -m gnet_utils render 01\n"
    assert said.count("If you meant") == said.count(meant) == 1
    assert re.search(r"^4 failed, 7 passed, 1 skipped in [\d.]+s", said, re.MULTILINE)
    assert not list(own_course.glob(".test-*"))


@pytest.mark.parametrize("name", ["1", "01", "01_good", "01_good.ipynb", "notebooks/01_good.ipynb"])
def test_a_notebook_may_be_named_in_any_usual_way(own_course, name):
    path = make_notebook(own_course, "01_good")
    make_notebook(own_course, "02_other")
    assert notebooks.find_notebooks([name]) == [path]


@pytest.mark.parametrize("name", ["test", "render"])
def test_an_unknown_notebook_is_one_sentence(own_course, name, capsys):
    make_notebook(own_course, "01_good")
    assert cli.main([name, "42"]) == 1
    said = capsys.readouterr().err
    assert said == "error: there is no notebook '42': choose from 01_good\n"


@pytest.fixture
def pytest_runs(own_course, monkeypatch) -> list[list[str]]:
    """The arguments of each pytest run that a command would start; none is started."""
    runs = []

    def run(command, **_):
        runs.append([part.removeprefix(f"{own_course}/") for part in command])
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setenv("GNET_QUICK", "1")
    monkeypatch.setattr(data, "prepare", lambda: data.DataSource("real", "a test"))
    monkeypatch.setattr(testing.subprocess, "run", run)
    (own_course / "tests" / "test_some.py").write_text("def test_plain(): pass\n")
    make_notebook(own_course, "01_some")
    make_notebook(own_course, "02_other")
    return runs


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], ["tests", "01_some", "02_other"]),
        (["2"], ["02_other"]),
        (["--no-notebooks"], ["tests"]),
        (["-k", "plain"], ["tests", "-k", "plain"]),
        (["--faults"], ["tests/faults", "-m", ""]),
        (["--browser", "-k", "slides"], ["tests/browser", "-m", "", "-k", "slides"]),
    ],
)
def test_what_is_asked_for_is_what_runs(arguments, asked, pytest_runs):
    assert cli.main(["test", *arguments]) == 5  # pytest's own code, that of no tests
    (command,) = pytest_runs
    assert [Path(part).stem if ".ipynb" in part else part for part in command][
        -len(asked) :
    ] == asked


def test_a_class_zip_without_unit_tests_tests_its_notebooks(own_course, pytest_runs):
    (own_course / "tests" / "test_some.py").unlink()
    cli.main(["test"])
    assert "tests" not in pytest_runs[0]
    assert pytest_runs[0][-1].endswith("02_other.ipynb")


def test_notebooks_and_an_expression_exclude_each_other(own_course, capsys):
    make_notebook(own_course, "01_good")
    assert cli.main(["test", "01", "-k", "some"]) == 1
    assert "name notebooks or give -k, not both" in capsys.readouterr().err


def test_only_one_kind_of_test_run_at_once(capsys):
    with pytest.raises(SystemExit):
        cli.main(["test", "--browser", "--faults"])
    assert "not allowed with" in capsys.readouterr().err


def test_notebooks_are_run_by_nbval_as_the_rules_say():
    assert testing.NBVAL[:3] == ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]
    name, path = testing.NBVAL[3].split("=")
    assert name == "--nbval-sanitize-with"
    text = Path(path).read_text()
    assert len(get_sanitize_patterns(text)) == text.count("regex:") == text.count("replace: ")


def test_render_takes_the_versions_of_the_tests_only(own_course, monkeypatch, capsys):
    make_notebook(own_course, "01_some")
    monkeypatch.setattr("gnet_utils.data.prepare", lambda source: None)
    monkeypatch.setattr(notebooks, "render", lambda path: pytest.fail("it rendered"))
    other = ["numpy 2.5.5 (tests: ==2.4.6)"]
    monkeypatch.setattr(environment, "other_versions", lambda: other)
    assert cli.main(["render"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: outputs are stored with the versions of tests/constraints.txt")
    assert other[0] in said and said.count("\n") == 1


# ---------------------------------------------------------------- train

TRAIN = ["train", "--recipe", "minute"]


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs on 400 random pictures in place of the data set."""
    import torch

    def load(split, device="cpu"):
        shape, generator = (400, 1, 28, 28), torch.Generator().manual_seed(0)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        return images, torch.arange(400) % 10

    split = data.split_train_validation
    monkeypatch.setenv("GNET_QUICK", "1")
    monkeypatch.setattr(data, "load_fashion_mnist", load)
    monkeypatch.setattr(data, "split_train_validation", lambda *pair: split(*pair, 100))
    monkeypatch.setattr(data, "data_source", lambda: data.DataSource("real", "a test"))


@pytest.mark.parametrize("measured", ["test", "validation"])
def test_train_keeps_record_and_weights_and_no_state(measured, few_pictures, tmp_path, capsys):
    from gnet_utils.runs import History, load_checkpoint

    options = ["--validate"] if measured == "validation" else []
    assert cli.main([*TRAIN, "--seed", "3", "--out", str(tmp_path), *options]) == 0
    history = History.load(tmp_path / "minute-seed3.json")
    assert history.seed == 3
    assert 0 <= history.results[f"{measured}_accuracy"] < 1
    network = build_network(RECIPES["minute"])
    about = load_checkpoint(network, tmp_path / "minute-seed3.safetensors")
    assert about["recipe"] == "minute"
    assert about[f"{measured}_accuracy"] == history.results[f"{measured}_accuracy"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".safetensors", ".lock"}
    assert f"{measured} accuracy 0." in capsys.readouterr().out


def test_train_lists_its_recipes_and_names_them_for_an_unknown_one(capsys):
    assert cli.main(["train", "--list"]) == 0
    assert re.search(r"^minute +\S", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["train", "--recipe", "magic"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: recipe must be one of tutorial, sprint, minute")
    assert said.endswith("got 'magic'\n")


def test_minutes_become_epochs_once_and_a_run_that_goes_on_keeps_them(
    few_pictures, tmp_path, monkeypatch
):
    from gnet_utils import training
    from gnet_utils.course import bench

    seen = []

    def note(network, data, validation, recipe, **_):
        seen.append(recipe.epochs)
        return training.History({}, 0, stopped="noted")

    monkeypatch.setattr(training, "fit", note)
    # 400 pictures at 30 a second: 0.95 minutes are 4.275 epochs.
    monkeypatch.setattr(bench, "training_rate", lambda recipe, data, seconds: 30.0)
    command = [*TRAIN, "--out", str(tmp_path)]
    cli.main(command)
    cli.main([*command, "--minutes", "1"])
    begun = dataclasses.replace(RECIPES["minute"], epochs=8.5)
    monkeypatch.setattr(train, "begun_with", lambda state, recipe: begun)
    cli.main([*command, "--minutes", "1"])
    assert seen == [0.75, 4.25, 8.5]


@pytest.mark.parametrize("minutes", [0.01, 0, -1, float("nan"), float("inf")])
def test_minutes_that_no_quarter_of_an_epoch_fits_into_are_refused(minutes, monkeypatch):
    import torch

    monkeypatch.setattr(train.bench, "training_rate", lambda *_, **__: 30.0)
    pictures = torch.zeros(400, 1, 28, 28), torch.arange(400)
    with pytest.raises(UsageError, match=r"takes 0\.1 min here, got "):
        train.lasting(minutes, RECIPES["minute"], pictures)


def test_a_training_that_was_stopped_is_not_taken_for_done(
    few_pictures, tmp_path, monkeypatch, capsys
):
    from gnet_utils.training import History

    def stop(network, *_, **__):
        return History({}, 0, stopped=reason, epochs=[{}, {}])

    monkeypatch.setattr("gnet_utils.training.fit", stop)
    by_hand, log = "stopped by hand after 3 of 9 steps", tmp_path / "minute-seed0.json"
    for reason, kept, words in (
        (by_hand, False, f"{by_hand}; the same command begins again\n"),
        (by_hand, True, f"{by_hand}; the same command goes on after epoch 2\n"),
        ("loss is nan", True, "loss is nan\n"),
    ):
        if kept:
            log.with_suffix(".state").touch()
        assert cli.main([*TRAIN, "--out", str(tmp_path)]) == 1
        assert capsys.readouterr().err == f"error: {words}"
        assert History.load(log).stopped == reason
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".state", ".lock"}


def test_a_finished_run_is_not_trained_again_nor_written_over(few_pictures, tmp_path, capsys):
    command = [*TRAIN, "--out", str(tmp_path)]
    assert cli.main(command) == 0
    kept = {file: file.read_bytes() for file in tmp_path.iterdir()}
    capsys.readouterr()
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "holds this run, finished: test accuracy 0." in said and "delete that file" in said
    assert cli.main([*command, "--validate"]) == 1
    assert "record of another run" in capsys.readouterr().err
    stand_in = data.DataSource("stand-in", "a test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "data_source", lambda: stand_in)
        assert cli.main(command) == 1
        assert "record of another run" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        slower = dataclasses.replace(RECIPES["minute"], learning_rate=0.01)
        patch.setitem(RECIPES, "minute", slower)
        assert cli.main(command) == 1
        assert "record of another run" in capsys.readouterr().err
    assert kept == {file: file.read_bytes() for file in tmp_path.iterdir()}


@pytest.mark.parametrize("out", ["a file", "/proc/nobody/runs"])
def test_a_folder_that_cannot_be_written_is_said_before_training(
    out, few_pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("gnet_utils.training.fit", lambda *_, **__: pytest.fail("it trained"))
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    if out != "a file" and not Path("/proc").is_dir():
        pytest.skip("needs a place where nobody can make folders")
    assert cli.main([*TRAIN, "--out", out]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert "cannot be used" in said


def test_two_trainings_of_one_name_do_not_write_over_each_other(few_pictures, tmp_path, capsys):
    with FileLock(tmp_path / "minute-seed0.lock"):
        assert cli.main([*TRAIN, "--out", str(tmp_path)]) == 1
    assert "another process trains minute-seed0" in capsys.readouterr().err


# ---------------------------------------------------------------- data


@pytest.mark.data
def test_data_says_what_was_found_and_why(capsys):
    assert cli.main(["data", "--stand-in"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "Data: the drawn stand-in for Fashion-MNIST (the call asked for it)."


# ---------------------------------------------------------------- render and clean


def test_render_executes_cleans_and_repeats_itself_exactly(own_course, monkeypatch, capsys):
    course = own_course
    monkeypatch.setenv("GNET_QUICK", "1")
    path = make_notebook(
        course,
        "01_some",
        "import time\nprint(1, flush=True)\ntime.sleep(0.3)\nprint(2)",
        "",
        "import os, sys\nprint(os.environ.get('GNET_QUICK'), sys.prefix)\nos.getcwd()",
        "from ipywidgets import IntSlider\nIntSlider()",
    )
    notebook = notebooks.read(path)
    notebook["metadata"]["widgets"] = {}
    notebook["cells"][1]["source"] = "# Set-up of an older edition"
    notebook["cells"][2]["metadata"]["execution"] = {"shell.execute_reply": "now"}
    notebooks.write(notebook, path)
    notebooks.render(path)
    first = path.read_bytes()
    notebook = notebooks.read(path)
    assert notebook["cells"][1]["source"] == notebooks.setup_cell()
    cells = notebooks.code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 4]
    assert [output["text"] for output in cells[1]["outputs"]] == ["1\n2\n"]
    assert cells[2]["outputs"][0]["text"].startswith("None ")  # at full length, so not quick
    text = first.decode()
    for trace in (str(course), str(ROOT), sys.prefix, "widget-view", '"execution"', "widgets"):
        assert trace not in text.replace("ipywidgets", "")
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    notebooks.render(path)
    assert path.read_bytes() == first
    assert re.search(r"01_some \.\.\. \d+ s, \d+ kB", capsys.readouterr().out)


def test_a_notebook_that_fails_stays_as_it_was(course, capsys):
    path = make_notebook(course, "01_bad", "x = 1", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CourseError, match=r"01_bad.ipynb was left as it was: code cell 3 failed"):
        notebooks.render(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["01_bad.ipynb"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("while True:\n    pass  # the end", "A cell timed out while it was being executed"),
        ("import os\nos._exit(1)", "Kernel died"),
    ],
)
def test_the_cell_that_fails_is_named_also_when_all_have_run_before(
    source, reason, course, monkeypatch
):
    monkeypatch.setattr(notebooks, "CELL_SECONDS", 3)
    path = make_notebook(course, "01_bad", "x = 1", "", source, "x = 2", "x = 3")
    notebook = notebooks.read(path)
    notebooks.clean(notebook)  # with the counts of an execution
    notebooks.write(notebook, path)
    with pytest.raises(CourseError, match=f"code cell 3 failed: {reason}"):
        notebooks.render(path)


def test_render_insists_on_the_real_data(own_course, monkeypatch, capsys):
    make_notebook(own_course, "01_some", "1 / 0")

    def refuse(source):
        assert source == "real"
        raise CourseError("no real data")

    monkeypatch.setattr("gnet_utils.data.prepare", refuse)
    assert cli.main(["render"]) == 1
    assert capsys.readouterr().err == "error: no real data\n"


def test_a_cells_id_stays_when_cells_are_inserted_before_it():
    new = nbformat.v4
    cells = [new.new_markdown_cell("a"), new.new_markdown_cell("b"), new.new_markdown_cell("b")]
    one = new.new_notebook(cells=cells)
    other = new.new_notebook(cells=[new.new_markdown_cell("c"), *cells])
    notebooks.clean(one)
    ids = [cell["id"] for cell in one["cells"]]
    notebooks.clean(other)
    assert [cell["id"] for cell in other["cells"]][1:] == ids
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"{ROOT}/data/runs", "data/runs"),
        (str(ROOT), "."),
        (f"{Path.home()}/pictures", "~/pictures"),
        ("/tmp/ipykernel_123/456.py:3: UserWarning", "cell:3: UserWarning"),
    ],
)
def test_folders_of_this_machine_do_not_stay_in_outputs(text, cleaned):
    assert notebooks.without_paths(text) == cleaned


def test_what_is_not_a_notebook_is_named(course):
    path = course / "notebooks" / "01_broken.ipynb"
    for text in ("{", "", "<<<<<<< HEAD"):
        path.write_text(text)
        with pytest.raises(CourseError, match=r"01_broken.ipynb is not a readable notebook"):
            notebooks.read(path)


# ---------------------------------------------------------------- bundle and the set-up cell


def test_bundle_holds_the_course_without_caches_under_one_folder(own_course):
    make_notebook(own_course, "01_some")
    for unwanted in ("data/cache/x", "gnet_utils/__pycache__/x.pyc", ".venv/x", ".git/x"):
        file = own_course / unwanted
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    (own_course / "data" / "pictures").mkdir()
    (own_course / "data" / "pictures" / "a.png").write_text("x")
    shutil.copytree(own_course / "notebooks", own_course / "data" / "clean")  # as rendered
    target = bundle.bundle(own_course / "gnet-course.zip")
    names = set(zipfile.ZipFile(target).namelist())
    for wanted in ("gnet_utils/data.py", "notebooks/01_some.ipynb", "data/pictures/a.png"):
        assert f"gnet-course/{wanted}" in names
    assert all(name.startswith("gnet-course/") for name in names)
    assert not [n for n in names if re.search(r"/cache/|__pycache__|\.venv|\.git/|\.zip", n)]
    assert not list(own_course.glob("*.tmp"))


def test_repository_goes_into_set_up_cells_and_badges_and_can_be_changed(own_course):
    path = make_notebook(own_course, "01_some", "x = 1")
    for owner in ("ada", "grace"):
        bundle.write_repository(f"https://github.com/{owner}/course.git")
        notebook = notebooks.read(path)
        link = f"https://colab.research.google.com/github/{owner}/course/blob/HEAD/notebooks/"
        title = notebook["cells"][0]["source"]
        assert title.startswith("# 01 Title\n\n[![Open in Colab](")
        assert title.count(f"]({link}01_some.ipynb)\n\nPromise.") == title.count("badge.svg") == 1
        line = f'run(["git", "clone", "--depth", "1", "https://github.com/{owner}/course", '
        assert line in notebook["cells"][1]["source"]
        assert notebook["cells"][1]["source"] == notebooks.setup_cell()
        compile(notebooks.setup_cell(), "setup", "exec")


@pytest.mark.parametrize("url", ["http://example.org/a/b", "ada/course", "https://github.com/ada"])
def test_a_repository_that_colab_cannot_open_is_refused(own_course, url):
    before = notebooks.setup_cell()
    with pytest.raises(ValueError, match=r"--repo must be https://github.com/OWNER/NAME"):
        bundle.write_repository(url)
    assert notebooks.setup_cell() == before


def run_setup_cell(folder: Path, before: str = "") -> subprocess.CompletedProcess:
    after = "\nimport gnet_utils; print(gnet_utils.__file__)"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", before + notebooks.setup_cell() + after],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_set_up_cell_is_short_and_uses_the_standard_library_only():
    lines = [line for line in notebooks.setup_cell().splitlines() if line]
    assert len(lines) <= 9 and lines[0].startswith("# Set-up")  # eight of code
    imported = re.findall(r"^(?:import|from) (\w+)", notebooks.setup_cell(), re.MULTILINE)
    assert set(imported) <= sys.stdlib_module_names


def test_set_up_cell_finds_the_nearest_course_above(course):
    inner = course / "notebooks" / "deep"
    inner.mkdir()
    (course.parent / "gnet_utils").mkdir()  # a farther one
    for folder in (course, course / "notebooks", inner):
        assert str(course / "gnet_utils") in run_setup_cell(folder).stdout


def test_set_up_cell_without_a_course_says_what_to_do(tmp_path):
    done = run_setup_cell(tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'gnet_utils'\n")
    assert "Open this in the course folder" in notebooks.setup_cell()  # in the line shown above it


COLAB = "import sys, types; sys.modules['google.colab'] = types.ModuleType('colab')\n"


def test_set_up_cell_unpacks_the_bundle_on_colab(own_course, tmp_path):
    make_notebook(own_course, "01_some")
    content = tmp_path / "content"
    content.mkdir()
    bundle.bundle(content / "gnet-course.zip")
    for _ in range(2):  # the second time it is there already
        done = run_setup_cell(content, COLAB)
        assert str(content / "gnet-course" / "gnet_utils") in done.stdout, done.stderr


def test_set_up_cell_clones_the_repository_on_colab(course, tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], cwd=course, check=True)
    content = tmp_path / "content"
    content.mkdir()
    source = bundle.cloning(notebooks.setup_cell(), course.as_uri())
    code = COLAB + source + "\nimport gnet_utils; print(gnet_utils.__file__)"
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, cwd=content, capture_output=True, text=True, env=environ)
    assert str(content / "gnet-course" / "gnet_utils") in done.stdout, done.stderr

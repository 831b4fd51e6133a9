"""The zip for Colab, for a class, without network: what it holds, and that it runs."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import nbformat
import pytest

from gnet_utils import check_kernel, data
from gnet_utils.course import bundle, notebooks, slides
from gnet_utils.course import commands as cli

HARD_NAME = "Kurs für Anfänger"  # a space and umlauts
new = nbformat.v4


def in_zip(path: Path) -> dict[str, dict]:
    """The notebooks in a zip by their names."""
    with zipfile.ZipFile(path) as archive:
        return {
            Path(name).name: nbformat.reads(archive.read(name).decode(), as_version=4)
            for name in archive.namelist()
            if name.endswith(".ipynb")
        }


@pytest.fixture(scope="module")
def class_zip(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("zip") / "gnet-course.zip"
    return bundle.bundle(target, with_solutions=False)


def test_a_class_gets_every_notebook_without_its_solutions(class_zip):
    packed = in_zip(class_zip)
    paths = notebooks.find_notebooks()
    assert sorted(packed) == [path.name for path in paths]
    for path in paths:
        whole, given = notebooks.read(path), packed[path.name]
        assert len(given["cells"]) == len(whole["cells"])
        text = "\n".join(cell["source"] for cell in given["cells"])
        assert not notebooks.solutions(given) and "<details" not in text
        for _, name, code in notebooks.solutions(whole):
            assert code.strip() not in text
            assert f'The solution comes in class. `hint("{name}")`' in text


def test_a_class_gets_nothing_else_that_tells_solutions(class_zip):
    names = zipfile.ZipFile(class_zip).namelist()
    assert not [n for n in names if "TEACHING" in n or re.search(r"/tests/.*\.py$", n)]
    for kept in ("requirements.txt", "tests/constraints.txt", "tests/nbval_sanitize.cfg"):
        assert f"gnet-course/{kept}" in names  # `lab` and `test` of the zip need them


def links_of_readme(path: Path) -> tuple[set[str], set[str]]:
    """Files that README.md in a zip leads to: those in the zip, and those that are not."""
    archive = zipfile.ZipFile(path)
    page = archive.read("gnet-course/README.md").decode()
    found = set(re.findall(r"\]\((?!https?:)([^)#]+)", page))
    here = {name for name in found if f"gnet-course/{name}" in archive.namelist()}
    return here, found - here


def test_the_readme_of_a_class_leads_to_no_missing_file(class_zip, tmp_path):
    whole, dead = links_of_readme(bundle.bundle(tmp_path / "gnet-course.zip"))
    assert "notebooks/TEACHING.md" in whole and not dead
    assert links_of_readme(class_zip) == (whole - {"notebooks/TEACHING.md"}, set())
    page = zipfile.ZipFile(class_zip).read("gnet-course/README.md").decode()
    assert "notebooks/TEACHING.md (in the teacher's copy) has" in page


def test_what_stands_beside_a_folded_solution_stays():
    text = (
        "Before.\n\n<details><summary>Solution</summary>\n\n```python\nx = 1\n```\n</details>\n\nA."
    )
    cell = new.new_markdown_cell(text, metadata={"solution": "02.a", "tags": ["t"]})
    notebook = new.new_notebook(cells=[cell])
    bundle.hide_solutions(notebook)
    assert cell["source"].startswith("Before.\n\n*The solution") and cell["source"].endswith("A.")
    assert cell["metadata"] == {"tags": ["t"]}


def test_the_plain_zip_keeps_solutions_and_teachers_notes(tmp_path):
    archive = zipfile.ZipFile(bundle.bundle(tmp_path / "gnet-course.zip"))
    assert "gnet-course/notebooks/TEACHING.md" in archive.namelist()
    for path in notebooks.find_notebooks():
        assert archive.read(f"gnet-course/notebooks/{path.name}") == path.read_bytes()


@pytest.mark.data
def test_the_zip_with_data_runs_anywhere_without_network(tmp_path, monkeypatch, capsys):
    """Unpacked in a folder with a hard name, a notebook finds its own package and its own data."""
    if os.environ.get("GNET_DATA_SOURCE") == "stand-in" or data.prepare().kind != "real":
        pytest.skip("the real data are not here: there is nothing to pack")
    place = tmp_path / HARD_NAME
    place.mkdir()
    pack = bundle.bundle
    monkeypatch.setattr(bundle, "bundle", lambda **how: pack(place / "gnet-course.zip", **how))
    assert cli.main(["bundle", "--no-solutions", "--with-data"]) == 0
    assert "know the answers still" in capsys.readouterr().out
    zipfile.ZipFile(place / "gnet-course.zip").extractall(place)
    course = place / "gnet-course"
    packed = (course / "data" / "cache" / "fashion-mnist.safetensors").read_bytes()
    cached = (data.cache_folder() / "fashion-mnist.safetensors").read_bytes()
    assert hashlib.sha256(packed).digest() == hashlib.sha256(cached).digest()

    source = (
        "import gnet_utils, gnet_utils.data; gnet_utils.data.load_fashion_mnist('test')\n"
        "print(gnet_utils.__file__); print(*gnet_utils.data.data_source())"
    )
    notebook = new.new_notebook(cells=[new.new_code_cell(source)])
    notebooks.put_setup_cell(notebook)
    env = {name: value for name, value in os.environ.items() if not name.startswith("GNET_")}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    notebooks.execute(notebook, course / "notebooks", {**env, **nowhere})
    package, source = notebook["cells"][-1]["outputs"][0]["text"].splitlines()
    assert Path(package) == course / "gnet_utils" / "__init__.py"
    assert source == "real read from the cache, data/cache/fashion-mnist.safetensors"


def test_data_that_cannot_be_had_are_not_packed(monkeypatch, tmp_path, capsys):
    def refuse(source):
        assert source == "real"
        raise cli.CourseError("No real Fashion-MNIST: no network")

    monkeypatch.setattr(data, "prepare", refuse)
    monkeypatch.setattr(bundle, "bundle", lambda **_: pytest.fail("it packed"))
    assert cli.main(["bundle", "--with-data"]) == 1
    assert capsys.readouterr().err == "error: No real Fashion-MNIST: no network\n"


# ---------------------------------------------------------------- answers stay in the folder


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda path: path.stem)
def test_every_notebook_has_its_clean_copy(path):
    """Else slides and zips hold another course than the notebooks: render it."""
    assert notebooks.clean_copy(path).read_bytes() == path.read_bytes()


SECRETS = ("OWN-ANSWER", "OWN-OUTPUT", "OWN-NOTE", "OWN-CHANGE", "OWN-COPY", "OWN-FILE")
SOLUTION = "<details><summary>Solution</summary>\n\n```python\nanswer = 'FOLDED'\n```\n</details>"


@pytest.fixture
def course(course: Path, monkeypatch) -> Path:
    """The course with notebook 03 alone; what works on files works on it."""
    (path,) = notebooks.find_notebooks(["03"])
    monkeypatch.setattr(bundle, "ROOT", course)
    monkeypatch.setattr(notebooks, "ROOT", course)
    monkeypatch.setattr(notebooks, "NOTEBOOKS", course / "notebooks")
    (course / "data" / "clean").mkdir(parents=True)
    (course / "data" / "pictures").mkdir()
    for folder in ("notebooks", "data/clean"):
        shutil.copy(path, course / folder)
    return course


def lesson(course: Path) -> Path:
    return course / "notebooks" / "03_the_inception_block.ipynb"


def printed(text: str) -> dict:
    return new.new_output("stream", text=text)


def work_through(course: Path) -> None:
    """Leave in the notebook, and beside it, what a teacher leaves who tries the lesson."""
    path = lesson(course)
    notebook = notebooks.read(path)
    for cell in notebooks.code_cells(notebook):
        cell["execution_count"] = 99
        cell["outputs"] = [printed("OWN-OUTPUT")]
        if "exercise" in cell["metadata"]:
            cell["source"] = cell["source"].replace("answer = None", "answer = 'OWN-ANSWER'")
            cell["outputs"] = [printed("Right: OWN-OUTPUT")]
    notebook["cells"][4]["source"] += " OWN-CHANGE"
    notebook["cells"] += [new.new_markdown_cell("OWN-NOTE"), new.new_code_cell("'OWN-NOTE'")]
    notebooks.write(notebook, path)
    shutil.copy(path, path.with_name(f"{path.stem}-Copy1.ipynb"))
    notebook["cells"][0]["source"] += " OWN-COPY"
    for place in ("notebooks/Untitled.ipynb", "Untitled1.ipynb", "data/Untitled2.ipynb"):
        notebooks.write(notebook, course / place)
    for place in ("notebooks/answers.py", "notebooks/print.html"):
        (course / place).write_text("'OWN-FILE'", encoding="utf-8")


def leaving(course: Path, with_solutions: bool) -> dict[str, str]:
    """All texts that leave the folder, by name: the zip's files and the slides."""
    target = bundle.bundle(course.parent / "some.zip", with_solutions=with_solutions)
    archive = zipfile.ZipFile(target)
    texts = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    for page in slides.make_slides([lesson(course)], course.parent / "slides"):
        texts[page.name] = page.read_text(encoding="utf-8")
    return texts


@pytest.mark.parametrize("with_solutions", [True, False])
def test_what_was_answered_run_written_or_added_does_not_leave(course, with_solutions, capsys):
    clean = leaving(course, with_solutions)
    assert capsys.readouterr().err == ""
    work_through(course)
    texts = leaving(course, with_solutions)
    assert texts == clean
    for name, text in texts.items():
        assert [secret for secret in SECRETS if secret in text] == [], name
    said = capsys.readouterr().err
    assert "03_the_inception_block.ipynb was changed since its last render" in said
    assert "first run python -m gnet_utils render 03" in said
    assert "Not packed: data/Untitled2.ipynb, notebooks/03_the_inception_block-Copy1.ipynb" in said
    assert "notebooks/answers.py" in said


def test_a_class_zip_does_not_leak_either(course, monkeypatch):
    """Without git: what the zip of a zip holds, after somebody worked in the first."""
    target = bundle.bundle(course.parent / "first.zip", with_solutions=False)
    unpacked = course.parent / "gnet-course"
    zipfile.ZipFile(target).extractall(course.parent)
    monkeypatch.setattr(bundle, "ROOT", unpacked)
    monkeypatch.setattr(notebooks, "ROOT", unpacked)
    monkeypatch.setattr(notebooks, "NOTEBOOKS", unpacked / "notebooks")
    clean = leaving(unpacked, False)
    work_through(unpacked)
    assert leaving(unpacked, False) == clean


def test_a_teachers_exercise_goes_along_once_rendered_and_its_solution_does_not(
    course, monkeypatch, capsys
):
    path = lesson(course)
    notebook = notebooks.read(path)
    notebook["cells"] += [
        new.new_markdown_cell("### Exercise of mine\n\nHow many?"),
        new.new_code_cell("answer = None"),
        new.new_markdown_cell(SOLUTION),
    ]
    notebooks.write(notebook, path)
    assert not [n for n, text in leaving(course, False).items() if "Exercise of mine" in text]
    monkeypatch.setattr(notebooks, "execute", lambda *_: None)
    monkeypatch.setattr(notebooks, "save_readme_pictures", lambda _: None)
    notebooks.render(path)
    capsys.readouterr()
    texts = leaving(course, False)
    holding = sorted(name for name, text in texts.items() if "Exercise of mine" in text)
    assert holding == [
        f"{path.stem}.html",
        *(f"gnet-course/{n}/{path.name}" for n in ("data/clean", "notebooks")),
    ]
    assert not [name for name, text in texts.items() if "FOLDED" in text]
    assert "The solution comes in class.*" in texts[f"gnet-course/notebooks/{path.name}"]
    assert capsys.readouterr().err == ""


def answer(notebook: dict, verdict: str) -> tuple[int, dict]:
    """Answer the first exercise of a notebook; returns its number among the code cells and it."""
    cells = notebooks.code_cells(notebook)
    number, cell = next((n, c) for n, c in enumerate(cells, 1) if "exercise" in c["metadata"])
    cell["source"] = cell["source"].replace("None", "'OWN-ANSWER'")
    cell["outputs"] = [printed(f"a line of its own\n{verdict}: so it is")]
    return number, cell


@pytest.mark.parametrize("verdict", ["Right", "Not yet"])
def test_render_puts_the_stub_in_place_of_an_answer(verdict, course, monkeypatch, capsys):
    def execute(notebook, *_):
        for cell in notebooks.code_cells(notebook):
            cell["outputs"] = [printed("run anew")]

    monkeypatch.setattr(notebooks, "execute", execute)
    monkeypatch.setattr(notebooks, "save_readme_pictures", lambda _: None)
    path = lesson(course)
    notebook = notebooks.read(path)
    answer(notebook, verdict)
    notebooks.write(notebook, path)
    notebooks.render(path)
    for file in (path, notebooks.clean_copy(path)):
        text = file.read_text(encoding="utf-8")
        assert "run anew" in text and "OWN-ANSWER" not in text
    assert "answers replaced by their stubs: 03.naive; " in capsys.readouterr().out


@pytest.mark.parametrize("verdict", ["Right", "Not yet"])
def test_render_refuses_an_answer_whose_stub_it_does_not_know(verdict, course, monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda *_: None)
    path = lesson(course)
    notebook = notebooks.read(path)
    number, cell = answer(notebook, verdict)
    cell["metadata"] = {}
    notebooks.write(notebook, path)
    before = path.read_bytes(), notebooks.clean_copy(path).read_bytes()
    with pytest.raises(notebooks.CourseError, match=rf"left as it was: code cells \[{number}\]"):
        notebooks.render(path)
    assert (path.read_bytes(), notebooks.clean_copy(path).read_bytes()) == before


def test_a_notebook_that_was_never_rendered_stays_and_is_named(course, capsys):
    path = course / "notebooks" / "99_mine.ipynb"
    shutil.copy(lesson(course), path)
    assert path.name not in in_zip(bundle.bundle(course.parent / "some.zip"))
    assert "Not packed: notebooks/99_mine.ipynb." in capsys.readouterr().err
    with pytest.raises(notebooks.CourseError, match="python -m gnet_utils render 99 makes it"):
        slides.make_slides([path], course.parent / "slides")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a<details>b</details>c", "a|c"),
        ("a<DETAILS>b</DETAILS >c<details>d</details>e", "a|c|e"),
        ("a<details><summary>never closed", "a|"),
    ],
)
def test_whatever_is_folded_is_hidden(text, kept):
    assert notebooks.without_folded(text, "|") == kept


def test_what_is_unpacked_on_a_share_can_be_read_by_all(class_zip):
    entries = zipfile.ZipFile(class_zip).infolist()
    assert {entry.external_attr >> 16 for entry in entries} == {0o644}


# ---------------------------------------------------------------- the set-up cell on Colab

COLAB = "import sys, types; sys.modules['google.colab'] = types.ModuleType('colab')\n"
FOUND = "\nimport gnet_utils; print(gnet_utils.__file__)"


def set_up(folder: Path, before: str = "", url: str = "") -> subprocess.CompletedProcess:
    """Run the set-up cell in a folder with the standard library only."""
    source = bundle.cloning(notebooks.setup_cell(), url) if url else notebooks.setup_cell()
    code = before + source + FOUND
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_zip_that_is_half_uploaded_is_named(share, class_zip, tmp_path):
    content = class_zip.read_bytes()
    (tmp_path / "gnet-course.zip").write_bytes(content[: int(share * len(content))])
    done = set_up(tmp_path, COLAB)
    assert done.stderr.endswith("ReadError: gnet-course.zip is not a zip file\n")
    assert "upload ended" in notebooks.setup_cell()  # in the line shown above it


def test_a_clone_that_fails_says_why(tmp_path):
    url = (tmp_path / "nothing-there").as_uri()
    done = set_up(tmp_path, COLAB, url)
    assert f"fatal: '{url.removeprefix('file://')}'" in done.stderr  # git's own words
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'gnet_utils'\n")


# ---------------------------------------------------------------- the kernel


def test_a_kernel_without_the_packages_is_told_which_to_choose(tmp_path, class_zip):
    zipfile.ZipFile(class_zip).extractall(tmp_path)
    shell = "import sys; from unittest import mock; sys.modules['IPython'] = mock.MagicMock()\n"
    done = set_up(tmp_path / "gnet-course" / "notebooks", shell)
    last = done.stderr.splitlines()[-1]
    assert re.match(r"ModuleNotFoundError: the kernel of \S+ lacks torch, .*matplotlib", last)
    assert "in its folder .venv" in last and "Change Kernel" in last


def test_a_kernel_with_the_packages_is_content(monkeypatch):
    monkeypatch.setattr("gnet_utils._shell", types.SimpleNamespace())
    assert check_kernel() is None

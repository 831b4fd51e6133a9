"""The zip for Colab, for a class, without network: what it holds, and that it runs."""

import hashlib
import os
import re
import zipfile
from pathlib import Path

import nbformat
import pytest

from gnet_utils import __main__ as cli
from gnet_utils import data, notebooks

HARD_NAME = "Kurs für Anfänger"  # a space and umlauts


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
    return notebooks.bundle(target, with_solutions=False)


def test_a_class_gets_every_notebook_without_its_solutions(class_zip):
    packed = in_zip(class_zip)
    paths = notebooks.find_notebooks()
    assert sorted(packed) == [path.name for path in paths]
    for path in paths:
        whole, given = notebooks.read(path), packed[path.name]
        assert len(given["cells"]) == len(whole["cells"])
        text = "\n".join(cell["source"] for cell in given["cells"])
        assert not notebooks.solutions(given) and "<summary>Solution" not in text
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
    whole, dead = links_of_readme(notebooks.bundle(tmp_path / "gnet-course.zip"))
    assert "notebooks/TEACHING.md" in whole and not dead
    assert links_of_readme(class_zip) == (whole - {"notebooks/TEACHING.md"}, set())
    page = zipfile.ZipFile(class_zip).read("gnet-course/README.md").decode()
    assert "notebooks/TEACHING.md (in the teacher's copy) has" in page


def test_what_stands_beside_a_folded_solution_stays():
    new = nbformat.v4
    text = (
        "Before.\n\n<details><summary>Solution</summary>\n\n```python\nx = 1\n```\n</details>\n\nA."
    )
    cell = new.new_markdown_cell(text, metadata={"solution": "02.a", "tags": ["t"]})
    notebook = new.new_notebook(cells=[cell])
    notebooks.hide_solutions(notebook)
    assert cell["source"].startswith("Before.\n\n*The solution") and cell["source"].endswith("A.")
    assert cell["metadata"] == {"tags": ["t"]}


def test_the_plain_zip_keeps_solutions_and_teachers_notes(tmp_path):
    target = notebooks.bundle(tmp_path / "gnet-course.zip")
    assert "gnet-course/notebooks/TEACHING.md" in zipfile.ZipFile(target).namelist()
    for path in notebooks.find_notebooks():
        assert in_zip(target)[path.name] == notebooks.read(path)


@pytest.mark.data
def test_the_zip_with_data_runs_anywhere_without_network(tmp_path, monkeypatch, capsys):
    """Unpacked in a folder with a hard name, notebook 00 finds its own package and its own data."""
    if os.environ.get("GNET_DATA_SOURCE") == "stand-in" or data.data_source().kind != "real":
        pytest.skip("the real data are not here: there is nothing to pack")
    place = tmp_path / HARD_NAME
    place.mkdir()
    pack = notebooks.bundle
    monkeypatch.setattr(notebooks, "bundle", lambda **how: pack(place / "gnet-course.zip", **how))
    assert cli.main(["bundle", "--no-solutions", "--with-data"]) == 0
    assert "know the answers still" in capsys.readouterr().out
    zipfile.ZipFile(place / "gnet-course.zip").extractall(place)
    course = place / "gnet-course"
    packed = (course / "data" / "cache" / "fashion-mnist.safetensors").read_bytes()
    cached = (data.cache_folder() / "fashion-mnist.safetensors").read_bytes()
    assert hashlib.sha256(packed).digest() == hashlib.sha256(cached).digest()

    (path,) = (course / "notebooks").glob("00_*.ipynb")
    notebook = notebooks.read(path)
    source = "import gnet_utils; print(gnet_utils.__file__); print(*data_source())"
    notebook["cells"].append(nbformat.v4.new_code_cell(source))
    env = {name: value for name, value in os.environ.items() if not name.startswith("GNET_")}
    nowhere = "http://127.0.0.1:9"
    notebooks.execute(notebook, path.parent, {**env, "http_proxy": nowhere, "https_proxy": nowhere})
    package, source = notebook["cells"][-1]["outputs"][0]["text"].splitlines()
    assert Path(package) == course / "gnet_utils" / "__init__.py"
    assert source == "real read from the cache, data/cache/fashion-mnist.safetensors"


def test_data_that_cannot_be_had_are_not_packed(monkeypatch, tmp_path, capsys):
    def refuse(source):
        assert source == "real"
        raise cli.CourseError("No real Fashion-MNIST: no network")

    monkeypatch.setattr(data, "prepare", refuse)
    monkeypatch.setattr(notebooks, "bundle", lambda **_: pytest.fail("it packed"))
    assert cli.main(["bundle", "--with-data"]) == 1
    assert capsys.readouterr().err == "error: No real Fashion-MNIST: no network\n"


def test_a_cache_that_cannot_be_written_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(data, "prepare", lambda source: None)
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path))
    assert cli.main(["bundle", "--with-data"]) == 1
    assert "set GNET_CACHE_DIR to a folder of your own" in capsys.readouterr().err

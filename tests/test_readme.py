"""The README keeps its promises: one page, commands first, files exist, the table is complete."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def test_the_two_commands_open_the_readme():
    first_code = README.split("```")[1]
    assert [line.split("#")[0].strip() for line in first_code.strip().splitlines()] == [
        "python3 -m gnet_utils lab",
        "python3 -m gnet_utils test",
    ]


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= 80


def test_the_package_says_in_at_most_25_lines_in_which_order_to_read_all_of_it():
    text = (ROOT / "gnet_utils" / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 25
    assert "gnet_utils/README.md" in README
    modules = [*ROOT.glob("gnet_utils/*.py"), *ROOT.glob("gnet_utils/models/*.py")]
    names = {path.stem for path in modules if not path.stem.startswith("_")}
    names |= {f"{path.parent.name}/" for path in ROOT.glob("gnet_utils/*/__init__.py")}
    assert {name for name in names if f"`{name}`" not in text and f"[{name}]" not in text} == set()
    order = [f"`{name}`" for name in ("layers", "counting", "data", "training", "probing")]
    assert sorted(order, key=text.index) == order


def test_the_figures_of_the_readme_are_those_of_the_lessons():
    shown = set(re.findall(r"data/pictures/readme_(\w+)\.png", README))
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text("utf-8"))["cells"]]
    stored = {c["metadata"]["readme"]: c["outputs"] for c in cells if "readme" in c["metadata"]}
    assert len(shown) >= 2 and stored.keys() == shown
    for name, outputs in stored.items():
        (figure,) = (out["data"]["image/png"] for out in outputs if "image/png" in out["data"])
        drawn = Image.open(io.BytesIO(base64.b64decode(figure))).convert("RGB")
        saved = Image.open(ROOT / "data" / "pictures" / f"readme_{name}.png").convert("RGB")
        assert ImageChops.difference(drawn, saved).getbbox() is None, name


@pytest.mark.parametrize(
    "page", ["README.md", "data/README.md", "tests/README.md", "gnet_utils/README.md"]
)
def test_files_that_a_readme_links_exist(page):
    path = ROOT / page
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8"))
    assert targets or page != "README.md"
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_a_row(notebook):
    assert f"| [{notebook.stem[:2]} " in README and f"(notebooks/{notebook.name})" in README

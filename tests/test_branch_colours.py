"""What blue, orange, green and purple mean in a drawing of branches stands in one table."""

import ast
import re

import pytest

from gnet_utils.course.notebooks import NOTEBOOKS, ROOT, code_cells, read
from gnet_utils.plotting import BRANCH_COLOURS

EXPLORERS = sorted((ROOT / "gnet_utils" / "explorers").glob("n*.py"))
SOURCES = {path.stem: [path.read_text(encoding="utf-8")] for path in EXPLORERS} | {
    path.stem: [cell["source"] for cell in code_cells(read(path))]
    for path in sorted(NOTEBOOKS.glob("*.ipynb"))
}


def literals(source: str) -> list[str]:
    """Colours of branches that a source writes out, and its uses of the 3x3's orange by name."""
    strings = (n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant))
    table = "|".join(BRANCH_COLOURS.values())
    return [s for s in strings if isinstance(s, str) and re.search(f"{table}|^orange$", s, re.I)]


@pytest.mark.parametrize("name", SOURCES)
def test_no_cell_and_no_explorer_writes_out_a_colour_of_a_branch(name):
    assert [found for source in SOURCES[name] for found in literals(source)] == []


@pytest.mark.parametrize("lesson", ["02", "03", "04", "07", "09"])
def test_explorers_that_draw_branches_read_the_table(lesson):
    source = (ROOT / "gnet_utils" / "explorers" / f"n{lesson}.py").read_text(encoding="utf-8")
    names = [node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    assert "BRANCH_COLOURS" in names


@pytest.mark.parametrize("source", ['plot(color="#e69f00")', 'COLOURS["orange"]'])
def test_a_colour_that_is_written_out_is_found(source):
    assert literals(source)

"""Same machine, same seed, same numbers: the compared cells of a notebook in five executions."""

import pytest
from kernels import Kernel, code_cells, is_compared, notebook_names, plain

EXECUTIONS = 5


@pytest.mark.faults
@pytest.mark.parametrize("name", notebook_names())
def test_five_executions_print_the_same(name):
    cells, seen = code_cells(name), []
    for _ in range(EXECUTIONS):
        with Kernel() as kernel:
            done = [kernel.run(cell["source"]) for cell in cells]
        assert [one.error for one in done] == [""] * len(cells)
        compared = zip(cells, done, strict=True)
        seen.append([plain(one.text) for cell, one in compared if is_compared(cell)])
    assert seen[0] and all(texts == seen[0] for texts in seen)


def test_the_comparison_sees_another_digit():
    assert plain("loss 2.303 <x at 0x7f00aa11>") == plain("loss 2.303 <x at 0x5500bb22>\n")
    assert plain("loss 2.303") != plain("loss 2.304")

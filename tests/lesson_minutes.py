"""How long a lesson takes a student: one formula for its head, README, notebook 00 and TEACHING.

    python -m tests.lesson_minutes

100 words of text and 10 lines of code in sight a minute, 2.5 minutes a prediction, 1 minute for
each cell that shows something, be it a figure or a table; an exercise whose answer is one value
takes 4 minutes, one that is written (a function, a class, a loop) 10. Rounded up to 5. Folded code
does not count: readers leave it folded.

`test_minutes` holds it against the clocks of readers of this edition. It gives far more than the
two clocks of the first edition (161 minutes for 123, 131 for 110): those readers were quicker with
much code and many tables.
"""

import math
import re
from typing import NamedTuple

from gnet_utils.counting import format_table
from gnet_utils.course.notebooks import code_cells, find_notebooks, read, setup_cell, solutions

WORDS_A_MINUTE = 100
LINES_A_MINUTE = 10
MINUTES_A_PREDICTION = 2.5
MINUTES_A_SIGHT = 1
MINUTES_A_VALUE = 4
MINUTES_A_WRITING = 10


class Sizes(NamedTuple):
    """What a lesson asks of its reader; `sights` are the cells that show a figure or print."""

    words: int
    lines: int
    predictions: int
    sights: int


class Minutes(NamedTuple):
    """Minutes of a lesson: reading and running it, and with all of its exercises."""

    reading: int
    with_exercises: int


def minutes(notebook: dict) -> Minutes:
    """What the formula gives for a notebook."""
    written = [is_written(source) for _, _, source in solutions(notebook)]
    reading = reading_minutes(sizes(notebook))
    exercises = exercise_minutes(written.count(True), written.count(False))
    return Minutes(_to_5(reading), _to_5(reading + exercises))


def reading_minutes(sizes: Sizes) -> float:
    """Minutes to read a lesson of these sizes, to answer its predictions and to look."""
    return (
        sizes.words / WORDS_A_MINUTE
        + sizes.lines / LINES_A_MINUTE
        + sizes.predictions * MINUTES_A_PREDICTION
        + sizes.sights * MINUTES_A_SIGHT
    )


def exercise_minutes(written: int, values: int) -> float:
    """Minutes for so many exercises that are written, and so many that ask for one value."""
    return written * MINUTES_A_WRITING + values * MINUTES_A_VALUE


def sizes(notebook: dict) -> Sizes:
    """Sizes of an executed notebook; folded code and solutions do not count."""
    text = "\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")
    words = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).split()
    cells = [cell for cell in code_cells(notebook) if cell["source"] != setup_cell()]
    asked = [cell for cell in cells if _calls(cell, "predict")]
    shown = [cell for cell in cells if cell["outputs"] and not _calls(cell, "predict|check|score")]
    open_ones = [cell for cell in cells if not is_folded(cell)]
    return Sizes(len(words), sum(map(lines_of, open_ones)), len(asked), len(shown))


def is_folded(cell: dict) -> bool:
    """Whether the code of a cell is out of sight until the reader opens it."""
    return "hide-input" in cell["metadata"].get("tags", [])


def lines_of(cell: dict) -> int:
    """Lines of code that are not empty."""
    return len([line for line in cell["source"].splitlines() if line.strip()])


def _calls(cell: dict, names: str) -> bool:
    return bool(re.search(rf"^(\w+ = )?({names})\(", cell["source"], re.MULTILINE))


def is_written(solution: str) -> bool:
    """Whether a solution is code of its own: a definition, or more than five lines."""
    lines = [line for line in solution.splitlines() if line.strip()]
    return len(lines) > 5 or bool(re.search(r"^\s*(def|class) ", solution, re.MULTILINE))


def _to_5(minutes: float) -> int:
    return 5 * math.ceil(minutes / 5)


if __name__ == "__main__":
    rows = []
    for path in find_notebooks():
        notebook = read(path)
        found = sizes(notebook)
        rows.append((path.stem, *found, f"{reading_minutes(found):.1f}", *minutes(notebook)))
    print(format_table(rows, ["lesson", *Sizes._fields, "sum", "reading", "with all"]))

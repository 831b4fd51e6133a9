"""How long a lesson takes a student: one formula for its head, README, notebook 00 and TEACHING.

    python -m tests.lesson_minutes

100 words of text and 10 lines of code a minute, 2.5 minutes a prediction; an exercise whose answer
is one value takes 4 minutes, one that is written (a function, a class, a loop) 10. Rounded up to 5:
of the last three readers each took a little longer than the sum.
Worked through from top to bottom, exercises with wrong answers first: 02 and 07 of the first
edition took 123 and 110 minutes (134 and 105 foretold), 05 and 07 of the second 90 and 91 (86 and
85), 03 between 90 and 100 (84); reading and running alone 60 and 63 in 05 and 07 (58 and 57). Later
passes, after cuts: 03 98, 83 and 78 (84, 75, 75), 05 76 and 85 (86, 86), 07 90, 81 and 83 (86, 81,
79); reading and running alone, last: 03 53, 05 64, 07 63 (51, 61, 56). For 14 of these 18 clocks
the formula is within a tenth, for all within 15%. Readers of another day were slower: reading alone
and all 03 60 and 90, 05 72 and 93, 07 70 and 89 (foretold 53 and 77, 60 and 84, 57 and 81); after
cuts 03 59 and 84, 05 62 and 86, 07 66 and 87 (53 and 77, 57 and 81, 56 and 80).
"""

import math
import re
from typing import NamedTuple

from gnet_utils.counting import format_table
from gnet_utils.course.notebooks import code_cells, find_notebooks, read, setup_cell, solutions

WORDS_A_MINUTE = 100
LINES_A_MINUTE = 10
MINUTES_A_PREDICTION = 2.5
MINUTES_A_VALUE = 4
MINUTES_A_WRITING = 10


class Minutes(NamedTuple):
    """Minutes of a lesson: reading and running it, and with all of its exercises."""

    reading: int
    with_exercises: int


def minutes(notebook: dict) -> Minutes:
    """What the formula gives for a notebook."""
    words, lines, predictions = sizes(notebook)
    written = [is_written(source) for _, _, source in solutions(notebook)]
    reading = reading_minutes(words, lines, predictions)
    exercises = exercise_minutes(written.count(True), written.count(False))
    return Minutes(_to_5(reading), _to_5(reading + exercises))


def reading_minutes(words: int, lines: int, predictions: int) -> float:
    """Minutes to read so many words and lines of code and to answer so many predictions."""
    return words / WORDS_A_MINUTE + lines / LINES_A_MINUTE + predictions * MINUTES_A_PREDICTION


def exercise_minutes(written: int, values: int) -> float:
    """Minutes for so many exercises that are written, and so many that ask for one value."""
    return written * MINUTES_A_WRITING + values * MINUTES_A_VALUE


def sizes(notebook: dict) -> tuple[int, int, int]:
    """Words of text, lines of code and predictions; solutions and the set-up cell do not count."""
    text = "\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")
    words = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).split()
    sources = [c["source"] for c in code_cells(notebook) if c["source"] != setup_cell()]
    lines = [line for source in sources for line in source.splitlines() if line.strip()]
    asked = [source for source in sources if re.search(r"^predict\(", source, re.MULTILINE)]
    return len(words), len(lines), len(asked)


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
        rows.append((path.stem, *sizes(notebook), *minutes(notebook)))
    print(format_table(rows, ["lesson", "words", "lines", "predictions", "reading", "with all"]))

"""An exercise of a teacher's own: its cells in the notebook, its entry in the table of checks."""

import ast
import re
from pathlib import Path

import nbformat

from gnet_utils.base import ROOT, CourseError, UsageError, written_aside
from gnet_utils.course import notebooks

# Works as it stands in every lesson, so that `render` and `test` can be tried at once.
ENTRY = """\
    "{name}": number(
        36,
        mistakes={{
            13: "that adds 4 and 9: each output channel has a weight for each input channel.",
            45: "that counts the 9 biases too; only weights are asked for.",
        }},
        hints=["How many weights has one output channel?"],
        right="9 output channels with 4 weights each.",
    ),
"""
QUESTION = """\
### Exercise {place}: {name}

How many **weights** (no biases) has a 1x1 convolution from 4 to 9 channels?
`hint("{id}")` helps."""
STUB = """\
answer = None  # a whole number
check("{id}", answer)"""
SOLUTION = """\
<details><summary>Solution</summary>

Each of the 9 output channels has one weight for each of the 4 input channels.

```python
answer = 4 * 9
check("{id}", answer)
```
</details>"""


def add(path: Path, name: str) -> None:
    """Write the exercise `name` into a notebook, at the end of the section of its last exercise.

    Raises UsageError for a name that cannot be one or is taken, CourseError for a lesson without
    exercises and a table of checks that is not Python; then nothing is written.
    """
    lesson = path.stem[:2]
    table = ROOT / "gnet_utils" / "exercises" / f"n{lesson}.py"
    notebook = notebooks.read(path)
    solved = [index for index, _, _ in notebooks.solutions(notebook)]
    if not solved or not table.exists():
        raise CourseError(f"{path.name} has no exercise that a new one could follow")
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise UsageError(
            f"NAME must be small letters, digits and _, a letter first, got {name!r}: choose "
            "another, for example own"
        )
    text = table.read_text(encoding="utf-8")
    try:
        dicts = {
            node.targets[0].id: node.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        }
    except SyntaxError as error:
        raise CourseError(
            f"{table.name} is not Python at line {error.lineno} ({error.msg}): mend it first"
        ) from None
    taken = [key.value for part in ("EXERCISES", "PREDICTIONS") for key in dicts[part].keys]
    if name in taken:
        raise UsageError(f"{lesson}.{name} exists; choose a name other than {', '.join(taken)}")

    lines = text.splitlines(keepends=True)
    line = dicts["EXERCISES"].end_lineno  # of the closing bracket, counted from 1
    last = dicts["EXERCISES"].values[-1]
    row, end = lines[last.end_lineno - 1], last.end_col_offset
    if not row[end:].startswith(","):
        lines[last.end_lineno - 1] = f"{row[:end]},{row[end:]}"
    lines.insert(line - 1, ENTRY.format(name=name))
    text = "".join(lines)
    imported = re.search(r"^from gnet_utils\.exercises import (.*)$", text, re.MULTILINE)
    if "number" not in imported[1].split(", "):
        text = f"{text[: imported.end()]}, number{text[imported.end() :]}"

    words = {"id": f"{lesson}.{name}", "name": name, "place": f"{int(lesson)}.{len(solved) + 1}"}
    new = nbformat.v4
    cells = notebook["cells"]
    after = range(solved[-1], len(cells))
    end = next((i for i in after if cells[i]["source"].startswith("## ")), len(cells))
    cells[end:end] = [
        new.new_markdown_cell(QUESTION.format(**words)),
        new.new_code_cell(STUB.format(**words), metadata={"exercise": words["id"]}),
        new.new_markdown_cell(SOLUTION.format(**words), metadata={"solution": words["id"]}),
    ]
    with written_aside(table) as aside:
        aside.write_text(text, encoding="utf-8")
    notebooks.write(notebook, path)
    print(
        f"{words['id']} is written, an example. Make it yours: question and solution below "
        f"Exercise {words['place']} in {path.name}, answer, mistakes and hint in "
        f"{table.relative_to(ROOT)}, line {line}."
    )

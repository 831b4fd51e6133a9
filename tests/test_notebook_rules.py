"""Each rule for notebooks, held by all of them, and seen to catch a notebook that breaks it.

A rule is a function from a notebook to a list of what is wrong with it.
"""

import ast
import base64
import copy
import io
import re
import symtable
from collections.abc import Callable, Iterator
from itertools import pairwise

import nbformat
import pytest
from lesson_minutes import lines_of, minutes
from PIL import Image

from gnet_utils import exercises
from gnet_utils.course.notebooks import (
    COMPARED,
    NOTEBOOKS,
    SETUP_METADATA,
    WIDGET_VIEW,
    answered,
    clean,
    code_cells,
    put_setup_cell,
    read,
    said,
    setup_cell,
    solutions,
)

MAX_LINES = 40  # of a code cell
# Of a lesson: words of folded solutions and lines of folded cells count too.
LIMITS = {"cells": 60, "words": 2300, "lines of code": 320, "exercises": 5}
MAX_MINUTES = (60, 90)  # reading and running, and with all exercises
MAX_HEIGHT = 530  # of an explorer's picture, in pixels
MAX_BYTES = 1_500_000  # GitHub shows larger notebooks slowly or not at all
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def outputs(notebook: dict) -> Iterator[tuple[dict, dict]]:
    """Each (cell, output) pair."""
    return ((cell, output) for cell in code_cells(notebook) for output in cell["outputs"])


def texts(output: dict) -> list[str]:
    """What an output holds as text, pictures left out."""
    data = output.get("data", {})
    found = [value for kind, value in data.items() if isinstance(value, str)]
    found = [value for value, kind in zip(found, data, strict=False) if kind not in PICTURES]
    return [*found, output.get("text", ""), *output.get("traceback", [])]


def short(cell: dict) -> str:
    return f"cell {cell['source'].strip().splitlines()[0][:60]!r}" if cell["source"] else "a cell"


def markdown(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]


def number(notebook: dict) -> str:
    """Such as "02", from the title."""
    found = re.match(r"# (\d\d) ", notebook["cells"][0]["source"])
    return found[1] if found else "no number"


def own_words(text: str) -> str:
    """Text without code and without italics, which are titles of other works."""
    return re.sub(r"```.*?```|`[^`]*`|(?<!\*)\*[^*\n]+\*(?!\*)", "", text, flags=re.DOTALL)


# ---------------------------------------------------------------- the file


def executed_in_order(notebook: dict) -> list[str]:
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        return [f"execution counts are {counts}, not 1 to {len(counts)}: render it"]
    return []


def no_error_outputs(notebook: dict) -> list[str]:
    return [
        f"{short(cell)} ends with {output['ename']} and is not tagged raises-exception"
        for cell, output in outputs(notebook)
        if output["output_type"] == "error" and "raises-exception" not in tags(cell)
    ]


def no_warnings(notebook: dict) -> list[str]:
    return [
        f"{short(cell)} printed on stderr: {output['text'][:80]!r}"
        for cell, output in outputs(notebook)
        if output["output_type"] == "stream" and output["name"] == "stderr"
    ]


def plain_metadata(notebook: dict) -> list[str]:
    metadata = notebook["metadata"]
    found = []
    if metadata.get("kernelspec", {}).get("name") != "python3":
        found.append(f"kernelspec is {metadata.get('kernelspec')}, not python3")
    if "version" in metadata.get("language_info", {}):
        found.append("language_info names the version of Python")
    extra = metadata.keys() - {"kernelspec", "language_info"}
    return found + [f"metadata.{key} does not belong there" for key in sorted(extra)]


def no_widget_state(notebook: dict) -> list[str]:
    found = ["metadata.widgets"] if "widgets" in notebook["metadata"] else []
    return found + [
        f"{short(cell)} stores a widget view: it points to a kernel that has ended"
        for cell, output in outputs(notebook)
        if WIDGET_VIEW in output.get("data", {})
    ]


def no_absolute_paths(notebook: dict) -> list[str]:
    pattern = re.compile(r"/(?:root|home|tmp|work|Users)/[\w.-]+|\b[A-Z]:\\\w+")
    places = [(cell, cell["source"]) for cell in notebook["cells"]]
    places += [(cell, text) for cell, output in outputs(notebook) for text in texts(output)]
    return [
        f"{short(cell)} holds the path {match[0]}"
        for cell, text in places
        for match in pattern.finditer(text)
    ]


def no_time_stamps(notebook: dict) -> list[str]:
    found = [
        f"{short(cell)} has metadata {key}"
        for cell in notebook["cells"]
        for key in ("execution", "ExecuteTime")
        if key in cell["metadata"]
    ]
    stamp = re.compile(r"\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d|\b0x[0-9a-f]{8,}")
    return found + [
        f"{short(cell)} prints {match[0]}, which changes with every run"
        for cell, output in outputs(notebook)
        for text in texts(output)
        for match in stamp.finditer(text)
    ]


def small_file(notebook: dict) -> list[str]:
    size = len(nbformat.writes(notebook).encode())
    return [f"{size} bytes, more than {MAX_BYTES}"] if size > MAX_BYTES else []


def cleaned_by_render(notebook: dict) -> list[str]:
    """As render leaves it; ids may be older than the text of their cells, but not be shared."""
    ids = [cell["id"] for cell in notebook["cells"]]
    again = copy.deepcopy(notebook)
    clean(again)
    for cell, name in zip(again["cells"], ids, strict=True):
        cell["id"] = name
    found = [] if again == notebook else ["render would change it without running it: render it"]
    return found + ([] if len(set(ids)) == len(ids) else ["two cells share an id"])


# ---------------------------------------------------------------- cells


def same_setup_cell(notebook: dict) -> list[str]:
    cells = code_cells(notebook)
    if not cells or cells[0]["source"] != setup_cell():
        return ["the first code cell is not the set-up cell of gnet_utils/course/setup_cell.py"]
    return [] if cells[0]["metadata"] == SETUP_METADATA else ["the set-up cell is not collapsed"]


def within_limits(notebook: dict) -> list[str]:
    words = sum(len(cell["source"].split()) for cell in markdown(notebook))
    lines = sum(map(lines_of, code_cells(notebook)))
    asked = sum(_is(cell, "exercise") for cell in notebook["cells"])
    found = dict(zip(LIMITS, (len(notebook["cells"]), words, lines, asked), strict=True))
    over = [f"{found[what]} {what}, at most {n}" for what, n in LIMITS.items() if found[what] > n]
    long = zip(minutes(notebook), MAX_MINUTES, strict=True)
    return over + [f"{needed} minutes, at most {most}" for needed, most in long if needed > most]


def short_cells(notebook: dict) -> list[str]:
    lengths = [(cell, len(cell["source"].splitlines())) for cell in code_cells(notebook)]
    return [f"{short(cell)} has {n} lines" for cell, n in lengths if n > MAX_LINES]


def prose_between_code(notebook: dict) -> list[str]:
    """Not more than two code cells in a row; of a collapsed one only the picture is seen."""
    found, row = [], 0
    for cell in notebook["cells"]:
        if "hide-input" not in tags(cell):
            row = row + 1 if cell["cell_type"] == "code" else 0
        if row == 3:
            found.append(f"third code cell without prose: {short(cell)}")
    return found


def text_is_compared(notebook: dict) -> list[str]:
    """45% of the cells that print text, and more than half of those that show text in any form.

    Slots for answers do not count: pages keep nothing of what a check says about an empty one.
    """
    cells = [cell for cell in code_cells(notebook) if not _is(cell, "exercise")]
    shown = [cell for cell in cells if any(map(_prints, cell["outputs"]))]
    printed = [
        cell
        for cell in shown
        if any(_prints(output) and not _pictures(output) for output in cell["outputs"])
    ]
    found = []
    wanted = {"print text": (printed, 0.45), "show text or pictures": (shown, 0.51)}
    for what, (cells, share) in wanted.items():
        compared = sum(COMPARED in tags(cell) for cell in cells)
        if compared < share * len(cells):
            found.append(f"only {compared} of {len(cells)} cells that {what} are compared")
    return found


def _prints(output: dict) -> bool:
    return output.get("name") == "stdout" or "text/plain" in output.get("data", {})


def _pictures(output: dict) -> list[str]:
    return [kind for kind in output.get("data", {}) if kind in PICTURES]


def comparable_cells(notebook: dict) -> list[str]:
    """Compared cells hold nothing that nbval cannot compare."""
    trap = re.compile(r";\s*$|\bclear_output\b|\binteract\b|\bOutput\(|\btqdm\b|\btime\.\w")
    return [
        f"{short(cell)} is compared and holds {match[0]!r}"
        for cell in code_cells(notebook)
        if COMPARED in tags(cell)
        for match in trap.finditer(cell["source"])
    ]


def no_magic(notebook: dict) -> list[str]:
    return [
        f"{short(cell)} runs {match[0].strip()!r}"
        for cell in code_cells(notebook)
        for match in re.finditer(r"^\s*[%!].*", cell["source"], re.MULTILINE)
    ]


def one_meaning(notebook: dict) -> list[str]:
    """A name that another cell uses is set in one cell: then cells can run again in any order."""
    tables = [symtable.symtable(c["source"], "cell", "exec") for c in code_cells(notebook)]
    sets = [
        {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        for table in tables
    ]
    last = {name: cell for cell, names in enumerate(sets) for name in names}
    found, so_far = set(), {}
    for cell, table in enumerate(tables):
        for name in _globals_read(table, top=True) - sets[cell]:
            if so_far.get(name) != last.get(name) and name in so_far:
                places = f"cells [{so_far[name] + 1}] and [{last[name] + 1}]"
                found.add(f"{name!r}, used in cell [{cell + 1}], is set in {places}")
        so_far |= dict.fromkeys(sets[cell], cell)
    return sorted(found)


def _globals_read(table: symtable.SymbolTable, top: bool = False) -> set[str]:
    names = {
        s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())
    }
    return names.union(*(_globals_read(child) for child in table.get_children()))


def names_that_say_something(notebook: dict) -> list[str]:
    """`x` is the input of a `forward` and nothing else, `answer` a learner's slot and no more."""
    found = []
    for cell in code_cells(notebook):
        lines = cell["source"].splitlines()
        for name, line in _set_names(ast.parse(cell["source"])):
            empty = name in ("x", "goog", "mine", "few", "sure", "optimizer")
            if empty or (name == "answer" and not _is(cell, "exercise")):
                found.append(f"{name!r} in {lines[line - 1].strip()!r}")
    return found


def _set_names(node: ast.AST) -> Iterator[tuple[str, int]]:
    """(name, line) of what is assigned, looped over or taken as argument outside of `forward`."""
    if isinstance(node, ast.FunctionDef) and node.name == "forward":
        return
    if isinstance(node, ast.arg):
        yield node.arg, node.lineno
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id, node.lineno
    for child in ast.iter_child_nodes(node):
        yield from _set_names(child)


def orange_is_the_3x3(notebook: dict) -> list[str]:
    """Colours by name are for anything but branches; these have BRANCH_COLOURS."""
    return [
        f"{short(cell)} draws in orange, which is the 3x3 branch's"
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell["source"]))
        if isinstance(node, ast.Constant) and node.value == "orange"
    ]


def explorers_fit_on_a_screen(notebook: dict) -> list[str]:
    """Of 1280 x 800, with their controls above them."""
    found = []
    for cell, output in outputs(notebook):
        for kind in _pictures(output) if re.search(r"^explore\(", cell["source"], re.M) else ():
            height = Image.open(io.BytesIO(base64.b64decode(output["data"][kind]))).height
            found += [f"{short(cell)} draws {height} pixels high"] if height > MAX_HEIGHT else []
    return found


def pictures_have_alt_text(notebook: dict) -> list[str]:
    return [
        f"{short(cell)} shows a picture without a sentence of alt text"
        for cell, output in outputs(notebook)
        for kind in _pictures(output)
        if len(output["metadata"].get(kind, {}).get("alt", "").split()) < 3
    ]


# ---------------------------------------------------------------- text


def title_and_table(notebook: dict) -> list[str]:
    first = notebook["cells"][0]
    found = []
    if first["cell_type"] != "markdown" or number(notebook) == "no number":
        found.append('the first cell does not begin with a title such as "# 02 Bottlenecks"')
    words = ("read", "run", "needs", "you will be able to")
    rows = "\n".join(row for row in first["source"].splitlines() if row.startswith("|")).lower()
    return found + [f"the table under the title does not say {w!r}" for w in words if w not in rows]


def closing_sections(notebook: dict) -> list[str]:
    if number(notebook) == "00":
        return []
    headings = " ".join(_headings(notebook)).lower()
    wanted = ("recap", "common misunderstandings", "further reading")
    return [f"no section {name!r}" for name in wanted if name not in headings]


def _headings(notebook: dict) -> list[str]:
    text = "\n".join(re.sub(r"```.*?```", "", c["source"], flags=re.S) for c in markdown(notebook))
    return re.findall(r"^#+ .*", text, re.MULTILINE)


def headings_in_order(notebook: dict) -> list[str]:
    levels = [len(heading.split()[0]) for heading in _headings(notebook)]
    found = [] if levels.count(1) == 1 else [f"{levels.count(1)} titles of level 1"]
    jumps = [i for i in range(1, len(levels)) if levels[i] > levels[i - 1] + 1]
    return found + [f"{_headings(notebook)[i]!r} jumps a level" for i in jumps]


def asks_for_predictions(notebook: dict) -> list[str]:
    text = "".join(cell["source"] for cell in markdown(notebook))
    return [] if "**Prediction" in text else ["no **Prediction.** is asked for"]


def predictions_are_answered(notebook: dict) -> list[str]:
    """By name, in the first text after it that names an option: "It is (b)"."""
    known, found = exercises.predictions_of(number(notebook)), []
    for i, cell in enumerate(notebook["cells"]):
        asked = re.findall(r"^predict\(\s*[\"']([^\"']*)", cell["source"], re.MULTILINE)
        for name in asked if cell["cell_type"] == "code" else ():
            after = "\n".join(c["source"] for c in notebook["cells"][i:])
            said = re.search(r"It is \((\w)\)", after)
            right = "abcdefgh"[known[name].right] if name in known else "?"
            if said is None or said[1] != right:
                found.append(f"{name} is answered by {said and said[1]}, its answer is {right}")
    return found


def answers_are_held_back(notebook: dict) -> list[str]:
    """What `predict` blurs ends with the answer, and holds no question and no explorer."""
    known, found = exercises.predictions_of(number(notebook)), []
    for i, cell in enumerate(notebook["cells"]):
        for name in re.findall(r"^predict\(\s*[\"']([^\"']*)", cell["source"], re.MULTILINE):
            below = notebook["cells"][i:]
            held = [below[n]["source"] for n in known[name].held if n < len(below)]
            if not held or not re.search(r"It is \(\w\)", held[-1]):
                found.append(f"{name} does not hold its answer back: `held` in its entry is wrong")
            for source in held:
                if asks := re.search(r"^(predict|explore|check)\(", source, re.MULTILINE):
                    found.append(f"{name} holds back {asks[0]}...): not in `held` of its entry")
    return found


def predictions_cannot_be_read_off(notebook: dict) -> list[str]:
    """A figure that is the right answer does not stand above the question: 42%, 56 million, 864."""
    known, found, above = exercises.predictions_of(number(notebook)), [], ""
    for cell in notebook["cells"]:
        asked = re.findall(r"^predict\(\s*[\"']([^\"']*)", cell["source"], re.MULTILINE)
        for name in asked if cell["cell_type"] == "code" else ():
            prediction = known[name]
            right = prediction.options[prediction.right]
            figure = re.search(r"\d[\d.,]*(%| \w+)|^\d{3,}$", right)
            if figure and re.search(rf"(?<![\d.,]){re.escape(figure[0])}(?!\d|\.\d)", above):
                found.append(f"{figure[0]!r}, the answer of {name}, stands above it")
        above += f"{cell['source']}\n{said(cell)}\n" if cell["source"] != setup_cell() else ""
    return found


def recap_of_three_lines(notebook: dict) -> list[str]:
    """Three sentences to remember, and no figure that is too long for that."""
    text = "\n".join(cell["source"] for cell in markdown(notebook))
    recap = re.search(r"^## Recap\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\d\. (.*)", recap[1] if recap else "", re.MULTILINE)
    figures = re.findall(r"\d[\d.,]*", " ".join(lines))
    long = [figure for figure in figures if sum(map(str.isdigit, figure)) > 3]
    found = [f"the recap has the figure {figure}: nobody remembers it" for figure in long]
    return found if len(lines) == 3 else [f"{len(lines)} lines in the recap, not 3", *found]


def style(notebook: dict) -> list[str]:
    """One word for one thing, none of those that say nothing, no emoji; also in what code shows."""
    words = r"\b(simply|obviously|powerful|in this tutorial|grey|pink|colors?|optimizers?)\b"
    pattern = re.compile(rf"{words}|[\U0001f300-\U0001faff✅✨❌⚡]", re.IGNORECASE)
    text = [(cell, own_words(cell["source"])) for cell in markdown(notebook)]
    text += [(cell, _texts_of_code(cell["source"])) for cell in code_cells(notebook)]
    return [
        f"{short(cell)} says {match[0]!r}"
        for cell, words in text
        for match in pattern.finditer(words)
    ]


def _texts_of_code(source: str) -> str:
    """Comments, and strings of more than one word."""
    nodes = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    strings = [value for value in nodes if isinstance(value, str) and " " in value]
    return "\n".join(strings + re.findall(r"#.*", source))


# ---------------------------------------------------------------- exercises


def score_comes_with_predict(notebook: dict) -> list[str]:
    """Who has made a prediction can ask `score` at once, in a cell of their own."""
    imports = ((c, re.findall(r"widgets import (.*)", c["source"])) for c in code_cells(notebook))
    return [
        f"{short(cell)} imports predict without score"
        for cell, names in imports
        if "predict" in " ".join(names) and "score" not in " ".join(names)
    ]


def exercises_have_solutions(notebook: dict) -> list[str]:
    """Each exercise: a heading, a stub that checks the answer, then a folded solution that parses.

    Whether solutions run and pass their check is tested with the notebook, see with_solutions.
    """
    found = []
    cells = notebook["cells"]
    asked = [(i, c["metadata"]["exercise"]) for i, c in enumerate(cells) if _is(c, "exercise")]
    solved = [(i, name) for i, name, _ in solutions(notebook)]
    if [name for _, name in asked] != [name for _, name in solved]:
        found.append(f"exercises {asked} and solutions {solved} are not in pairs")
    if len(set(asked)) != len(asked):
        found.append("an exercise's id is used twice")
    headings = sum(h.startswith("### Exercise ") for h in _headings(notebook))
    if headings != len(asked):
        found.append(f"{headings} headings '### Exercise ...' for {len(asked)} exercises")
    lowest = 1 if number(notebook) == "00" else 3
    if len(asked) < lowest:
        found.append(f"{len(asked)} exercises, at least {lowest} are wanted")
    for index, name in asked:
        if name not in exercises.exercises_of(number(notebook)):
            found.append(f"gnet_utils.exercises does not know {name!r}")
        if f'check("{name}"' not in cells[index]["source"]:
            found.append(f"the stub of {name} does not call its check")
    for index, name, code in solutions(notebook):
        if not re.match(r"<details>\s*<summary>", cells[index]["source"]):
            found.append(f"the solution of {name} is not folded")
        try:
            if not ast.parse(code).body:
                found.append(f"the solution of {name} holds no code")
        except SyntaxError as error:
            found.append(f"the solution of {name} is not Python: {error}")
    marked = {index for index, _, _ in solutions(notebook)}
    for index, cell in enumerate(cells):
        if "<summary>Solution" in cell["source"] and index not in marked:
            found.append(f"a solution without its id in the metadata: {short(cell)}")
    return found


def unknown_names(cell: dict) -> list[str]:
    """Exercises and predictions that a code cell calls by names which nobody has defined."""
    if cell["cell_type"] != "code":
        return []
    called = re.findall(r"\b(check|hint|predict)\(\s*[\"']([^\"']*)", cell["source"])
    known = {
        "check": exercises.exercises_of,
        "hint": exercises.exercises_of,
        "predict": exercises.predictions_of,
    }
    return [name for function, name in called if name not in known[function](name[:2])]


def exercises_exist(notebook: dict) -> list[str]:
    """What is called by name is defined; else it prints "There is no exercise", and goes on."""
    names = [name for cell in notebook["cells"] for name in unknown_names(cell)]
    return [f"gnet_utils.exercises does not know {name!r}" for name in names]


def not_answered(notebook: dict) -> list[str]:
    return [f"cell [{number}] holds somebody's answer" for number in answered(notebook)]


def _is(cell: dict, key: str) -> bool:
    return cell["cell_type"] == "code" and key in cell["metadata"]


RULES = [
    executed_in_order,
    no_error_outputs,
    no_warnings,
    plain_metadata,
    no_widget_state,
    no_absolute_paths,
    no_time_stamps,
    small_file,
    cleaned_by_render,
    same_setup_cell,
    within_limits,
    short_cells,
    prose_between_code,
    text_is_compared,
    comparable_cells,
    no_magic,
    one_meaning,
    names_that_say_something,
    orange_is_the_3x3,
    explorers_fit_on_a_screen,
    pictures_have_alt_text,
    title_and_table,
    closing_sections,
    headings_in_order,
    asks_for_predictions,
    predictions_are_answered,
    answers_are_held_back,
    predictions_cannot_be_read_off,
    recap_of_three_lines,
    style,
    score_comes_with_predict,
    exercises_have_solutions,
    exercises_exist,
    not_answered,
]
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize(
    ("path", "following"), list(pairwise(PATHS)), ids=lambda path: path.stem[:2]
)
def test_a_lesson_ends_with_a_link_to_the_next(path, following):
    assert f"]({following.name})" in read(path)["cells"][-1]["source"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_the_rule(rule, path):
    assert rule(read(path)) == []


def test_there_are_notebooks():
    assert len(PATHS) >= 6


# ---------------------------------------------------------------- each rule catches a breach


@pytest.fixture
def good(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A small notebook that keeps every rule."""
    known = {f"02.{name}": None for name in ("one", "two", "three")}
    monkeypatch.setattr(exercises, "exercises_of", lambda _: known)
    new = nbformat.v4
    title = "# 02 Small\n\nA promise.\n\n| read | run | needs | you will be able to |\n|-|-|-|-|"
    picture = {"image/png": "iVBORw0KGgo=", "text/plain": "A gray square.\n"}
    cells = [
        new.new_markdown_cell(title),
        new.new_markdown_cell("## One\n\n**Prediction.** Guess."),
        new.new_code_cell(
            "print(5)",
            metadata={"tags": [COMPARED]},
            outputs=[new.new_output("stream", name="stdout", text="5\n")],
        ),
        new.new_code_cell(
            "show(figure)",
            metadata={"tags": [COMPARED]},
            outputs=[
                new.new_output(
                    "display_data", picture, metadata={"image/png": {"alt": "A gray square."}}
                )
            ],
        ),
    ]
    for name in known:
        stub = f'answer = None\ncheck("{name}", answer)'
        solved = "<details><summary>Solution</summary>\n\n```python\nanswer = 1\n```\n\n</details>"
        cells += [
            new.new_markdown_cell(f"### Exercise {name}"),
            new.new_code_cell(stub, metadata={"exercise": name}),
            new.new_markdown_cell(solved, metadata={"solution": name}),
        ]
    closing = "## Recap\n\n1. One.\n2. Two.\n3. Three.\n\n## Common misunderstandings\n"
    cells.append(new.new_markdown_cell(f"{closing}\n## Further reading"))
    notebook = new.new_notebook(cells=cells)
    put_setup_cell(notebook)
    notebook["cells"].insert(3, new.new_markdown_cell("Why?"))
    clean(notebook)
    return notebook


SETUP, PRINT, PICTURE, STUB, SOLUTION = 2, 4, 5, 7, 8  # places of these cells in `good`


def _output(notebook: dict, cell: int) -> dict:
    return notebook["cells"][cell]["outputs"][0]


def _sources(notebook: dict, sources: dict[int, str]) -> None:
    for cell, source in sources.items():
        notebook["cells"][cell]["source"] = source


def png_of_height(pixels: int) -> str:
    buffer = io.BytesIO()
    Image.new("L", (9, pixels)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


BREACHES: list[tuple[Callable, Callable[[dict], object]]] = [
    (executed_in_order, lambda nb: nb["cells"][PRINT].update(execution_count=None)),
    (executed_in_order, lambda nb: nb["cells"][PRINT].update(execution_count=7)),
    (
        no_error_outputs,
        lambda nb: nb["cells"][PRINT]["outputs"].append(
            nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=[])
        ),
    ),
    (no_warnings, lambda nb: _output(nb, PRINT).update(name="stderr")),
    (plain_metadata, lambda nb: nb["metadata"].update(kernelspec={"name": "venv"})),
    (plain_metadata, lambda nb: nb["metadata"]["language_info"].update(version="3.11.7")),
    (plain_metadata, lambda nb: nb["metadata"].update(jupytext={})),
    (no_widget_state, lambda nb: nb["metadata"].update(widgets={})),
    (no_widget_state, lambda nb: _output(nb, PICTURE)["data"].update({WIDGET_VIEW: {}})),
    (no_absolute_paths, lambda nb: _output(nb, PRINT).update(text="in /home/ada/course")),
    (no_absolute_paths, lambda nb: nb["cells"][PRINT].update(source='open("/tmp/x.png")')),
    (no_absolute_paths, lambda nb: _output(nb, PRINT).update(text="C:\\course\\data")),
    (no_time_stamps, lambda nb: nb["cells"][PRINT]["metadata"].update(execution={})),
    (no_time_stamps, lambda nb: _output(nb, PRINT).update(text="2026-01-02T03:04:05")),
    (no_time_stamps, lambda nb: _output(nb, PRINT).update(text="<Line2D at 0x7f8a4da8ea70>")),
    (small_file, lambda nb: _output(nb, PICTURE)["data"].update({"image/png": "A" * 1_600_000})),
    (cleaned_by_render, lambda nb: nb["cells"][PRINT].update(id=nb["cells"][PICTURE]["id"])),
    (cleaned_by_render, lambda nb: nb["cells"][PRINT]["metadata"].update(collapsed=True)),
    (cleaned_by_render, lambda nb: _output(nb, PRINT).update(text="Not answered yet.\n")),
    (same_setup_cell, lambda nb: nb["cells"][SETUP].update(source=setup_cell() + "\n")),
    (same_setup_cell, lambda nb: nb["cells"][SETUP].update(metadata={})),
    (within_limits, lambda nb: nb["cells"].extend(nb["cells"][PRINT] for _ in range(60))),
    (within_limits, lambda nb: nb["cells"][1].update(source="word " * 2301)),
    (  # in a folded solution
        within_limits,
        lambda nb: _sources(nb, {SOLUTION: f"<details>{'word ' * 2301}</details>"}),
    ),
    (within_limits, lambda nb: _sources(nb, {PRINT: "print(5)\n" * 306})),  # 15 are elsewhere
    (within_limits, lambda nb: nb["cells"].extend(nb["cells"][STUB] for _ in range(3))),
    (
        within_limits,
        lambda nb: (
            _sources(nb, {1: "word " * 2200, PRINT: "print(5)\n" * 300, 3: "word"})
            or nb["cells"].extend(nbformat.v4.new_code_cell('predict("02.a")') for _ in range(10))
        ),
    ),
    (short_cells, lambda nb: nb["cells"][PRINT].update(source="x = 1\n" * 41)),
    (prose_between_code, lambda nb: nb["cells"].insert(5, copy.deepcopy(nb["cells"][PRINT]))),
    (text_is_compared, lambda nb: nb["cells"][PRINT]["metadata"].update(tags=[])),
    (text_is_compared, lambda nb: nb["cells"][PICTURE]["metadata"].update(tags=[])),
    (comparable_cells, lambda nb: nb["cells"][PRINT].update(source="plot();")),
    (comparable_cells, lambda nb: nb["cells"][PRINT].update(source="for i in tqdm(x): pass")),
    (no_magic, lambda nb: nb["cells"][PRINT].update(source="%pip install torch")),
    (no_magic, lambda nb: nb["cells"][PRINT].update(source="x = 1\n!ls")),
    (one_meaning, lambda nb: _sources(nb, {PRINT: "x = 1", PICTURE: "show(x)", STUB: "x = []"})),
    (names_that_say_something, lambda nb: _sources(nb, {PRINT: "for x in range(3):\n    y = x"})),
    (names_that_say_something, lambda nb: _sources(nb, {PRINT: "def double(x):\n    return x"})),
    (names_that_say_something, lambda nb: _sources(nb, {PRINT: "few = images[:9]"})),
    (names_that_say_something, lambda nb: _sources(nb, {PRINT: "answer = 7"})),
    (orange_is_the_3x3, lambda nb: _sources(nb, {PRINT: 'plot(COLOURS["orange"])'})),
    (
        explorers_fit_on_a_screen,
        lambda nb: (
            _sources(nb, {PICTURE: "explore(draw)"})
            or _output(nb, PICTURE)["data"].update({"image/png": png_of_height(531)})
        ),
    ),
    (pictures_have_alt_text, lambda nb: _output(nb, PICTURE).update(metadata={})),
    (title_and_table, lambda nb: nb["cells"][0].update(source="Hello")),
    (title_and_table, lambda nb: nb["cells"][0].update(source="# 02 Small\n\n| read | run |")),
    (closing_sections, lambda nb: nb["cells"].pop()),
    (headings_in_order, lambda nb: nb["cells"][3].update(source="#### Deep")),
    (headings_in_order, lambda nb: nb["cells"][3].update(source="# Another title")),
    (asks_for_predictions, lambda nb: nb["cells"][1].update(source="## One")),
    (
        predictions_are_answered,
        lambda nb: _sources(nb, {PRINT: 'predict("02.p1")', 3: "It is (b), so it is."}),
    ),
    (predictions_are_answered, lambda nb: _sources(nb, {PRINT: 'predict("02.p1")'})),
    (answers_are_held_back, lambda nb: _sources(nb, {PRINT: 'predict("02.p1")'})),
    (
        predictions_cannot_be_read_off,
        lambda nb: _sources(nb, {1: "This saves 42%.", PRINT: 'predict("02.p1")'}),
    ),
    (answers_are_held_back, lambda nb: _sources(nb, {PRINT: 'predict("02.p1")'})),
    (
        predictions_cannot_be_read_off,
        lambda nb: (
            _output(nb, PRINT).update(text="saved 42%")
            or _sources(nb, {PICTURE: 'predict("02.p1")'})
        ),
    ),
    (recap_of_three_lines, lambda nb: _sources(nb, {-1: "## Recap\n\n1. One.\n2. Two."})),
    (
        recap_of_three_lines,
        lambda nb: _sources(nb, {-1: "## Recap\n\n1. One.\n2. It is 41.67%.\n3. Three."}),
    ),
    (style, lambda nb: nb["cells"][3].update(source="Simply look.")),
    (style, lambda nb: _sources(nb, {PRINT: 'print("a grey map")'})),
    (style, lambda nb: _sources(nb, {PRINT: "print(5)  # the optimizer"})),
    (style, lambda nb: nb["cells"][3].update(source="A grey map.")),
    (style, lambda nb: nb["cells"][3].update(source="Well done \U0001f680")),
    (
        score_comes_with_predict,
        lambda nb: _sources(nb, {PRINT: "from gnet_utils.widgets import predict"}),
    ),
    (exercises_have_solutions, lambda nb: nb["cells"].pop(SOLUTION)),
    (exercises_have_solutions, lambda nb: nb["cells"][SOLUTION]["metadata"].clear()),
    (exercises_have_solutions, lambda nb: nb["cells"].pop(STUB - 1)),
    (exercises_have_solutions, lambda nb: nb["cells"][STUB].update(source="answer = None")),
    (
        exercises_have_solutions,
        lambda nb: nb["cells"][SOLUTION].update(
            source=nb["cells"][SOLUTION]["source"].replace("answer = 1", "answer = ")
        ),
    ),
    (
        exercises_have_solutions,
        lambda nb: nb["cells"][SOLUTION].update(source="```python\nanswer = 1\n```"),
    ),
    (
        exercises_have_solutions,
        lambda nb: nb["cells"][SOLUTION].update(source="<details><summary>Solution</summary>"),
    ),
    (exercises_exist, lambda nb: nb["cells"][PRINT].update(source='hint("02.four")')),
    (exercises_exist, lambda nb: nb["cells"][PRINT].update(source='predict("02.one")')),
    (
        not_answered,
        lambda nb: nb["cells"][STUB].update(
            outputs=[nbformat.v4.new_output("stream", text="Right: so it is")]
        ),
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_good_notebook(rule, good):
    assert rule(good) == []


@pytest.mark.parametrize(
    ("rule", "breach"), BREACHES, ids=lambda part: getattr(part, "__name__", "breach")
)
def test_rule_catches_a_breach(rule, breach, good):
    breach(good)
    assert rule(good)


def test_every_rule_has_a_breach():
    assert {rule for rule, _ in BREACHES} == set(RULES)

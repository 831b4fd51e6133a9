"""What a class has done, read out of the notebooks that it handed in.

Nothing of them is run or imported. A verdict is the line that a check printed, as the file stores
it; a prediction is the state of its radio buttons, which JupyterLab saves with a notebook.
"""

import csv
import json
import re
from collections import defaultdict
from pathlib import Path

from gnet_utils.base import CourseError, UsageError, written_aside
from gnet_utils.course.notebooks import clean_copy, find_notebooks, read
from gnet_utils.exercises import predictions_of

MOST_BYTES = 30_000_000  # a notebook of the course has about 1 MB
CALL = re.compile(r"\bcheck\(\s*[\"'](\d\d\.\w+)[\"']")
VERDICT = re.compile(r"^(?:Right: |Not yet: |Not answered yet).*", re.MULTILINE)
UNANSWERED, UNKNOWN = "verdict without an answer", "there is no such exercise"
BEST = ["right", "not yet", UNANSWERED]  # of several states of one exercise the first counts
RIGHT = " (right)"  # after the option that was chosen
COPY = re.compile(r"-Copy\d+$| ?\(\d+\)$")  # what JupyterLab and browsers add to a name
OWN_FOLDERS = {"notebooks", "gnet-course"}  # the course's: no student is called like that
WIDGETS = "application/vnd.jupyter.widget-state+json"
WARNING = """
These verdicts are stored outputs: nothing was run, and stored outputs can be edited by hand. This
is no grade. Where you must not trust them, nbgrader and otter-grader run the answers again."""


def collect(folder: Path, out: Path) -> None:
    """Read all notebooks below `folder`, write students x exercises to `out`, print a summary.

    A file that cannot be read is named, and the rest goes on. Raises UsageError for what is no
    folder or no name of a CSV, CourseError when no notebook holds an exercise of the course.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: give the one with the notebooks")
    if out.suffix.lower() != ".csv":  # a slip must not write over a notebook
        raise UsageError(f"--out must end with .csv, got {out.name}")
    lessons = [clean_copy(path) for path in find_notebooks() if clean_copy(path).exists()]
    cells = [cell for lesson in lessons for cell in read(lesson)["cells"]]
    stubs = {c["metadata"]["exercise"]: _code(c) for c in cells if "exercise" in c["metadata"]}
    found, notes = {}, []
    for path in sorted([*folder.rglob("*.ipynb"), *folder.rglob("*.zip")]):
        place = path.relative_to(folder)
        if any(part.startswith(".") for part in place.parts):
            continue  # what editors keep for themselves
        try:
            found[place] = read_states(path, stubs)
        except (CourseError, OSError) as error:
            notes.append(f"{place}: left out, {getattr(error, 'strerror', None) or error}")
    if not found:
        raise CourseError("\n  ".join([f"no notebook in {folder} holds an exercise", *notes]))
    table, whose = defaultdict(dict), students(list(found), folder.resolve().name)
    for place, student in sorted(whose.items(), key=lambda item: item[1]):
        if both := table[student].keys() & found[place].keys():
            notes.append(f"{place}: {student} handed in {min(both)} twice, the better one counts")
        _merge(table[student], found[place])
        odd = [name for name, state in found[place].items() if state in (UNKNOWN, UNANSWERED)]
        notes += [f"{place}: {name}: {found[place][name]}" for name in odd]
    given = {name for row in table.values() for name in row if row[name] != UNKNOWN}
    columns = [name for name in stubs if name in given] + sorted(given - set(stubs))
    with written_aside(out) as aside, open(aside, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["student", *columns])
        for student, row in table.items():  # no name shall become a formula
            name = f"'{student}" if student.startswith(("=", "+", "-", "@")) else student
            writer.writerow([name, *(row.get(column, "") for column in columns)])
    print(f"{len(found)} notebooks of {len(table)} students.\n")
    _print_mistakes(table)
    for lesson in sorted({name[:2] for name in columns}):
        _print_lesson(table, [name for name in columns if name.startswith(lesson)])
    print(*["\nTo look at by hand:", *map(_plain, notes)] if notes else [], sep="\n  ")
    print(f"{WARNING}\n\nFor a spreadsheet, with the words of the checks: {out}")


def read_states(path: Path, stubs: dict[str, str]) -> dict[str, str]:
    """By exercise "right", "not yet: REASON", "open" or an oddity; by prediction the option chosen.

    Raises CourseError for what is too large, no notebook, or without exercises.
    """
    if (size := path.stat().st_size) > MOST_BYTES:
        raise CourseError(f"{size / 1e6:.0f} MB, and at most {MOST_BYTES / 1e6:.0f} MB are read")
    try:
        notebook, states = json.loads(path.read_text(encoding="utf-8-sig")), {}
        for cell in notebook["cells"]:
            _merge(states, _verdicts(cell, stubs) if cell["cell_type"] == "code" else {})
        models = notebook["metadata"].get("widgets", {}).get(WIDGETS, {}).get("state", {}).values()
        for lesson in {name[:2] for name in states if states[name] != UNKNOWN}:
            for name, prediction in predictions_of(lesson).items():
                for chosen in (model["state"] for model in models):
                    labels, index = chosen.get("_options_labels", []), chosen.get("index")
                    texts = [label[3:] for label in labels]  # without "a) "
                    if index is not None and texts == list(prediction.options):
                        states[name] = labels[index] + RIGHT * (index == prediction.right)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise CourseError("this is not a readable notebook (unpack a zip first)") from None
    if not states:
        raise CourseError("no exercise of the course is in it")
    return states


def _verdicts(cell: dict, stubs: dict[str, str]) -> dict[str, str]:
    """Of the exercise in the cell's metadata, or else of those that it checks."""
    own = cell["metadata"].get("exercise")
    names = [own] if own else CALL.findall("".join(cell["source"]))
    said = VERDICT.findall("".join("".join(output.get("text", "")) for output in cell["outputs"]))
    states = {name: "open" if name in stubs else UNKNOWN for name in names}
    for name, line in zip(names, said[-1:] if len(states) == 1 else said, strict=False):
        if name in stubs and line.startswith("Not yet"):
            states[name] = f"n{_plain(line)[1:]}"
        elif name in stubs and line.startswith("Right"):
            states[name] = UNANSWERED if _code(cell) == stubs[name] else "right"
    return states


def students(places: list[Path], everybody: str) -> dict[Path, str]:
    """Whose each file is: its name without the lesson's, or the folder's if all are alike."""
    lesson = "|".join(rf"{path.stem}|(?<!\d){path.stem[:2]}(?!\d)" for path in find_notebooks())
    names = [re.sub(lesson, "", COPY.sub("", place.stem)).strip(" _-.") for place in places]
    above = [[everybody, *place.parts[:-1]] for place in places]
    folders = [[part for part in parts if part not in OWN_FOLDERS][-1] for parts in above]
    if len(set(names)) == 1 and len(set(folders)) > 1:
        names = folders
    whose = zip(places, names, folders, strict=True)
    return {place: _plain(name or folder) for place, name, folder in whose}


def _print_mistakes(table: dict[str, dict[str, str]]) -> None:
    """The ten commonest: how often, the check's own words, by whom."""
    made = defaultdict(list)
    for student, row in table.items():
        for name, state in row.items():
            if state.startswith("not yet: "):  # all that are "too small" are one mistake
                words = re.sub(r"^\S+ (?=is too (?:small|large)\.)", "the number ", state[9:])
                made[f"{name}: {words}"].append(student)
    print("The commonest mistakes:" if made else "No wrong answers.")
    for words, by in sorted(made.items(), key=lambda item: -len(item[1]))[:10]:
        print(f"  {len(by)} x {words}\n      by {', '.join(by)}")


def _print_lesson(table: dict[str, dict[str, str]], columns: list[str]) -> None:
    """Students x exercises and predictions (by letter) of a lesson, and how many were right."""
    lines = [[f"Lesson {columns[0][:2]}", *(name[3:] for name in columns)]]
    for student, row in table.items():
        words = [re.match(r"[a-h](?=\) )|verdict|[^:]*", row.get(name, "-"))[0] for name in columns]
        lines.append([student, *words])
    cells = [[row.get(name, "") for row in table.values()] for name in columns]
    right = [sum(c == "right" or c.endswith(RIGHT) for c in column) for column in cells]
    lines.append(["right", *map(str, right)])
    widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
    print()
    for line in lines:
        print("".join(map(str.ljust, line, widths)).rstrip())


def _merge(states: dict[str, str], others: dict[str, str]) -> None:
    """Add what stands in another cell or file; of two states the better one counts."""
    for name, state in others.items():
        both = [state, states.get(name, state)]
        states[name] = max(both, key=lambda one: [one.startswith(best) for best in BEST])


def _code(cell: dict) -> str:
    """The code of a cell without comments and spaces."""
    return re.sub(r"#.*|\s", "", "".join(cell["source"]))


def _plain(text: str) -> str:
    """What a stranger wrote, in one line, without codes that steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)

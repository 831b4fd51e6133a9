"""The teacher's page of a lesson (notebooks/teaching/03.md) as data: what is taught, with notes.

Two tables are read, strictly: sections with their minutes in two cuts, and likely wrong answers.
In the first a title in italics is a heading of the notebook; a dash leaves its section out of the
cut, as does no row at all. What follows `90:` up to the next semicolon is for 90 minutes alone,
with the exercises, predictions and smaller headings that it names. `45: only` with such a heading
leaves out the rest of its section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gnet_utils.base import CourseError
from gnet_utils.course.notebooks import NOTEBOOKS, without_folded

CUTS = ("45", "90")
SECTIONS = "| section | 45 | 90 | what to do |"
ANSWERS = "| where | likely wrong answer | what to say |"

HEADING = re.compile(r"(#{1,6}) (.+)")
TITLE = re.compile(r"(?<!\*)\*([^*\n]+)\*(?!\*)")
QUESTION = "**Prediction.**"
PREDICTED = re.compile(r"^predict\([\"'](.+?)[\"']", re.MULTILINE)
EXERCISE = re.compile(r"Exercise \d+\.\d+")
ID = re.compile(r"\b\d\d\.[a-z]\w*")
ASKED = re.compile(rf"{EXERCISE.pattern}|`?{ID.pattern}`?")
ONE_CUT = re.compile(r"(?<!\S)(45|90): ([^;]*)(?:; |$)")


def pieces(notebook: dict) -> list[dict]:
    """The cells, Markdown divided before each heading and each question, nothing folded in it.

    Its metadata get "title", that of a heading, and "asks": the name of the prediction that a
    question belongs to, or "Exercise 3.1".
    """
    found: list[dict] = []
    for cell in notebook["cells"]:
        markdown = cell["cell_type"] == "markdown" and "solution" not in cell["metadata"]
        if (name := PREDICTED.search(cell["source"])) and found and not markdown:
            found[-1]["metadata"]["asks"] = name[1]
        for source in _divided(without_folded(cell["source"])) if markdown else [cell["source"]]:
            heading = HEADING.match(source) if markdown else None
            title = heading[2].strip() if heading else ""
            exercise = EXERCISE.match(title)
            new = {"title": title, "asks": exercise[0] if exercise else ""}
            found.append({**cell, "source": source, "metadata": {**cell["metadata"], **new}})
    return found


def _divided(markdown: str) -> list[str]:
    parts: list[list[str]] = [[]]
    fenced = False
    for line in markdown.split("\n"):
        fenced ^= line.startswith("```")
        if not fenced and (HEADING.match(line) or line.startswith(QUESTION)):
            parts.append([])
        parts[-1].append(line)
    return ["\n".join(part) for part in parts if "".join(part).strip()]


class Section(NamedTuple):
    """A row of the first table; `title` is that of a heading, "" where the row names none."""

    name: str
    title: str
    minutes: dict[str, int]
    advice: str


class Page:
    """The teacher's page of one lesson: its `sections`, and its `answers` by what they answer."""

    def __init__(self, lesson: str, notebook: dict):
        """Read the page of `lesson` ("03").

        Raises CourseError, with file and row, for what cannot be read or is not in `notebook`, and
        FileNotFoundError where there is no page.
        """
        self.name = f"notebooks/teaching/{lesson}.md"
        self.lesson = lesson
        text = (NOTEBOOKS / "teaching" / f"{lesson}.md").read_text(encoding="utf-8")
        cells = pieces(notebook)
        titles = {cell["metadata"]["title"] for cell in cells}
        known = {cell["metadata"]["asks"] for cell in cells}
        self.sections = [self._section(row, titles) for row in self._rows(text, SECTIONS)]
        self.answers = {}
        for where, wrong, say in self._rows(text, ANSWERS):
            name = ASKED.match(where)
            asked = name[0].strip("`") if name else where
            if asked not in known and (name or not any(where in s.advice for s in self.sections)):
                what = "this is no prediction or exercise of the notebook, nor said in a section's"
                raise self._wrong(where, f'{what} "what to do": write `{lesson}.p1`, for example')
            self.answers[asked] = [f"**Likely wrong:** {wrong}", f"**What to say:** {say}"]

    def _rows(self, text: str, header: str) -> Iterator[list[str]]:
        lines = text.splitlines()
        if header not in lines:
            raise CourseError(
                f"{self.name} has no table that begins with {header}: write one there"
            )
        wanted = header.count("|") - 1
        for line in lines[lines.index(header) + 2 :]:
            if not line.startswith("|"):
                return
            row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:].rstrip("|"))]
            if len(row) != wanted:
                raise self._wrong(row[0], f"it has {len(row)} cells, and its table has {wanted}")
            yield row

    def _section(self, row: list[str], titles: set[str]) -> Section:
        name, *columns, advice = row
        minutes = {}
        for cut, number in zip(CUTS, columns, strict=True):
            if not re.fullmatch(r"\d+|[–-]", number):
                what = f'"{number}" in column {cut}: write whole minutes, or – to leave it out'
                raise self._wrong(name, what)
            minutes[cut] = int(number) if number.isdigit() else 0
        for title in TITLE.findall(f"{name} {advice}"):
            if title not in titles:
                raise self._wrong(
                    name, f'the notebook has no heading "{title}": copy one of its own'
                )
        found = TITLE.fullmatch(name)
        return Section(found[1] if found else name, found[1] if found else "", minutes, advice)

    def _wrong(self, row: str, what: str) -> CourseError:
        return CourseError(f'{self.name}, row "{row}": {what}')

    def plan(self, cut: str) -> list[tuple[Section, int]]:
        """The sections that a cut has time for, each with the minute in which it begins."""
        start, found = 0, []
        for section in self.sections:
            if section.minutes[cut]:
                found.append((section, start))
            start += section.minutes[cut]
        return found

    def taught(self, notebook: dict, cut: str | None) -> tuple[list[dict], list[str]]:
        """The pieces of `notebook` that are in a cut (None: all), and the headings that are not.

        Metadata "notes", Markdown paragraphs, says when the section is, and on its first piece, on
        a question and on an exercise what to do and to say.
        """
        sections = {section.title: section for section in self.sections if section.title}
        now = None if self.sections[0].title else self.sections[0]
        left = self._left_out(cut)
        only: list[str] = []  # the headings that alone are taught of a section
        section = part = exercise = question = True  # is this one in the cut?
        taken, dropped = [], []
        for piece in pieces(notebook):
            title, asks = piece["metadata"]["title"], piece["metadata"]["asks"]
            if title:
                exercise = question = True
                if title in sections:
                    now, part = sections[title], True
                    only = _only(now.advice) if cut == "45" else []
                    section = cut is None or (now.minutes[cut] > 0 and not only)
                elif title in only:
                    section = part = True
                elif asks:
                    exercise = asks not in left
                elif piece["source"].startswith("## "):
                    now, section, part = None, cut is None, True
                elif not piece["source"].startswith("# "):
                    part = title not in left
            elif asks:
                question = asks not in left
            if section and part and exercise and question:
                notes = self._notes(piece, now, cut)
                taken.append({**piece, "metadata": {**piece["metadata"], "notes": notes}})
            elif title:
                dropped.append(title)
            exercise |= "solution" in piece["metadata"]  # after it the lesson goes on
        return taken, dropped

    def _notes(self, piece: dict, section: Section | None, cut: str | None) -> list[str]:
        notes = [self._time(section, cut)] if section else []
        asks = piece["metadata"]["asks"]
        if asks in self.answers:
            return [*notes, piece["source"].split("\n\n")[0].lstrip("# "), *self.answers[asks]]
        if section and piece["metadata"]["title"] and not asks:
            notes.append(for_cut(section.advice, cut))
            for where, answer in self.answers.items():
                if where in section.advice and not ASKED.match(where):
                    notes += [f"**{where}**", *answer]
        return notes

    def _left_out(self, cut: str | None) -> set[str]:
        """Exercises, predictions and headings that are named for 90 minutes alone."""
        if cut != "45":
            return set()
        said = [self._names(section.advice) for section in self.sections]
        stays = [self._names(for_cut(section.advice, cut)) for section in self.sections]
        return set().union(*said) - set().union(*stays)

    def _names(self, advice: str) -> set[str]:
        short = {f"{self.lesson}.{name}" for name in re.findall(r"\bp\d+\b", advice)}
        return short.union(*(kind.findall(advice) for kind in (ID, EXERCISE, TITLE)))

    def _time(self, section: Section, cut: str | None) -> str:
        if cut is None:
            times = [f"{section.minutes[c]} of {c}" for c in CUTS if section.minutes[c]]
            return f"**{section.name}**: {' or '.join(times)} minutes"
        start = dict((other.name, start) for other, start in self.plan(cut))[section.name]
        end = start + section.minutes[cut]
        return f"**{section.name}**: {section.minutes[cut]} minutes, {start} to {end} of {cut}"


def _only(advice: str) -> list[str]:
    found = re.search(r"45: only\b[^;]*", advice)
    return TITLE.findall(found[0]) if found else []


def for_cut(advice: str, cut: str | None) -> str:
    """An advice without what it says for the other cut; whole where `cut` is None."""
    if cut is None:
        return advice
    return ONE_CUT.sub(lambda m: f"{m[2]}; " if m[1] == cut else "", advice).strip("; ")

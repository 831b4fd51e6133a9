"""Explorers for a page without a kernel: their pictures, drawn ahead.

The explorer's cell of a lesson is run as it stands, and what it hands to `explore` is kept: so a
page has the controls, the presets and the picture function of the notebook. GRIDS says, lesson by
lesson, at which positions a slider stops; what is drawn for equal pictures is drawn once.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import multiprocessing
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import ipywidgets
import matplotlib
import PIL
import torch
from PIL import Image
from tqdm import tqdm

from gnet_utils import widgets
from gnet_utils.base import ROOT, written_aside
from gnet_utils.course.notebooks import clean_copy, code_cells, find_notebooks, read
from gnet_utils.data import cache_folder
from gnet_utils.plotting import pixels_of, use_course_style

PROCESSES = 2
AT_ONCE = 20  # states that a process gets: enough to pay for its start
EXPLORES = re.compile(r"^explore\(", re.MULTILINE)
REFUSED = b"refused: "  # before the sentence of a state that has no picture
State = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """What of a lesson's explorer is drawn ahead.

    positions: where a slider stops, its start among them; of a list or a switch what can be chosen
        (default: all). A slider that is not named stays where it starts.
    before: code in place of the cells above, where the explorer needs them.
    draw: code of the picture function, where the explorer's own gives other pictures each time.
    labels: of controls that mean something else here.
    alike: the state that is drawn in place of another one, because both look the same.
    quality: of AVIF; photographs need less.
    """

    positions: Mapping[str, Sequence] = field(default_factory=dict)
    before: str = ""
    draw: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    alike: Callable[[State], State] = dict
    quality: int = 50


WIDTHS = {
    "1x1": {"out_1x1"},
    "3x3": {"reduce_3x3", "out_3x3"},
    "5x5": {"reduce_5x5", "out_5x5"},
    "pool": {"pool_proj"},
}


def what_is_on(state: State) -> State:
    """Widths of a branch that is off, and of reductions that are off, are not in the picture."""
    idle = set() if state["reductions"] else {"reduce_3x3", "reduce_5x5", "pool_proj"}
    idle = idle.union(*(names for kind, names in WIDTHS.items() if not state[f"use_{kind}"]))
    return state | {name: 1 for name in idle}


FASHION = """
from gnet_utils.data import CLASS_NAMES, load_fashion_mnist
test_images, truth = load_fashion_mnist("test")
"""
GRIDS = {
    "00": Grid(
        {"size": range(1, 29)},
        before=FASHION + "examples = [test_images[truth == k][1] for k in range(10)]",
    ),
    "01": Grid(
        {f"red_from_{old}": (-1, 0, 0.5, 1) for old in ("red", "green", "blue")}, quality=37
    ),
    "02": Grid(
        {
            "in_channels": (64, 192, 512),
            "reduce": (16, 64, 96, 192),
            "out_channels": (32, 128, 512),
            "height": (7, 28, 56),
        },
        before="from gnet_utils.explorers.n02 import draw_design",
        draw="lambda **s: draw_design(Design(**s | {'width': s['height']}))",  # not the stopwatch
        labels={"height": "height and width"},
        quality=38,
    ),
    "03": Grid(
        {
            "in_channels": (192, 512),
            "out_1x1": (64, 192),
            "reduce_3x3": (32, 96, 192),
            "out_3x3": (128, 256),
            "reduce_5x5": (16, 32, 64),
        },
        before="from gnet_utils.models import GOOGLENET_BLOCKS",
        alike=what_is_on,
        quality=42,
    ),
    "04": Grid(
        {"across": (0, 0.25, 0.5, 0.75, 1), "down": (0, 0.4, 0.7, 1)},
        before="from gnet_utils.explorers.n04 import STAGES",
        quality=35,
    ),
    "05": Grid(
        {"number": range(0, 10_000, 50)},
        before=FASHION
        + """
from gnet_utils.explorers.n05 import classify
from gnet_utils.training import load_trained
network, _ = load_trained("minute-seed0")
images, labels = load_fashion_mnist("train")
gallery = images[:20_000], labels[:20_000]
""",
        labels={"sheet": "a sheet to draw on"},
    ),
    "07": Grid({"moment": range(6)}, before="from gnet_utils.explorers import n07"),
    "08": Grid(quality=28),
    "09": Grid(
        {"garment": ("Shirt", "Sneaker", "Bag"), "everywhere": (False,)},
        before=FASHION
        + """
from gnet_utils.explorers.n09 import BRANCHES, block_names, xray
from gnet_utils.training import load_trained
net, _ = load_trained("minute-seed0")
test_labels = truth
""",
        quality=33,
    ),
}


@dataclass
class Explorer:
    """What a lesson's cell hands to `explore`."""

    draw: Callable
    alt: str
    controls: dict[str, ipywidgets.Widget]
    presets: dict[str, State]
    code: Callable[..., str] | None
    source: str  # of the cell


@functools.cache
def explorer_of(lesson: str) -> Explorer:
    """The explorer of a lesson of GRIDS; runs its cell, and the picture function above it."""
    grid, found = GRIDS[lesson], []
    cells = code_cells(read(clean_copy(find_notebooks([lesson])[0])))
    place = next(i for i, cell in enumerate(cells) if EXPLORES.search(cell["source"]))
    sources = [cell["source"] for cell in cells[place - 1 : place + 1]]
    if "return figure" not in sources[0]:
        del sources[0]

    def explore(draw, alt, controls, presets=None, code=None, **_):
        found.append(Explorer(draw, alt, controls, presets or {}, code, "\n".join(sources)))

    use_course_style()
    names = {"choice": widgets.choice, "slider": widgets.slider, "explore": explore}
    with mock.patch.object(widgets, "explore", explore):
        for source in (grid.before, *sources):
            exec(source, names)
    if grid.draw:
        found[0].draw = eval(grid.draw, names)
    return found[0]


# States -------------------------------------------------------------------------------------------


def kind_of(control: ipywidgets.Widget) -> str:
    """What a control is: "slider", "choice", "switch"; "" for a file or a sheet, of a kernel."""
    if isinstance(control, (ipywidgets.IntSlider, ipywidgets.FloatSlider)):
        return "slider"
    names = {ipywidgets.Dropdown: "choice", ipywidgets.Checkbox: "switch"}
    return names.get(type(control), "")


def positions_of(lesson: str) -> dict[str, list]:
    """The values of each control that are drawn ahead, one alone where it cannot be moved."""
    found, start = {}, start_of(lesson)
    for name, control in explorer_of(lesson).controls.items():
        options = {"choice": list(texts_of(control)), "switch": [False, True]}
        usual = options.get(kind_of(control), [start[name]])
        found[name] = list(GRIDS[lesson].positions.get(name, usual))
    return found


def start_of(lesson: str) -> State:
    """The state in which the explorer begins."""
    controls = explorer_of(lesson).controls
    return {name: c.value if kind_of(c) else None for name, c in controls.items()}


def blocks_of(lesson: str) -> list[dict[str, list]]:
    """The grid, and one for each preset: there the controls that it sets have its value alone."""
    grid = positions_of(lesson)
    presets = explorer_of(lesson).presets.values()
    return [grid, *(grid | {name: [value] for name, value in p.items()} for p in presets)]


def states_of(block: Mapping[str, list]) -> list[State]:
    """All combinations of a block; the last control changes fastest."""
    return [dict(zip(block, values, strict=True)) for values in itertools.product(*block.values())]


# Drawing ------------------------------------------------------------------------------------------


def draw_ahead(lessons: Sequence[str]) -> None:
    """Draw what is not yet in the cache, in two processes; what is not wanted any more goes.

    Raises what a picture function raises, but for what `explore` shows in place of a picture.
    """
    count, missing = 0, []
    for lesson in lessons:
        states = [s for block in blocks_of(lesson) for s in states_of(block)]
        wanted = {_place(lesson, state): state for state in map(GRIDS[lesson].alike, states)}
        count += len(wanted)
        for place in (cache_folder() / "frames" / lesson).glob("*.avif"):
            if place not in wanted:
                place.unlink()
        lacking = [state for place, state in wanted.items() if not place.exists()]
        missing += [(lesson, lacking[i : i + AT_ONCE]) for i in range(0, len(lacking), AT_ONCE)]
    to_draw = sum(len(states) for _, states in missing)
    print(f"Pictures of explorers: {count}, to draw: {to_draw}", flush=True)
    if missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(PROCESSES, context) as pool:
            jobs = [pool.submit(draw, *each) for each in missing]
            for done in tqdm(as_completed(jobs), total=len(jobs), disable=None):  # in a terminal
                done.result()


def draw(lesson: str, states: list[State]) -> None:
    """Draw states into the cache."""
    torch.set_num_threads(1)  # the other process has the other core
    for state in states:
        with written_aside(_place(lesson, state)) as aside:
            try:
                pixels = pixels_of(explorer_of(lesson).draw(**state))
                options = {"quality": GRIDS[lesson].quality, "speed": 8, "max_threads": 1}
                Image.fromarray(pixels).save(aside, "AVIF", **options)
            except widgets.REFUSED as error:
                aside.write_bytes(REFUSED + str(error).encode())


def kept(lesson: str, state: State) -> bytes:
    """The picture of a state, drawn before, as AVIF; or REFUSED and a sentence."""
    return _place(lesson, state).read_bytes()


def _place(lesson: str, state: State) -> Path:
    """Where in the cache: named by all that the picture comes from, the code of the core too."""
    grid = GRIDS[lesson]
    made_of = (grid.before, grid.draw, grid.quality, explorer_of(lesson).source, _code(), state)
    name = hashlib.sha256(repr(made_of).encode()).hexdigest()[:24]
    return cache_folder() / "frames" / lesson / f"{name}.avif"


@functools.cache
def _code() -> str:
    package = ROOT / "gnet_utils"
    files = [*package.glob("*.py"), *package.glob("models/*.py"), *package.glob("explorers/*.py")]
    files += (ROOT / "data" / "checkpoints").glob("minute-seed0*")
    digest = hashlib.sha256(f"{matplotlib.__version__} {PIL.__version__}".encode())
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


# For the page -------------------------------------------------------------------------------------


def for_page(lesson: str, folder: Path) -> dict:
    """Copy the pictures of a lesson into `folder`; returns what its page needs to show them.

    Of each control, first those that can be moved, then those that only presets move: its label,
    its values (those of the grid, then those of presets) and the place in the grid that is nearest
    to each (near). buttons: where reset and presets put the controls, None for one that stays.
    states: their numbers, under the places of their values; of each the place in names (frames) and
    the code. names: of files, or why there is none.
    """
    explorer, grid = explorer_of(lesson), positions_of(lesson)
    blocks, aims = blocks_of(lesson), [start_of(lesson), *explorer.presets.values()]
    values = {name: list(dict.fromkeys(v for b in blocks for v in b[name])) for name in grid}
    moved = [name for name in grid if len(grid[name]) > 1]
    moved += [name for name in grid if len(grid[name]) == 1 < len(values[name])]
    states, names, frames, lines = {}, {}, [], []
    folder.mkdir(parents=True)
    for state in (state for block in blocks for state in states_of(block)):
        states[",".join(str(values[name].index(state[name])) for name in moved)] = len(frames)
        content = kept(lesson, GRIDS[lesson].alike(state))
        if content.startswith(REFUSED):
            name = content.removeprefix(REFUSED).decode()
        else:
            name = f"{hashlib.sha256(content).hexdigest()[:10]}.avif"
            (folder / name).write_bytes(content)
        frames.append(names.setdefault(name, len(names)))
        lines += [explorer.code(**state)] if explorer.code else []
    return {
        "labels": [label_of(lesson, name) for name in moved],
        "values": [values[name] for name in moved],
        "near": [[_nearest(grid[name], value) for value in values[name]] for name in moved],
        "buttons": [[values[n].index(aim[n]) if n in aim else None for n in moved] for aim in aims],
        "states": states,
        "frames": frames,
        "names": [*names],
        "code": lines,
    }


def _nearest(positions: Sequence, value: Any) -> int:
    if value in positions:
        return positions.index(value)
    return min(range(len(positions)), key=lambda place: abs(positions[place] - value))


def label_of(lesson: str, name: str) -> str:
    """What stands beside a control."""
    return GRIDS[lesson].labels.get(name) or explorer_of(lesson).controls[name].description


def texts_of(control: ipywidgets.Widget) -> dict[Any, str]:
    """The values of a list with the names that stand in it; empty for other controls."""
    pairs = (each if isinstance(each, tuple) else (each, each) for each in _options(control))
    return {value: str(text) for text, value in pairs}


def _options(control: ipywidgets.Widget) -> Sequence:
    return control.options if kind_of(control) == "choice" else ()

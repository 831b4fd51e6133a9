"""Memory: under 3 GB for each notebook, and explorers that are used for long do not grow.

Each of their controls moves the picture, within 300 ms where a plain figure takes 60.

A notebook runs in a kernel with this file imported, so that its own explorers are the tested ones.
"""

import functools
import gc
import itertools
import json
import statistics
import sys
import time
import weakref
from collections.abc import Mapping
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
import torch
from kernels import Kernel, code_cells, notebook_names
from matplotlib.figure import Figure

from gnet_utils import widgets
from gnet_utils.plotting import to_png

GIGABYTES = 3.0
REDRAWS = 50
PLAIN_FIGURES = 5  # may take as long as one picture of an explorer: no clock is the same elsewhere
GROWTH = 64  # MB in 50 redraws: 1.3 MB kept by each, a figure's pixels, would be more


EXPLORING = [
    name for name in notebook_names() if any("\nexplore(" in c["source"] for c in code_cells(name))
]


def living() -> tuple[int, int]:
    """Figures, and bytes of tensors, that nothing has let go of."""
    gc.collect()
    objects = gc.get_objects()
    # The type, since a dead weak reference cannot even be asked what it is an instance of.
    figures = sum(issubclass(type(thing), Figure) for thing in objects)
    held = {}
    for thing in objects:
        if type(thing) in (torch.Tensor, torch.nn.Parameter):
            held[thing.data_ptr()] = thing.numel() * thing.element_size()
    return figures, sum(held.values())


def resident() -> float:
    """Memory of this process, in MB."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def values_of(control: ipywidgets.Widget) -> list:
    """Two other values than that of the control, then its own; none for an upload."""
    if isinstance(control, ipywidgets.Dropdown):
        values = list(control._options_values)
    elif isinstance(control, ipywidgets.Checkbox):
        values = [True, False]
    elif hasattr(control, "max"):
        values = [control.min + control.step, control.max - control.step]
    else:
        return []
    others = [value for value in dict.fromkeys(values) if value != control.value]
    return [*others[:2], control.value] if others else []


def growth(controls: Mapping[str, ipywidgets.Widget]) -> tuple[int, int, float, dict]:
    """Figures, bytes of tensors and MB of memory more after 50 redraws, and ms for each control.

    Before that each value is set once: what is kept for each is kept then. The milliseconds, a
    median and the worst of each control, are the processor's: other programs do not count.
    """
    moves = [(name, c, value) for name, c in controls.items() for value in values_of(c)]
    for _, control, value in moves:
        control.value = value
    figures, held, megabytes = *living(), resident()
    taken = {name: [] for name, *_ in moves}
    for name, control, value in itertools.islice(itertools.cycle(moves), REDRAWS):
        start = time.process_time()
        control.value = value
        taken[name].append(1000 * (time.process_time() - start))
    more = resident() - megabytes
    now = living()
    spread = {name: (round(statistics.median(ms)), round(max(ms))) for name, ms in taken.items()}
    return now[0] - figures, now[1] - held, more, spread


def plain_figure() -> float:
    """Milliseconds of the processor for a figure with one line, as large as those of explorers."""
    taken = []
    for _ in range(9):
        start = time.process_time()
        figure = Figure(figsize=(7.2, 4), dpi=110, layout="none")
        figure.subplots().plot([1, 2, 3])
        to_png(figure)
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


def moves(name: str, controls: Mapping[str, ipywidgets.Widget], picture: ipywidgets.Image) -> bool:
    """Whether another value of a control gives another picture.

    Where it does not, each other control is moved first: a control may count in one mode only.
    """
    others = [(c, value) for n, c in controls.items() if n != name for value in values_of(c)[:-1]]
    for other, value in [(controls[name], controls[name].value), *others]:
        before, other.value = other.value, value
        seen = set()
        for each in values_of(controls[name]):
            controls[name].value = each
            seen.add(picture.value)
        other.value = before
        if len(seen) > 1:
            return True
    return False


SHOWN = []  # controls, draws and picture of each explorer, in a kernel with `note_explorers`


def note_explorers() -> None:
    """Note what `explore` shows from now on, and count what it draws."""
    real, real_show = widgets.explore, widgets._show
    boxes = []

    def show(box, *more, **named):
        boxes.append(box)
        real_show(box, *more, **named)

    def explore(draw, alt, controls, *presets, **named):
        drawn = []
        real(lambda **v: (draw(**v), drawn.append(1))[0], alt, controls, *presets, **named)
        picture = next(part for part in boxes[-1].children if isinstance(part, ipywidgets.Image))
        SHOWN.append((controls, drawn, picture))

    widgets.explore, widgets._show = explore, show


def report() -> None:
    """Print what the explorers of this notebook left behind, and the peak of the process."""
    import resource
    import sys

    found = []
    for controls, drawn, picture in SHOWN:
        movable = [name for name, control in controls.items() if values_of(control)]
        still = [name for name in movable if not moves(name, controls, picture)]
        first = len(drawn)
        figures, held, megabytes, taken = growth(controls)
        found.append({"figures": figures, "tensors": held, "MB": round(megabytes, 1)})
        found[-1] |= {"drawn": len(drawn) - first, "still": still, "ms": taken}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 1 << 30 if sys.platform == "darwin" else 1 << 20
    plain = round(plain_figure())
    print(json.dumps({"peak": round(peak, 2), "plain": plain, "explorers": found}))


@functools.cache
def used_for_long(name: str) -> dict:
    """The report of a notebook that ran to its end and whose explorers were moved 50 times each."""
    pytest.importorskip("resource", reason="NO MEASURE: this system has no getrusage")
    pytest.importorskip("psutil", reason="NO MEASURE: no psutil")
    with Kernel() as kernel:
        here = str(Path(__file__).parent)
        setup, *cells = code_cells(name)
        first = f"{setup['source']}\nimport sys; sys.path.insert(0, {here!r}); import test_memory"
        for source in (f"{first}\ntest_memory.note_explorers()", *(c["source"] for c in cells)):
            done = kernel.run(source)
            assert done.error == "", (source, done)
        said = kernel.run("test_memory.report()")
        assert said.error == "", said
    print(name, said.text)
    return json.loads(said.text)


@pytest.mark.faults
@pytest.mark.parametrize("name", notebook_names())
def test_a_notebook_stays_under_3_gb(name):
    assert 0.1 < used_for_long(name)["peak"] < GIGABYTES


@pytest.mark.faults
@pytest.mark.parametrize("name", EXPLORING)
def test_fifty_redraws_leave_no_figure_and_no_tensor_behind(name):
    found = used_for_long(name)["explorers"]
    calls = sum("explore(" in cell["source"] for cell in code_cells(name))
    assert len(found) == calls >= 1
    for explorer in found:
        assert explorer["drawn"] > REDRAWS, explorer
        assert explorer["figures"] == explorer["tensors"] == 0, explorer
        assert explorer["MB"] < GROWTH, explorer


@pytest.mark.faults
@pytest.mark.parametrize("name", EXPLORING)
def test_every_control_moves_its_picture_at_once(name):
    found = used_for_long(name)
    for explorer in found["explorers"]:
        assert explorer["still"] == []
        slow = {c: ms for c, ms in explorer["ms"].items() if ms[0] > PLAIN_FIGURES * found["plain"]}
        assert slow == {}, found["plain"]


def small_figure(size: int, keep: list | None = None) -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().imshow(torch.zeros(size, 8).numpy())
    if keep is not None:
        keep.append((figure, torch.zeros(1000), np.ones(200_000)))
    return figure


@pytest.mark.parametrize("leaking", [False, True])
def test_the_shell_of_all_explorers_keeps_nothing_and_the_count_sees_a_leak(leaking, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "REDRAWS", 8)
    monkeypatch.setattr(widgets, "_show", lambda *_: None)
    kept = [] if leaking else None
    size = widgets.slider("size", 3, 1, 9)
    widgets.explore(lambda size: small_figure(size, kept), "x", {"size": size})
    figures, held, megabytes, _ = growth({"size": size})
    if leaking:
        # Its megabytes say nothing here: a process that was larger before has room for them.
        assert figures == REDRAWS and held == REDRAWS * 4000
    else:
        assert (figures, held) == (0, 0) and megabytes < GROWTH


def test_a_control_that_does_nothing_is_seen(monkeypatch):
    boxes = []
    monkeypatch.setattr(widgets, "_show", lambda box, *_: boxes.append(box))
    controls = {name: widgets.slider(name, 3, 1, 9) for name in ("size", "wide", "idle")}
    controls["sized"] = widgets.switch("sized", False)

    def draw(size, wide, idle, sized):
        return small_figure(10 * wide + (size if sized else 0))

    widgets.explore(draw, "x", controls)
    picture = next(part for part in boxes[0].children if isinstance(part, ipywidgets.Image))
    assert {name: moves(name, controls, picture) for name in controls} == {
        "size": True, "wide": True, "idle": False, "sized": True,
    }  # fmt: skip
    assert [control.value for control in controls.values()] == [3, 3, 3, False]


def test_a_drawn_figure_dies_with_its_picture(monkeypatch):
    monkeypatch.setattr(widgets, "_show", lambda *_: None)
    born = []

    def draw(size):
        figure = small_figure(size)
        born.append(weakref.ref(figure))
        return figure

    size = widgets.slider("size", 3, 1, 9)
    widgets.explore(draw, "x", {"size": size})
    size.value = 4
    gc.collect()
    assert len(born) == 2 and all(one() is None for one in born)


def test_an_upload_is_not_kept_twice(monkeypatch):
    """100 uploads of the same size leave at most one array behind."""
    monkeypatch.setattr(widgets, "_show", lambda *_: None)
    arrays = []
    monkeypatch.setattr(
        widgets, "decode_picture", lambda *_, **__: arrays.append(a := np.zeros((8, 8, 3))) or a
    )
    for _ in range(100):

        class Upload:
            value = ({"name": "a.png", "content": b"x"},)

        widgets._uploaded(Upload())
    alive = [weakref.ref(array) for array in arrays]
    arrays.clear()
    gc.collect()
    assert sum(one() is not None for one in alive) == 0

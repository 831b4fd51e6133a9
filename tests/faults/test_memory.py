"""Memory: under 1.5 GB for each notebook, and explorers that are used for long do not grow.

Each of their controls moves the picture, within 300 ms where a plain figure takes 60.

A notebook runs in a kernel with explorers_in_use.py imported, so that its own explorers are the
tested ones. A GB has 2**30 bytes, as where a class server or a container is given its limit.
"""

import functools
import gc
import json
import sys
import weakref
from pathlib import Path

import explorers_in_use
import ipywidgets
import numpy as np
import pytest
import torch
from explorers_in_use import REDRAWS, growth, moves
from kernels import Kernel, code_cells, notebook_names
from matplotlib.figure import Figure

from gnet_utils import widgets

GIGABYTES = 1.5  # the least that hubs give is 1 to 2
PLAIN_FIGURES = 5  # may take as long as one picture of an explorer: no clock is the same elsewhere
GROWTH = 64  # MB in 50 redraws: 1.3 MB kept by each, a figure's pixels, would be more


EXPLORING = [
    name for name in notebook_names() if any("\nexplore(" in c["source"] for c in code_cells(name))
]


@functools.cache
def used_for_long(name: str) -> dict:
    """The report of a notebook that ran to its end and whose explorers were moved 50 times each."""
    if not Path("/proc/self/status").exists():
        pytest.skip("NO MEASURE: this system has no /proc")
    pytest.importorskip("psutil", reason="NO MEASURE: no psutil")
    with Kernel() as kernel:
        here = str(Path(__file__).parent)
        setup, *cells = code_cells(name)
        first = f"{setup['source']}\nimport sys; sys.path.insert(0, {here!r})\n"
        first += "import explorers_in_use; explorers_in_use.note_explorers()"
        for source in (first, *(c["source"] for c in cells)):
            done = kernel.run(source)
            assert done.error == "", (source, done)
        said = kernel.run("explorers_in_use.report()")
        assert said.error == "", said
    print(name, said.text)
    return json.loads(said.text)


@pytest.mark.faults
@pytest.mark.parametrize("name", notebook_names())
def test_a_notebook_stays_under_one_and_a_half_gb(name):
    assert 0.1 < used_for_long(name)["peak"] < GIGABYTES


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="NO MEASURE: other systems keep no such memory")
def test_what_a_cell_has_freed_goes_back_to_the_system():
    """200 MB in small pieces, and one piece above them that stays: the C library would wait."""
    seen = "print(int(open('/proc/self/statm').read().split()[1]) * 4096)"
    fill = (
        "import numpy as np; many = [np.ones(12_500) for _ in range(2000)]; last = np.ones(12_500)"
    )
    with Kernel() as kernel:
        kernel.run(code_cells("00_start_here")[0]["source"])
        full = int(kernel.run(f"{fill}; {seen}").text)
        kernel.run("del many")
        assert full - int(kernel.run(seen).text) > 150e6


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
    monkeypatch.setattr(explorers_in_use, "REDRAWS", 8)
    monkeypatch.setattr(widgets, "_show", lambda *_: None)
    kept = [] if leaking else None
    size = widgets.slider("size", 3, 1, 9)
    widgets.explore(lambda size: small_figure(size, kept), "x", {"size": size})
    figures, held, megabytes, _ = growth({"size": size})
    if leaking:
        # Its megabytes say nothing here: a process that was larger before has room for them.
        assert figures == 8 and held == 8 * 4000
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

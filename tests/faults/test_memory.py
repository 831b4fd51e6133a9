"""Memory: under 3 GB for each notebook, and explorers that are used for long do not grow."""

import gc
import weakref

import ipywidgets
import numpy as np
import pytest
import torch
from kernels import Kernel, code_cells, notebook_names
from matplotlib.figure import Figure

from gnet_utils import widgets
from gnet_utils.explorers import n01, n02, n03, n04, n05

GIGABYTES = 3.0
REDRAWS = 50


def living() -> tuple[int, int]:
    """Figures, and tensors with their bytes, that nothing has let go of."""
    gc.collect()
    objects = gc.get_objects()
    figures = sum(isinstance(thing, Figure) for thing in objects if type(thing) is not type)
    held = {}
    for thing in objects:
        if type(thing) in (torch.Tensor, torch.nn.Parameter):
            held[thing.data_ptr()] = thing.numel() * thing.element_size()
    return figures, sum(held.values())


def redrawn(control: ipywidgets.Widget, values) -> tuple[int, int]:
    """What lives more after 50 redraws than after three."""
    for value in values[:3]:
        control.value = value
    before = living()
    for number in range(REDRAWS):
        control.value = values[number % len(values)]
    after = living()
    return after[0] - before[0], after[1] - before[1]


EXPLORERS = {
    "gray mixer": (
        n01.explore_mix,
        "red_from_red",
        lambda: {
            "picture": widgets.choice("picture", ["market", "hopper"]),
            "own": widgets.upload(),
            "output": widgets.choice("output", ["gray", "colour"]),
            **{
                name: widgets.slider(name, weight, -1.0, 2.0, 0.01)
                for name, weight in n01.PRESET_STATES["sepia"].items()
                if name != "output"
            },
        },
        [0.1, 0.2, 0.3],
    ),
    "two recorded runs": (
        n05.compare_runs,
        "first",
        lambda: {
            "first": widgets.choice("first", list(n05.first_steps_recorded())),
            "second": widgets.choice("second", list(n05.first_steps_recorded())),
        },
        list(n05.first_steps_recorded())[:4],
    ),
    "stages": (
        n04.stage_view,
        "across",
        lambda: {
            "stage": widgets.choice("stage", ["conv1"]),
            "across": widgets.slider("across", 0.5, 0.0, 1.0, 0.05),
            "down": widgets.slider("down", 0.4, 0.0, 1.0, 0.05),
            "picture": widgets.upload(),
        },
        [0.1, 0.2, 0.3],
    ),
}


def fifty_redraws(name: str, monkeypatch) -> tuple[int, int]:
    draw, moved, make, values = EXPLORERS[name]
    boxes = []
    monkeypatch.setattr(widgets, "_show", lambda box, *_: boxes.append(box))
    controls = make()
    moved = moved if moved in controls else next(k for k in controls if "red" in k)
    widgets.explore(draw, "a picture", controls)
    message = next(part for part in boxes[0].children if type(part) is ipywidgets.HTML)
    growth = redrawn(controls[moved], values)
    assert message.value == ""
    return growth


@pytest.mark.faults
@pytest.mark.parametrize("name", EXPLORERS)
def test_fifty_redraws_leave_no_figure_and_no_tensor_behind(name, monkeypatch):
    assert fifty_redraws(name, monkeypatch) == (0, 0)


def small_figure(size: int, keep: list | None = None) -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().imshow(torch.zeros(size, 8).numpy())
    if keep is not None:
        keep.append((figure, torch.zeros(1000)))
    return figure


@pytest.mark.parametrize("leaking", [False, True])
def test_the_shell_of_all_explorers_keeps_nothing_and_the_count_sees_a_leak(leaking, monkeypatch):
    monkeypatch.setattr(widgets, "_show", lambda *_: None)
    kept = [] if leaking else None
    size = widgets.slider("size", 3, 1, 9)
    widgets.explore(lambda size: small_figure(size, kept), "x", {"size": size})
    figures, held = redrawn(size, [4, 5, 6])
    assert (figures >= 40 and held >= 40 * 4000) if leaking else (figures, held) == (0, 0)


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


AT_THE_END = """
import resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / (1 << 30 if sys.platform == "darwin" else 1 << 20))
"""


@pytest.mark.faults
@pytest.mark.parametrize("name", notebook_names())
def test_a_notebook_stays_under_3_gb(name):
    pytest.importorskip("resource", reason="NO MEASURE: this system has no getrusage")
    with Kernel() as kernel:
        for number, cell in enumerate(code_cells(name), 1):
            done = kernel.run(cell["source"])
            assert done.error == "", (number, done)
        peak = float(kernel.run(AT_THE_END).text)
    print(f"{name}: peak {peak:.2f} GB")
    assert 0.1 < peak < GIGABYTES


def test_the_explorers_of_all_notebooks_so_far_have_a_drawing_function():
    assert all(map(callable, (n02.bottleneck_designer, n03.block_builder)))

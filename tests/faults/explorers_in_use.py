"""What runs inside a kernel for `test_memory`: its explorers are counted, moved and timed.

It imports little: what it takes would be counted with the lesson.
"""

import gc
import itertools
import json
import re
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import ipywidgets
import torch
from matplotlib.figure import Figure

from gnet_utils import widgets
from gnet_utils.plotting import to_png

REDRAWS = 50


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
    found = []
    for controls, drawn, picture in SHOWN:
        movable = [name for name, control in controls.items() if values_of(control)]
        still = [name for name in movable if not moves(name, controls, picture)]
        first = len(drawn)
        figures, held, megabytes, taken = growth(controls)
        found.append({"figures": figures, "tensors": held, "MB": round(megabytes, 1)})
        found[-1] |= {"drawn": len(drawn) - first, "still": still, "ms": taken}
    # Not getrusage: it starts from the peak of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / (1 << 20)
    plain = round(plain_figure())
    print(json.dumps({"peak": round(peak, 2), "plain": plain, "explorers": found}))

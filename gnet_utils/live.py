"""The progress of a run while it trains: where it stands, and in a notebook a growing plot.

Who trains tells a `Progress` what happens; how that is shown is decided here alone: in a terminal
by a bar, in a notebook by a text that each update replaces. Not by a bar made of widgets:
JupyterLab brings no output of a running cell to a page that was opened anew. Such a page shows for
ever what was last saved, so that has to be true at any time.
"""

import math
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

SHARE = 0.01  # of the time of training, at most, goes into drawing
PAUSE = 1.0  # seconds between two updates, at least
STANDS_STILL = (
    "If you closed this page and opened it again, this stands still, and controls are not loaded.\n"
    "Training goes on while its kernel runs: run the next cell, it begins when training has ended."
)


class Progress:
    """Shows a run while it lasts: `with Progress(300, 100) as shown: ...`.

    total, epoch_steps: steps of the whole run and of an epoch, the last of which may be a part of
        one; epoch_steps=0 names no epochs.
    done: steps that were made before, by a run that goes on.
    bar: whether the steps are shown.
    measured: which accuracy it is.
    plot, alt: makes a Figure of the run so far, for a notebook, and a sentence on it.
    """

    def __init__(
        self,
        total: int,
        epoch_steps: int = 0,
        done: int = 0,
        *,
        bar: bool = True,
        measured: str = "training",
        plot: Callable | None = None,
        alt: str = "",
    ):
        self.total, self.measured, self.first, self.done = total, measured, done, done
        self.epochs = math.ceil(total / epoch_steps) if epoch_steps else 0
        self.number, self.figures, self.began = 1, "", time.perf_counter()
        notebook = _in_notebook()
        self.bar = tqdm(total=total, initial=done, disable=not bar or notebook, unit="step")
        self.outputs = [_Output(self.text)] if bar and notebook else []
        if plot is not None:
            from gnet_utils.plotting import bundle_of

            self.outputs.append(_Output(lambda over: bundle_of(plot(), alt)))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        """The run is over: leave the bar as it is, text and plot with all that happened."""
        self.bar.close()
        for output in self.outputs:
            output.replace(over=True)

    def epoch(self, number: int) -> None:
        """Epoch `number` begins, counted from 1."""
        self.number = number
        self.bar.set_description(f"epoch {number}/{self.epochs}")

    def step(self) -> None:
        """A step was made. Called after each: it must cost nothing."""
        self.done += 1
        self.bar.update()

    def look(self, loss: float, accuracy: float) -> None:
        """Mean loss and accuracy since the last whole epoch."""
        self.figures = f"loss {loss:.3f}, {self.measured} accuracy {accuracy:.1%}"
        self.bar.set_postfix_str(self.figures, refresh=False)
        for output in self.outputs:
            output.replace_if_due()

    def text(self, over: bool) -> tuple[dict, dict]:
        """Where the run stands, as an output. Without a time of day once it is over."""
        epoch = f" in epoch {self.number}" if self.epochs else ""
        figures = f"; {self.figures}{epoch}" if self.figures else ""
        place = f"step {self.done} of {self.total}"
        place += f", epoch {self.number} of {self.epochs}" if self.epochs else ""
        if over:
            return {"text/plain": f"Training has ended at {place}{figures}."}, {}
        made = max(1, self.done - self.first)
        left = (time.perf_counter() - self.began) / made * (self.total - self.done)
        left = f", about {left:.0f} seconds left" if self.done > self.first else ""
        words = f"Training, {time.strftime('%H:%M:%S')}: {place}{left}{figures}."
        return {"text/plain": f"{words}\n{STANDS_STILL}"}, {}


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this: only there an output can be replaced."""
    ipython = sys.modules.get("IPython")  # a terminal need not have it
    shell = ipython.get_ipython() if ipython else None
    return "IPKernelApp" in getattr(shell, "config", ())


class _Output:
    """An output of a cell that is made again while training goes on, as often as SHARE allows."""

    def __init__(self, make: Callable[[bool], tuple[dict, dict]]):
        from IPython.display import display

        self.make = make
        self.handle = display({"text/plain": "training begins"}, raw=True, display_id=True)
        self.replace()

    def replace_if_due(self) -> None:
        if time.perf_counter() > self.due:
            self.replace()

    def replace(self, over: bool = False) -> None:
        began = time.perf_counter()
        bundle, metadata = self.make(over)
        if self.handle is not None:
            self.handle.update(bundle, raw=True, metadata=metadata)
        now = time.perf_counter()
        self.due = now + max(PAUSE, (now - began) / SHARE)

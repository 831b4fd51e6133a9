"""The progress of a run while it trains: a bar of its steps and, in a notebook, a growing plot.

`fit` tells a `Progress` what happens; how that is shown is decided here alone.
"""

import time
from typing import Any

from tqdm.auto import tqdm

PLOT_SHARE = 0.01  # of the time of training, at most, goes into drawing the plot


class Progress:
    """Shows a run while it lasts: `with Progress(history, 300) as progress: ...`.

    history: the record of the run (`runs.History`), which grows while it trains.
    total, done: steps of the whole run, and how many were made before this process began.
    epochs: passes over the training set, the last of which may be a part of one.
    bar, plot: what is shown: a bar of the steps, a figure of loss and accuracy.
    """

    def __init__(
        self, history: Any, total: int, epochs: int, *, done: int = 0, bar: bool, plot: bool
    ):
        self.epochs = epochs
        self.bar = tqdm(total=total, initial=done, disable=not bar, unit="step")
        self.plot = _LivePlot(history) if plot else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        """The run is over: leave the bar as it is, and the plot with all that happened."""
        self.bar.close()
        if self.plot is not None:
            self.plot.draw()

    def epoch(self, number: int) -> None:
        """Epoch `number` begins, counted from 1."""
        self.bar.set_description(f"epoch {number}/{self.epochs}")

    def step(self) -> None:
        """A step was made. Called after each: it must cost nothing."""
        self.bar.update()

    def look(self, passes: float, loss: float, accuracy: float) -> None:
        """Mean loss and accuracy since the last whole epoch, after so many passes, such as 1.25."""
        self.bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}", refresh=False)
        if self.plot is not None:
            self.plot.so_far.append((passes, accuracy))
            self.plot.draw_if_due()


class _LivePlot:
    """A figure that is drawn again while training goes on, as often as PLOT_SHARE allows."""

    def __init__(self, history: Any):
        from IPython.display import display

        self.history, self.so_far = history, []
        self.handle = display({"text/plain": "training begins"}, raw=True, display_id=True)
        self.draw()

    def draw_if_due(self) -> None:
        if time.perf_counter() > self.due:
            self.draw()

    def draw(self) -> None:
        from gnet_utils.plotting import bundle_of

        began = time.perf_counter()
        bundle, metadata = bundle_of(
            self.history.plot(self.so_far),
            "Training loss by step, and accuracy after each epoch.",
        )
        if self.handle is not None:
            self.handle.update(bundle, raw=True, metadata=metadata)
        now = time.perf_counter()
        self.due = now + (now - began) / PLOT_SHARE

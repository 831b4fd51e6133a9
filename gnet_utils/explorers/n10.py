"""Figures of notebook 10, and its network as a file that runs without PyTorch."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from gnet_utils.data import to_float
from gnet_utils.plotting import COLOURS

LOOKS = {"evolve": ("evolution", COLOURS["red"]), "random": ("chance", COLOURS["sky"])}
WIDTHS = {
    "evolve": "best\nof evolution",
    "random": "best\nof chance",
    "middle": "middle one\nof chance",
    "hand": "hand-made",
}
BARS = {  # told apart without colour too
    "MACs": {"color": COLOURS["ink"]},
    "ms, default": {"color": COLOURS["red"]},
    "ms, channels_last": {"color": "white", "edgecolor": COLOURS["red"], "hatch": "////"},
}


def draw_search(runs: Mapping, finals: Mapping[str, np.ndarray]) -> Figure:
    """Best accuracy so far against candidates tried, and the accuracies after new training."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.8))
    for kind, (name, colour) in LOOKS.items():
        tried = [[c["accuracy"] for c in run["candidates"]] for run in runs[f"{kind}_400k"]]
        best = 100 * np.maximum.accumulate(np.array(tried), axis=1)
        steps = np.arange(1, best.shape[1] + 1)
        left.step(steps, best.T, color=colour, where="post", lw=1, alpha=0.5)
        left.step(steps, best.mean(0), color=colour, where="post", lw=2.5, label=name)
    hand = np.mean([run["hand"]["accuracy"] for run in runs["evolve_400k"]])
    left.axhline(100 * hand, color=COLOURS["ink"], ls="--", label="hand-made")
    left.set(xlabel="candidates tried", ylabel="validation accuracy (%)")
    left.set_title("Best so far can only rise")
    for row, shares in enumerate(finals.values()):
        right.plot(shares, [row] * len(shares), "o", ms=5, color=COLOURS["gray"], alpha=0.7)
        right.errorbar(shares.mean(), row, xerr=shares.std(ddof=1), fmt="D", color=COLOURS["ink"])
        above = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 9}
        right.annotate(f"{shares.mean():.1f}", (shares.mean(), row), **above)
    right.set(yticks=range(len(finals)), xlabel="test accuracy (%)", ylim=(len(finals) - 0.5, -0.5))
    right.set_yticklabels([WIDTHS[key] for key in finals], fontsize=9)
    right.set_title("Trained anew, they overlap")
    lines = (
        "Left, thick: mean of three searches; thin: one search (gray: both methods alike).\n"
        "Right, dots: runs; diamonds: their mean, with one standard deviation."
    )
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower left", ncols=3, title=lines, alignment="left")
    return figure


def draw_recap(pair: float, macs: Mapping, times: Mapping) -> Figure:
    """What the exchanges leave of weights, MACs and milliseconds; before is 1."""

    def share(of: Mapping) -> float:
        return of["separable"] / of["dense"]

    left = {"4e, two 3x3: weights": pair, "3a, separable: MACs": share(macs)}
    left |= {f"3a, separable: ms, {name}": share(of) for name, of in times.items()}
    figure, ax = plt.subplots(figsize=(7.2, 2.2))
    looks = [{"color": COLOURS["green"]}, *BARS.values()]
    for (name, value), look in zip(left.items(), looks, strict=True):
        ax.bar_label(ax.barh(name, value, **look), fmt="%.2f", padding=3)
    ax.axvline(1, color=COLOURS["ink"], lw=1)
    ax.set(xlabel="before the exchange = 1", xlim=(0, 2.1))
    ax.set_title("One count rises, one falls far, time less")
    ax.invert_yaxis()
    return figure


def to_onnx(net: nn.Module, pictures: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """`net` in onnxruntime, in float32 and in int8; empty, with a sentence, where that is missing.

    Each takes images (N, 1, 28, 28) in float32 and works with one thread. `pictures`, uint8, give
    the scales of the maps in int8: training pictures, never test pictures.
    """
    try:
        import onnxruntime
        from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    except ImportError:
        print("onnx or onnxruntime is not installed (pip install onnx onnxruntime): no ONNX rows.")
        return {}

    class Calibration(CalibrationDataReader):
        batches = iter(to_float(pictures).split(20))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch.numpy()}

    exact, short = (Path(tempfile.mkdtemp()) / f"{name}.onnx" for name in ("float32", "int8"))
    names = {"input_names": ["images"], "dynamic_axes": {"images": {0: "n"}}}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # this exporter is the older one; the newer wants onnxscript
        example = (to_float(pictures[:2]),)
        torch.onnx.export(net, example, str(exact), dynamo=False, **names)
    logging.disable(logging.WARNING)  # it recommends a preparation that folding has done
    quantize_static(exact, short, Calibration(), per_channel=True, weight_type=QuantType.QInt8)
    logging.disable(logging.NOTSET)
    print(f"int8 file: {short.stat().st_size / exact.stat().st_size:.0%} of the float32 file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    def runner(path: Path) -> Callable[[Tensor], Tensor]:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    return {"ONNX, float32": runner(exact), "ONNX, int8": runner(short)}

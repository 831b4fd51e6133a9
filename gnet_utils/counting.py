"""What a network costs: parameters, multiply-adds, activations, milliseconds.

One MAC is one multiply-add; a FLOP count is twice the MAC count. Additions of biases, batch norm,
ReLU and pooling are left out, as in the papers. `count_macs` asks PyTorch's own counter. It tells
neither the order of the layers nor what they put out: `layer_table` watches them run, and counts
each by the formula of the lessons.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from gnet_utils.fields import receptive_fields  # noqa: F401 - a fixed name, had from here
from gnet_utils.models import GoogLeNet
from gnet_utils.passes import evaluating, hooked, require_module, run_zeros

# By asking the module ---------------------------------------------------------------------------


class Layer(NamedTuple):
    """One layer with weights (or one stage: sums), as it ran on an input."""

    name: str
    output: tuple[int, ...]  # shape without the batch axis
    weights: int
    biases: int
    macs: int
    activations: int  # numbers that come out, for one picture

    @property
    def parameters(self) -> int:
        return self.weights + self.biases


def count_parameters(module: nn.Module) -> int:
    """All weights and biases of `module`: of auxiliary heads and of frozen layers too.

    Buffers, such as the running means of batch norm, are no parameters.
    """
    require_module(module)
    return sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """MACs of one forward pass on an input of `input_shape`, such as (1, 3, 224, 224).

    Runs in eval mode, so auxiliary heads do not count. Raises ValueError for an impossible shape.
    """
    # It loads PyTorch's compiler, 150 MB and a second or two, as the first optimizer does too.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as flops:
        run_zeros(module, input_shape)
    return flops.get_total_flops() // 2


def count_activations(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Numbers put out by all layers with weights (times 4 bytes: float32 memory for training)."""
    return sum(layer.activations for layer in layer_table(module, input_shape))


def layer_table(module: nn.Module, input_shape: Sequence[int]) -> list[Layer]:
    """Every convolution and linear layer, in the order in which they run.

    Raises ValueError for an impossible shape. Multiply-adds outside of such layers have no row.
    """
    rows = []

    def note(name, layer, output):
        per_picture = output[0] if output.ndim > 1 else output
        biases = 0 if layer.bias is None else layer.bias.numel()
        # each output number of one channel costs as many MACs as the channel has weights
        weights_per_channel = layer.weight[0].numel()
        rows.append(
            Layer(
                name,
                tuple(per_picture.shape),
                layer.weight.numel(),
                biases,
                output.numel() * weights_per_channel,
                per_picture.numel(),
            )
        )

    layers = [(n, m) for n, m in module.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with hooked(layers, note):
        run_zeros(module, input_shape)
    return rows


def stage_table(model: nn.Module, input_shape: Sequence[int]) -> list[Layer]:
    """One row for each stage of `model` (its children): output shape and sums over its layers."""
    shapes = stage_shapes(model, input_shape)
    layers = layer_table(model, input_shape)
    rows = []
    for name, shape in shapes.items():
        mine = [layer for layer in layers if f"{layer.name}.".startswith(f"{name}.")]
        sums = (sum(column) for column in zip(*(layer[2:] for layer in mine), strict=True))
        rows.append(Layer(name, shape, *(sums if mine else (0, 0, 0, 0))))
    return rows


def stage_shapes(model: nn.Module, input_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Output shape of each stage of `model`, without the batch axis, in the order they run."""
    shapes = {}

    def note(name, _, output):
        shapes[name] = tuple(output.shape[1:])

    with hooked(model.named_children(), note):
        run_zeros(model, input_shape)
    return shapes


# By the clock -----------------------------------------------------------------------------------


def measure_ms(
    module: nn.Module, input_shape: Sequence[int], seconds: float = 0.06
) -> tuple[float, float, float]:
    """Milliseconds of a forward pass on the CPU: quartiles (low, median, high) of seven passes.

    Two passes go before. Stops early when `seconds` are over, a slow layer after one pass before
    and three that count. One thread works: steadier when other programs run, and alike on machines
    with few and many cores.
    Raises ValueError for an impossible shape.
    """
    run_zeros(module, input_shape)  # the first of those before: a wrong shape is named here
    images, times, threads = torch.zeros(tuple(input_shape)), [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with evaluating(module), torch.inference_mode():
            deadline = time.perf_counter() + seconds
            while len(times) < 3 or (len(times) < 8 and time.perf_counter() < deadline):
                start = time.perf_counter()
                module(images)
                times.append(1000 * (time.perf_counter() - start))
    finally:
        torch.set_num_threads(threads)
    kept = torch.tensor(times[1:] if len(times) > 3 else times)
    return tuple(kept.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist())


# Table 1 of the paper ---------------------------------------------------------------------------


class TableRow(NamedTuple):
    """A row of the paper's Table 1: as printed (K = 1024, M = 1,000,000), and as counted here."""

    stage: str
    patch: str
    output: tuple[int, ...]
    depth: int
    printed_params: str
    weights: int
    printed_ops: str
    macs: int
    note: str


PRINTED = {  # stages of GoogLeNet: row name, patch/stride, depth, params, ops, as in Table 1
    "conv1": ("convolution", "7x7/2", 1, "2.7K", "34M"),
    "pool1": ("max pool", "3x3/2", 0, "", ""),
    "conv2": ("convolution", "3x3/1", 2, "112K", "360M"),
    "pool2": ("max pool", "3x3/2", 0, "", ""),
    "inception_3a": ("inception (3a)", "", 2, "159K", "128M"),
    "inception_3b": ("inception (3b)", "", 2, "380K", "304M"),
    "pool3": ("max pool", "3x3/2", 0, "", ""),
    "inception_4a": ("inception (4a)", "", 2, "364K", "73M"),
    "inception_4b": ("inception (4b)", "", 2, "437K", "88M"),
    "inception_4c": ("inception (4c)", "", 2, "463K", "100M"),
    "inception_4d": ("inception (4d)", "", 2, "580K", "119M"),
    "inception_4e": ("inception (4e)", "", 2, "840K", "170M"),
    "pool4": ("max pool", "3x3/2", 0, "", ""),
    "inception_5a": ("inception (5a)", "", 2, "1072K", "54M"),
    "inception_5b": ("inception (5b)", "", 2, "1388K", "71M"),
    "avgpool": ("avg pool", "7x7/1", 0, "", ""),
    "dropout": ("dropout (40%)", "", 0, "", ""),
    "linear": ("linear", "", 1, "1000K", "1M"),
}


def table1() -> list[TableRow]:
    """Table 1 of the GoogLeNet paper, each printed figure beside the one counted from our net.

    `note` names the printed figures that the count does not round to; empty means all fit.
    """
    with torch.device("meta"):  # shapes are enough, and no random number is drawn
        net = GoogLeNet(aux=False)
    counted = {row.name: row for row in stage_table(net, (1, 3, 224, 224))}
    reduce = counted["conv2_reduce"]  # the paper prints conv2 and its 1x1 reduction as one row
    rows = []
    for name, (stage, patch, depth, params, ops) in PRINTED.items():
        row = counted[name]
        weights = row.weights + (reduce.weights if name == "conv2" else 0)
        macs = row.macs + (reduce.macs if name == "conv2" else 0)
        compared = ("params", params, weights / 1024), ("ops", ops, macs / 1e6)
        note = " and ".join(label for label, *pair in compared if not _fits(*pair))
        rows.append(TableRow(stage, patch, row.output, depth, params, weights, ops, macs, note))
    return rows


def _fits(printed: str, exact: float) -> bool:
    """Whether `exact` rounds to the printed number, where one is printed."""
    if not printed:
        return True
    step = 0.1 if "." in printed else 1.0
    return abs(exact - float(printed[:-1])) <= step / 2


# Text tables ------------------------------------------------------------------------------------


def format_table(rows: Sequence[Sequence], headers: Sequence[str]) -> str:
    """Aligned text: whole numbers with thousands separators on the right, text on the left.

    Raises ValueError for a row that is longer or shorter than `headers`.
    """
    texts, numeric = table_texts(rows, headers)
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in texts
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def table_texts(
    rows: Sequence[Sequence], headers: Sequence[str]
) -> tuple[list[list[str]], list[bool]]:
    """The texts of a table, headers first, and whether each column is of numbers."""
    rows = list(rows)
    texts = [[str(header) for header in headers]]
    texts += [[_text(value) for value in row] for row in rows]
    if wrong := [line for line in texts if len(line) != len(headers)]:
        raise ValueError(f"a row must have {len(headers)} values, one for each header: {wrong[0]}")
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(headers))]
    return texts, numeric


def _is_number(value) -> bool:
    if isinstance(value, str):
        return not value
    return value is None or isinstance(value, (int, float))


def _text(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, tuple)):
        return str(value)
    return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"

"""What a network costs and sees: parameters, multiply-adds, activations, receptive fields.

One MAC is one multiply-add; a FLOP count is twice the MAC count. Only layers with weights are
counted (convolutions and linear layers): additions of biases, batch norm, ReLU and pooling are
left out, as in the papers. `measure_ms` asks the clock instead.

All functions raise TypeError or ValueError for arguments that make no sense.
"""

import itertools
import operator
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from gnet_utils.models import GoogLeNet

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


# By formula -------------------------------------------------------------------------------------


def conv_parameters(
    in_channels: int, out_channels: int, kernel_size: int, bias: bool = True
) -> int:
    """Weights of a square convolution: k * k * in * out, and one bias for each output channel."""
    in_channels, out_channels, kernel_size = _whole(
        in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size
    )
    (bias,) = _whole(bias=bias)  # True or False
    return kernel_size**2 * in_channels * out_channels + (out_channels if bias else 0)


def conv_macs(
    in_channels: int, out_channels: int, kernel_size: int, out_height: int, out_width: int
) -> int:
    """MACs of a square convolution on one picture: its weights, once for each output pixel."""
    weights = conv_parameters(in_channels, out_channels, kernel_size, bias=False)
    out_height, out_width = _whole(out_height=out_height, out_width=out_width)
    return weights * out_height * out_width


def _whole(**numbers: int) -> list[int]:
    """The same as Python's own whole numbers, which do not overflow; or an error that names one."""
    found = []
    for name, value in numbers.items():
        try:
            found.append(operator.index(value))
        except TypeError:
            raise TypeError(f"{name} must be a whole number, got {value!r:.60}") from None
        if not 0 <= found[-1] < 2**31:
            raise ValueError(f"{name} must be 0 or more, and below 2**31, got {value!r:.60}")
    return found


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
    _check_module(module)
    return sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """MACs of one forward pass on an input of `input_shape`, such as (1, 3, 224, 224).

    Runs in eval mode, so auxiliary heads do not count. Raises ValueError as `layer_table` does.
    """
    return sum(layer.macs for layer in layer_table(module, input_shape))


def count_activations(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Numbers put out by all layers with weights (times 4 bytes: float32 memory for training)."""
    return sum(layer.activations for layer in layer_table(module, input_shape))


def layer_table(module: nn.Module, input_shape: Sequence[int]) -> list[Layer]:
    """Every convolution and linear layer, in the order in which they run.

    Raises ValueError for an impossible shape, and for products outside of such layers.
    """
    _check_module(module)
    rows = []

    def note(name, layer, output):
        per_picture = output[0] if output.ndim > 1 else output
        biases = 0 if layer.bias is None else layer.bias.numel()
        # each output number of one channel costs as many MACs as the channel has weights
        weights_per_channel = layer.weight.numel() // layer.weight.shape[0]
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

    named = ((n, m) for n, m in module.named_modules() if isinstance(m, (*CONVOLUTIONS, nn.Linear)))
    with _observed(named, note), _Products() as products:
        _run(module, input_shape)
    if len(products.names) != len(rows):  # each layer makes one
        raise ValueError(
            f"convolution and linear layers make {len(rows)} of the module's {len(products.names)} "
            f"products ({', '.join(sorted(set(products.names)))}): to count them all, write the "
            "others as nn.Conv2d or nn.Linear"
        )
    return rows


class _Products(TorchFunctionMode):
    """While it lasts, notes the names of the functions that make multiply-adds."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = function.__name__.strip("_")
        if name in ("linear", "matmul", "mm", "bmm", "einsum") or name.startswith("conv"):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


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
    _check_module(model)
    shapes = {}

    def note(name, _, output):
        shapes[name] = tuple(output.shape[1:])

    with _observed(model.named_children(), note):
        _run(model, input_shape)
    return shapes


@contextmanager
def _observed(named: Iterable[tuple[str, nn.Module]], note) -> Iterator[None]:
    """Call `note(name, module, output)` after each run of the named modules."""
    hooks = [
        module.register_forward_hook(lambda m, _, output, name=name: note(name, m, output))
        for name, module in named
        if module is not None
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_module(module: nn.Module) -> None:
    if isinstance(module, type):
        raise TypeError(f"{module.__name__} is a class, not a module made from it: add brackets")
    if not isinstance(module, nn.Module):
        raise TypeError(f"a module of PyTorch is needed, got {type(module).__name__}")
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError("a scripted module hides its layers: give the module it was made from")


def _run(module: nn.Module, input_shape: Sequence[int], device: str | None = None) -> None:
    """One forward pass on zeros in eval mode, every module's mode restored afterwards.

    The zeros are on the device of the module's weights, or on `device`.
    """
    expected = "input_shape must be whole numbers above 0 such as (1, 3, 224, 224)"
    try:
        shape = tuple(operator.index(n) for n in input_shape)
    except TypeError:
        raise TypeError(f"{expected}, got {input_shape!r:.60}") from None
    if not shape or min(shape) < 1:
        raise ValueError(f"{expected}, got {input_shape!r:.60}")
    like = next(module.parameters(), torch.zeros(()))
    try:
        with evaluating(module), torch.no_grad():
            module(torch.zeros(shape, dtype=like.dtype, device=device or like.device))
    except (RuntimeError, IndexError, TypeError, OverflowError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the module cannot take an input of shape {shape}: {reason}") from error


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode, every module's own mode restored afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


# By the clock -----------------------------------------------------------------------------------


class Milliseconds(NamedTuple):
    """How long a forward pass took: the middle of several runs, and its quartiles."""

    median: float
    low: float
    high: float


def measure_ms(
    module: nn.Module, input_shape: Sequence[int], runs: int = 15, seconds: float = 1.0
) -> Milliseconds:
    """Milliseconds of a forward pass: median and quartiles of `runs` after three for warm-up.

    Stops early, with at least three runs, when `seconds` are over. A CPU works with one thread:
    steadier when other programs run, and alike on machines with few and many cores.
    Raises ValueError for fewer than three runs and for an impossible shape.
    """
    _check_module(module)
    if not isinstance(runs, int) or runs < 3:
        raise ValueError(f"runs must be 3 or more for a median with quartiles, got {runs}")
    _run(module, input_shape)  # a wrong shape is named before the clock starts
    like = next(module.parameters(), torch.zeros(()))
    random = torch.Generator().manual_seed(0)  # the caller's random numbers go on undisturbed
    images = torch.randn(tuple(input_shape), generator=random).to(like)
    wait = torch.cuda.synchronize if like.is_cuda else lambda: None
    times, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with evaluating(module), torch.inference_mode():
            for _ in range(3):
                module(images)
            deadline = time.perf_counter() + seconds
            while len(times) < runs and (len(times) < 3 or time.perf_counter() < deadline):
                wait()
                start = time.perf_counter()
                module(images)
                wait()
                times.append(1000 * (time.perf_counter() - start))
    finally:
        torch.set_num_threads(threads)
    low, median, high = torch.tensor(times).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return Milliseconds(median, low, high)


# Receptive fields -------------------------------------------------------------------------------


class ReceptiveField(NamedTuple):
    """The square of input pixels that one unit of a map can see, along one axis.

    Unit number i sees the pixels start + i * stride ... start + i * stride + size - 1.
    """

    size: int
    stride: int
    start: int

    def after(self, kernel_size: int, stride: int, padding: int) -> "ReceptiveField":
        """The field after one more convolution or pooling layer."""
        kernel_size, stride, padding = _whole(
            kernel_size=kernel_size, stride=stride, padding=padding
        )
        return ReceptiveField(
            self.size + (kernel_size - 1) * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
        )


def receptive_fields(
    module: nn.Module, input_shape: Sequence[int] = (1, 3, 224, 224)
) -> dict[str, ReceptiveField]:
    """Receptive field on the input after each child of `module`, in the order they run.

    Follows the maps through one forward pass in eval mode, whatever the wiring. Where maps meet, in
    a concatenation or a sum, a unit sees what any of them sees. A map that is pooled or flattened
    as a whole is one unit that sees what all its units saw. Where rows and columns differ, as after
    a single 1x5 convolution, the answer is for the axis along which more is seen.

    Asked about a block of parallel branches (children named `branch_...`), the answer is one field
    for each branch; its channels need not be those of `input_shape`.
    Raises ValueError for an impossible shape, and for an operation that is not understood.
    """
    if is_block(module):
        channels = [m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)][:1]
        shape = tuple(input_shape)
        input_shape = (*shape[:1], *(channels or shape[1:2]), *shape[2:])
    fields = {}

    def begin(_, inputs):
        if inputs[0].ndim != 4:
            raise ValueError(f"input_shape must be (N, C, H, W), got {tuple(inputs[0].shape)}")
        inputs[0].seen = (ReceptiveField(1, 1, 0),) * 2

    def note(name, _, output):
        if not hasattr(output, "seen"):
            raise ValueError(f"the output of {name} is not a map that can be followed")
        fields[name] = max(output.seen, key=lambda field: field.size)

    start = module.register_forward_pre_hook(begin)
    try:
        with _observed(module.named_children(), note), _Following():
            _run(module, input_shape, device="meta")
    finally:
        start.remove()
    return fields


def is_block(module: nn.Module) -> bool:
    """Whether the children of `module` are parallel branches."""
    _check_module(module)
    names = [name for name, _ in module.named_children()]
    return bool(names) and all(name.startswith("branch_") for name in names)


Seen = tuple[ReceptiveField, ReceptiveField]  # along the rows and along the columns of a map

# What changes numbers or channels, not places: a unit sees what those at its place saw.
POINTWISE = {
    *("relu", "relu6", "hardtanh", "sigmoid", "add", "sub", "mul", "div", "clone", "dropout"),
    *("batch_norm", "local_response_norm", "cat", "split", "chunk"),
}
RESHAPING = {"flatten", "view", "reshape", "squeeze", "unsqueeze"}


class _Following(TorchFunctionMode):
    """While it lasts, each tensor computed from one with an attribute `seen` gets its own `seen`.

    Only shapes are computed, on PyTorch's "meta" device: fast for any size of map.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        maps = [x for x in _tensors((args, kwargs)) if hasattr(x, "seen")]
        if not maps:
            return function(*args, **kwargs)
        args, kwargs = tree_map_only(
            Tensor, lambda x: x if x.is_meta else x.to("meta"), (args, kwargs)
        )
        before = [(_space(x), x.seen) for x in maps]
        output = function(*args, **kwargs)
        results = _tensors(output)
        name = function.__name__.strip("_")  # add, add_ and __add__ are the same
        if not results and name != "setitem":
            return output  # a shape, a type

        if name in RULES:
            seen = RULES[name](*args, **kwargs)
        elif name in POINTWISE and all(_space(x) == space for x in results for space, _ in before):
            seen = _joined([seen for _, seen in before])
        elif name in RESHAPING:
            seen = _reshaped(*before[0], results[0])
        else:
            seen = None
        if seen is None:
            shapes = " and ".join(str(tuple(x.shape)) for x in maps)
            raise ValueError(
                f"receptive_fields does not understand {name!r} on maps of {shapes}: ask about "
                "the parts before and after it"
            )
        for x in results:
            x.seen = seen
        return output


def _tensors(values) -> list[Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, Tensor)]


def _space(x: Tensor) -> tuple[int, ...]:
    """Height and width of a map; what has no places left, such as (N, C), is 1x1."""
    return tuple(x.shape[-2:]) if x.ndim > 2 else (1, 1)


def _joined(parts: list[Seen]) -> Seen | None:
    """What a unit sees that is made of units of several maps: from the first pixel to the last."""
    axes = []
    for fields in zip(*parts, strict=True):
        if len({field.stride for field in fields}) > 1:
            return None
        start = min(field.start for field in fields)
        end = max(field.start + field.size for field in fields)
        axes.append(ReceptiveField(end - start, fields[0].stride, start))
    return tuple(axes)


def _reshaped(space: tuple[int, ...], seen: Seen, result: Tensor) -> Seen | None:
    if _space(result) == space:
        return seen
    return _window(seen, space) if result.ndim == 2 else None


def _window(seen: Seen, kernel, stride=1, padding=0, dilation=1) -> Seen:
    pairs = map(_pair, (kernel, stride, padding, dilation))
    return tuple(
        field.after((k - 1) * d + 1, s, p)  # as wide as its outer weights are apart
        for field, k, s, p, d in zip(seen, *pairs, strict=True)
    )


def _pair(value) -> Sequence:
    return value if isinstance(value, Sequence) else (value, value)


def _conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Seen:
    kernel = weight.shape[2:]
    if padding == "valid":
        padding = 0
    elif padding == "same":
        padding = [(k - 1) * d // 2 for k, d in zip(kernel, _pair(dilation), strict=True)]
    return _window(x.seen, kernel, stride, padding, dilation)


def _max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, **_) -> Seen:
    return _window(x.seen, kernel_size, stride or kernel_size, padding, dilation)


def _avg_pool2d(x, kernel_size, stride=None, padding=0, *_, **__) -> Seen:
    return _window(x.seen, kernel_size, stride or kernel_size, padding)


def _adaptive_avg_pool2d(x, output_size) -> Seen | None:
    """Window number i of n on a map of side s covers floor(i * s / n) to ceil((i + 1) * s / n)."""
    axes = []
    for field, side, count in zip(x.seen, _space(x), _pair(output_size), strict=True):
        count = count or side
        starts = [i * side // count for i in range(count)]
        kernels = {-(-(i + 1) * side // count) - start for i, start in enumerate(starts)}
        strides = {b - a for a, b in itertools.pairwise(starts)} or {1}
        if len(kernels) > 1 or len(strides) > 1:
            return None  # windows of unequal size, or in unequal steps
        axes.append(field.after(kernels.pop(), strides.pop(), 0))
    return tuple(axes)


def _linear(x, weight, bias=None) -> Seen | None:
    return x.seen if x.ndim == 2 else None


def _pad(x, pad, *_, **__) -> Seen:
    left, _, top, *_ = (*pad, 0, 0)
    return tuple(
        field._replace(start=field.start - size * field.stride)
        for field, size in zip(x.seen, (top, left), strict=True)
    )


def _getitem(x, index) -> Seen | None:
    index = index if isinstance(index, tuple) else (index,)
    places = (*index, *[slice(None)] * (4 - len(index)))[2:]
    if x.ndim != 4 or any(not isinstance(part, slice) for part in (*index[:1], *places)):
        return None
    axes = []
    for field, part, side in zip(x.seen, places, _space(x), strict=True):
        start, _, step = part.indices(side)
        start = field.start + start * field.stride
        axes.append(ReceptiveField(field.size, field.stride * step, start))
    return tuple(axes)


RULES = {  # what a unit sees after PyTorch's functions of these names, with their arguments
    "conv2d": _conv2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "linear": _linear,
    "pad": _pad,
    "getitem": _getitem,
}


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
        misfits = [
            label
            for label, printed, exact in (
                ("params", params, weights / 1024),
                ("ops", ops, macs / 1e6),
            )
            if printed and not _fits(printed, exact)
        ]
        note = " and ".join(misfits)
        rows.append(TableRow(stage, patch, row.output, depth, params, weights, ops, macs, note))
    return rows


def _fits(printed: str, exact: float) -> bool:
    """Whether `exact` rounds to the printed number."""
    step = 0.1 if "." in printed else 1.0
    return abs(exact - float(printed[:-1])) <= step / 2


# Text tables ------------------------------------------------------------------------------------


def format_table(rows: Sequence[Sequence], headers: Sequence[str] | None = None) -> str:
    """Aligned text: whole numbers with thousands separators on the right, text on the left.

    `headers` may be left out for named tuples, which carry them. Raises ValueError for rows of
    different lengths.
    """
    rows = list(rows)
    if headers is None:
        fields = getattr(rows[0], "_fields", ()) if rows else ()
        headers = [field.replace("_", " ") for field in fields]
    headers = [str(header) for header in headers]
    texts = [headers] * bool(headers) + [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    columns = list(zip(*rows, strict=True)) or [()] * len(widths)
    numeric = [all(_is_number(v) for v in column) for column in columns]
    lines = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in texts
    ]
    if headers:
        lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _is_number(value) -> bool:
    if isinstance(value, str):
        return not value
    return value is None or isinstance(value, (int, float))


def _cell(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, tuple)):
        return str(value)
    return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"

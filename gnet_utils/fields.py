"""Receptive fields: the square of the picture that one unit of a map can see.

`receptive_fields` follows the maps through one forward pass, whatever the wiring: so it answers for
torchvision's nets and for a block of your own too. PyTorch has nothing that does it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gnet_utils.passes import hooked, require_module, run_zeros


class ReceptiveField(NamedTuple):
    """The square of input pixels that one unit of a map can see, along one axis.

    Unit number i sees the pixels start + i * stride ... start + i * stride + size - 1.
    """

    size: int
    stride: int
    start: int

    def after(self, kernel_size: int, stride: int, padding: int) -> "ReceptiveField":
        """The field after one more convolution or pooling layer."""
        return ReceptiveField(
            self.size + (kernel_size - 1) * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
        )


def receptive_fields(
    module: nn.Module, input_shape: Sequence[int] = (1, 3, 224, 224)
) -> dict[str, ReceptiveField]:
    """Receptive field on the input after each child of `module`, in the order they run.

    Where maps meet, in a concatenation or a sum, a unit sees what any of them sees. A map that is
    pooled or flattened as a whole is one unit that sees what all its units saw. Where rows and
    columns differ, as after a single 1x5 convolution, the answer is for the axis along which more
    is seen.

    Asked about a block of parallel branches (children named `branch_...`), the answer is one field
    for each branch; its channels need not be those of `input_shape`.
    Raises ValueError for an impossible shape, and for an operation that is not understood.
    """
    require_module(module)
    names = [name for name, _ in module.named_children()]
    if names and all(name.startswith("branch_") for name in names):
        convolutions = (m for m in module.modules() if isinstance(m, nn.Conv2d))
        input_shape = (1, next(convolutions).in_channels, *input_shape[2:])
    fields = {}

    def begin(_, inputs):
        inputs[0].seen = (ReceptiveField(1, 1, 0),) * 2

    def note(name, _, output):
        fields[name] = max(output.seen, key=lambda field: field.size)

    start = module.register_forward_pre_hook(begin)
    try:
        with hooked(module.named_children(), note), _Following():
            run_zeros(module, input_shape)
    finally:
        start.remove()
    return fields


# How the maps are followed ------------------------------------------------------------------------

Seen = tuple[ReceptiveField, ReceptiveField]  # along the rows and along the columns of a map

# What changes numbers or channels, not places: a unit sees what those at its place saw.
POINTWISE = {
    *("relu", "relu6", "hardtanh", "sigmoid", "add", "sub", "mul", "div", "clone", "dropout"),
    *("batch_norm", "local_response_norm", "cat", "split", "chunk", "linear"),
    "adaptive_avg_pool2d",  # to the size that the map has
}
GATHERING = {"flatten", "view", "reshape", "adaptive_avg_pool2d"}  # where all places become one


class _Following(TorchFunctionMode):
    """While it lasts, each tensor computed from one with an attribute `seen` gets its own."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        output = function(*args, **kwargs)
        maps = [x for x in _tensors_in((args, kwargs)) if hasattr(x, "seen")]
        results = _tensors_in(output)
        if not maps or not results:  # weights; a shape
            return output

        name = function.__name__.strip("_")  # add, add_ and __add__ are the same
        if name in RULES:
            seen = RULES[name](*args, **kwargs)
        elif name in POINTWISE and len({_space(x) for x in (*maps, *results)}) == 1:
            seen = _union([x.seen for x in maps])
        elif name in GATHERING and _space(results[0]) == (1, 1):
            seen = _window(maps[0].seen, _space(maps[0]), 1, 0)
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


def _tensors_in(values) -> list[Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, Tensor)]


def _space(x: Tensor) -> tuple[int, ...]:
    """Height and width of a map; what has no places left, such as (N, C), is 1x1."""
    return tuple(x.shape[-2:]) if x.ndim > 2 else (1, 1)


def _union(parts: list[Seen]) -> Seen | None:
    """What a unit sees that is made of units of several maps: from the first pixel to the last."""
    axes = []
    for fields in zip(*parts, strict=True):
        if len({field.stride for field in fields}) > 1:
            return None
        start = min(field.start for field in fields)
        end = max(field.start + field.size for field in fields)
        axes.append(ReceptiveField(end - start, fields[0].stride, start))
    return tuple(axes)


def _window(seen: Seen, kernel, stride, padding) -> Seen:
    """After a window that slides over the map; each of the three is one number, or two."""
    pairs = (n if isinstance(n, Sequence) else (n, n) for n in (kernel, stride, padding))
    return tuple(field.after(*sizes) for field, *sizes in zip(seen, *pairs, strict=True))


# What a unit sees after one of PyTorch's functions, with that function's arguments; None if that
# cannot be said.


def _conv2d(x, weight, bias=None, stride=1, padding=0, dilation=(1, 1), groups=1) -> Seen:
    kernel = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if padding == "same":
        padding = [(k - 1) // 2 for k in kernel]
    return _window(x.seen, kernel, stride, padding)


def _pool(x, kernel_size, stride=None, padding=0, *_, **__) -> Seen:
    return _window(x.seen, kernel_size, stride or kernel_size, padding)


def _pad(x, pad, *_, **__) -> Seen:
    left, _, top, *_ = (*pad, 0, 0)
    return _window(x.seen, 1, 1, (top, left))


def _getitem(x, index) -> Seen | None:
    """One of every few rows and columns, as x[:, :, ::2, ::2] in the shortcut of a residual net."""
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, slice) for part in index):
        return None
    rows, columns = (*index, *[slice(None)] * 3)[2:4]
    if any(part.start or part.stop for part in (rows, columns)):
        return None
    return _window(x.seen, 1, (rows.step or 1, columns.step or 1), 0)


RULES = {
    "conv2d": _conv2d,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "pad": _pad,
    "getitem": _getitem,
}

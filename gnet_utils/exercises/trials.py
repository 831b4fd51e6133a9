"""Modules and functions of the reader, judged by what they do, not by how they are written."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gnet_utils.exercises import Mistake, first_line, kind_of

ENLARGING = (F.interpolate, F.conv_transpose2d)
STACKING = (torch.cat, torch.concat, torch.concatenate)


class Convolution(NamedTuple):
    """A convolution as it ran."""

    weight: Tensor  # (out, in / groups, k, k)
    bias: Tensor | None
    groups: int
    places: int  # of its output map

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Channels in, channels out, height and width of the window."""
        channels_out, channels_in, *window = self.weight.shape
        return channels_in * self.groups, channels_out, *window


class _Watch(TorchFunctionMode):
    """Notes each convolution, and puts `change(index, output)` in place of what it gives."""

    def __init__(self, change: Callable[[int, Tensor], Tensor] | None, may_enlarge: bool):
        super().__init__()
        self.change, self.may_enlarge = change, may_enlarge
        self.convolutions: list[Convolution] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in ENLARGING and not self.may_enlarge:
            raise Mistake("it enlarges a map: shrink it less, do not blow it up afterwards.")
        if function in STACKING:
            _check_sizes(*args, **kwargs)
        if function is not torch.conv2d:
            return function(*args, **kwargs)
        maps, convolution = _as_called(*args, **kwargs)
        if maps.shape[-3] != convolution.shape[0]:
            raise Mistake(
                f"convolution {len(self.convolutions) + 1} reads {convolution.shape[0]} channels, "
                f"{maps.shape[-3]} come to it."
            )
        output = function(*args, **kwargs)
        index = len(self.convolutions)
        self.convolutions.append(convolution._replace(places=output.shape[-2:].numel()))
        return self.change(index, output) if self.change else output


def _as_called(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """The maps and the layer out of the arguments of torch.conv2d."""
    return input, Convolution(weight, bias, groups, 0)


def _check_sizes(tensors: Any, *_, **__) -> None:
    sizes = [f"{maps.shape[-2]}x{maps.shape[-1]}" for maps in tensors if maps.ndim == 4]
    if len(set(sizes)) > 1:
        raise Mistake(
            f"maps of {', '.join(sizes)} cannot be stacked: a convolution with too little "
            "padding or a pooling without stride=1 shrinks its map."
        )


def call(answer: Any, *arguments: Any, how: str | None = None) -> Any:
    """What the reader's function gives; `how` it was called, such as "with (conv, norm)".

    Raises Mistake where the answer is no function or returns nothing, with `how` where it fails.
    """
    if not callable(answer):
        raise Mistake(f"a function is asked for, this is {kind_of(answer)}.")
    try:
        got = answer(*arguments)
    except Exception as error:
        if how is None:
            raise
        raise Mistake(f"{how} it stops with {first_line(error)}") from error
    if got is None:
        raise Mistake("the function returns nothing: does it end with return?")
    return got


def named(slips: Mapping[str, Any], same: Callable[[Any], bool]) -> str | None:
    """The message of the first of the `slips` (message: result) that is the `same`, else None."""
    return next((message for message, wrong in slips.items() if same(wrong)), None)


def check_function(answer: Any) -> None:
    """Raise Mistake unless `answer` is a function, or an object like one."""
    if not callable(answer) or isinstance(answer, (nn.Module, type)):
        raise Mistake(f"a function is asked for, this is {kind_of(answer)}.")


def check_class(answer: Any, made: str = "an object") -> None:
    """Raise Mistake unless `answer` is a class of modules; `made` is what one is called."""
    if isinstance(answer, nn.Module):
        raise Mistake(
            f"this is {made} made of the class: hand in the class itself, without brackets."
        )
    if not (isinstance(answer, type) and issubclass(answer, nn.Module)):
        raise Mistake(f"a class is asked for, this is {kind_of(answer)}.")


@contextmanager
def filled(left: Mistake) -> Iterator[None]:
    """An error that comes from `...` in the reader's code is raised as the mistake `left`."""
    try:
        yield
    except Exception as error:
        if "ellipsis" in str(error).lower():
            raise left from None
        raise


def gives_blank(module: nn.Module, images: Tensor) -> bool:
    """Whether a stub's forward still returns `...`; where it stops, `run` says why."""
    with suppress(Exception), torch.no_grad():
        return module(images.clone()) is ...
    return False


def shapes_of(module: nn.Module) -> Counter:
    """Channels in, channels out, height and width of the window of all convolutions, counted."""
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    return Counter((conv.in_channels, conv.out_channels, *conv.kernel_size) for conv in convs)


def check_module(answer: Any) -> None:
    """Raise Mistake unless `answer` is a module."""
    if isinstance(answer, type) and issubclass(answer, nn.Module):
        raise Mistake(
            f"this is the class {answer.__name__}, not a module made of it: add brackets."
        )
    if not isinstance(answer, nn.Module):
        raise Mistake(f"a module is asked for, this is {kind_of(answer)}.")


def run(
    module: Any,
    images: Tensor,
    change: Callable[[int, Tensor], Tensor] | None = None,
    *,
    may_enlarge: bool = True,
    new_norms: bool = False,
) -> tuple[Tensor, list[Convolution]]:
    """What `module` gives in eval mode, and the convolutions in the order in which they ran.

    `change(index, output)` may put something else in place of a convolution's output. With
    `new_norms` each batch norm forgets what it saw, and changes its maps by next to nothing.
    Raises Mistake where it is no module, fails, gives no maps, or enlarges one and may not.
    """
    check_module(module)
    for layer in module.modules() if new_norms else ():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    with torch.no_grad(), _Watch(change, may_enlarge) as watch:
        try:
            output = module.eval()(images.clone())  # a ReLU in place writes into its input
        except Mistake:
            raise
        except Exception as error:
            batch = tuple(images.shape)
            raise Mistake(f"on a batch {batch} it stops with {first_line(error)}") from error
    if not isinstance(output, Tensor):
        raise Mistake(f"it should give maps, a tensor; it gives {kind_of(output)}.")
    return output, watch.convolutions


def counts_below_zero(module: nn.Module, images: Tensor, n: int) -> bool:
    """Whether values below zero of convolution `n`, counted from 0, still count after it.

    Layers between, such as batch norm or a pooling, may come before the ReLU or after it.
    """

    def below(size: float) -> Callable[[int, Tensor], Tensor]:
        return lambda index, output: size * (-0.5 - output.abs()) if index == n else output

    small, large = (run(module, images, below(size))[0] for size in (1, 2))
    return not torch.allclose(small, large)

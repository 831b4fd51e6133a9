"""Forward passes that leave a network as it was: modes restored, hooks taken off again.

Offers `evaluating`, `hooked`, `leaves_as_found`, `graphed` and `run_zeros`; counting, receptive
fields, probing and training stand on them.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode while it lasts, every module's own mode restored afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


@contextmanager
def hooked(
    named: Iterable[tuple[str, nn.Module]],
    action: Callable[[str, nn.Module, Tensor], Tensor | None],
) -> Iterator[None]:
    """While it lasts, `action(name, module, output)` follows each run of the named modules.

    What `action` returns takes the place of the output, unless it is None.
    """
    hooks = [
        module.register_forward_hook(lambda m, _, output, name=name: action(name, m, output))
        for name, module in named
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def leaves_as_found(train_by: Callable) -> Callable:
    """A function of a model so that random state, modes and memory layout are then as they were."""

    @wraps(train_by)
    def wrapped(model: nn.Module, *arguments: Any, **options: Any) -> Any:
        plain = [parameter for parameter in model.parameters() if parameter.is_contiguous()]
        gpus = {p.device for p in model.parameters() if p.device.type == "cuda"}
        modes = [(module, module.training) for module in model.modules()]
        with torch.random.fork_rng(gpus):
            try:
                return train_by(model, *arguments, **options)
            finally:
                for module, training in modes:
                    module.training = training
                for parameter in plain:
                    parameter.data = parameter.data.contiguous()

    return wrapped


def has_graphs(device: torch.device) -> bool:
    """Whether `graphed` works there: on GPUs of NVIDIA."""
    return device.type == "cuda"


def graphed(net: nn.Module, images: Tensor, half: bool) -> nn.Module:
    """`net` in training mode with its two passes as CUDA graphs: launched as a whole.

    For batches with the shape and layout of `images`, on an NVIDIA GPU; half: in bfloat16. Weights
    and running statistics stay those of `net`, and as they were.
    """
    gc.collect()  # graphs of earlier runs, and their memory, are freed by nothing else
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    # Without the cache: a cast kept from the recording would be that of the first weights for ever.
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
        # The outer module gets another `forward`, `net` keeps its own.
        whole = torch.cuda.make_graphed_callables(nn.Sequential(net), (images,))
    net.load_state_dict(before)  # recording runs the passes, and norms count what they see
    return whole


@torch.no_grad()
def run_zeros(module: nn.Module, input_shape: Sequence[int]) -> None:
    """One pass in eval mode on zeros of `input_shape`, such as (1, 3, 224, 224), where the net is.

    Raises TypeError for what is no module, and ValueError for a shape that it cannot take.
    """
    require_module(module)
    like = next(module.parameters(), torch.zeros(()))
    try:
        with evaluating(module):
            module(torch.zeros(tuple(input_shape), dtype=like.dtype, device=like.device))
    except (RuntimeError, IndexError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"the module cannot take an input of shape {input_shape}: {reason}"
        ) from error


def require_module(module: nn.Module) -> None:
    """Raise TypeError for what is no module, such as a class that was not called."""
    if isinstance(module, type):
        raise TypeError(f"{module.__name__} is a class, not a module made from it: add brackets")
    if not isinstance(module, nn.Module):
        raise TypeError(f"a module of PyTorch is needed, got {type(module).__name__}")

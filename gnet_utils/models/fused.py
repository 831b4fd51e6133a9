"""The same network in fewer, larger pieces: faster, and not for reading.

`merge` turns each Inception block into one whose sibling 1x1 convolutions are one convolution, for
training or inference; `unmerge_into` brings what was learned back into the readable network.
`fold` also works every batch norm into the convolution before it, for inference only. What is not
exactly the block, or the pair of layers, that they know stays as it is.
"""

import copy
from collections import Counter

import torch
from torch import Tensor, nn

from gnet_utils.models import Inception

UNITS = ([nn.Conv2d, nn.ReLU], [nn.Conv2d, nn.BatchNorm2d, nn.ReLU])  # what `conv_unit` makes


class MergedInception(nn.Module):
    """An Inception block that computes its sibling 1x1 convolutions as one.

    All of them read the same input: one product with a taller matrix does the same work in one go.
    Of the pool branch the projection belongs to them only where it comes before the pooling. What
    follows the 1x1 convolutions may be anything, as in the factorised blocks.
    """

    def __init__(self, block: Inception):
        super().__init__()
        self.training = block.training
        units = siblings(block)
        self.sizes = [unit[0].out_channels for unit in units]
        self.front = join(units)
        self.rest_3x3, self.rest_5x5 = block.branch_3x3[1:], block.branch_5x5[1:]
        self.project_first = len(units) == 4
        first, second = block.branch_pool
        self.pool = second if self.project_first else first
        self.project = None if self.project_first else second

    def forward(self, x: Tensor) -> Tensor:
        out_1x1, reduced_3x3, reduced_5x5, *projected = self.front(x).split(self.sizes, dim=1)
        pooled = self.pool(projected[0]) if projected else self.project(self.pool(x))
        parts = [out_1x1, self.rest_3x3(reduced_3x3), self.rest_5x5(reduced_5x5), pooled]
        return torch.cat(parts, dim=1)


def siblings(block: Inception) -> list[nn.Sequential]:
    """The convolution units of `block` that are 1x1 and read the block's own input."""
    units = [block.branch_1x1, block.branch_3x3[0], block.branch_5x5[0]]
    first = block.branch_pool[0]
    return [*units, first] if isinstance(first, nn.Sequential) else units


def join(units: list[nn.Sequential]) -> nn.Sequential:
    """One convolution unit whose output channels are those of all `units` in a row."""
    joined = copy.deepcopy(units[0])
    channels = sum(unit[0].out_channels for unit in units)
    for part, layer in enumerate(joined):
        if isinstance(layer, nn.Conv2d):
            layer.out_channels = channels
        elif isinstance(layer, nn.BatchNorm2d):
            layer.num_features = channels
        else:
            continue
        sources = [dict(_tensors(unit[part])) for unit in units]
        for name, tensor in list(_tensors(layer)):
            if tensor.ndim == 0:  # the batch norm's counter of batches
                continue
            together = torch.cat([source[name].detach() for source in sources])
            if isinstance(tensor, nn.Parameter):
                together = nn.Parameter(together, requires_grad=tensor.requires_grad)
            setattr(layer, name, together)
    return joined


@torch.no_grad()
def unmerge_into(merged: nn.Module, network: nn.Module) -> None:
    """Copy all weights and running statistics of `merged` = merge(network) back into `network`."""
    if type(merged) is not type(network) and not isinstance(merged, MergedInception):
        raise ValueError("merged must have been made by merge(network), got another kind of module")
    if isinstance(merged, MergedInception):
        units = siblings(network)
        start = 0
        for unit, size in zip(units, merged.sizes, strict=True):
            for part, layer in enumerate(unit):
                joined = dict(_tensors(merged.front[part]))
                for name, tensor in _tensors(layer):
                    source = joined[name]
                    tensor.copy_(source if source.ndim == 0 else source[start : start + size])
            start += size
        _copy(merged.rest_3x3, network.branch_3x3[1:])
        _copy(merged.rest_5x5, network.branch_5x5[1:])
        _copy(merged.pool, network.branch_pool[merged.project_first])
        if merged.project is not None:
            _copy(merged.project, network.branch_pool[1])
        return
    for (_, source), (_, target) in zip(
        _tensors(merged), _tensors(network), strict=True
    ):  # this module's own; its children follow
        target.copy_(source)
    for source, target in zip(merged.children(), network.children(), strict=True):
        unmerge_into(source, target)


def merge(network: nn.Module) -> nn.Module:
    """A copy of `network` with its Inception blocks merged: same outputs, with SGD same training.

    "Same" up to the rounding of sums, because one large product adds in another order. A block
    stays as it is unless it is an `Inception`, or of a subclass without a `forward` of its own,
    whose sibling convolution units are alike, also in what of them is frozen, with no hooks and no
    weights that other layers have too.
    """
    merged = copy.deepcopy(network)
    uses = Counter(id(p) for _, p in merged.named_parameters(remove_duplicate=False))
    return _merge_blocks(merged, {number for number, count in uses.items() if count > 1})


def fold(network: nn.Module) -> nn.Module:
    """A copy of `network` for inference: batch norms folded into convolutions, siblings merged.

    In `eval()` a batch norm is a fixed scale and shift for each channel; so is a change of the
    convolution's weights and bias. Raises ValueError when the network, or a batch norm of it, is in
    training mode, where a batch norm depends on the batch.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    if network.training or any(norm.training for norm in norms):
        raise ValueError("network must be in eval mode to be folded: call network.eval() first")
    folded = merge(network)
    for module in list(folded.modules()):
        if type(module).forward is not nn.Sequential.forward or len(module) < 2:
            continue
        conv, norm = module[0], module[1]
        known = type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d
        if known and norm.track_running_stats and not (_is_watched(conv) or _is_watched(norm)):
            module[0] = nn.utils.fuse_conv_bn_eval(conv, norm)
            module[1] = nn.Identity()
    return folded


def _merge_blocks(module: nn.Module, shared: set[int]) -> nn.Module:
    if isinstance(module, Inception):
        own = not any(id(parameter) in shared for parameter in module.parameters())
        return MergedInception(module) if own and _is_known(module) else module
    for name, child in module.named_children():
        setattr(module, name, _merge_blocks(child, shared))
    return module


def _is_known(block: Inception) -> bool:
    """Whether MergedInception(block) computes and learns what `block` does."""
    branches = dict(block.named_children())
    return (
        type(block).forward is Inception.forward
        and branches.keys() == {"branch_1x1", "branch_3x3", "branch_5x5", "branch_pool"}
        and all(type(part) is nn.Sequential and len(part) > 0 for part in branches.values())
        and len(block.branch_pool) == 2
        and not any(_is_watched(module) for module in block.modules())
        and _are_alike(siblings(block))
    )


def _are_alike(units: list[nn.Module]) -> bool:
    """Whether the units are convolution units that differ in the number of their channels alone."""
    kinds = []
    for unit in units:
        layers = list(unit) if type(unit) is nn.Sequential else []
        if [type(layer) for layer in layers] not in UNITS:
            return False
        kinds.append([])
        for layer in layers:
            settings = {name: value for name, value in vars(layer).items() if name[0] != "_"}
            for width in ("out_channels", "num_features"):
                settings.pop(width, None)
            learned = {name: p.requires_grad for name, p in layer.named_parameters()}
            kinds[-1].append((type(layer), settings, learned))
    return kinds[0][0][1]["groups"] == 1 and all(kind == kinds[0] for kind in kinds)


def _is_watched(module: nn.Module) -> bool:
    """Whether somebody hung a hook, or a `forward` of its own, on this very module."""
    hooks = (module._forward_pre_hooks, module._forward_hooks)
    hooks += (module._backward_pre_hooks, module._backward_hooks)
    return any(hooks) or "forward" in vars(module)


def _tensors(module: nn.Module):
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())

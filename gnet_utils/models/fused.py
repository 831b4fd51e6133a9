"""The same network in fewer, larger pieces: faster, and not for reading.

`merge` turns each Inception block into one whose sibling 1x1 convolutions are one convolution, for
training or inference; `unmerge_into` brings what was learned back into the readable network.
`fold` also works every batch norm into the convolution before it, for inference only. What is not
exactly the block, or the unit, that they know stays as it is.
"""

import copy
from collections import Counter

import torch
from torch import Tensor, nn

from gnet_utils.models.inception import Inception
from gnet_utils.models.layers import ConvUnit

SIBLINGS = ("branch_1x1", "branch_3x3.0", "branch_5x5.0")  # the units that read a block's input
CHAINS = ("branch_3x3", "branch_5x5", "branch_pool")


class MergedInception(nn.Module):
    """An Inception block that computes its sibling 1x1 convolutions as one.

    All of them read the same input: one product with a taller matrix does the same work in one go.
    Of the pool branch the projection belongs to them only where it comes before the pooling. What
    follows the 1x1 convolutions may be anything, split windows too. Takes `block` apart.
    """

    def __init__(self, block: Inception):
        super().__init__()
        self.training = block.training
        self.siblings = siblings(block)
        units = [block.get_submodule(name) for name in self.siblings]
        self.sizes = [unit.conv.out_channels for unit in units]
        self.front = join(units)
        self.branch_3x3, self.branch_5x5 = block.branch_3x3, block.branch_5x5
        self.branch_pool = block.branch_pool
        for name in self.siblings[1:]:
            self.set_submodule(name, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        out_1x1, reduced_3x3, reduced_5x5, *projected = self.front(x).split(self.sizes, dim=1)
        pooled = self.branch_pool(projected[0] if projected else x)
        parts = [out_1x1, self.branch_3x3(reduced_3x3), self.branch_5x5(reduced_5x5), pooled]
        return torch.cat(parts, dim=1)


def siblings(block: Inception) -> list[str]:
    """The names of the units of `block` that are 1x1 and read the block's own input."""
    project_first = isinstance(block.branch_pool[0], ConvUnit)
    return [*SIBLINGS, "branch_pool.0"] if project_first else list(SIBLINGS)


def join(units: list[ConvUnit]) -> ConvUnit:
    """One unit whose output channels are those of all `units` in a row."""
    joined = copy.deepcopy(units[0])
    joined.conv.out_channels = sum(unit.conv.out_channels for unit in units)
    if isinstance(joined.norm, nn.BatchNorm2d):
        joined.norm.num_features = joined.conv.out_channels
    for name, tensor in joined.state_dict(keep_vars=True).items():
        if tensor.ndim:  # all but the batch norm's counter of batches
            tensor.data = torch.cat([unit.state_dict()[name] for unit in units])
    return joined


def unmerge_into(merged: nn.Module, network: nn.Module) -> None:
    """Copy all weights and running statistics of `merged` = merge(network) back into `network`."""
    state = merged.state_dict()
    for prefix, block in merged.named_modules():
        if isinstance(block, MergedInception):
            prefix += "." if prefix else ""
            for name in block.front.state_dict():
                joined = state.pop(f"{prefix}front.{name}")
                parts = joined.split(block.sizes) if joined.ndim else [joined] * len(block.sizes)
                for sibling, part in zip(block.siblings, parts, strict=True):
                    state[f"{prefix}{sibling}.{name}"] = part
    network.load_state_dict(state)


def merge(network: nn.Module) -> nn.Module:
    """A copy of `network` with its Inception blocks merged: same outputs, with SGD same training.

    "Same" up to the rounding of sums, because one large product adds in another order. A block
    stays as it is unless it is an `Inception`, or of a subclass without a `forward` of its own,
    whose sibling units are alike, also in what of them is frozen, with no hooks and no weights that
    other layers have too.
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
    for unit in folded.modules():
        if type(unit) is not ConvUnit or any(_is_watched(part) for part in unit.modules()):
            continue
        conv, norm = unit.conv, unit.norm
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
            unit.conv, unit.norm = nn.utils.fuse_conv_bn_eval(conv, norm), nn.Identity()
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
        and branches.keys() == {"branch_1x1", *CHAINS}
        and all(type(branches[name]) is nn.Sequential and branches[name] for name in CHAINS)
        and not any(_is_watched(module) for module in block.modules())
        and _are_alike([block.get_submodule(name) for name in siblings(block)])
    )


def _are_alike(units: list[nn.Module]) -> bool:
    """Whether the units are 1x1 units as ConvUnit makes them, different in their widths alone."""
    kinds = set()
    for unit in units:
        if type(unit) is not ConvUnit:
            return False
        norm = "batch" if isinstance(unit.norm, nn.BatchNorm2d) else None
        with torch.device("meta"):  # no random number is drawn
            new = ConvUnit(unit.conv.in_channels, unit.conv.out_channels, 1, norm=norm)
        if repr(unit) != repr(new):  # which names the class and the settings of each layer
            return False
        modes = tuple(layer.training for layer in unit.modules())
        learned = tuple(parameter.requires_grad for parameter in unit.parameters())
        kinds.add((norm, modes, learned))
    return len(kinds) == 1


def _is_watched(module: nn.Module) -> bool:
    """Whether somebody hung a hook, or a `forward` of its own, on this very module."""
    hooks = (module._forward_pre_hooks, module._forward_hooks)
    hooks += (module._backward_pre_hooks, module._backward_hooks)
    return any(hooks) or "forward" in vars(module)

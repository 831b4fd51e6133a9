"""The same network in fewer, larger pieces: faster, and not for reading.

`merge` turns each Inception block into one whose sibling 1x1 convolutions are one convolution, for
training or inference; `unmerge_into` brings what was learned back into the readable network.
`fold` also works every batch norm into the convolution before it, for inference only; that step is
PyTorch's. Where a learner has changed a block, it stays as it is.
"""

import copy

import torch
from torch import Tensor, nn

from gnet_utils.models.inception import Inception
from gnet_utils.models.layers import ConvUnit


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
    names = ["branch_1x1", "branch_3x3.0", "branch_5x5.0"]
    project_first = isinstance(block.branch_pool[0], ConvUnit)
    return [*names, "branch_pool.0"] if project_first else names


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
    stays as it is when it has a `forward` of its own, or siblings that are not alike. So does a
    whole network with hooks, or with weights that two of its parts share.
    """
    merged = copy.deepcopy(network)
    return merged if _is_watched(merged) or _shares_weights(merged) else _merge_blocks(merged)


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
        if type(unit) is not ConvUnit or _is_watched(unit):
            continue
        conv, norm = unit.conv, unit.norm
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            unit.conv, unit.norm = nn.utils.fuse_conv_bn_eval(conv, norm), nn.Identity()
    return folded


def _merge_blocks(module: nn.Module) -> nn.Module:
    if isinstance(module, Inception):
        return MergedInception(module) if _is_known(module) else module
    for name, child in module.named_children():
        setattr(module, name, _merge_blocks(child))
    return module


def _is_known(block: Inception) -> bool:
    """Whether MergedInception(block) computes and learns what `block` does."""
    chains = [block.branch_3x3, block.branch_5x5, block.branch_pool]
    return (
        type(block).forward is Inception.forward
        and all(type(chain) is nn.Sequential and chain for chain in chains)
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


def _is_watched(network: nn.Module) -> bool:
    """Whether somebody hung a hook on a part of the network: it has to run as it is."""
    return any(m._forward_pre_hooks or m._forward_hooks for m in network.modules())


def _shares_weights(network: nn.Module) -> bool:
    uses = network.named_parameters(remove_duplicate=False)
    return len(list(uses)) > len(list(network.parameters()))

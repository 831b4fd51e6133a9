"""The same network in fewer, larger pieces: faster, and not for reading.

`merge` turns each Inception block into one whose sibling 1x1 convolutions are one convolution, for
training or inference; `unmerge_into` brings what was learned back into the readable network.
`fold` also works every batch norm into the convolution before it, for inference only.
"""

import copy

import torch
from torch import Tensor, nn

from gnet_utils.models import Inception


class MergedInception(nn.Module):
    """An Inception block that computes its sibling 1x1 convolutions as one.

    All of them read the same input: one product with a taller matrix does the same work in one go.
    Of the pool branch the projection belongs to them only where it comes before the pooling. What
    follows the 1x1 convolutions may be anything, as in the factorised blocks.
    """

    def __init__(self, block: Inception):
        super().__init__()
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
    stays as it is where only some of the siblings are frozen: a tensor learns whole or not at all.
    """
    return _merge_blocks(copy.deepcopy(network))


def fold(network: nn.Module) -> nn.Module:
    """A copy of `network` for inference: batch norms folded into convolutions, siblings merged.

    In `eval()` a batch norm is a fixed scale and shift for each channel; so is a change of the
    convolution's weights and bias. Raises ValueError when the network is in training mode, where
    a batch norm depends on the batch.
    """
    if network.training:
        raise ValueError("network must be in eval mode to be folded: call network.eval() first")
    folded = merge(network)
    for module in list(folded.modules()):
        if not isinstance(module, nn.Sequential) or len(module) < 2:
            continue
        conv, norm = module[0], module[1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module[0] = nn.utils.fuse_conv_bn_eval(conv, norm)
            module[1] = nn.Identity()
    return folded


def _merge_blocks(module: nn.Module) -> nn.Module:
    if isinstance(module, Inception):
        kinds = {tuple(p.requires_grad for p in unit.parameters()) for unit in siblings(module)}
        return MergedInception(module) if len(kinds) == 1 else module
    for name, child in module.named_children():
        setattr(module, name, _merge_blocks(child))
    return module


def _tensors(module: nn.Module):
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())

"""Right answers of many forms to notebook 11, and wrong ones with words of what they are told."""

from collections.abc import Callable

import torch
from torch import nn

from answers.forms import Calling, forms
from gnet_utils.counting import count_macs, layer_table
from gnet_utils.exercises.n11 import count_row, repair
from gnet_utils.models import GOOGLENET_BLOCKS
from gnet_utils.models.layers import ConvUnit


def hooked(pair: Callable = lambda layer, given: layer.weight.numel(), places=None, total=None):
    """The function of exercise 11.1: weights of a layer, places, and the two sums."""
    places = places or (lambda layer, received, given: given.shape[2:].numel())
    total = total or (lambda costs: (sum(w for w, _ in costs), sum(m for _, m in costs)))

    def row(part, shape):
        costs = []

        def note(layer, received, given):
            weights = pair(layer, given)
            costs.append((weights, weights * places(layer, received[0], given)))

        layers = [m for m in part.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        hooks = [layer.register_forward_hook(note) for layer in layers]
        part(torch.zeros(1, *shape))
        for hook in hooks:
            hook.remove()
        return total(costs)

    return row


def blank(part, shape):
    return ...


def by_parameters(part, shape):
    """From the parameters and PyTorch's counter, as a tensor and a list."""
    weights = sum(p.numel() for name, p in part.named_parameters() if name.endswith("weight"))
    return [torch.tensor(weights), float(count_macs(part, (1, *shape)))]


def dense(layer, given):
    if isinstance(layer, nn.Linear):
        return layer.weight.numel()
    return layer.in_channels * layer.out_channels * layer.kernel_size[0] ** 2


def with_biases(layer, given):
    return layer.weight.numel() + layer.bias.numel()


def macs_with_biases(part, shape):
    layers = layer_table(part, (1, *shape))
    return count_row(part, shape)[0], sum(layer.macs + layer.activations for layer in layers)


def theirs(in_channels: int, out_channels: int, k: int, **options) -> nn.Module:
    from torchvision.models.googlenet import BasicConv2d

    return BasicConv2d(in_channels, out_channels, kernel_size=k, **options)


def repaired(last: Callable, pool=None, branch="branch3", place=1) -> Callable:
    """The function of exercise 11.3; `last` makes the new layer out of a row's widths."""

    def put_right(network):
        for name, widths in GOOGLENET_BLOCKS.items():
            block = network.get_submodule(f"inception{name}")
            block.get_submodule(branch)[place] = last(widths)
        network.maxpool4 = pool or nn.MaxPool2d(3, stride=2, ceil_mode=True)
        return network

    return put_right


def five(widths) -> nn.Module:
    return theirs(widths.reduce_5x5, widths.out_5x5, 5, padding=2)


def changed_in_place(network):
    """Only the convolution is exchanged, and the pool keeps its place."""
    for name in GOOGLENET_BLOCKS:
        unit = network.get_submodule(f"inception{name}").branch3[1]
        old = unit.conv
        unit.conv = nn.Conv2d(old.in_channels, old.out_channels, 5, padding="same", bias=False)
    network.maxpool4.kernel_size = 3
    return network.train()


def first_block_only(network):
    network.inception3a.branch3[1] = five(GOOGLENET_BLOCKS["3a"])
    return network


def no_relu(network):
    network = repair(network)
    network.conv1.forward = lambda x: network.conv1.bn(network.conv1.conv(x))
    return network


RIGHT = {
    "11.row": [count_row, hooked(), by_parameters, Calling(hooked())],
    "11.width": forms(48),
    "11.repair": [
        repair,
        repaired(five),
        repaired(lambda w: ConvUnitNamed(w.reduce_5x5, w.out_5x5)),
        changed_in_place,
    ],
}


class ConvUnitNamed(ConvUnit):
    """The package's unit in the place of torchvision's."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 5, padding=2, norm="batch")


WRONG = {
    "11.row": [
        (blank, "weights, macs and what row returns"),
        (hooked(total=lambda costs: ...), "weights, macs and what row returns"),
        (
            hooked(places=lambda layer, received, given: 1, total=lambda costs: 1 + ...),
            "... is left",
        ),
        (hooked(with_biases), "the biases count too"),
        (hooked(dense), "every filter counts as if it read all channels"),
        (hooked(places=lambda layer, received, given: 1), "once in all"),
        (
            hooked(places=lambda layer, received, given: received.shape[2:].numel()),
            "map that comes in",
        ),
        (hooked(places=lambda layer, received, given: 2 * given.shape[2:].numel()), "FLOPs"),
        (
            hooked(places=lambda layer, received, given: given.shape[2] * given.shape[3]),
            "for a linear layer it stops with IndexError",
        ),
        (hooked(total=lambda costs: costs[-1]), "only the last layer counts"),
        (lambda part, shape: (1234, 5), "1,234 weights come back"),
        (lambda part, shape: count_row(part, shape)[::-1], "in the other order"),
        (lambda part, shape: ([1, 2], [3, 4]), "lists come back"),
        (lambda part, shape: (0, 0), "does note count"),
        (lambda part, shape: 5, "two numbers are asked for"),
        (macs_with_biases, "the biases are no multiply-adds"),
        (lambda part, shape: None, "does it end with return"),
    ],
    "11.repair": [
        (lambda network: network, "the third branch of each block, and pool4"),
        (first_block_only, "still a 3x3 in the place of the 5x5"),
        (repaired(five, pool=nn.MaxPool2d(2, 2)), "maxpool4 still has windows of 2x2"),
        (repaired(five, pool=nn.MaxPool2d(3, 2)), "makes 6x6 of 14x14"),
        (repaired(five, pool=nn.MaxPool2d(3, 2, padding=1)), "right size and other numbers"),
        (repaired(lambda w: nn.Conv2d(w.reduce_5x5, w.out_5x5, 5, padding=2)), "no batch norm"),
        (repaired(lambda w: theirs(w.reduce_5x5, w.out_5x5, 5)), "a 5x5 needs padding=2"),
        (
            repaired(lambda w: theirs(w.out_5x5, w.reduce_5x5, 5, padding=2)),
            "its 5x5 goes from 32 to 16",
        ),
        (repaired(five, branch="branch2"), "its windows are now 1-1-5-1-3-1"),
        (
            repaired(lambda w: theirs(192, w.reduce_5x5, 5, padding=2), place=0),
            "its windows are now 1-1-3-5-3-1",
        ),
        (no_relu, "something else has changed"),
        (lambda network: None, "does it end with return"),
        (lambda network: 5, "something else than torchvision's network"),
        (nn.Identity(), "hand in the function"),
    ],
}

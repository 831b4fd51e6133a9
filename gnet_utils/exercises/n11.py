"""Exercises and predictions of notebook 11, Table 1 to the last digit."""

from typing import Any

import torch
from torch import Tensor, nn

from gnet_utils.counting import layer_table
from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, as_number, first_line, number
from gnet_utils.exercises.trials import call, filled, named
from gnet_utils.models import GOOGLENET_BLOCKS, GoogLeNet, Inception
from gnet_utils.passes import hooked

# 11.row -------------------------------------------------------------------------------------------


def count_row(part: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """The course's own answer: weights and MACs of `part` on one input of `shape`."""
    layers = layer_table(part, (1, *shape))
    return sum(layer.weights for layer in layers), sum(layer.macs for layer in layers)


def judge_row(answer: Any) -> str | None:
    """Whether a function counts weights and MACs: with a stride, groups, many layers, no map."""
    separable = nn.Sequential(nn.Conv2d(6, 24, 3, padding=1, groups=6), nn.Conv2d(24, 8, 1))
    pieces = {
        "a 5x5 convolution with stride 2": (nn.Conv2d(3, 4, 5, 2, 2), (3, 16, 20)),
        "block 3a": (Inception(192, *GOOGLENET_BLOCKS["3a"]), (192, 14, 14)),
        "a convolution with groups": (separable, (6, 12, 12)),
        "a linear layer": (nn.Linear(10, 7), (10,)),
    }
    for what, (part, shape) in pieces.items():
        with filled(Mistake("a place with ... is left in note.")):  # a sum over blanks
            got = call(answer, part.eval(), shape, how=f"for {what}")
        if got is ...:
            raise Blank("weights, macs and what row returns")
        if mistake := _other_counts(part, shape, got):
            return f"for {what} {mistake}"
    return None


def _other_counts(part: nn.Module, shape: tuple[int, ...], got: Any) -> str | None:
    """What is wrong with the counts of one part, or None."""
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        return f"two numbers are asked for, (weights, multiply-adds), got {got!r:.40}."
    if any(isinstance(value, (tuple, list)) for value in got):
        return "lists come back: add them up, one number for the weights and one for the MACs."
    numbers = [as_number(value) for value in got]
    for value in numbers:
        if isinstance(value, str):
            return value
    weights, macs = count_row(part, shape)
    if numbers == [weights, macs]:
        return None
    if numbers == [0, 0]:
        return "both counts are 0: does note count something for each layer?"
    if numbers == [macs, weights]:
        return "the two numbers come in the other order: (weights, multiply-adds)."
    layers = layer_table(part, (1, *shape))
    dense = sum(
        m.in_channels * m.out_channels * m.kernel_size[0] ** 2
        for m in part.modules()
        if isinstance(m, nn.Conv2d)
    )
    slips = {
        "the biases count too; Table 1 counts weights only.": sum(
            layer.parameters for layer in layers
        ),
        "only the last layer counts: add up all of them.": layers[-1].weights,
        "every filter counts as if it read all channels: ask layer.weight how many numbers it "
        "has.": dense,
    }
    if numbers[0] != weights:
        told = named(slips, lambda wrong: wrong == numbers[0])
        return told or f"{numbers[0]:,.0f} weights come back, there are {weights:,}."
    slips = {
        "these are FLOPs: one multiply-add is two of them.": 2 * macs,
        "each weight works once for each place of the map; here it works once in all.": weights,
        "the places are those of the map that comes in; count those of the map that comes "
        "out.": weights * torch.Size(shape[1:]).numel(),
        "the biases are no multiply-adds.": sum(
            layer.macs + layer.activations * bool(layer.biases) for layer in layers
        ),
    }
    told = named(slips, lambda wrong: wrong == numbers[1])
    return told or f"{numbers[1]:,.0f} multiply-adds come back, there are {macs:,}."


# 11.repair ----------------------------------------------------------------------------------------


def torchvision_net(num_classes: int = 10) -> nn.Module:
    """torchvision's GoogLeNet without heads, as it comes."""
    from torchvision.models import googlenet

    return googlenet(
        weights=None, init_weights=False, aux_logits=False, num_classes=num_classes
    ).eval()


def repair(net: nn.Module) -> nn.Module:
    """The course's own answer: torchvision's net with true 5x5 windows and the paper's pool4."""
    from torchvision.models.googlenet import BasicConv2d

    for name, widths in GOOGLENET_BLOCKS.items():
        block = net.get_submodule(f"inception{name}")
        block.branch3[1] = BasicConv2d(widths.reduce_5x5, widths.out_5x5, kernel_size=5, padding=2)
    net.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return net


def layers_as_they_run(net: nn.Module, images: Tensor) -> list[nn.Module]:
    """Convolutions, batch norms and linear layers in the order in which they run."""
    order, kinds = [], (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    layers = [named for named in net.named_modules() if isinstance(named[1], kinds)]
    with torch.no_grad(), hooked(layers, lambda name, layer, output: order.append(layer)):
        net.eval()(images)
    return order


def judge_repair(answer: Any) -> str | None:
    """Whether a function puts torchvision's net right: windows, pool4, then all numbers."""
    if isinstance(answer, nn.Module):
        return "this is a module: hand in the function, without brackets."
    net = call(answer, torchvision_net(), how="on torchvision's net")
    if not hasattr(net, "maxpool4"):
        return "the function returns something else than torchvision's network."
    blocks = {name: net.get_submodule(f"inception{name}") for name in GOOGLENET_BLOCKS}
    left = [name for name, block in blocks.items() if _windows(block) == [1, 1, 3, 1, 3, 1]]
    pool_left = net.maxpool4.kernel_size in (2, (2, 2))
    if len(left) == 9 and pool_left:
        raise Blank("the third branch of each block, and pool4")
    if left:
        return f"{', '.join(left)}: there is still a 3x3 in the place of the 5x5."
    for name, block in blocks.items():
        if mistake := _odd_block(name, block):
            return f"block {name}: {mistake}"
    if pool_left:
        return "the blocks are right; maxpool4 still has windows of 2x2."
    return _odd_pool(net.maxpool4) or _other_numbers(net)


def _windows(block: nn.Module) -> list[int]:
    return [layer.kernel_size[0] for layer in block.modules() if isinstance(layer, nn.Conv2d)]


def _odd_block(name: str, block: nn.Module) -> str | None:
    widths, windows = GOOGLENET_BLOCKS[name], _windows(block)
    if windows != [1, 1, 3, 1, 5, 1]:
        found = "-".join(map(str, windows))
        return f"its windows are now {found}; the paper's are 1-1-3-1-5-1."
    last = block.branch3[1]
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in last.modules()):
        return "its 5x5 has no batch norm and no ReLU: a BasicConv2d brings both."
    conv = next(layer for layer in last.modules() if isinstance(layer, nn.Conv2d))
    got, wanted = (conv.in_channels, conv.out_channels), (widths.reduce_5x5, widths.out_5x5)
    if got != wanted:
        (found, out), (reduce, width) = got, wanted
        return f"its 5x5 goes from {found} to {out} channels; it should from {reduce} to {width}."
    if conv.padding not in ((2, 2), "same"):
        return f"a 5x5 needs padding=2, or its map shrinks; here it is {conv.padding[0]}."
    return None


def _odd_pool(pool: nn.Module) -> str | None:
    maps = torch.randn(1, 2, 14, 14, generator=torch.Generator().manual_seed(0)) - 3
    given = pool(maps)
    if given.shape[-1] != 7:
        size = f"{given.shape[-2]}x{given.shape[-1]}"
        return f"maxpool4 makes {size} of 14x14, not 7x7: take stride=2 and ceil_mode=True."
    if not torch.equal(given, nn.MaxPool2d(3, 2, ceil_mode=True)(maps)):
        return "maxpool4 has the right size and other numbers: no padding, ceil_mode=True."
    return None


def _other_numbers(net: nn.Module) -> str | None:
    """Same weights as the package's net with batch norm, same numbers?"""
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    reference = GoogLeNet(10, norm="batch", aux=False)
    try:
        pairs = zip(
            layers_as_they_run(reference, images), layers_as_they_run(net, images), strict=True
        )
        with torch.no_grad():
            for ours, theirs in pairs:
                if isinstance(ours, nn.BatchNorm2d):
                    ours.bias.normal_(std=0.5)
                theirs.load_state_dict(ours.state_dict())
            right, got = reference.eval()(images), net.eval()(images)
    except Exception as error:
        return f"moving our weights in stops with {first_line(error)}"
    if torch.allclose(got, right, rtol=1e-3, atol=1e-3 * right.abs().max().item()):
        return None
    return "same weights, other numbers: something else has changed too."


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "row": Exercise(
        judge_row,
        right="a stride, groups, a whole block and a linear layer: weights and MACs are exact.",
        hints=[
            "layer.weight is a tensor, and the output knows the size of its map: print both.",
            "Each weight works once at each place of the map that comes out; a linear layer has "
            "one place.",
            "A 7x7 from 2 to 5 channels that gives 9x9 maps: 7 * 7 * 2 * 5 = 490 weights, 490 * 81 "
            "MACs. torch.Size([9, 9]).numel() is 81, torch.Size([]).numel() is 1; "
            "sum(pair[0] for pair in [(1, 5), (2, 6)]) is 3.",
        ],
        course=lambda: count_row,
    ),
    "width": number(
        48,
        mistakes={
            32: "that is the printed width; with it the block makes 51M.",
            64: "with that the block makes 57M.",
            40: "with that the block makes 53M, not 54M, and 40 is no multiple of 16.",
            54: "that is the printed number of millions; asked for is a width in channels.",
            47: "that rounds to 54M too, but it is no multiple of 16.",
        },
        hints=[
            'Only the fourth of the six widths changes: GOOGLENET_BLOCKS["5a"]._replace(...).',
            "Try the multiples of 16 in a loop, and divide the multiply-adds by a million.",
            'For the projection of 3a: Inception(192, *GOOGLENET_BLOCKS["3a"]._replace('
            "pool_proj=48)), read by count with (192, 28, 28), makes 130.5 million.",
        ],
        right="54.24 million multiply-adds; the printed 32 makes 51.08.",
    ),
    "repair": Exercise(
        judge_repair,
        right="same weights in, same numbers out as the course's network with batch norm.",
        hints=[
            "Read the printed parts: which index of branch3 holds the 3x3, and what is it made of?",
            "BasicConv2d(in, out, kernel_size=..., padding=...) goes into that place; its widths "
            "are widths.reduce_5x5 and widths.out_5x5.",
            "To give the second branch a 7x7: block.branch2[1] = BasicConv2d(widths.reduce_3x3, "
            "widths.out_3x3, kernel_size=7, padding=3). A pool with windows of 4: "
            "nn.MaxPool2d(4, stride=2, ceil_mode=True).",
        ],
        course=lambda: repair,
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["K = 1000, M = 1,000,000", "K = 1024, M = 1,000,000", "K = 1024, M = 1024 x 1024"],
        right=1,
        because="112 x 1024 = 114,688 to the digit, and 360 million operations are 360,000,000.",
    ),
    "p2": Prediction(
        ["8 filters of 7x7 for each colour, then a 1x1", "4x4 windows", "a gray photo"],
        right=0,
        because="2,712 weights and 34.0 million MACs; the other two have 3,072 and 3,136 weights.",
    ),
    "p3": Prediction(
        ["all four", "the 3x3 and the pool", "the 3x3 alone"],
        right=2,
        because="A 2x2 pool makes 7x7 of 14x14 too; norms and dropout are not counted.",
        held=(2, 3),
    ),
}

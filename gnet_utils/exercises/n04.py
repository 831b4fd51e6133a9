"""Exercises and predictions of notebook 04, the full GoogLeNet."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnet_utils.exercises import Blank, Exercise, Prediction, first_line, number
from gnet_utils.exercises.trials import call, check_class, counts_below_zero, named, run, shapes_of
from gnet_utils.models import GOOGLENET_BLOCKS, ConvUnit, GoogLeNet, Inception

# 04.network: what the learner fills in is stage 4 and the way into the heads ----------------------

STAGE_4 = [*(f"inception_4{letter}" for letter in "abcde"), "pool4"]
IN_CHANNELS = {"4a": 480, "4b": 512, "4c": 512, "4d": 512, "4e": 528}
HEADS = {"aux1": "4a", "aux2": "4d"}


def judge_network(answer: Any) -> str | None:
    """Whether a class is GoogLeNet: stage 4 and the heads as in the paper, then all numbers."""
    check_class(answer, "a network")
    net = answer(10)
    images = 50 * torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    missing = [name for name in STAGE_4 if not isinstance(getattr(net, name, None), nn.Module)]
    trip = travel(net.eval(), images)
    blank = any(step.received is ... for step in trip.steps)
    if blank and len(missing) >= 5:  # the stub as it is
        raise Blank("stage 4, in __init__ and in forward")
    if missing or blank:
        return f"still to fill in: {', '.join(missing + ['stage 4 in forward'] * blank)}."
    if mistake := (
        _odd_block(net) or _odd_pool(net.pool4) or _odd_order(trip) or _stops(trip, "eval()")
    ):
        return mistake
    trip = travel(_without_dropout(net).train(), images)
    return _odd_heads(trip) or _other_numbers(net, trip, images)


class Step(NamedTuple):
    """A part of a network at work."""

    name: str
    received: Any
    given: Any  # None where it stopped


class Trip(NamedTuple):
    """What the parts of a network did on the way, what it gave, or what stopped it."""

    steps: list[Step]
    layers: list[nn.Module]  # with weights, in the order in which they ran
    output: Any
    error: Exception | None


def travel(net: nn.Module, images: Tensor) -> Trip:
    """Send pictures through a network and note every child and every layer that runs."""
    steps, layers, hooks = [], [], []
    for name, part in net.named_children():

        def before(_, received, name=name):
            steps.append(Step(name, received[0] if received else None, None))

        def after(_, received, given, name=name):
            steps[-1] = Step(name, received[0], given)

        hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            hooks.append(layer.register_forward_hook(lambda layer, *_: layers.append(layer)))
    try:
        with torch.no_grad():
            return Trip(steps, layers, net(images), None)
    except Exception as error:
        return Trip(steps, layers, None, error)
    finally:
        for hook in hooks:
            hook.remove()


def _without_dropout(net: nn.Module) -> nn.Module:
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return net


def _stops(trip: Trip, mode: str) -> str | None:
    if trip.error is None:
        return None
    place = f" at {trip.steps[-1].name}" if trip.steps and trip.steps[-1].given is None else ""
    return f"in {mode} it stops{place} with {first_line(trip.error)}"


def _odd_block(net: nn.Module) -> str | None:
    """The block of stage 4 that does not read what comes, or has the widths of another row."""
    for name, channels in IN_CHANNELS.items():
        block = getattr(net, f"inception_{name}")
        found = shapes_of(block)
        if not found:
            return f"inception_{name} is no block: it has no convolution."
        wanted = shapes_of(Inception(channels, *GOOGLENET_BLOCKS[name]))
        read = next(iter(found))[0]  # the first convolution of a block reads what comes
        if read != channels:
            before = {"4a": "pool3"}.get(name, f"4{chr(ord(name[1]) - 1)}")
            return f"inception_{name} reads {read} channels, but {channels} leave {before}."
        if found != wanted:
            return f"inception_{name} has not the widths of its row in the table."
    return None


def _odd_pool(pool: nn.Module) -> str | None:
    maps = torch.randn(1, 2, 14, 14, generator=torch.Generator().manual_seed(0)) - 3
    with torch.no_grad():
        given = pool(maps)
    if torch.equal(given, nn.MaxPool2d(3, 2, ceil_mode=True)(maps)):
        return None
    slips = {
        "pool4 has windows of 2x2; the paper's are 3x3.": nn.MaxPool2d(2),
        "pool4 takes the mean; the paper's takes the largest.": nn.AvgPool2d(3, 2, ceil_mode=True),
        "the windows of pool4 begin in a frame of padding: take ceil_mode=True.": nn.MaxPool2d(
            3, 2, padding=1
        ),
    }
    same = {words: slip(maps) for words, slip in slips.items()}
    told = named(same, lambda wrong: wrong.shape == given.shape and torch.allclose(wrong, given))
    height, width = given.shape[-2:]
    return told or f"pool4 makes {height}x{width} of 14x14 in its own way: take halving_pool()."


def _odd_order(trip: Trip) -> str | None:
    """What runs in evaluation: the five blocks and the pool, each once, and no head."""
    ran = [step.name for step in trip.steps if step.name in STAGE_4]
    if head := next((step.name for step in trip.steps if step.name in HEADS), None):
        return f"{head} runs in eval() too: heads work in training only, so ask self.training."
    for name in STAGE_4:
        if ran.count(name) > 1:
            return f"{name} runs {ran.count(name)} times."
        if name not in ran and not (trip.error and ran == STAGE_4[: len(ran)]):
            return f"{name} does not run."
    if ran != STAGE_4[: len(ran)]:
        return f"the order of stage 4 is {', '.join(name[-2:] for name in ran[:-1])}, {ran[-1]}."
    return None


def _odd_heads(trip: Trip) -> str | None:
    """Where the heads branch off in training, and what becomes of their answers."""
    steps = {step.name: step for step in trip.steps}
    for head, place in HEADS.items():
        if head not in steps:
            return _stops(trip, "train()") or f"in train() {head} does not run."
        before = [s for s in trip.steps if s.given is steps[head].received is not None]
        if not before or before[0].name[-2:] != place:
            found = before[0].name if before else "something else"
            return f"{head} hangs on {found}; it belongs behind inception_{place}."
    if stopped := _stops(trip, "train()"):
        return stopped
    given = trip.output
    if not (isinstance(given, tuple) and len(given) == 3):
        return "in train() three answers come back: (logits, aux1, aux2)."
    for head, answer in zip(HEADS, given[1:], strict=True):
        if answer is None:
            return f"in train() {head} comes back as None: keep what self.{head} gives."
        if answer is not steps[head].given:
            return f"what comes back as {head} is not what self.{head} gave."
    return None


def _other_numbers(net: nn.Module, trip: Trip, images: Tensor) -> str | None:
    """Same weights as the package's net, the same numbers in training and in evaluation?"""
    reference = _without_dropout(GoogLeNet(10))
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
    right = travel(reference.train(), images)
    if [m.weight.shape for m in trip.layers] != [m.weight.shape for m in right.layers]:
        return "other layers run than the paper's: is a line outside of stage 4 changed?"
    for own, theirs in zip(trip.layers, right.layers, strict=True):
        if own.bias is None:
            return "a layer has no bias: leave out bias=False."
        own.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        answers = [*net.train()(images), net.eval()(images)]
    for numbers, expected in zip(answers, [*right.output, right.output[0]], strict=True):
        if numbers.shape != expected.shape:
            return f"for one picture {tuple(numbers.shape)} comes out, not (1, 10)."
        size = expected.abs().max().item()
        if not torch.allclose(numbers, expected, rtol=1e-3, atol=1e-3 * size):
            return "same weights, other numbers: is a line of the stub changed?"
    return None


# 04.stem: 28x28 pixels reach block 3a as they are ------------------------------------------------


def small_stem() -> nn.Module:
    """The stem of `FashionGoogLeNet` with biases: maps (N, 1, 28, 28) to (N, 192, 28, 28)."""
    return nn.Sequential(
        ConvUnit(1, 64, 3, padding=1), ConvUnit(64, 64, 1), ConvUnit(64, 192, 3, padding=1)
    )


def judge_stem(answer: Any) -> str | None:
    """Whether a function returns a module from (N, 1, 28, 28) to (N, 192, 28, 28)."""
    if isinstance(answer, nn.Module):
        return "this is a module: hand in the function that returns one, without brackets."
    stem = call(answer)
    if stem is ...:
        raise Blank("what small_stem returns")
    images = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    convs = [layer for layer in _parts_of(stem) if isinstance(layer, nn.Conv2d)]
    if convs and convs[0].in_channels == 3:
        return "its first convolution reads 3 channels; these pictures have one."
    out, ran = run(stem, images, may_enlarge=False, new_norms=True)
    if len(ran) < 3:
        return f"{len(ran)} convolutions run; the stem has three."
    if out.ndim != 4 or out.shape[:2] != (2, 192):
        return f"maps (2, 192, 28, 28) should come out, got {tuple(out.shape)}."
    if out.shape[2:] != (28, 28):
        height, width = out.shape[2:]
        return (
            f"a map of {height}x{width} comes out, 28x28 is wanted: which stride, pooling or "
            "missing padding shrinks it?"
        )
    for n in range(len(ran)):
        if counts_below_zero(stem, images, n):
            return f"convolution {n + 1} has no ReLU behind it: values below zero still count."
    if all(convolution.weight.shape[-1] == 1 for convolution in ran):
        return "all windows are 1x1: the stem's first and last look at neighbours too."
    return None


def _parts_of(stem: Any) -> list[nn.Module]:
    return list(stem.modules()) if isinstance(stem, nn.Module) else []


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "network": Exercise(
        judge_network,
        right="the package's weights fit, and the same numbers come out, in eval() and in train().",
        hints=[
            "Read the table of widths row by row: each block reads what the one above puts out.",
            "A line of forward for each block, and the pool. A head reads the map between two of "
            "these lines, and only if self.training; its answer stays in aux1 or aux2.",
            "Stage 3 with a head behind 3a and its pool would be four lines: "
            "x = self.inception_3a(x); if self.training: aux0 = self.aux0(x); "
            "x = self.inception_3b(x); x = self.pool3(x).",
        ],
        course=lambda: GoogLeNet,
    ),
    "flatten": number(
        9_216_000,
        mistakes={
            50_176_000: "that is the 7x7 map of a 224x224 photo.",
            9_217_000: "that counts the 1000 biases too.",
            1_024_000: "that is the layer after averaging; here all places are kept.",
            36_864_000: "that is a map of 6x6: one halving is missing.",
            29_952_000: "that is the map before pool4, 6x6 with 832 channels.",
            3_072_000: "a map has height and width: that takes one side only.",
            92_160: "that is for 10 classes.",
            9_216: "that is the length of the flat vector; each of its numbers has 1000 weights.",
        },
        hints=[
            "How large is the last map? Follow the comments in forward for another size.",
            "conv1 and each of the four pools halve the side. The last map has 1024 channels.",
            "At 160 pixels: 160, 80, 40, 20, 10, 5, so 5 * 5 * 1024 numbers, and 1000 weights "
            "for each of them.",
        ],
        right="3 * 3 * 1024 numbers, 1000 weights each; averaging needs a ninth of it.",
    ),
    "size": number(
        223,
        mistakes={
            224: "that is the paper's size; it can be a little smaller.",
            222: "at 222 conv1 makes 111, and block 4a gets 13x13.",
            209: "that rounds half the side up, once or in each layer: a pool makes 13 of 27.",
            210: "the pools round after their window of 3: 27 becomes 13, not 14.",
            237: "that is with pools that round down; these have ceil_mode.",
            31: "that is the smallest photo without heads.",
            270: "that is the largest one, where the map is 16x16.",
            96: "at 96 the map of 4a is 6x6.",
        },
        hints=[
            "Let the net find out: try it in train(), from 224 downwards.",
            "For each side: net.train(), a batch torch.zeros(2, 3, side, side), and `except "
            "ValueError` for a side that is too small.",
            "A neighbour: heads for maps of 10x10. 159 pixels give 80, 40, 20 and 10; 158 give "
            "79, 39, 19 and 9.",
        ],
        right="223 gives 112, 56, 28, 14, the same chain as 224.",
    ),
    "stem": Exercise(
        judge_stem,
        right="192 maps of 28x28: the blocks will not notice the difference.",
        hints=[
            "Look at the stem in your class: which of its parts make the map smaller?",
            "Keep the three convolutions, leave out what shrinks; a window of k needs padding "
            "(k - 1) / 2, and the pictures have one channel.",
            "Two convolutions for colour pictures of 64x64, to 96 channels: "
            "nn.Sequential(conv(3, 32, 5, padding=2), conv(32, 96, 3, padding=1)).",
        ],
        course=lambda: small_stem,
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["about 2%", "about 7%", "about 22%", "about 50%"],
        right=2,
        because="346.8 of 1,582.7 million: every weight works at 3136 places.",
        held=(2, 3),
    ),
    "p2": Prediction(
        ["about 8 million", "about 14 million", "about 56 million"],
        right=2,
        because="7 * 7 * 1024 * 1000 are 50 million weights for the linear layer alone.",
    ),
    "p3": Prediction(
        ["3b", "4b", "5a", "only the average pool"],
        right=1,
        because="With a stride of 16 a window of 5 adds 64 pixels: 171 after 4a, 235 after 4b.",
        held=(1, 2, 3),
    ),
    "p4": Prediction(
        ["nothing special", "it runs up to a head, which fails", "it fails in block 5a"],
        right=1,
        because="The heads pool a 14x14 map to 4x4; here it is 6x6. The mean takes any size.",
    ),
}

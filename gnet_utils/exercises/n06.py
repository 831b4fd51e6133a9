"""Exercises and predictions of notebook 06, auxiliary heads and the flow of gradients."""

import re
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gnet_utils.exercises import Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, named
from gnet_utils.models import GOOGLENET_BLOCKS
from gnet_utils.models.googlenet import GoogLeNetOutput

# 06.reach -----------------------------------------------------------------------------------------

UNREACHED = {"4e", "5a", "5b"}


def judge_reach(answer: Any) -> str | None:
    """Whether the answer names the blocks that the second head's loss does not reach."""
    if isinstance(answer, str):
        answer = (word for word in re.findall(r"\w+", answer) if word != "and")
    names = list(answer) if isinstance(answer, Iterable) else [answer]
    if not all(isinstance(name, str) for name in names):
        return 'names of blocks are asked for, such as ("3a", "3b").'
    blocks = {name.strip().lower().removeprefix("inception_") for name in names}
    if not blocks:
        return "no block is named: does the second head's loss reach all nine?"
    if unknown := blocks - GOOGLENET_BLOCKS.keys():
        known = ", ".join(GOOGLENET_BLOCKS)
        return f"there is no block {min(unknown)!r:.20}: they are {known}."
    if blocks == UNREACHED:
        return None
    if blocks == GOOGLENET_BLOCKS.keys() - UNREACHED:
        return "these are the blocks that it does reach."
    if blocks == UNREACHED | {"4d"}:
        return "the head reads what 4d puts out, so its gradient goes back through 4d."
    if blocks == {"5a", "5b"}:
        return "that would be a head after 4e; it sits one block earlier."
    if blocks == UNREACHED | {"4c", "4d"}:
        return "that would be heads after 4a and 4b, as some texts have it; they sit elsewhere."
    if blocks == UNREACHED | {"4b", "4c", "4d"}:
        return "these are the blocks that the first head does not reach; the second is asked for."
    if missing := UNREACHED - blocks:
        return f"{max(missing)} is missing: a loss reaches only what lies before it."
    return f"{max(blocks - UNREACHED)} lies before the second head: it gets a gradient."


# 06.total -----------------------------------------------------------------------------------------


def judge_total(answer: Any) -> str | None:
    """Whether a function (output, labels) gives last + 0.3 (aux1 + aux2), also without heads."""
    random = torch.Generator().manual_seed(6)
    parts = [(3 * torch.randn(8, 10, generator=random)).requires_grad_() for _ in range(3)]
    labels = torch.randint(0, 10, (8,), generator=random)
    got = _loss(call(answer, GoogLeNetOutput(*parts), labels, how="with an output of three heads"))
    last, aux1, aux2 = (F.cross_entropy(logits, labels) for logits in parts)
    if slip := _slip(got, last, aux1, aux2, parts, labels):
        return slip
    if not torch.isclose(got, last + 0.3 * (aux1 + aux2), atol=1e-4):
        return f"for losses {last:.2f}, {aux1:.2f}, {aux2:.2f} it gives {got:.2f}."
    for name, logits in zip(GoogLeNetOutput._fields, parts, strict=True):
        if not _reaches(got, logits):
            return f"the number is right, but {name} is cut off from it: no item(), no detach()."
    for count in (8, 3, 1):  # three pictures are not three heads
        logits, how = parts[0][:count], f"with the logits alone, as in eval(), {count} pictures,"
        alone = _loss(call(answer, logits, labels[:count], how=how))
        if not torch.isclose(alone, F.cross_entropy(logits, labels[:count]), atol=1e-4):
            return f"{how} the plain cross-entropy should come out."
        if not _reaches(alone, parts[0]):
            return f"{how} the number is right, but cut off from the network."
    return None


def _loss(got: Any) -> Tensor:
    if not isinstance(got, Tensor):
        raise Mistake(f"it returns {kind_of(got)}, not a tensor: backward() needs the tensor.")
    if got.numel() != 1:
        raise Mistake(f"one number is the loss, it returns the shape {tuple(got.shape)}.")
    return got.float().reshape(())


def _reaches(loss: Tensor, logits: Tensor) -> bool:
    """Whether a gradient of `loss` arrives at `logits`."""
    if not loss.requires_grad:
        return False
    (grad,) = torch.autograd.grad(loss, logits, retain_graph=True, allow_unused=True)
    return grad is not None


def _slip(got, last, aux1, aux2, parts, labels) -> str | None:
    """How the losses were put together to give what was got, None when it has no name."""
    blended = parts[0] + 0.3 * (parts[1] + parts[2])
    odds = [F.cross_entropy(logits.softmax(1), labels) for logits in parts]
    slips = {
        "that is the last head's loss alone; the other two add 0.3 of theirs.": last,
        "these are sums over the pictures: cross_entropy takes the mean by itself.": (
            8 * (last + 0.3 * (aux1 + aux2))
        ),
        "all three count fully: the two auxiliary losses weigh 0.3 each.": last + aux1 + aux2,
        "the last head's loss has weight 1, not 0.3.": 0.3 * (last + aux1 + aux2),
        "each head has weight 0.3; you took the mean of the two.": last + 0.3 * (aux1 + aux2) / 2,
        "you added up the logits; add up the losses.": F.cross_entropy(blended, labels),
        "cross_entropy takes logits: leave softmax out.": odds[0] + 0.3 * (odds[1] + odds[2]),
        "the last head's own loss is missing.": 0.3 * (aux1 + aux2),
        "the second head is missing.": last + 0.3 * aux1,
        "the first head is missing.": last + 0.3 * aux2,
    }
    return named(slips, lambda loss: torch.isclose(got, loss, atol=1e-4).item())


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "chain": number(
        16_777_216,
        mistakes={
            65_536: "that is 4 to the 8th, for the layers still passed; count those saved.",
            4**13: "that is thirteen layers: layers 20 to 9 are twelve.",
            4**11: "that is eleven layers: layers 20 to 9 are twelve.",
            4**20: "that is 4 to the 20th; eight of the twenty layers lie on both ways.",
            48: "factors of one layer after the other are multiplied, not added.",
            12: "that is the number of layers saved; each of them costs a factor.",
            0.25**12: "that is the ratio turned round: how many times larger is asked for.",
            20 / 8: "that compares the lengths of the two ways; each layer costs a factor.",
            0.25**8: "that is what the second gradient keeps; compare it with the first.",
            0.25**20: "that is what the first gradient keeps; compare the second with it.",
            0.3 * 4**12: "you took the weight 0.3 in; here both losses have weight 1.",
        },
        hints=[
            "How many layers does each of the two gradients pass on its way to layer 1?",
            "Twenty and eight: twelve are saved.",
            "Each layer multiplies by 0.25: 1 / 0.25 ** 12",
        ],
        right="twelve layers less are a factor of 4 to the 12th, almost 17 million.",
    ),
    "reach": Exercise(
        judge_reach,
        right="the loss of a head says nothing to what comes after it: three blocks of nine.",
        hints=[
            "Behind which block does the second head sit?",
            "A gradient runs backwards, from the loss towards the picture.",
            "net.exits(batch).aux2.sum().backward(), then look which blocks have a .grad.",
        ],
    ),
    "head": number(
        80_682,
        mistakes={
            80_384: "that is without the biases.",
            80_650: "the biases of the 1x1 are missing: there is no batch norm here.",
            113_152: "these are MACs: the 1x1 uses the same weights at all nine places.",
            138_026: "the pool leaves 3x3 places here, not the paper's 4x4.",
            408_362: "the average pool is missing: 7x7 places reach the linear layer.",
            76_554: "the 1x1 convolution is missing.",
            78_112: "the last linear layer is missing.",
            15_146: "that takes one place of the pooled map; the linear layer reads all nine.",
            20_890: "that is the head of width 0.125 from above.",
            28_928: "these are the MACs of the head of width 0.125 from above.",
            80_714: "that is with a batch norm: 64 numbers in place of the convolution's biases.",
        },
        hints=[
            "Three layers have weights: the 1x1, the hidden linear layer, the last one.",
            "A window of 3 with stride 2 fits three times into 7 places.",
            "128 * 32 + 32, then 9 * 32 * 256 + 256, then 256 * 10 + 10.",
        ],
        right="4,128 + 73,984 + 2,570; the hidden layer has nine tenths of them.",
    ),
    "total": Exercise(
        judge_total,
        right="full weight for the last head, 0.3 for the others, and eval() works too.",
        hints=[
            "Three calls of F.cross_entropy: for output.logits, output.aux1 and output.aux2.",
            "In eval() the output is one tensor: isinstance(output, torch.Tensor) finds that out.",
            "return loss(output.logits) + 0.3 * (loss(output.aux1) + loss(output.aux2))",
        ],
    ),
    "mix": number(
        3.3,
        mistakes={
            10.6 / 3: "that is the plain mean; the exits are not used equally often.",
            5.58: "you added earlier exits again; 3.6 million is all the work up to head 2.",
            3.4: "the 20% are of all pictures, not of those that went on.",
            1.1: "the shares add up to 1 already: do not divide by three.",
            1.92: "the 30% that go to the end are missing.",
            1.3: "that is what is saved; what is spent is asked for.",
            4.6: "that is the cost when every picture goes to the end.",
            3.08: "that is the net of the table, at the threshold 0.8; this is another net.",
            3_300_000: "right in single MACs; give millions.",
            330: "50, 20 and 30 are percent: divide by 100.",
        },
        hints=[
            "Half of the pictures cost 2.4 million each.",
            "A mean over pictures: each exit's cost times the share that leaves there.",
            "0.5 * 2.4 + 0.2 * 3.6 + 0.3 * 4.6",
        ],
        right="1.2 + 0.72 + 1.38: 28% less than 4.6 for every picture.",
        tolerance=0.005,
    ),
}

PREDICTIONS = {
    "chain": Prediction(
        options=("about a thousandth", "about a millionth", "about a millionth of a millionth"),
        right=2,
        because="0.25 to the 20th is 9e-13: every layer divides by four.",
    ),
    "raise": Prediction(
        options=("not at all", "about 3 times", "about 100 times", "about 100,000 times"),
        right=2,
        because="The first head saves the gradient the way through six blocks, and weighs 0.3.",
    ),
    "start": Prediction(
        options=("the heads", "batch norm", "both about equally"),
        right=1,
        because="Batch norm halves the loss. Heads alone lower it far less.",
    ),
    "exits": Prediction(
        options=("about 4 points", "about 1 point", "less than can be measured"),
        right=2,
        because="The heads are wrong mostly where they are unsure, and those pictures go on.",
    ),
}

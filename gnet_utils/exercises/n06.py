"""Exercises and predictions of notebook 06, why training starts."""

import re
from collections.abc import Callable, Iterable
from math import isclose
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, first_line, kind_of, number
from gnet_utils.exercises.trials import call, check_function, named
from gnet_utils.experiments.heads import weighted_loss
from gnet_utils.models import GOOGLENET_BLOCKS
from gnet_utils.models.googlenet import GoogLeNetOutput
from gnet_utils.probing import gradient_norms

# 06.norms -----------------------------------------------------------------------------------------


def judge_norms(answer: Any) -> str | None:
    """Whether a function (net, loss) gives the norm of the gradients of each stage."""
    check_function(answer)
    torch.manual_seed(6)
    net = nn.Sequential(
        nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 3)
    )
    batch, labels, calls = torch.randn(8, 5), torch.arange(8) % 3, []
    wanted = gradient_norms(net, F.cross_entropy(net(batch), labels))
    slips = _norm_slips(net, wanted)
    for p in net.parameters():  # what an earlier backward may have left
        p.grad *= 3
    net[2].weight.register_hook(lambda _: calls.append("backward"))
    try:
        got = answer(net, F.cross_entropy(net(batch), labels))
    except Exception as error:
        if "ellipsis" in str(error):
            return "still to fill in: the sum of the squares."
        return f"it stops with {first_line(error)}"
    if not isinstance(got, dict):
        return f"it returns {kind_of(got)}; a dictionary is asked for, from stage to norm."
    if ... in got.values():
        if not calls:
            raise Blank("the four places marked ...")
        return "still to fill in: the norm, the root of the sum."
    if calls and not got:
        return "the gradients are cleared after backward: nothing is left to measure."
    if not calls:
        return "no gradient is computed: the loss has a method for that."
    if got.keys() != wanted.keys():
        return f"stages {', '.join(wanted)} have weights, it returns {', '.join(map(str, got))}."

    def same(norms: dict[str, float]) -> bool:
        return all(isclose(float(got[name]), norms[name], rel_tol=1e-4) for name in norms)

    if same(wanted):
        return None
    return named(slips, same) or "the norms are wrong: square, add up, and take one root."


def _norm_slips(net: nn.Module, wanted: dict[str, float]) -> dict[str, dict[str, float]]:
    """What functions with a slip return for a net that has its gradients."""
    sizes: dict[str, Callable[[list[Tensor]], Tensor]] = {
        "gradients of an earlier backward are still in them: clear them before.": (
            lambda gs: 4 * torch.cat([g.flatten() for g in gs]).norm()
        ),
        "the root is missing: these are the sums of the squares.": (
            lambda gs: sum(g.square().sum() for g in gs)
        ),
        "you added up norms: add up the squares of all gradients, and take one root.": (
            lambda gs: sum(g.norm() for g in gs)
        ),
        "you added up sizes: square each number first, and take the root at the end.": (
            lambda gs: sum(g.abs().sum() for g in gs)
        ),
        "only one of the stage's gradients is counted: add up over all.": lambda gs: gs[-1].norm(),
        "these are means: add up the squares, do not divide.": (
            lambda gs: sum(g.square().mean() for g in gs).sqrt()
        ),
    }
    stages = {name: [p.grad for p in net.get_submodule(name).parameters()] for name in wanted}
    return {
        message: {name: size(gradients).item() for name, gradients in stages.items()}
        for message, size in sizes.items()
    }


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
    if missing := UNREACHED - blocks:
        return f"{max(missing)} is missing: a loss reaches only what lies before it."
    return f"{max(blocks - UNREACHED)} lies before the second head: it gets a gradient."


# 06.total -----------------------------------------------------------------------------------------


def judge_total(answer: Any) -> str | None:
    """Whether a function (output, labels) gives last + 0.3 (aux1 + aux2), also without heads."""
    random = torch.Generator().manual_seed(6)
    parts = [(3 * torch.randn(8, 10, generator=random)).requires_grad_() for _ in range(3)]
    labels = torch.randint(0, 10, (8,), generator=random)
    got = call(answer, GoogLeNetOutput(*parts), labels, how="with an output of three heads")
    if got is ...:
        if call(answer, parts[0], labels) is ...:
            raise Blank("the two places marked ...")
        return "still to fill in: the loss of a net with heads."
    got = _loss(got)
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
        alone = call(answer, logits, labels[:count], how=how)
        if alone is ...:
            return "still to fill in: the loss of a net without heads."
        alone = _loss(alone)
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
            "Of ten layers with the second loss at layer 4, six are saved: 4 ** 6 = 4,096 times.",
        ],
        right="twelve layers less are a factor of 4 to the 12th, almost 17 million.",
    ),
    "reach": Exercise(
        judge_reach,
        right="the loss of a head says nothing to what comes after it: three blocks of nine.",
        hints=[
            "Behind which block does the second head sit?",
            "A gradient runs backwards, from the loss towards the picture.",
            "The first head reads 4a. It reaches 4a, 3b and 3a, and none of the six behind.",
        ],
    ),
    "total": Exercise(
        judge_total,
        right="full weight for the last head, 0.3 for the others, and eval() works too.",
        hints=[
            "Each of the three classifiers has a loss of its own: how many calls is that?",
            "The parts are output.logits, output.aux1 and output.aux2; the last loss counts fully.",
            "Two answers, left and right, the right one counting a half: "
            "F.cross_entropy(left, labels) + 0.5 * F.cross_entropy(right, labels).",
        ],
        course=lambda: weighted_loss,
    ),
    "norms": Exercise(
        judge_norms,
        right="one number for each stage, and nothing of an earlier backward in it.",
        hints=[
            "Two of the four lines are those of the training loop, without the step.",
            "Square every number of every gradient, add all up, take the root at the end.",
            "Two gradients torch.tensor([1., 2.]) and torch.tensor([2.]): "
            "sum(g.square().sum() for g in both) is 9, and .sqrt().item() of it 3.",
        ],
        course=lambda: gradient_norms,
    ),
}

PREDICTIONS = {
    "change": Prediction(
        options=(
            "a warm-up of the learning rate, or zero biases",
            "batch norm after each convolution",
            "He et al.'s initialisation",
            "none of them alone",
        ),
        right=1,
        because="The initialisation leaves the plateau late and in jumps, the warm-up not at all.",
        held=(1, 2),
    ),
    "chain": Prediction(
        options=(
            "the sigmoid net alone",
            "the sigmoid net and the tanh net",
            "the sigmoid net and the ReLU net with PyTorch's weights",
            "all four",
        ),
        right=2,
        because="Slope and weight count alike: tanh with the right weights loses nothing.",
        held=(1, 2, 3),
    ),
    "start": Prediction(
        options=("in all three", "in one or two", "in none"),
        right=2,
        because="Tens of times more gradient arrives, and the loss stays at ln 10 for every seed.",
        held=(2, 3, 4, 5, 6),
    ),
}

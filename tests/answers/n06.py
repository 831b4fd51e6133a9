"""Right answers of many forms to notebook 06, and wrong ones with words of what they are told."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from answers.forms import Calling, forms
from gnet_utils.models import GoogLeNetOutput
from gnet_utils.probing import gradient_norms


def by_isinstance(output, labels):
    if isinstance(output, Tensor):
        return F.cross_entropy(output, labels)
    heads = F.cross_entropy(output.aux1, labels) + F.cross_entropy(output.aux2, labels)
    return F.cross_entropy(output.logits, labels) + 0.3 * heads


def by_unpacking(output, labels, weight=0.3):
    main, *heads = output if isinstance(output, tuple) else (output,)
    loss = F.cross_entropy(main, labels)
    for logits in heads:
        loss += weight * F.cross_entropy(logits, labels)
    return loss


def by_attribute(output, labels):
    loss = nn.CrossEntropyLoss()
    if not hasattr(output, "aux1"):
        return loss(output, labels)
    return (
        loss(output.logits, labels) + 0.3 * loss(output[1], labels) + 0.3 * loss(output[2], labels)
    )


def by_logarithms(output, labels):
    parts = (output,) if isinstance(output, Tensor) else output
    losses = [F.nll_loss(logits.double().log_softmax(1), labels) for logits in parts]
    return torch.stack(losses) @ torch.tensor([1, 0.3, 0.3]).double()[: len(losses)]


class Total(nn.Module):
    def forward(self, output, labels):
        if isinstance(output, GoogLeNetOutput):
            losses = [F.cross_entropy(logits, labels) for logits in output]
            return losses[0] + 0.3 * sum(losses[1:])
        return F.cross_entropy(input=output, target=labels)


def cut_off_alone(output, labels):
    loss = by_isinstance(output, labels)
    return loss.detach() if isinstance(output, Tensor) else loss


def half_filled(output, labels):
    return ... if isinstance(output, Tensor) else by_isinstance(output, labels)


def other_half_filled(output, labels):
    return by_isinstance(output, labels) if isinstance(output, Tensor) else ...


def main_only(output: Any, labels: Tensor) -> Tensor:
    return F.cross_entropy(output[0], labels)


def all_equal(output: Any, labels: Tensor) -> Tensor:
    return sum(F.cross_entropy(logits, labels) for logits in output)


def third_of_all(output: Any, labels: Tensor) -> Tensor:
    return 0.3 * all_equal(output, labels)


def first_head_only(output: Any, labels: Tensor) -> Tensor:
    return main_only(output, labels) + 0.3 * F.cross_entropy(output[1], labels)


def second_head_only(output: Any, labels: Tensor) -> Tensor:
    return main_only(output, labels) + 0.3 * F.cross_entropy(output[2], labels)


def logits_added(output: Any, labels: Tensor) -> Tensor:
    return F.cross_entropy(output[0] + 0.3 * (output[1] + output[2]), labels)


def softmax_first(output: Any, labels: Tensor) -> Tensor:
    losses = [F.cross_entropy(logits.softmax(1), labels) for logits in output]
    return losses[0] + 0.3 * (losses[1] + losses[2])


def cut_off(output: Any, labels: Tensor) -> Tensor:
    heads = sum(F.cross_entropy(logits, labels).item() for logits in output[1:])
    return F.cross_entropy(output[0], labels) + 0.3 * heads


def summed(output: Any, labels: Tensor) -> Tensor:
    losses = [F.cross_entropy(logits, labels, reduction="sum") for logits in output]
    return losses[0] + 0.3 * (losses[1] + losses[2])


def confused_by_three(output: Any, labels: Tensor) -> Tensor:
    if len(output) == 3:
        return never_without_heads(GoogLeNetOutput(*output), labels)
    return F.cross_entropy(output, labels)


def never_without_heads(output: Any, labels: Tensor) -> Tensor:
    losses = [F.cross_entropy(logits, labels) for logits in (output.logits, *output[1:])]
    return losses[0] + 0.3 * (losses[1] + losses[2])


def as_float(output: Any, labels: Tensor) -> float:
    return never_without_heads(output, labels).item()


def norms(
    clear=lambda net: net.zero_grad(),
    back=lambda net, loss: loss.backward(),
    size=lambda gradients: sum(g.square().sum() for g in gradients),
    root=lambda squares: squares.sqrt().item(),
):
    """The function that exercise 6.1 asks for, its four lines made otherwise."""

    def norms_of_stages(net, loss):
        clear(net)
        back(net, loss)
        found = {}
        for name, stage in net.named_children():
            gradients = [p.grad for p in stage.parameters() if p.grad is not None]
            if gradients:
                found[name] = root(size(gradients))
        return found

    return norms_of_stages


def by_vectors(net, loss):
    for parameter in net.parameters():
        parameter.grad = None
    loss.backward()
    stages = {name: list(stage.parameters()) for name, stage in net.named_children()}
    return {
        name: torch.linalg.vector_norm(nn.utils.parameters_to_vector([p.grad for p in parts]))
        for name, parts in stages.items()
        if parts
    }


def nothing(*_: Any) -> None:
    """A line that is left as it is."""


def cleared_late(net, loss):
    loss.backward()
    net.zero_grad()


RIGHT = {
    "06.chain": [
        *forms(4**12),
        0.25**8 / 0.25**20,
        (1 / np.float32(0.25)) ** 12,
        math.exp(12 * math.log(4)),
        2 << 23,
    ],
    "06.reach": [
        ("4e", "5a", "5b"),
        ["5b", "4e", "5a"],
        {"inception_5a", "inception_4e", "inception_5b"},
        np.array(["4e", "5a", "5b"]),
        {"4e": None, "5a": None, "5b": None},
        (name for name in ("4E", " 5A", "inception_5b ")),
        "4e, 5a and 5b",
        "4e 5a 5b",
        "('4e', '5a', '5b')",
    ],
    "06.total": [
        by_isinstance,
        by_unpacking,
        by_attribute,
        by_logarithms,
        Total(),
        partial(by_unpacking, weight=0.3),
        Calling(by_isinstance),
        lambda output, labels: by_unpacking(output, labels)[None],
        lambda output, labels: (
            torch.nn.functional.cross_entropy(output, labels)
            if torch.is_tensor(output)
            else sum(
                w * F.cross_entropy(o, labels) for w, o in zip((1, 0.3, 0.3), output, strict=True)
            )
        ),
    ],
    "06.norms": [
        gradient_norms,
        norms(),
        norms(root=lambda squares: squares**0.5),
        norms(root=lambda squares: math.sqrt(squares)),
        by_vectors,
    ],
}

WRONG = {
    "06.norms": [
        (norms(nothing, nothing, lambda _: ..., lambda _: ...), "the four places marked ..."),
        (norms(root=lambda _: ...), "still to fill in: the norm"),
        (norms(size=lambda _: ...), "still to fill in: the sum of the squares"),
        (norms(clear=nothing), "clear them before"),
        (norms(back=nothing), "no gradient is computed"),
        (norms(clear=nothing, back=nothing), "no gradient is computed"),
        (norms(clear=nothing, back=cleared_late), "cleared after backward"),
        (norms(root=lambda squares: squares.item()), "the root is missing"),
        (norms(size=lambda gs: sum(g.norm() for g in gs) ** 2), "you added up norms"),
        (norms(size=lambda gs: sum(g.abs().sum() for g in gs) ** 2), "you added up sizes"),
        (norms(size=lambda gs: gs[-1].square().sum()), "only one of the stage's gradients"),
        (norms(size=lambda gs: sum(g.square().mean() for g in gs)), "these are means"),
        (norms(root=lambda squares: 2 * squares.item()), "the norms are wrong"),
        (lambda net, loss: 3.0, "a dictionary is asked for"),
        (lambda net, loss: loss.backward() or {"all": 1.0}, "it returns all"),
        (lambda net: {}, "it stops with TypeError"),
        (0.3, "a function is asked for"),
    ],
    "06.chain": [(0.25**20, "what the first gradient keeps")],
    "06.reach": [
        (3, "names of blocks"),
        ((), "no block is named"),
        (("4f",), "there is no block"),
        (("3a", "3b", "4a", "4b", "4c", "4d"), "that it does reach"),
        (("4d", "4e", "5a", "5b"), "goes back through 4d"),
        (("5a", "5b"), "a head after 4e"),
        (("4c", "4d", "4e", "5a", "5b"), "after 4a and 4b"),
        (("4e", "5a"), "5b is missing"),
        (("3a", "4e", "5a", "5b"), "lies before the second head"),
        (("5b",), "5a is missing"),
        ("4e, 5a and linear", "there is no block 'linear'"),
        (["4e", 5], "names of blocks"),
    ],
    "06.total": [
        (lambda output, labels: ..., "the two places marked ..."),
        (half_filled, "the loss of a net without heads"),
        (other_half_filled, "the loss of a net with heads"),
        (0.3, "a function is asked for"),
        (main_only, "last head's loss alone"),
        (all_equal, "all three count fully"),
        (third_of_all, "weight 1, not 0.3"),
        (first_head_only, "the second head is missing"),
        (second_head_only, "the first head is missing"),
        (logits_added, "added up the logits"),
        (softmax_first, "leave softmax out"),
        (as_float, "backward() needs the tensor"),
        (summed, "sums over the pictures"),
        (cut_off, "aux1 is cut off"),
        (never_without_heads, "as in eval(), 8 pictures, it stops"),
        (confused_by_three, "as in eval(), 3 pictures, it stops"),
        (cut_off_alone, "with the logits alone, as in eval(), 8 pictures, the number is right"),
        (lambda output, labels: by_isinstance(output, labels).expand(8), "the shape (8,)"),
        (lambda output: output, "with an output of three heads it stops with TypeError"),
        (lambda output, labels: (by_isinstance(output, labels), 1), "it returns a tuple"),
        (torch.tensor(2.3), "a function is asked for"),
    ],
}

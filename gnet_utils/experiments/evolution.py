"""A small architecture search: which widths should the branches have when multiply-adds are dear?

`TinyInception` is a network of two Inception blocks, told apart by twelve widths alone. `evolve`
and `random_search` look for good ones under a budget of MACs; `trained_accuracy` judges one.
"""

import random
from collections.abc import Callable, Sequence

import torch
from torch import nn

from gnet_utils.data import to_float
from gnet_utils.evaluation import Data, accuracy
from gnet_utils.experiments import cycled, up_and_down
from gnet_utils.models import GOOGLENET_BLOCKS, Inception, fused
from gnet_utils.models.layers import ConvUnit, initialise
from gnet_utils.training import train_epoch

Widths = tuple[int, ...]  # six of the first block, six of the second, in the order of BlockWidths
Score = Callable[[Widths], float]

STEM = 16  # channels that the first block reads
RATE = 0.3  # the highest learning rate
NARROWEST = 2  # channels that every convolution keeps
HAND_MADE = GOOGLENET_BLOCKS["3a"] + GOOGLENET_BLOCKS["3b"]  # the paper's, to be scaled


# The networks of the search space ----------------------------------------------------------------


class TinyInception(nn.Sequential):
    """A stem of stride 2, a block on 14x14 maps, pooling, a block on 7x7, mean, linear.

    Maps (N, 1, 28, 28) to logits (N, 10).
    """

    def __init__(self, widths: Sequence[int]):
        first, second = widths[:6], widths[6:]
        super().__init__(
            ConvUnit(1, STEM, 4, stride=2, padding=1, norm="batch"),
            Inception(STEM, *first, norm="batch"),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Inception(out_channels(first), *second, norm="batch"),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(out_channels(second), 10),
        )
        initialise(self)


def out_channels(block: Sequence[int]) -> int:
    """Channels after the concatenation of a block of six widths."""
    return block[0] + block[2] + block[4] + block[5]


def block_macs(channels: int, block: Sequence[int]) -> int:
    """MACs at one place of the map, for a block of six widths that reads `channels`."""
    out_1x1, reduce_3x3, out_3x3, reduce_5x5, out_5x5, pool = block
    mixing = channels * (out_1x1 + reduce_3x3 + reduce_5x5 + pool)
    return mixing + 9 * reduce_3x3 * out_3x3 + 25 * reduce_5x5 * out_5x5


def macs_of(widths: Sequence[int]) -> int:
    """MACs of TinyInception(widths) for one picture, by formula."""
    first, second = widths[:6], widths[6:]
    stem = 16 * STEM * 14 * 14
    blocks = block_macs(STEM, first) * 14 * 14 + block_macs(out_channels(first), second) * 7 * 7
    return stem + blocks + 10 * out_channels(second)


# Candidates under a budget -----------------------------------------------------------------------


def fit_to_budget(shares: Sequence[float], budget: int) -> Widths:
    """The widest network with these proportions that costs at most `budget` MACs.

    What rounding leaves of the budget widens some convolutions by one channel more, those first
    that rounding had cut most.
    Raises ValueError when even the narrowest network costs more.
    """
    if macs_of([NARROWEST] * 12) > budget:
        raise ValueError(f"a budget of {budget:,} MACs is too small for any network of this kind")

    def widths(factor: float) -> Widths:
        return tuple(max(NARROWEST, round(factor * share)) for share in shares)

    low, high = 0.0, 1000 / min(shares)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if macs_of(widths(middle)) <= budget else (low, middle)
    fitted = list(widths(low))
    for place in sorted(range(12), key=lambda place: fitted[place] - high * shares[place]):
        fitted[place] += 1
        if macs_of(fitted) > budget:
            fitted[place] -= 1
    return tuple(fitted)


def hand_made(budget: int) -> Widths:
    """The widths of the paper's blocks 3a and 3b, all scaled by one factor."""
    return fit_to_budget(HAND_MADE, budget)


def random_widths(chance: random.Random, budget: int) -> Widths:
    """Proportions between 1 and 16, each factor of two as likely as another."""
    return fit_to_budget([2 ** chance.uniform(0, 4) for _ in range(12)], budget)


def mutate(widths: Widths, chance: random.Random, budget: int) -> Widths:
    """Two of the twelve widths up to twice as wide or as narrow; then fitted to the budget."""
    shares = [float(width) for width in widths]
    for place in chance.sample(range(12), 2):
        shares[place] *= 2 ** chance.uniform(-1, 1)
    return fit_to_budget(shares, budget)


# Two ways to search ------------------------------------------------------------------------------


def random_search(score: Score, budget: int, candidates: int, chance: random.Random) -> list:
    """(widths, score) of each candidate, drawn without looking at the scores so far."""
    tried = []
    while len(tried) < candidates:
        widths = random_widths(chance, budget)
        tried.append((widths, score(widths)))
    return tried


def evolve(
    score: Score, budget: int, candidates: int, chance: random.Random, population: int = 8
) -> list:
    """(widths, score) of each candidate: first random ones, then children of good ones.

    The parent is the best of three drawn from the youngest `population` (the old ones die), so
    that one lucky score cannot rule for ever.
    """
    tried = random_search(score, budget, min(population, candidates), chance)
    while len(tried) < candidates:
        parent, _ = max(chance.sample(tried[-population:], 3), key=lambda pair: pair[1])
        widths = mutate(parent, chance, budget)
        tried.append((widths, score(widths)))
    return tried


# Judging one candidate ---------------------------------------------------------------------------


def trained_accuracy(
    widths: Sequence[int],
    train: Data,
    judge: Data,
    *,
    steps: int = 60,
    batch: int = 64,
    seed: int = 0,
) -> float:
    """Accuracy on `judge` of TinyInception(widths) after `steps` of SGD on `train`.

    The learning rate rises for a tenth of the steps and falls to zero. The same seed gives all
    candidates the same batches; torch's own random state is set to it.
    Data: uint8 images (N, 1, 28, 28), labels (N,).
    """
    torch.manual_seed(seed)
    # merged: the same network in fewer, larger pieces, which take less time
    net = fused.merge(TinyInception(widths)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9)
    batches, rates = cycled(len(train[0]), batch, steps, seed), up_and_down(RATE, steps)
    for _ in train_epoch(net, train, batches, rates, optimiser, prepare=to_float):
        pass
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(to_float(part)) for part in judge[0].split(500)])
    return accuracy(logits, judge[1])

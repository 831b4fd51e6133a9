"""A search over branch widths under a budget of MACs: evolution, chance and hand (notebook 10).

`TinyInception` is a network of two Inception blocks, told apart by twelve widths alone. `evolve`
and `random_search` look for good ones with equal numbers of candidates; then, in `final`, the found
widths and the hand-made ones are trained again, longer and from other beginnings. All of it takes
half an hour on a busy machine.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import nn

from gnet_utils import experiments
from gnet_utils.data import load_fashion_mnist, split_train_validation, to_float
from gnet_utils.evaluation import Data, accuracy
from gnet_utils.models import GOOGLENET_BLOCKS, Inception, fused
from gnet_utils.models.inception import BlockWidths
from gnet_utils.models.layers import ConvUnit, initialise
from gnet_utils.training import cut, train_epoch

Widths = tuple[int, ...]  # six of the first block, six of the second, in the order of BlockWidths
Score = Callable[[Widths], float]

STEM = 16  # channels that the first block reads
RATE = 0.3  # the highest learning rate
BATCH = 64
NARROWEST = 2  # channels that every convolution keeps
BUDGET = 400_000  # MACs for one picture
CANDIDATES = 24  # of each search
STEPS = 60  # for each candidate
JUDGES = 2000  # validation pictures that judge a candidate
FINAL_STEPS = 200
RUNS = ("evolve_400k", "random_400k", "final_400k")


# The networks of the search space -----------------------------------------------------------------


class TinyInception(nn.Sequential):
    """A stem of stride 2, a block on 14x14 maps, pooling, a block on 7x7, mean, linear.

    Maps (N, 1, 28, 28) to logits (N, 10).
    """

    def __init__(self, widths: Sequence[int]):
        first, second = BlockWidths(*widths[:6]), BlockWidths(*widths[6:])
        super().__init__(
            ConvUnit(1, STEM, 4, stride=2, padding=1, norm="batch"),
            Inception(STEM, *first, norm="batch"),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Inception(first.out_channels, *second, norm="batch"),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(second.out_channels, 10),
        )
        initialise(self)


def block_macs(channels: int, block: BlockWidths) -> int:
    """MACs at one place of the map, for a block that reads `channels`."""
    mixing = channels * (block.out_1x1 + block.reduce_3x3 + block.reduce_5x5 + block.pool_proj)
    return mixing + 9 * block.reduce_3x3 * block.out_3x3 + 25 * block.reduce_5x5 * block.out_5x5


def macs_of(widths: Sequence[int]) -> int:
    """MACs of TinyInception(widths) for one picture, by formula."""
    first, second = BlockWidths(*widths[:6]), BlockWidths(*widths[6:])
    stem = 16 * STEM * 14 * 14
    blocks = block_macs(STEM, first) * 14 * 14 + block_macs(first.out_channels, second) * 7 * 7
    return stem + blocks + 10 * second.out_channels


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
    return fit_to_budget(GOOGLENET_BLOCKS["3a"] + GOOGLENET_BLOCKS["3b"], budget)


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
    widths: Sequence[int], train: Data, judge: Data, steps: int, seed: int = 0
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
    batches = experiments.cycled(len(train[0]), BATCH, steps, seed)
    rates = experiments.up_and_down(RATE, steps)
    for _ in train_epoch(net, cut(train, batches), rates, optimiser, prepare=to_float):
        pass
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(to_float(part)) for part in judge[0].split(500)])
    return accuracy(logits, judge[1])


# Recording ----------------------------------------------------------------------------------------


@cache
def data() -> dict:
    """Training, validation (for the search) and test pictures (for the finals alone)."""
    images, labels = load_fashion_mnist("train", source="real")
    train, validation = split_train_validation(images, labels, validation=5000, seed=0)
    return {
        "train": train,
        "validation": tuple(part[:JUDGES] for part in validation),
        "test": load_fashion_mnist("test", source="real"),
    }


@cache
def judged(widths: Widths, on: str, steps: int, seed: int) -> float:
    """Accuracy of a candidate on "validation" or "test" pictures, after so many steps."""
    train, judges = data()["train"], data()[on]
    share = round(trained_accuracy(widths, train, judges, steps, seed), 4)
    print(f"{macs_of(widths):>9,} MACs  {share:.4f}  {widths}", flush=True)
    return share


def run_search(kind: str, seed: int) -> dict:
    """Each candidate in the order of the search, and the hand-made widths judged alike."""
    look = {"evolve": evolve, "random": random_search}[kind]

    def score(widths: Widths) -> float:
        return judged(widths, "validation", STEPS, seed)

    tried = look(score, BUDGET, CANDIDATES, random.Random(seed))
    hand = hand_made(BUDGET)
    return {
        "candidates": [{"widths": w, "macs": macs_of(w), "accuracy": a} for w, a in tried],
        "hand": {"widths": hand, "macs": macs_of(hand), "accuracy": score(hand)},
    }


def run_final(seed: int) -> dict:
    """The best of both searches, the middle one of chance and the hand-made, trained anew."""
    found = experiments.recorded("search")
    widths = {"hand": hand_made(BUDGET)}
    for kind in ("evolve", "random"):
        run = next(run for run in found[f"{kind}_400k"] if run["seed"] == seed)
        ranked = sorted(run["candidates"], key=lambda c: c["accuracy"])
        widths[kind] = tuple(ranked[-1]["widths"])
    widths["middle"] = tuple(ranked[len(ranked) // 2]["widths"])  # of the random search
    seeds = 100 + 2 * seed, 101 + 2 * seed
    shares = {
        name: [judged(these, "test", FINAL_STEPS, beginning) for beginning in seeds]
        for name, these in widths.items()
    }
    return {"widths": widths, "accuracy": shares, "seeds": seeds}


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    kind = name.partition("_")[0]
    final = kind == "final"
    recipe = {
        "steps": FINAL_STEPS if final else STEPS,
        "batch": BATCH,
        "learning_rate": RATE,
        "optimiser": "SGD, momentum 0.9, rate up for a tenth of the steps, then down to zero",
        "judged_on": "10,000 test pictures" if final else f"{JUDGES:,} validation pictures",
    }

    def run() -> dict:
        return run_final(seed) if final else run_search(kind, seed)

    experiments.record("search", name, seed, run, budget=BUDGET, recipe=recipe)


if __name__ == "__main__":
    torch.set_num_threads(1)  # such small networks are not faster with more
    experiments.run_all(__doc__, RUNS, record)

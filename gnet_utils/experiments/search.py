"""A search over branch widths under a budget of MACs: evolution, chance and hand (notebook 10).

For each budget: `evolve` and `random` search with equal numbers of candidates, then `final`, where
the found widths and the hand-made ones are trained again, longer and from other beginnings. All of
it takes half an hour on a busy machine.
"""

import random
from functools import cache

import torch

from gnet_utils import experiments
from gnet_utils.data import load_fashion_mnist, split_train_validation
from gnet_utils.experiments.evolution import (
    RATE,
    Widths,
    evolve,
    hand_made,
    macs_of,
    random_search,
    trained_accuracy,
)

BUDGETS = {"400k": 400_000}  # a further line is a further budget
CANDIDATES = 24  # of each search
STEPS = 60  # of 64 pictures, for each candidate
JUDGES = 2000  # validation pictures that judge a candidate
FINAL_STEPS = 200
NAMES = [f"{kind}_{budget}" for budget in BUDGETS for kind in ("evolve", "random", "final")]


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
    share = round(trained_accuracy(widths, train, judges, steps=steps, seed=seed), 4)
    print(f"{macs_of(widths):>9,} MACs  {share:.4f}  {widths}", flush=True)
    return share


def run_search(kind: str, budget: int, seed: int) -> dict:
    """Each candidate in the order of the search, and the hand-made widths judged alike."""
    look = {"evolve": evolve, "random": random_search}[kind]

    def score(widths: Widths) -> float:
        return judged(widths, "validation", STEPS, seed)

    tried = look(score, budget, CANDIDATES, random.Random(seed))
    hand = hand_made(budget)
    return {
        "candidates": [{"widths": w, "macs": macs_of(w), "accuracy": a} for w, a in tried],
        "hand": {"widths": hand, "macs": macs_of(hand), "accuracy": score(hand)},
    }


def run_final(budget: str, seed: int) -> dict:
    """The best of both searches, the middle one of chance and the hand-made, trained anew."""
    found = experiments.recorded("search")
    widths = {"hand": hand_made(BUDGETS[budget])}
    for kind in ("evolve", "random"):
        run = next(run for run in found[f"{kind}_{budget}"] if run["seed"] == seed)
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
    kind, budget = name.split("_")
    final = kind == "final"
    recipe = {
        "steps": FINAL_STEPS if final else STEPS,
        "batch": 64,
        "learning_rate": RATE,
        "optimiser": "SGD, momentum 0.9, rate up for a tenth of the steps, then down to zero",
        "judged_on": "10,000 test pictures" if final else f"{JUDGES:,} validation pictures",
    }

    def run() -> dict:
        return run_final(budget, seed) if final else run_search(kind, BUDGETS[budget], seed)

    experiments.record("search", name, seed, run, budget=BUDGETS[budget], recipe=recipe)


if __name__ == "__main__":
    torch.set_num_threads(1)  # such small networks are not faster with more
    experiments.run_all(__doc__, NAMES, record)

"""What each trick of the recipe `sprint` costs or brings in accuracy (notebook 13).

`sprint` as it is, and with one trick taken back; 15,000 training pictures, 10,000 held out.
"""

import time
from dataclasses import asdict, replace

import torch

from gnet_utils import experiments
from gnet_utils.data import load_fashion_mnist, split_train_validation
from gnet_utils.evaluation import evaluate
from gnet_utils.recipes import Recipe, build_network, get_recipe
from gnet_utils.training import fit

SEEN = 15_000  # training pictures of each run, half as many as `sprint` sees
HELD_OUT = 10_000
# What makes a step of `sprint` fast, and what is changed to take it back.
TRICKS = {
    "blocks on maps half as high and wide": {"network": {"stem": "full"}},
    "bfloat16": {"precision": "float32"},
    "channels last in memory": {"channels_last": False},
    "channels in multiples of 16": {"network": {"multiple_of": 1}},
    "projection before the pooling": {"network": {"project_first": False}},
    "sibling 1x1 convolutions merged": {"merged": False},
    "Muon, which teaches more in each step": {"optimiser": "sgd"},
}
# The runs. Channels last change the results by the rounding of sums only: that needs none. SGD gets
# the momentum of notebook 05: with Muon's 0.6 its steps would be four times smaller.
RUNS = {
    "sprint": {},
    "plain_sgd": {"optimiser": "sgd", "momentum": 0.9},
    "pool_first": TRICKS["projection before the pooling"],
    "float32": TRICKS["bfloat16"],
    "any_width": TRICKS["channels in multiples of 16"],
    "constant_rate": {"schedule": "constant"},
    "unmerged": TRICKS["sibling 1x1 convolutions merged"],
}


def changed(change: dict) -> Recipe:
    """The recipe `sprint` with other values; those of its network are changed one by one."""
    sprint = get_recipe("sprint")
    network = {**sprint.network, **change.get("network", {})}
    return replace(sprint, **{**change, "network": network})


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    recipe = replace(changed(RUNS[name]), epochs=SEEN / (60_000 - HELD_OUT))

    def train_once() -> dict:
        torch.set_num_threads(1)  # or waiting threads would count as processor seconds
        data = load_fashion_mnist("train", source="real")
        part, validation = split_train_validation(*data, validation=HELD_OUT, seed=0)
        torch.manual_seed(seed)
        net = build_network(recipe)
        began = time.process_time()
        history = fit(net, part, None, recipe, seed=seed, progress=False)
        seconds = time.process_time() - began
        return {
            "parameters": history.parameters,
            "half": recipe.precision == "auto" and history.machine["bfloat16"],
            "loss": history.losses,
            "processor_seconds": round(seconds, 1),
            "validation_accuracy": evaluate(net, validation)[1],
        }

    experiments.record("tricks", name, seed, train_once, recipe=asdict(recipe))


if __name__ == "__main__":
    experiments.run_all(__doc__, RUNS, record)

"""Long experiments, run by script and replayed in the notebooks: one JSON file for each run.

    python -m gnet_utils.experiments.start --seeds 2           all runs, with two seeds each
    python -m gnet_utils.experiments.start tutorial_96         one run, by name

A script asks `record` for each of its runs, which becomes one JSON file in data/runs/start; what is
recorded already is not run again, so a script that was stopped goes on with the same command.
Notebooks read the files with `recorded`. What the runs share is here too: `shuffled` and `cycled`
batches, `up_and_down` learning rates.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Collection, Iterator
from datetime import date

import torch
from torch import Tensor

from gnet_utils.base import ROOT, CourseError, written_aside

RUNS = ROOT / "data" / "runs"


def record(experiment: str, name: str, seed: int, run: Callable[[], dict], **about: object) -> dict:
    """Call `run` and write what it returns to data/runs/EXPERIMENT/NAME-seedSEED.json.

    The file also gets `about` (recipe, sizes), the command that repeats the run, its seconds, the
    date, versions and machine. When the file exists, it is read and nothing is run; CourseError
    when it is of another `about`. A setting that is younger than the file counts as the same.
    """
    path = RUNS / experiment / f"{name}-seed{seed}.json"
    if path.exists():
        done = json.loads(path.read_text(encoding="utf-8"))
        if other := _other_settings(json.loads(json.dumps(about)), done):
            raise CourseError(
                f"{path} is the record of another run (other: {', '.join(other)}): delete it to "
                "record this one"
            )
        return done
    began = time.perf_counter()
    found = run()
    done = {
        "name": name,
        "seed": seed,
        "command": f"python -m gnet_utils.experiments.{experiment} {name}",
        **about,
        **found,
        "seconds": round(time.perf_counter() - began, 1),
        "date": date.today().isoformat(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} of {os.cpu_count()} cores",
    }
    with written_aside(path) as aside:
        aside.write_text(json.dumps(done) + "\n", encoding="utf-8")
    numbers = [f"{key} {value}" for key, value in found.items() if isinstance(value, (int, float))]
    print(f"{name}, seed {seed}: {', '.join(numbers)}", flush=True)
    return done


def _other_settings(own: dict, stored: dict) -> list[str]:
    """Names of the settings that are others in `stored`; a purpose is words, not a setting."""
    names = []
    for name in own.keys() & stored.keys() - {"purpose"}:
        if isinstance(own[name], dict) and isinstance(stored[name], dict):
            names += _other_settings(own[name], stored[name])
        elif own[name] != stored[name]:
            names.append(name)
    return sorted(names)


def recorded(experiment: str) -> dict[str, list[dict]]:
    """The recorded runs of an experiment: name -> its runs, one for each seed, in order.

    Raises CourseError when there is none.
    """
    runs: dict[str, list[dict]] = {}
    for path in sorted((RUNS / experiment).glob("*-seed*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        runs.setdefault(run["name"], []).append(run)
    if not runs:
        raise CourseError(
            f"data/runs/{experiment} holds no recorded run: restore it, or record it with "
            f"python -m gnet_utils.experiments.{experiment}"
        )
    for same in runs.values():
        same.sort(key=lambda run: run["seed"])
    return runs


def shuffled(count: int, batch_size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Rows of `steps` batches: all `count` pictures in a new order, again and again."""
    generator = torch.Generator().manual_seed(seed)
    while steps > 0:
        for rows in torch.randperm(count, generator=generator).split(batch_size)[:steps]:
            steps -= 1
            yield rows


def cycled(count: int, batch_size: int, steps: int, seed: int) -> tuple[Tensor, ...]:
    """The same, all batches whole: one may have the end of an order and the start of the next."""
    generator = torch.Generator().manual_seed(seed)
    rounds = math.ceil(steps * batch_size / count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(rounds)])
    return order.split(batch_size)[:steps]


def up_and_down(highest: float, steps: int) -> list[float]:
    """Learning rates that rise for a tenth of the steps and then fall to zero."""
    shares = [min(1.0, (k + 1) / (0.1 * steps), 1.1 * (1 - k / steps)) for k in range(steps)]
    return [highest * share for share in shares]


def run_all(about: str, names: Collection[str], record: Callable[[str, int], object]) -> None:
    """The command line of an experiment: `record(name, seed)` for each name that it asks for.

    about: docstring of the module, whose first line is shown by --help.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    known = ", ".join(names)
    parser.add_argument("names", nargs="*", help=f"runs, from {known}; default all")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of each run")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no run {', '.join(unknown)}: choose from {known}")
    for seed in range(options.seeds):
        for name in options.names or names:
            record(name, seed)

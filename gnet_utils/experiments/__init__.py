"""Long experiments, run by script and replayed in the notebooks: one JSON file for each run.

    python -m gnet_utils.experiments.start --help

A script asks `record` for each of its runs; what is recorded already is not run again, so a script
that was stopped goes on with the same command. Notebooks read the files with `recorded`.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Collection
from datetime import date

from gnet_utils.base import ROOT, CourseError, written_aside

RUNS = ROOT / "data" / "runs"


def record(experiment: str, name: str, seed: int, run: Callable[[], dict], **about: object) -> dict:
    """Call `run` and write what it returns to data/runs/EXPERIMENT/NAME-seedSEED.json.

    The file also gets `about` (recipe, sizes), the command that repeats the run, its seconds, the
    date, versions and machine. When the file exists, it is read and nothing is run; CourseError
    when it is of another `about`. A setting that is younger than the file counts as the same.
    """
    import torch

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

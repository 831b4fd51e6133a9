"""What only a GPU can tell: rates, seconds to 89% and to 94%, the best network, inference.

    python -m gnet_utils bench --gpu --out FOLDER      nine minutes at most

Figures go to FOLDER/gpu.json after each part, and the same command goes on with the parts that are
not finished there. The runs lie beside it, as `train` leaves them. Without a GPU everything runs in
miniature, with the same code: mistakes are found before the minutes on a GPU count.
"""

import dataclasses
import json
import statistics
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import torch

from gnet_utils.base import CourseError, Timer, UsageError, written_aside
from gnet_utils.counting import format_table
from gnet_utils.course import bench, train
from gnet_utils.data import load_fashion_mnist, split_train_validation
from gnet_utils.devices import best_device
from gnet_utils.evaluation import evaluate
from gnet_utils.recipes import RECIPES, Recipe, build_network, get_recipe
from gnet_utils.runs import History, begun_with, this_machine
from gnet_utils.training import fit

PAIRS = 3  # of rates, the recipe's and the yardstick's in turn
SEEDS = 3
# Lengths in epochs, tried from the left for each goal with each change of `gpu_seconds`, until
# one reaches it on pictures held out, MARGIN above it: of three other seeds one may end lower.
LENGTHS = {"89": (0.5, 1, 2, 3), "94": (4, 6, 8, 12, 16)}
MARGIN = 0.002
MUON = {"optimiser": "muon", "learning_rate": 0.2, "momentum": 0.6, "weight_decay": 0.0}
CHANGES = {"sgd": {}, "muon": {**MUON, "warmup": 0.1}}


class Bench:
    """What all parts need: device, pictures on it, recipes, the folder for the runs."""

    def __init__(self, folder: Path, device: torch.device):
        self.folder, self.device = folder, device
        self.miniature = device.type == "cpu"
        few = 240 if self.miniature else None
        self.train, self.test = (
            tuple(part[:few] for part in load_fashion_mnist(split, str(device)))
            for split in ("train", "test")
        )

    def recipe(self, name: str) -> Recipe:
        """The recipe of that name; in miniature narrower, with small batches."""
        recipe = get_recipe(name)
        if not self.miniature:
            return recipe
        width = {} if recipe.network.get("tutorial") else {"width": 0.125}
        network = {**recipe.network, **width}
        return dataclasses.replace(recipe, name=f"{name}_miniature", batch_size=16, network=network)


def bench_gpu(folder: Path, minutes: float = 9, device: str = "auto") -> int:
    """Measure all parts that are not in FOLDER/gpu.json, and print the goals; returns 1 on errors.

    minutes: of all parts together. Raises UsageError for minutes that are none, CourseError when
    the data cannot be had.
    """
    if not 0 < minutes < float("inf"):
        raise UsageError(f"--minutes must be above 0, got {minutes:g}")
    began, out = time.perf_counter(), folder / "gpu.json"
    work = Bench(folder, best_device(device))
    if work.miniature:
        print("No GPU is used here: all runs in miniature on the CPU, its figures mean nothing.")
    torch.backends.cudnn.benchmark = True  # all batches of a run have one shape
    figures = {
        "miniature": work.miniature,
        "date": date.today().isoformat(),
        "machine": this_machine(work.device),
        "finished": [],
    }
    figures = _so_far(out, figures) or figures
    errors = {}
    for name, (part, share) in PARTS.items():
        if name in figures["finished"]:
            continue
        until = began + 60 * minutes
        until = min(until, time.perf_counter() + share * 60 * minutes)
        print(f"{name} ...", flush=True)
        try:
            for figures[name] in part(work, until):
                _keep(figures, out)
            figures["finished"].append(name)
        except Exception as error:  # of any kind: one part must not cost the others
            errors[name] = error
            if not isinstance(error, CourseError):
                traceback.print_exception(error)
        _keep(figures, out)
    print(f"\n{report(figures)}\n\nwritten to {out} after {time.perf_counter() - began:.0f} s")
    for name, error in errors.items():
        print(f"error: {name} was not measured to its end: {error}", file=sys.stderr)
    return int(bool(errors))


def _so_far(out: Path, fresh: dict) -> dict | None:
    """The figures in the file `out`, if there is one; UsageError for those of another machine."""
    if not out.exists():
        return None
    kept = json.loads(out.read_text(encoding="utf-8"))
    if kept["machine"]["name"] != fresh["machine"]["name"]:
        raise UsageError(
            f"{out} holds figures of {kept['machine']['name']}, and this is "
            f"{fresh['machine']['name']}: choose another --out"
        )
    return kept


def _keep(figures: dict, out: Path) -> None:
    with written_aside(out) as aside:
        aside.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


# The parts: each yields its figures so far, and ends when it is done or its time is over ----------


def rates(work: Bench, until: float) -> Iterator[dict]:
    """Training images per second of all recipes, each against the yardstick `tutorial`."""
    peaks = {kind: round(value, 3) for kind, value in bench.peaks_of(work.device).items()}
    found = {"peak_tflops": peaks, "recipes": {}}
    yield found
    names = sorted(RECIPES.keys() - {"tutorial"}, key=lambda name: "gpu" not in name)
    for name in names:  # those for a GPU first
        if found["recipes"] and time.perf_counter() > until:
            return
        recipe, yardstick = work.recipe(name), work.recipe("tutorial")
        seconds = 0.1 if work.miniature else 1.0
        rate = bench.against_yardstick(recipe, yardstick, work.train, PAIRS, seconds)
        found["recipes"][name] = rate
        yield found


def seconds(work: Bench, until: float) -> Iterator[dict]:
    """Seconds of training to each goal: a length chosen on pictures held out, then three seeds."""
    held_out = len(work.train[0]) // 12  # 5,000 of 60,000
    part, validation = split_train_validation(*work.train, validation=held_out)
    found = {}
    for goal, lengths in LENGTHS.items():
        wanted, tried = int(goal) / 100 + MARGIN, []
        found[goal] = {"tried": tried, "runs": []}
        for kind, change in CHANGES.items():
            for epochs in lengths:
                if tried and time.perf_counter() > until:
                    break
                recipe = dataclasses.replace(work.recipe("gpu_seconds"), epochs=epochs, **change)
                run = _tried(recipe, part, validation)
                tried.append({"change": kind, "epochs": epochs, **run})
                yield found
                if run["accuracy"] >= wanted:
                    break
        reached = [run for run in tried if run["accuracy"] >= wanted]
        best = max(tried, key=lambda run: run["accuracy"])
        chosen = min(reached, key=lambda run: run["seconds"]) if reached else best
        for seed in range(SEEDS):
            if seed and time.perf_counter() > until:
                break
            recipe = dataclasses.replace(
                work.recipe("gpu_seconds"), epochs=chosen["epochs"], **CHANGES[chosen["change"]]
            )
            files = work.folder / f"to_{goal}" / f"{recipe.name}-seed{seed}"
            found[goal]["runs"].append(_run(work, recipe, files, seed))
            yield found


def inference(work: Bench, until: float) -> Iterator[list]:
    """Answers per second of the network for 224x224 pictures, against torchvision's."""
    found = []
    for batch in (1, 2) if work.miniature else (1, 32, 256):
        if found and time.perf_counter() > until:
            return
        found.append(bench.inference(batch, 1 if work.miniature else 7, work.device))
        yield found


def best(work: Bench, until: float) -> Iterator[dict]:
    """The most accurate network: as many epochs as fit, at most those of its recipe; then seeds."""
    recipe, found, took = work.recipe("gpu_best"), {"runs": []}, 0.0
    for seed in range(SEEDS):
        files = work.folder / f"{recipe.name}-seed{seed}"
        left = until - time.perf_counter()
        if seed == 0:
            begun = begun_with(files.with_suffix(".state"), recipe)
            recipe = begun or _fitting(recipe, left, work)
        elif left < 1.05 * took:
            return
        with Timer() as timer:
            found["runs"].append(_run(work, recipe, files, seed))
        took = timer.seconds
        found["epochs"] = recipe.epochs
        yield found


PARTS = {  # and the share of all time that it may take
    "rates": (rates, 0.25),
    "seconds": (seconds, 0.25),
    "inference": (inference, 0.1),
    "best": (best, 1.0),  # what is left
}


def _fitting(recipe: Recipe, left: float, work: Bench) -> Recipe:
    """`recipe` with fewer epochs where its own do not fit into `left` seconds."""
    # To measure the rate takes some seconds, and so do nine views of the test pictures at the end.
    minutes = (0.9 * left - (0 if work.miniature else 15)) / 60
    fitting = train.lasting(minutes, recipe, work.train)
    return min(recipe, fitting, key=lambda one: one.epochs)


def _tried(recipe: Recipe, pictures: tuple, held_out: tuple) -> dict:
    """Seconds and accuracy of one run; apart from them the seconds before and after the steps."""
    torch.manual_seed(0)
    network = build_network(recipe).to(pictures[0].device)
    with Timer() as timer:
        history = bench.ended(fit(network, pictures, None, recipe, progress=False))
    _, share = evaluate(network, held_out, picture_size=recipe.picture_size)
    apart = timer.seconds - history.seconds  # to record the CUDA graphs, above all
    return {
        "seconds": round(history.seconds, 3),
        "seconds_apart": round(apart, 3),
        "accuracy": round(share, 4),
    }


def _run(work: Bench, recipe: Recipe, files: Path, seed: int) -> dict:
    """Seconds and test accuracies of a whole run, of which record and weights are kept."""
    log = files.with_suffix(".json")
    history = History.load(log) if log.is_file() else None
    if history is None or not history.results:
        if work.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        history = bench.ended(train.run(recipe, files, seed, work.train, work.test, progress=False))
    found = {"seconds": round(history.seconds, 3), **history.results}
    if work.device.type == "cuda":
        found["megabytes"] = round(torch.cuda.max_memory_allocated() / 1e6)
    return found


# The goals ----------------------------------------------------------------------------------------


def report(figures: dict) -> str:
    """The goals and what was reached, as a table; "not measured" for what is missing."""
    rows = [*_rates(figures), *_seconds(figures), *_best(figures), *_inference(figures)]
    where = figures["machine"]["name"] + (", in miniature" if figures["miniature"] else "")
    return f"{where}\n{format_table(rows, ['goal', 'aim', 'reached'])}"


NOT_MEASURED = "not measured"


def _rates(figures: dict) -> Iterator[list[str]]:
    for name, found in figures.get("rates", {}).get("recipes", {}).items():
        ratio = statistics.median(found["ratios_of_rates"])
        words = f"{found['images_per_s']:,.0f}, {ratio:.1f} times the yardstick"
        yield [f"images/s, {name}", "", words]


def _seconds(figures: dict) -> Iterator[list[str]]:
    recipes = figures.get("rates", {}).get("recipes", {})
    for goal, aim in (("89", "200 times the yardstick"), ("94", "2.5 s")):
        runs = figures.get("seconds", {}).get(goal, {}).get("runs", [])
        took = statistics.mean(run["seconds"] for run in runs) if runs else 0
        words = f"{_mean(runs, 'test_accuracy')} after {took:.2f} s" if runs else NOT_MEASURED
        reached = runs and statistics.mean(run["test_accuracy"] for run in runs) >= int(goal) / 100
        if runs and not reached:
            words = f"not reached: {words}"
        if goal == "89" and reached and recipes:
            rates = [found["yardstick_images_per_s"] for found in recipes.values()]
            yardstick = bench.YARDSTICK_PICTURES / statistics.median(rates)
            words += f", {yardstick / took:.0f} times"
        yield [f"time to {goal}%", aim, words]


def _best(figures: dict) -> Iterator[list[str]]:
    found = figures.get("best", {"runs": []})
    for views, aim in (("", "96.4%"), ("_6_views", "96.6%")):
        words = NOT_MEASURED
        if found["runs"]:
            words = f"{_mean(found['runs'], f'test_accuracy{views}')}, {found['epochs']:g} epochs"
        yield ["at most 6.0M parameters" + (", six views" if views else ""), aim, words]


def _inference(figures: dict) -> Iterator[list[str]]:
    rows = figures.get("inference", [])
    for row in rows:
        words = f"{row['folded_against_torchvision']:.2f} times, equal to {row['difference']:.0e}"
        yield [f"inference, batch {row['batch']}", "1.3 times, equal to 1e-4", words]
    if not rows:
        yield ["inference", "1.3 times, equal to 1e-4", NOT_MEASURED]


def _mean(runs: list[dict], name: str) -> str:
    return f"{100 * statistics.mean(run[name] for run in runs):.2f}% ({len(runs)})"

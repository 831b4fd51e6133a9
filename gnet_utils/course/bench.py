"""How fast this machine is at what the course does, each figure beside what it is compared with.

    python -m gnet_utils bench            about ten minutes
    python -m gnet_utils bench --quick    under three

The yardstick is the recipe `tutorial`. Its rate and that of the recipe under test are measured in
turn, pair by pair, so that a ratio holds when other programs slow the machine down.
"""

import dataclasses
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import nn

from gnet_utils.base import ROOT, CourseError, UsageError, is_quick
from gnet_utils.counting import count_macs, format_table
from gnet_utils.data import load_fashion_mnist
from gnet_utils.models import GoogLeNet, fused
from gnet_utils.recipes import Recipe, build_network, get_recipe
from gnet_utils.training import (
    BY_HAND,
    QUICK_STEPS,
    History,
    bfloat16_is_fast,
    fit,
    this_machine,
)

RUNS = ROOT / "data" / "runs"
TRAINING_PICTURES = 60_000
YARDSTICK_PICTURES = 10 * TRAINING_PICTURES  # what the tutorials' recipe takes to reach 88.9%
TEST = "test_accuracy"
CPU_RECIPES = ("sprint", "minute", "five_minutes", "full")
# What makes the recipe `minute` fast, and the same recipe without it.
TRICKS = {
    "blocks on maps half as high and wide": {"network": {"stem": "full"}},
    "bfloat16": {"precision": "float32"},
    "channels last in memory": {"channels_last": False},
    "channels in multiples of 16": {"network": {"multiple_of": 1}},
    "projection before the pooling": {"network": {"project_first": False}},
    "sibling 1x1 convolutions merged": {"merged": False},
    "Muon, which teaches more in each step": {"optimiser": "sgd"},
}


def measure(quick: bool = False, say: Callable[[str], None] = print) -> dict:
    """All figures of this machine as a dictionary that JSON can hold.

    quick: fewer pairs, shorter each. Raises CourseError when the data cannot be had.
    """
    pairs, seconds = (1, 1.5) if quick else (3, 8.0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.perf_counter()
    say("loading the data ...")
    data = load_fashion_mnist("train", device=str(device))  # fetched at the first call, if need be
    loading = timed(lambda: load_fashion_mnist("train", device=str(device)), device)
    figures = {
        "date": date.today().isoformat(),
        "quick": quick,
        "machine": this_machine(device),
        "load_data_seconds": round(loading, 3),
    }
    say("matrix products ...")
    # Where bfloat16 is slower it may be so by far: one product can take a minute.
    kinds = [torch.float32] + [torch.bfloat16] * bfloat16_is_fast(device)
    figures["peak_tflops"] = {
        str(kind).removeprefix("torch."): round(peak(kind, device) / 1e12, 3) for kind in kinds
    }
    fastest = max(figures["peak_tflops"].values())
    figures["recipes"] = {}
    for name in CPU_RECIPES if device.type == "cpu" else (*CPU_RECIPES, "gpu_seconds"):
        say(f"training by {name}, against the yardstick ...")
        found = against_yardstick(name, data, pairs, seconds)
        found["share_of_peak"] = round(found["tflops"] / fastest, 3)
        figures["recipes"][name] = with_recorded_runs(name, found)
    say("training by minute, without one trick at a time ...")
    figures["tricks"] = gains(data, pairs, seconds)
    say("inference at 224x224 ...")
    figures["inference"] = [inference(batch, 3 if quick else 7, device) for batch in (1, 32)]
    figures["seconds"] = round(time.perf_counter() - began, 1)
    return figures


def against_yardstick(name: str, data: tuple, pairs: int, seconds: float) -> dict:
    """Images per second of recipe `name` and of the yardstick, in turn; medians of `pairs`.

    seconds: how long each is measured, about.
    """
    recipe = get_recipe(name)
    rates, yardsticks = [], []
    for _ in range(pairs):
        yardsticks.append(training_rate(get_recipe("tutorial"), data, seconds))
        rates.append(training_rate(recipe, data, seconds))
    macs = count_macs(build_network(recipe), (1, 1, recipe.picture_size, recipe.picture_size))
    rate, yardstick = statistics.median(rates), statistics.median(yardsticks)
    return {
        "images_per_s": round(rate, 1),
        "yardstick_images_per_s": round(yardstick, 1),
        "ratios_of_rates": [round(a / b, 2) for a, b in zip(rates, yardsticks, strict=True)],
        "macs": macs,
        "tflops": 3 * 2 * macs * rate / 1e12,  # backward costs about twice the forward pass
    }


def with_recorded_runs(name: str, found: dict) -> dict:
    """The figures `found` of recipe `name` with what its recorded runs reached.

    Adds their accuracies, the seconds that such a run takes at the rate found, and how many times
    faster than the yardstick that is; nothing where there are no runs.
    """
    runs = recorded_runs(name)
    if not runs:
        return found
    takes = get_recipe(name).epochs * TRAINING_PICTURES / found["images_per_s"]
    return found | {
        "test_accuracies": [run.results[TEST] for run in runs],
        "seconds": round(takes, 1),
        "times_faster": round(YARDSTICK_PICTURES / found["yardstick_images_per_s"] / takes, 1),
    }


def gains(data: tuple, pairs: int, seconds: float) -> dict[str, float]:
    """How many times faster `minute` trains with each of TRICKS than without, medians of pairs.

    seconds: how long each is measured, about. bfloat16 is left out where `minute` does not use it.
    """
    minute, found = get_recipe("minute"), {}
    for name, change in TRICKS.items():
        if name == "bfloat16" and not bfloat16_is_fast(data[0].device):
            continue
        network = {**minute.network, **change.get("network", {})}
        without = dataclasses.replace(minute, **{**change, "network": network})
        ratios = []
        for _ in range(pairs):
            slow, fast = (training_rate(recipe, data, seconds) for recipe in (without, minute))
            ratios.append(fast / slow)
        found[name] = round(statistics.median(ratios), 2)
    return found


def epochs_within(minutes: float, recipe: Recipe, data: tuple) -> float:
    """How many epochs of `recipe`, in quarters, this machine trains in so many minutes.

    Measured by some steps, with a twentieth kept back for times when the machine is busier.
    Raises ValueError when not even a quarter fits.
    """
    if not 0 < minutes < math.inf:
        raise UsageError(f"minutes must be above 0, got {minutes:g}")
    rate = training_rate(recipe, data, seconds=10)
    epochs = math.floor(4 * 0.95 * 60 * minutes * rate / len(data[0])) / 4
    if not epochs:
        raise UsageError(
            f"{minutes:g} min are too few: at {rate:,.0f} images/s a quarter of an epoch takes "
            f"{len(data[0]) / 4 / rate / 60:.1f} min here"
        )
    return epochs


def training_rate(recipe: Recipe, data: tuple, seconds: float) -> float:
    """Training images per second by `recipe`, measured for about `seconds` (two steps or more).

    Raises KeyboardInterrupt when stopped by hand, CourseError when the training goes astray: a rate
    of half a run would be wrong.
    """
    recipe = dataclasses.replace(recipe, epochs=1)
    network = build_network(recipe).to(data[0].device)
    most = QUICK_STEPS if is_quick() else max(1, len(data[0]) // recipe.batch_size)

    def run(steps: int) -> float:
        part = tuple(tensor[: steps * recipe.batch_size] for tensor in data)
        history = fit(network, part, None, recipe, progress=False)
        if history.stopped.startswith(BY_HAND):
            raise KeyboardInterrupt
        if history.stopped:
            raise CourseError(f"recipe {recipe.name} cannot be timed: {history.stopped}")
        return len(part[0]) / history.seconds

    run(1)  # the first step fills memory and chooses algorithms
    steps = round(seconds * run(1) / recipe.batch_size)
    return run(min(max(steps, 2), most))


def recorded_runs(name: str) -> list[History]:
    """The recorded runs of a recipe, as long as it says and on the real data, one for each seed."""
    runs = [History.load(path) for path in sorted(RUNS.glob(f"{name}-seed*.json"))]
    return [
        run
        for run in runs
        if run.recipe.get("epochs") == get_recipe(name).epochs
        and run.results.get("data") == "real"
        and TEST in run.results
    ]


def peak(kind: torch.dtype, device: torch.device, size: int | None = None, runs: int = 7) -> float:
    """The most floating-point operations per second that a matrix product reaches here."""
    size = size or (8192 if device.type == "cuda" else 2048)  # large enough to keep it busy
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    times = [timed(lambda: a @ b, device) for _ in range(runs)]
    return 2 * size**3 / min(times)


@torch.inference_mode()
def inference(batch: int, pairs: int, device: torch.device) -> dict:
    """Pictures per second of the 224x224 GoogLeNet: ours as read, ours folded, torchvision's.

    All three in turn, medians of `pairs` rounds. `difference` is the largest between the outputs
    of the network as read and as folded.
    """
    from torchvision.models import googlenet

    torch.manual_seed(0)
    images = torch.randn(batch, 3, 224, 224, device=device)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    read = GoogLeNet(norm="batch", aux=False).to(device).eval()
    settle(read)
    folded = fused.fold(read).to(memory_format=torch.channels_last)
    theirs = googlenet(weights=None, aux_logits=False, init_weights=False).to(device).eval()
    calls = {
        "as_read": lambda: read(images),
        "folded": lambda: folded(channels_last),
        "torchvision": lambda: theirs(images),
    }
    times = {name: [] for name in calls}
    for _ in range(pairs + 1):  # the first round is for warm-up
        for name, call in calls.items():
            times[name].append(timed(call, device))
    rates = {name: batch / statistics.median(found[1:]) for name, found in times.items()}
    outputs = calls["as_read"](), calls["folded"]()
    return {
        "batch": batch,
        **{f"{name}_images_per_s": round(rate, 2) for name, rate in rates.items()},
        "folded_against_torchvision": round(rates["folded"] / rates["torchvision"], 2),
        "difference": float(f"{(outputs[0] - outputs[1]).abs().max().item():.2e}"),
    }


def settle(network: nn.Module) -> None:
    """Give each batch norm running statistics that are not 0 and 1, so that folding has work."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)


def timed(call: Callable[[], object], device: torch.device | None = None) -> float:
    """Seconds that `call` takes."""
    wait = torch.cuda.synchronize if device and device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - began


def report(figures: dict) -> str:
    """The figures as text: small tables."""
    peaks = ", ".join(f"{name} {value:.2f}" for name, value in figures["peak_tflops"].items())
    rows = []
    for name, measured in figures["recipes"].items():
        found = with_recorded_runs(name, measured)  # runs may have been recorded since
        accuracies = [100 * value for value in found.get("test_accuracies", [])]
        rows.append(
            [
                name,
                f"{found['images_per_s']:,.0f}",
                f"{statistics.median(found['ratios_of_rates']):.1f}x",
                f"{100 * found['share_of_peak']:.0f}%",
                f"{statistics.mean(accuracies):.2f}% ({len(accuracies)})" if accuracies else "-",
                f"{found['seconds']:.0f} s" if accuracies else "-",
                f"{found['times_faster']:.0f}x" if accuracies else "-",
            ]
        )
    headers = ["recipe", "images/s", "rate", "of peak", "test (seeds)", "takes", "faster"]
    yardstick = statistics.median(
        found["yardstick_images_per_s"] for found in figures["recipes"].values()
    )
    seen = [
        [
            row["batch"],
            f"{row['torchvision_images_per_s']:.1f}",
            f"{row['as_read_images_per_s']:.1f}",
            f"{row['folded_images_per_s']:.1f}",
            f"{row['folded_against_torchvision']:.2f}x",
            f"{row['difference']:.0e}",
        ]
        for row in figures["inference"]
    ]
    names = ["batch", "torchvision", "ours", "folded", "against torchvision", "difference"]
    tricks = [[name, f"{gain:.2f}x"] for name, gain in figures["tricks"].items()]
    return "\n".join(
        [
            f"data loaded from the cache in {figures['load_data_seconds']:.2f} s",
            f"largest matrix products, TFLOP/s: {peaks}",
            f"yardstick (recipe tutorial): {yardstick:.1f} images/s, "
            f"{YARDSTICK_PICTURES / yardstick:,.0f} s to 88.9%",
            "",
            format_table(rows, headers),
            "",
            "what makes minute fast: rate with it, against without",
            format_table(tricks, ["trick", "faster"]),
            "",
            "inference at 224x224, images/s",
            format_table(seen, names),
        ]
    )


def save(figures: dict, path: Path) -> None:
    """Write the figures as JSON, aside first: a file that is there stays until they are."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    os.replace(aside, path)

"""How fast this machine is at what the course does, each figure beside what it is compared with.

    python -m gnet_utils bench            about ten minutes
    python -m gnet_utils bench --quick    under three

The yardstick is the recipe `tutorial`. Its rate and that of the recipe under test are measured in
turn, pair by pair, so that a ratio holds when other programs slow the machine down.
"""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import nn

from gnet_utils.base import ROOT, CourseError, is_quick, written_aside
from gnet_utils.counting import count_macs, format_table
from gnet_utils.data import load_fashion_mnist
from gnet_utils.devices import best_device
from gnet_utils.experiments.tricks import TRICKS, changed
from gnet_utils.models import GoogLeNet, fused
from gnet_utils.recipes import Recipe, bfloat16_is_fast, build_network, get_recipe
from gnet_utils.runs import History, this_machine
from gnet_utils.training import BY_HAND, QUICK_STEPS, fit

TRAINING_PICTURES = 60_000
YARDSTICK_PICTURES = 10 * TRAINING_PICTURES  # what the tutorials' recipe takes to reach 88.9%
CPU_RECIPES = ("sprint", "minute", "five_minutes", "hour")


def bench(out: Path, quick: bool = False, device: str = "auto") -> None:
    """Measure, print the tables and write the figures to the file `out` as JSON."""
    figures = measure(quick, device)
    print("\n" + report(figures))
    with written_aside(out) as aside:
        aside.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {out} after {figures['seconds']:.0f} s")


def measure(quick: bool = False, device: str = "auto") -> dict:
    """All figures of this machine as a dictionary that JSON can hold.

    quick: fewer pairs, shorter each. Raises CourseError when the data cannot be had.
    """
    pairs, seconds = (1, 1.5) if quick else (3, 8.0)
    device = best_device(device)
    began = time.perf_counter()
    print("loading the data ...", flush=True)
    data = load_fashion_mnist("train", device=str(device))  # fetched at the first call, if need be
    loading = timed(lambda: load_fashion_mnist("train", device=str(device)), device)
    print("matrix products ...", flush=True)
    peaks, recipes, yardstick = peaks_of(device), {}, get_recipe("tutorial")
    for name in CPU_RECIPES if device.type == "cpu" else (*CPU_RECIPES, "gpu_seconds"):
        print(f"training by {name}, against the yardstick ...", flush=True)
        found = against_yardstick(get_recipe(name), yardstick, data, pairs, seconds)
        recipes[name] = found | {"share_of_peak": round(found["tflops"] / max(peaks.values()), 3)}
    print("training by sprint, without one trick at a time ...", flush=True)
    tricks = gains(data, pairs, seconds)
    print("inference at 224x224 ...", flush=True)
    return {
        "date": date.today().isoformat(),
        "quick": quick,
        "machine": this_machine(device),
        "load_data_seconds": round(loading, 3),
        "peak_tflops": {kind: round(value, 3) for kind, value in peaks.items()},
        "recipes": recipes,
        "tricks": tricks,
        "inference": [inference(batch, 3 if quick else 7, device) for batch in (1, 32)],
        "seconds": round(time.perf_counter() - began, 1),
    }


def against_yardstick(
    recipe: Recipe, yardstick: Recipe, data: tuple, pairs: int, seconds: float
) -> dict:
    """Images per second of `recipe` and of the yardstick, medians of `pairs` in turn."""
    yardsticks, rates = in_turn(yardstick, recipe, data, pairs, seconds)
    macs = count_macs(build_network(recipe), (1, 1, recipe.picture_size, recipe.picture_size))
    rate = statistics.median(rates)
    return {
        "images_per_s": round(rate, 1),
        "yardstick_images_per_s": round(statistics.median(yardsticks), 1),
        "ratios_of_rates": [round(a / b, 2) for a, b in zip(rates, yardsticks, strict=True)],
        "macs": macs,
        "tflops": 3 * 2 * macs * rate / 1e12,  # backward costs about twice the forward pass
    }


def gains(data: tuple, pairs: int, seconds: float) -> dict[str, float]:
    """How many times faster `sprint` trains with each of TRICKS than without, medians of pairs.

    bfloat16 is left out where `sprint` does not use it.
    """
    sprint, found = get_recipe("sprint"), {}
    for name, change in TRICKS.items():
        if name == "bfloat16" and not bfloat16_is_fast(data[0].device):
            continue
        slow, fast = in_turn(changed(change), sprint, data, pairs, seconds)
        ratios = [b / a for a, b in zip(slow, fast, strict=True)]
        found[name] = round(statistics.median(ratios), 2)
    return found


def in_turn(
    one: Recipe, other: Recipe, data: tuple, pairs: int, seconds: float
) -> tuple[list[float], list[float]]:
    """The rates of two recipes, measured in turn, for about so many seconds each."""
    rates = [], []
    for _ in range(pairs):
        for recipe, found in zip((one, other), rates, strict=True):
            found.append(training_rate(recipe, data, seconds))
    return rates


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
        return len(part[0]) / ended(history).seconds

    run(1)  # the first step fills memory and chooses algorithms
    steps = round(seconds * run(1) / recipe.batch_size)
    return run(min(max(steps, 2), most))


def ended(history: History) -> History:
    """The record of a run that came to its end.

    Raises KeyboardInterrupt for one that was stopped by hand, CourseError for one that went astray.
    """
    if history.stopped.startswith(BY_HAND):
        raise KeyboardInterrupt
    if history.stopped:
        name = history.recipe.get("name")
        raise CourseError(f"recipe {name} cannot be timed: {history.stopped}")
    return history


def peaks_of(device: torch.device) -> dict[str, float]:
    """The largest matrix products in TFLOP/s, by kind of number."""
    # Where bfloat16 is slower it may be so by far: one product can take a minute.
    kinds = [torch.float32] + [torch.bfloat16] * bfloat16_is_fast(device)
    return {str(kind).removeprefix("torch."): peak(kind, device) / 1e12 for kind in kinds}


def peak(kind: torch.dtype, device: torch.device) -> float:
    """The most floating-point operations per second that a matrix product reaches here."""
    size = 8192 if device.type != "cpu" else 2048  # large enough to keep it busy
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    times = [timed(lambda: a @ b, device) for _ in range(7)]
    return 2 * size**3 / min(times)


@torch.inference_mode()
def inference(batch: int, pairs: int, device: torch.device) -> dict:
    """Pictures per second of the 224x224 GoogLeNet: ours as read, ours folded, torchvision's.

    All three in turn, medians of `pairs` rounds. `difference` is the largest between the outputs
    of the network as read and as folded. On an NVIDIA GPU also the most memory that a pass takes,
    without the weights, in megabytes.
    """
    from torchvision.models import googlenet

    torch.manual_seed(0)
    images = torch.randn(batch, 3, 224, 224, device=device)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    read = GoogLeNet(norm="batch", aux=False).to(device).eval()
    for layer in read.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as if trained, so that folding has work
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
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
    # A GPU multiplies with fewer digits where it may; the question here is whether they are equal.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        outputs = calls["as_read"](), calls["folded"]()
    memory = {}
    for name, call in calls.items() if device.type == "cuda" else ():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        memory[f"{name}_megabytes"] = round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)
    return {
        "batch": batch,
        **{f"{name}_images_per_s": round(rate, 2) for name, rate in rates.items()},
        "folded_against_torchvision": round(rates["folded"] / rates["torchvision"], 2),
        "difference": float(f"{(outputs[0] - outputs[1]).abs().max().item():.2e}"),
        **memory,
    }


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds that `call` takes."""
    wait = (lambda: None) if device.type == "cpu" else torch.accelerator.synchronize
    wait()
    began = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - began


def report(figures: dict) -> str:
    """The figures as text: small tables."""
    peaks = ", ".join(f"{name} {value:.2f}" for name, value in figures["peak_tflops"].items())
    yardstick = statistics.median(
        found["yardstick_images_per_s"] for found in figures["recipes"].values()
    )
    takes = YARDSTICK_PICTURES / yardstick
    headers = ["recipe", "images/s", "rate", "of peak", "test (seeds)", "takes", "faster"]
    rows = [_row(name, found) for name, found in figures["recipes"].items()]
    tricks = [[name, f"{gain:.2f}x"] for name, gain in figures["tricks"].items()]
    names = ["batch", "torchvision", "ours", "folded", "against torchvision", "difference"]
    seen = [
        [
            row["batch"],
            *(f"{row[f'{who}_images_per_s']:.1f}" for who in ("torchvision", "as_read", "folded")),
            f"{row['folded_against_torchvision']:.2f}x",
            f"{row['difference']:.0e}",
        ]
        for row in figures["inference"]
    ]
    return f"""data loaded from the cache in {figures["load_data_seconds"]:.2f} s
largest matrix products, TFLOP/s: {peaks}
yardstick (recipe tutorial): {yardstick:.1f} images/s, {takes:,.0f} s to 88.9%

{format_table(rows, headers)}

what makes sprint fast: rate with it, against without
{format_table(tricks, ["trick", "faster"])}

inference at 224x224, images/s
{format_table(seen, names)}"""


def _row(name: str, found: dict) -> list[str]:
    """One recipe: its rates, and the accuracy of its recorded runs, if there are any."""
    row = [
        name,
        f"{found['images_per_s']:,.0f}",
        f"{statistics.median(found['ratios_of_rates']):.1f}x",
        f"{100 * found['share_of_peak']:.0f}%",
    ]
    logs = (ROOT / "data" / "runs").glob(f"{name}-seed*.json")
    accuracies = [100 * History.load(log).results["test_accuracy"] for log in logs]
    if not accuracies:
        return [*row, "-", "-", "-"]
    takes = get_recipe(name).epochs * TRAINING_PICTURES / found["images_per_s"]
    faster = round(YARDSTICK_PICTURES / found["yardstick_images_per_s"] / takes, 1)
    mean = f"{statistics.mean(accuracies):.2f}% ({len(accuracies)})"
    return [*row, mean, f"{takes:.0f} s", f"{faster:.0f}x"]

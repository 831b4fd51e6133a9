"""`python -m gnet_utils train`: one run by a named recipe, with its record and weights kept.

A run that was cut off goes on; one that is finished is neither trained again nor written over.
"""

import argparse
import contextlib
import dataclasses
import math
import sys
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from gnet_utils import data, parallel, training
from gnet_utils.base import CourseError, UsageError
from gnet_utils.course import bench
from gnet_utils.evaluation import evaluate
from gnet_utils.recipes import Recipe, build_network, get_recipe, other_settings
from gnet_utils.runs import History, begun_with, save_checkpoint


def train(options: argparse.Namespace) -> int:
    """Do what the options of the command `train` ask for; returns the exit code.

    Raises UsageError for an unknown recipe and CourseError when another process trains the same.
    """
    recipe = get_recipe(options.recipe)
    files = Path(options.out) / f"{recipe.name}-seed{options.seed}"
    device = parallel.start(options.device)
    lock = FileLock(files.with_suffix(".lock"), timeout=0)
    try:  # of several processes only the first writes
        with lock if parallel.rank() == 0 else contextlib.nullcontext():
            return _train(recipe, device, files, options)
    except Timeout:
        raise CourseError(
            f"another process trains {files.name} in {files.parent}: wait for it, or choose "
            "another --seed or --out"
        ) from None
    finally:
        parallel.stop()


def _train(recipe: Recipe, device: torch.device, files: Path, options: argparse.Namespace) -> int:
    first = parallel.rank() == 0
    name = "validation" if options.validate else "test"
    state, log = files.with_suffix(".state"), files.with_suffix(".json")
    finished = _finished(log, recipe, name)
    parallel.agree(finished, "finished runs")
    if finished:
        if first:
            print(f"{finished}; to train again delete that file, or choose another --out")
        return 0
    pictures, validation = data.load_fashion_mnist("train", str(device)), None
    if options.validate:
        pictures, validation = data.split_train_validation(*pictures)
    if options.minutes is not None:
        begun = begun_with(state, recipe)
        recipe = begun or lasting(options.minutes, recipe, pictures)
    measured = validation or data.load_fashion_mnist("test", str(device))
    history = run(recipe, files, options.seed, pictures, measured, validation)
    if not first:
        return int(history.stopped != "")
    if history.stopped:
        on = ""
        if history.stopped.startswith(training.BY_HAND):  # else it would end there again
            kept = f"goes on after epoch {len(history.epochs)}"
            on = f"; the same command {kept if state.exists() else 'begins again'}"
        print(f"error: {history.stopped}{on}", file=sys.stderr)
        return 1
    accuracy, weights = history.results[f"{name}_accuracy"], files.with_suffix(".safetensors")
    print(f"{name} accuracy {accuracy:.4f} after {history.seconds:.0f} s of training: {weights}")
    return 0


def run(
    recipe: Recipe,
    files: Path,
    seed: int,
    pictures: training.Data,
    measured: training.Data,
    validation: training.Data | None = None,
    progress: bool = True,
) -> History:
    """Train by `recipe`; keep record, state while it lasts, and weights as `files` plus a suffix.

    pictures: to learn from; measured: to measure the trained network on, test pictures unless
    `validation` is given, which is looked at after each epoch. All on the device that trains.
    A run that was stopped has no results and no weights.
    """
    state, log = files.with_suffix(".state"), files.with_suffix(".json")
    first, name = parallel.rank() == 0, "validation" if validation else "test"
    torch.manual_seed(seed)
    network = build_network(recipe).to(pictures[0].device)

    def record(so_far: History) -> None:
        try:
            so_far.save(log)
        except OSError as error:
            print(f"{log} cannot be written ({error.strerror}): training goes on.", file=sys.stderr)

    history = training.fit(
        network,
        pictures,
        validation,
        recipe,
        seed=seed,
        progress=progress,
        state=state,
        after_epoch=record if first else None,
    )
    if not first:
        return history
    if history.stopped:
        record(history)
        return history
    loss, accuracy = evaluate(network, measured, picture_size=recipe.picture_size)
    history.results = {
        "data": data.data_source().kind,
        f"{name}_loss": round(loss, 4),
        f"{name}_accuracy": round(accuracy, 4),
    }
    # Views help a network that was trained on such: mirrored, and for six also shifted pictures.
    for views in (2, 6)[: recipe.mirror + (recipe.mirror and recipe.shift > 0)]:
        _, share = evaluate(network, measured, views=views, picture_size=recipe.picture_size)
        history.results[f"{name}_accuracy_{views}_views"] = round(share, 4)
    weights = files.with_suffix(".safetensors")
    save_checkpoint(network, weights, recipe=recipe.name, seed=seed, **history.results)
    history.save(log)  # with results: from here on the run is finished
    state.unlink(missing_ok=True)
    return history


def _finished(log: Path, recipe: Recipe, name: str) -> str:
    """What the run recorded in `log` came to, or "" where none came to its end.

    Raises CourseError when that was another run: it is not to be written over.
    """
    history = History.load(log) if log.is_file() else None
    if history is None or not history.results:
        return ""
    found = history.results.get(f"{name}_accuracy")
    other = set(other_settings(recipe, history.recipe)) - {"epochs"}  # --minutes changes them
    if other or found is None or history.results["data"] != data.data_source().kind:
        raise CourseError(f"{log} is the record of another run: delete it, or choose another --out")
    took = f"{history.recipe['epochs']:.3g} epochs, {history.seconds:.0f} s"
    return f"{log} holds this run, finished: {name} accuracy {found:.4f} after {took}"


def lasting(minutes: float, recipe: Recipe, pictures: tuple) -> Recipe:
    """`recipe` with as many epochs, in quarters, as this machine trains in so many minutes.

    Measured by some steps, with a twentieth kept back for times when the machine is busier.
    Raises UsageError when not even a quarter fits.
    """
    rate = bench.training_rate(recipe, pictures, seconds=10)
    quarter = len(pictures[0]) / 4 / rate / 60
    if not quarter < 0.95 * minutes < math.inf:
        raise UsageError(
            f"--minutes must allow a quarter of an epoch, which takes {quarter:.1f} min here, got "
            f"{minutes:g}"
        )
    epochs = math.floor(0.95 * minutes / quarter) / 4
    print(f"{epochs:g} epochs fit into {minutes:g} min here.", flush=True)
    return dataclasses.replace(recipe, epochs=epochs)

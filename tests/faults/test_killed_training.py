"""Training that is killed at any moment goes on with the same command and ends with the same bits.

Run as a script, this file is the process that gets killed: it starts one training after another
in processes forked from it, so that PyTorch is imported once.
"""

import dataclasses
import errno
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from gnet_utils import data, runs
from gnet_utils.base import ROOT, CourseError
from gnet_utils.course import commands as cli
from gnet_utils.recipes import RECIPES, Recipe, build_network
from gnet_utils.training import History, fit

KILLS = 20
TRAIN = ["train", "--recipe", "minute"]
RECIPE = Recipe(
    "killed",
    "some short epochs, with all that a run has to remember",
    epochs=10,
    batch_size=16,
    learning_rate=0.05,
    mirror=True,
    shift=1,
    erase=0.3,
    network={"width": 0.125, "stem": "patch"},
)


def some_data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(64) % 10


def train(folder: Path, recipe: Recipe = RECIPE) -> None:
    """One run with its state in `folder`; at its end the weights and the record lie there."""
    torch.manual_seed(0)
    net = build_network(recipe)
    history = fit(net, some_data(), None, recipe, state=folder / "run.state", progress=False)
    weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    save_file(weights, folder / "weights.tmp")
    os.replace(folder / "weights.tmp", folder / "weights")
    history.save(folder / "run.json")


def differences(
    one: Path, other: Path, weights: str = "weights", log: str = "run.json"
) -> list[str]:
    """What is not equal bit for bit, in weights or in the log, between two finished runs."""
    first, second = load_file(one / weights), load_file(other / weights)
    found = [
        name
        for name, tensor in first.items()
        if tensor.numpy().tobytes() != second[name].numpy().tobytes()
    ]
    logs = [
        [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in history.epochs]
        + [history.losses, history.results]
        for history in (History.load(one / log), History.load(other / log))
    ]
    return found + ["the log"] * (logs[0] != logs[1])


def forked(folder: Path, seconds: float = 600.0) -> bool:
    """Train in a forked process, killed after `seconds`; whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            train(folder)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0, "the training itself failed"
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main(folder: Path, kills: int) -> None:
    """Kill `kills` trainings at random moments, and compare each that came to its end."""
    torch.set_num_threads(1)  # a forked process has no threads but its own
    for name in ("warm", "whole"):
        (folder / name).mkdir()
    train(folder / "warm")  # what PyTorch makes ready at its first step is done before the clock
    began = time.monotonic()
    assert forked(folder / "whole")
    whole, rng = time.monotonic() - began, random.Random(0)
    killed, runs, places, halves = 0, 0, [], 0
    while killed < kills:
        own = folder / f"run{runs}"
        own.mkdir()
        runs += 1
        while not (own / "run.json").exists():  # what is written last
            if forked(own, rng.uniform(0, 0.7 * whole) if killed < kills else 600.0):
                continue
            killed += 1
            halves += any(own.glob("run.state.*.tmp"))
            if (own / "run.state").exists():
                state = torch.load(own / "run.state", weights_only=True)
                places.append(len(state["history"]["epochs"]))
        assert differences(folder / "whole", own) == [], own
    print(json.dumps({"killed": killed, "runs": runs, "epochs": places, "half": halves}))


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_training_killed_at_20_random_moments_ends_bit_for_bit_as_if_undisturbed(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "GNET_QUICK"}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(KILLS)],
        env={**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["killed"] == KILLS
    assert len(set(report["epochs"])) >= 4, report  # they did hit different places
    print(report)


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


CALLS = {"save": torch, "fsync": os, "replace": os}


@pytest.fixture
def small(monkeypatch) -> Recipe:
    monkeypatch.delenv("GNET_QUICK", raising=False)
    return dataclasses.replace(RECIPE, epochs=2, merged=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GNET_QUICK", raising=False)
        train(folder, dataclasses.replace(RECIPE, epochs=2, merged=False))
    return folder


@pytest.mark.parametrize("when", ["before", "half", "after"])
@pytest.mark.parametrize("call", CALLS)
def test_a_kill_while_the_state_is_written_loses_nothing(
    call, when, small, undisturbed, tmp_path, monkeypatch
):
    """Each step of writing, in the second epoch: before it, in the middle, after it."""
    real, count = getattr(CALLS[call], call), []

    def dying(*arguments, **options):
        count.append(call)
        if len(count) < 2:
            return real(*arguments, **options)
        if when == "after":
            real(*arguments, **options)
        if when == "half" and call == "save":
            Path(arguments[1]).write_bytes(b"PK\x03\x04half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CALLS[call], call, dying)
        with pytest.raises(Killed):
            train(tmp_path, small)
    train(tmp_path, small)
    assert differences(undisturbed, tmp_path) == []


def test_the_comparison_sees_one_changed_bit_and_a_doubled_epoch(undisturbed, tmp_path):
    tensors = load_file(undisturbed / "weights")
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(torch.int32).view(-1)[0] ^= 1
    save_file(tensors, tmp_path / "weights")
    history = History.load(undisturbed / "run.json")
    history.epochs.append(history.epochs[-1])
    history.save(tmp_path / "run.json")
    assert differences(undisturbed, tmp_path) == [name, "the log"]


def test_a_file_is_forced_to_the_disk_before_it_takes_the_place_of_the_last(
    small, tmp_path, monkeypatch
):
    """Else a power failure can leave an empty file under the right name."""
    order = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        note = lambda *a, name=name, real=real: (order.append(name), real(*a))[1]  # noqa: E731
        monkeypatch.setattr(os, name, note)
    runs.save_checkpoint(nn.Linear(2, 2), tmp_path / "net")
    History(recipe={}, seed=0).save(tmp_path / "run.json")
    fit(build_network(small), some_data(), None, small, state=tmp_path / "s", progress=False)
    assert order == ["fsync", "replace"] * 4


def test_a_full_disk_does_not_end_the_training(small, undisturbed, tmp_path, monkeypatch, capsys):
    def full(error):
        return lambda *_, **__: (_ for _ in ()).throw(error("No space left on device"))

    torch.manual_seed(0)
    net = build_network(small)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full(RuntimeError))
        patch.setattr(runs, "save_file", full(runs.safetensors.SafetensorError))
        history = fit(net, some_data(), None, small, state=tmp_path / "s", progress=False)
        assert "No space left" in capsys.readouterr().err
        with pytest.raises(CourseError, match=r"cannot be written \(No space left"):
            runs.save_checkpoint(net, tmp_path / "net")
    assert len(history.epochs) == 2 and history.stopped == ""
    weights = load_file(undisturbed / "weights")
    assert all(torch.equal(weights[name], value) for name, value in net.state_dict().items())


def shorten_command(patch: pytest.MonkeyPatch) -> None:
    """`train` trains for three epochs on the pictures of this module."""
    patch.delenv("GNET_QUICK", raising=False)
    patch.setattr(data, "load_fashion_mnist", lambda *_: some_data())
    patch.setattr(data, "data_source", lambda: data.DataSource("real", "a test"))
    recipe = dataclasses.replace(RECIPE, name="minute", epochs=3, batch_size=32, merged=False)
    patch.setitem(RECIPES, "minute", recipe)


@pytest.fixture
def short_command(monkeypatch) -> None:
    shorten_command(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed_command(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        shorten_command(patch)
        assert cli.main([*TRAIN, "--out", str(folder)]) == 0
    return folder


# In each epoch the state is written, then the log, each with one `replace` at the end: all in the
# second epoch, before the log, before the state, and in the middle of the log.
@pytest.mark.parametrize(
    ("place", "call", "number"), [(History, "save", 2), (os, "replace", 3), (os, "replace", 4)]
)
def test_the_command_that_was_killed_goes_on_with_an_unbroken_log(
    place, call, number, short_command, undisturbed_command, tmp_path, monkeypatch
):
    real, count = getattr(place, call), itertools.count(1)

    def dying(*arguments, **options):
        if next(count) == number:
            raise Killed
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, call, dying)
        with pytest.raises(Killed):
            cli.main([*TRAIN, "--out", str(tmp_path)])
    assert (tmp_path / "minute-seed0.state").exists()
    assert cli.main([*TRAIN, "--out", str(tmp_path)]) == 0
    names = "minute-seed0.safetensors", "minute-seed0.json"
    assert differences(undisturbed_command, tmp_path, *names) == []
    assert {file.name for file in tmp_path.iterdir()} == {*names, "minute-seed0.lock"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_log_that_cannot_be_written_does_not_end_the_command(
    number, short_command, tmp_path, monkeypatch, capsys
):
    real, count = History.save, itertools.count(1)

    def full(history, path):
        if next(count) <= 3:  # after each epoch; at the end there is room again
            raise OSError(number, os.strerror(number))
        real(history, path)

    monkeypatch.setattr(History, "save", full)
    assert cli.main([*TRAIN, "--out", str(tmp_path)]) == 0
    assert f"cannot be written ({os.strerror(number)})" in capsys.readouterr().err
    assert len(History.load(tmp_path / "minute-seed0.json").epochs) == 3


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

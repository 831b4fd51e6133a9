"""Two processes train as one: equal weights, one record, and a killed one is brought back.

Run as a script, this file is the process that torchrun starts; one start serves several tests.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gnet_utils import data, parallel, training
from gnet_utils.base import ROOT, CourseError
from gnet_utils.course import commands
from gnet_utils.evaluation import evaluate
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.recipes import Recipe
from gnet_utils.training import fit

RECIPE = Recipe(
    "test",
    "a test",
    epochs=4,
    batch_size=16,
    learning_rate=0.05,
    optimiser="muon",
    momentum=0.6,
    mirror=True,
    precision="float32",
)


def train(folder: Path, state: str = "state", after_epoch=None) -> None:
    """One run; weights and record of this process lie in `folder` at its end."""
    folder.mkdir(exist_ok=True)
    images = torch.randint(0, 60, (96, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(96) % 2
    images[labels == 1, :, 14:] += 150  # class 1 is bright below
    pictures = images.to(torch.uint8), labels
    torch.manual_seed(0)
    net = FashionGoogLeNet(0.125, stem="patch", dropout=0.0)
    history = fit(
        net, pictures, None, RECIPE, progress=False, state=folder / state, after_epoch=after_epoch
    )
    weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    save_file(weights, folder / f"rank{parallel.rank()}.safetensors")
    history.results = {"accuracy": evaluate(net, pictures)[1]}
    history.save(folder / f"history{parallel.rank()}.json")


def train_in_three_ways(folder: Path) -> None:
    """Undisturbed; with states that only one process finds; with a loss that goes astray in one."""
    rank = parallel.rank()
    train(folder / "calm")
    (folder / "apart").mkdir(exist_ok=True)
    if rank == 0:
        os.link(folder / "calm" / "state", folder / "apart" / "state0")
    try:
        train(folder / "apart", f"state{rank}")
    except CourseError as error:
        (folder / f"refused{rank}").write_text(str(error))
    loss, steps = training.F.cross_entropy, itertools.count(1)
    if rank == 1:
        training.F.cross_entropy = lambda *arguments, **options: (
            loss(*arguments, **options) * (float("nan") if next(steps) == 8 else 1)
        )
    train(folder / "astray")


def train_and_die_once(folder: Path) -> None:
    """As undisturbed, but process 1 is killed after its second epoch, the first time."""

    def die(history: training.History) -> None:
        killed = folder / "killed"
        if parallel.rank() == 1 and len(history.epochs) == 2 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    train(folder, after_epoch=die)


def run_the_command(folder: Path) -> None:
    """`python -m gnet_utils train`, on a few pictures."""
    images, labels = torch.zeros(200, 1, 28, 28, dtype=torch.uint8), torch.arange(200) % 10
    data.load_fashion_mnist = lambda *_: (images, labels)
    data.data_source = lambda: data.DataSource("real", "a test")
    sys.exit(commands.main(["train", "--recipe", "sprint", "--out", str(folder)]))


def torchrun(work: str, folder: Path) -> subprocess.CompletedProcess:
    """`torchrun` of a function of this file in two processes of this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "--max-restarts=1", __file__, work, str(folder)]
    paths = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GNET_QUICK": "0"}
    env = {**os.environ, **paths}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=400)


def records(folder: Path) -> list[dict]:
    """The record of each process."""
    return [json.loads((folder / f"history{rank}.json").read_text()) for rank in (0, 1)]


def weights(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    """What was learned; running statistics are each process's own and not among it."""
    tensors = load_file(folder / f"rank{rank}.safetensors")
    return {name: t for name, t in tensors.items() if "running" not in name}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """The folder of two processes that have trained in three ways."""
    folder = tmp_path_factory.mktemp("together")
    done = torchrun("train_in_three_ways", folder)
    assert done.returncode == 0, done.stderr[:3000]
    return folder


def test_two_processes_end_with_equal_weights_and_learn_like_one(together, tmp_path, monkeypatch):
    monkeypatch.delenv("GNET_QUICK", raising=False)
    train(tmp_path)
    alone = json.loads((tmp_path / "history0.json").read_text())
    shared, _ = records(together / "calm")
    first, second = weights(together / "calm", 0), weights(together / "calm", 1)
    assert equal(first, second) and not equal(first, weights(tmp_path, 0))
    assert shared["results"]["accuracy"] >= alone["results"]["accuracy"] - 0.05 >= 0.9


def test_an_epoch_in_the_record_is_that_of_all_processes(together):
    """Each sees pictures of its own, so that only sums over both are equal in both."""
    first, second = records(together / "calm")
    assert first["losses"] != second["losses"]
    for one, other in zip(first["epochs"], second["epochs"], strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["train_accuracy"] == other["train_accuracy"]


def test_a_killed_process_is_brought_back_and_the_run_ends_as_if_nothing_had_been(
    together, tmp_path
):
    done = torchrun("train_and_die_once", tmp_path)
    assert done.returncode == 0 and (tmp_path / "killed").exists(), done.stderr[:3000]
    history, undisturbed = records(tmp_path)[0], records(together / "calm")[0]
    assert [entry["epoch"] for entry in history["epochs"]] == [1, 2, 3, 4]
    assert history["losses"] == undisturbed["losses"]
    for rank in (0, 1):
        assert equal(weights(together / "calm", rank), weights(tmp_path, rank))


def test_a_loss_that_goes_astray_in_one_process_ends_both_alike(together):
    first, second = records(together / "astray")
    assert "nan at step 8 of 24; the weights are those after epoch 1" in first["stopped"]
    assert second["stopped"] == first["stopped"] and len(second["epochs"]) == 1
    assert equal(weights(together / "astray", 0), weights(together / "astray", 1))


def test_a_state_that_only_one_process_sees_is_refused(together):
    for rank in (0, 1):
        said = (together / f"refused{rank}").read_text()
        assert "[4, 0]: --out must be one folder for all" in said
    assert not list((together / "apart").glob("history*"))


def test_the_command_trains_with_two_processes_and_writes_once(tmp_path):
    done = torchrun("run_the_command", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("test accuracy") == 1
    assert {file.name for file in tmp_path.iterdir()} == {
        "sprint-seed0.json",
        "sprint-seed0.lock",
        "sprint-seed0.safetensors",
    }
    assert json.loads((tmp_path / "sprint-seed0.json").read_text())["machine"]["processes"] == 2


def test_processes_that_torchrun_did_not_start_are_one_sentence(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(CourseError, match="start several processes with torchrun"):
        parallel.start()


def test_one_process_joins_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    parallel.start()
    assert (parallel.rank(), parallel.world()) == (0, 1)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(CourseError, match="use --nproc-per-node=1"):
        parallel.start()


if __name__ == "__main__":
    if sys.argv[1] != "run_the_command":  # which joins the other process itself
        parallel.start()
    globals()[sys.argv[1]](Path(sys.argv[2]))
    parallel.stop()

"""Two processes train as one: equal weights, one record, and a killed one is brought back."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from gnet_utils.base import ROOT, CourseError
from gnet_utils.course import parallel

WORKER = """
import itertools, os, signal, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from gnet_utils.course import parallel
from gnet_utils import training
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.recipes import Recipe
from gnet_utils.training import evaluate, fit

folder, kill = Path(sys.argv[1]), sys.argv[2] == "kill"
device = parallel.start()
images = torch.randint(0, 60, (96, 1, 28, 28), generator=torch.Generator().manual_seed(0))
labels = torch.arange(96) % 2
images[labels == 1, :, 14:] += 150  # class 1 is bright below
data = images.to(torch.uint8), labels

recipe = Recipe("test", "a test", epochs=4, batch_size=16, learning_rate=0.05,
                optimiser="muon", momentum=0.6, mirror=True, precision="float32")
torch.manual_seed(0)
net = FashionGoogLeNet(0.125, stem="patch", dropout=0.0)

def after_epoch(history):
    here = folder / "killed"
    if kill and parallel.rank() == 1 and len(history.epochs) == 2 and not here.exists():
        here.touch()
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "astray" and parallel.rank() == 1:
    loss, steps = training.F.cross_entropy, itertools.count(1)
    astray = lambda *a, **k: loss(*a, **k) * (float("nan") if next(steps) == 8 else 1)
    training.F.cross_entropy = astray

history = fit(net, data, None, recipe, progress=False, state=folder / "state",
              after_epoch=after_epoch)
save_file({k: v.contiguous() for k, v in net.state_dict().items()},
          folder / f"rank{parallel.rank()}.safetensors")
history.results = {"accuracy": evaluate(net, data)[1]}
history.save(folder / f"history{parallel.rank()}.json")
parallel.stop()
"""


def start(processes: int, *arguments: str, quick: str = "0") -> subprocess.CompletedProcess:
    """`torchrun ARGUMENTS` in so many processes of this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", "--max-restarts=1", *arguments]
    paths = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GNET_QUICK": quick}
    env = {**os.environ, **paths}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=400)


def torchrun(folder, processes: int, mode: str = "calm") -> dict:
    """The worker above; its record."""
    script = folder / "worker.py"
    script.write_text(WORKER)
    done = start(processes, str(script), str(folder), mode)
    assert done.returncode == 0, done.stderr[:3000]
    return json.loads((folder / "history0.json").read_text())


def weights(folder, rank: int) -> dict[str, torch.Tensor]:
    """What was learned; running statistics are each process's own and not among it."""
    tensors = load_file(folder / f"rank{rank}.safetensors")
    return {name: t for name, t in tensors.items() if "running" not in name}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder and the record of a run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, torchrun(folder, 1)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The same of two processes."""
    folder = tmp_path_factory.mktemp("together")
    return folder, torchrun(folder, 2)


def test_two_processes_end_with_equal_weights_and_learn_like_one(alone, together):
    (one, record), (two, shared) = alone, together
    first, second = weights(two, 0), weights(two, 1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], t) for name, t in weights(one, 0).items())
    assert shared["results"]["accuracy"] >= record["results"]["accuracy"] - 0.05 >= 0.9


def test_an_epoch_in_the_record_is_that_of_all_processes(together):
    """Each sees pictures of its own, so that only sums over both are equal in both."""
    folder, first = together
    second = json.loads((folder / "history1.json").read_text())
    assert first["losses"] != second["losses"]
    for one, other in zip(first["epochs"], second["epochs"], strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["train_accuracy"] == other["train_accuracy"]


def test_a_killed_process_is_brought_back_and_the_run_ends_as_if_nothing_had_been(
    together, tmp_path
):
    calm, undisturbed = together
    history = torchrun(tmp_path, 2, "kill")
    assert (tmp_path / "killed").exists()
    assert [entry["epoch"] for entry in history["epochs"]] == [1, 2, 3, 4]
    assert history["losses"] == undisturbed["losses"]
    for number in (0, 1):
        expected, found = weights(calm, number), weights(tmp_path, number)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_loss_that_goes_astray_in_one_process_ends_both_alike(tmp_path):
    first = torchrun(tmp_path, 2, "astray")
    second = json.loads((tmp_path / "history1.json").read_text())
    assert "nan at step 8 of 24; the weights are those after epoch 1" in first["stopped"]
    assert second["stopped"] == first["stopped"] and len(second["epochs"]) == 1
    one, other = weights(tmp_path, 0), weights(tmp_path, 1)
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())


def test_a_state_that_only_one_process_sees_is_refused(alone, tmp_path):
    shutil.copy(alone[0] / "state", tmp_path / "state0")
    shared = 'state=folder / "state"'
    assert shared in WORKER
    apart = WORKER.replace(shared, 'state=folder / f"state{parallel.rank()}"')
    (tmp_path / "worker.py").write_text(apart)
    done = start(2, str(tmp_path / "worker.py"), str(tmp_path), "calm")
    assert done.returncode != 0 and "--out must be one folder for all" in done.stderr
    assert not (tmp_path / "history0.json").exists()


@pytest.mark.data
def test_the_command_trains_with_two_processes_and_writes_once(tmp_path):
    command = ["-m", "gnet_utils", "train", "--recipe", "sprint", "--out", str(tmp_path)]
    done = start(2, *command, quick="1")
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

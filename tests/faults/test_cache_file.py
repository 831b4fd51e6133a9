"""The cached data set cut, replaced, not readable, on a read-only or a full disk: noticed before
training, named, and repaired where that can be."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import safetensors.torch
from tiny_data import draw_garments, forget, the_right_data

from gnet_utils import data
from gnet_utils.base import ROOT
from gnet_utils.course import dataset


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999, "other set"])
def test_a_damaged_cache_is_named_and_repaired_and_never_used(
    share: Path,
    fresh: Path,
    kept: float | str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    assert the_right_data()
    path = fresh / "fashion-mnist.safetensors"
    whole = path.read_bytes()
    forget(monkeypatch)
    if kept == "other set":
        safetensors.torch.save_file(draw_garments(20, 10), path)
    else:
        path.write_bytes(whole[: int(kept * len(whole))])
    assert the_right_data()
    assert str(path) in capsys.readouterr().err
    assert path.read_bytes() == whole


def test_where_the_cache_cannot_be_written_the_data_stay_in_memory(
    share: Path, fresh: Path, capsys: pytest.CaptureFixture
) -> None:
    fresh.write_text("a file where the folder should be")
    assert the_right_data()
    assert "cannot be written" in capsys.readouterr().err
    shutil.rmtree(share)
    data.load_fashion_mnist("train")[0].zero_()
    assert the_right_data()


def test_on_a_full_disk_the_data_stay_in_memory_and_nothing_half_written_is_left(
    share: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(_: object, path: Path) -> None:
        path.write_text("half")
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(dataset.safetensors.torch, "save_file", full)
    assert the_right_data()
    said = capsys.readouterr().err
    assert "No space left on device (os error 28)): the data stay in memory" in said
    assert [path.name for path in fresh.iterdir()] == [".lock"]


HOLD_LOCK = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_killed_while_it_prepares_does_not_block_the_others(
    share: Path, fresh: Path
) -> None:
    fresh.mkdir()
    command = [sys.executable, "-c", HOLD_LOCK, str(fresh / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        result = []
        waiting = threading.Thread(target=lambda: result.append(the_right_data()))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive() and not result  # the lock does hold others back
        holder.kill()
        waiting.join(20)
    assert result == [True]


def test_a_file_system_without_locks_will_do(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_: Path) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(dataset, "_lock", no_locks)
    assert the_right_data()


def test_a_relative_cache_is_one_folder_wherever_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNET_CACHE_DIR", "my cache é")
    monkeypatch.chdir(tmp_path)
    assert data.cache_folder() == ROOT / "my cache é"
    monkeypatch.setenv("GNET_CACHE_DIR", "~/cache")
    assert data.cache_folder() == Path.home() / "cache"

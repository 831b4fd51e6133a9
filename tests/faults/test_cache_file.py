"""The cached data set cut, changed, replaced, not readable, on a read-only or a full disk: noticed
before training, named, and repaired where that can be."""

import errno
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny_data import TEST, TRAIN, draw_garments, forget, the_right_data

from gnet_utils import data
from gnet_utils.errors import CourseError


def damage_tests() -> list:
    rng = random.Random(0)
    flips = [("flip", rng.random()) for _ in range(100)]
    cuts = [("cut", part / 10) for part in range(10)]
    return [*flips, *cuts, ("folder", 0), ("other set", 0), ("text", 0)]


def test_a_damaged_cache_is_named_and_repaired_and_never_used(
    share: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert the_right_data()
    path = fresh / "fashion-mnist.safetensors"
    whole = path.read_bytes()
    for kind, at in damage_tests():
        forget(monkeypatch)
        place = int(at * len(whole))
        if kind == "flip":
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        elif kind == "cut":
            path.write_bytes(whole[:place])
        elif kind == "folder":
            path.unlink()
            path.mkdir()
            (path / "homework.txt").write_text("mine")
        elif kind == "other set":
            garments_set = draw_garments(20, 10)
            data._write(path, garments_set)
        else:
            path.write_text("hello")
        assert the_right_data(), (kind, at)
        assert str(path) in capsys.readouterr().err, (kind, at)
        assert path.read_bytes() == whole, (kind, at)
    [moved] = fresh.glob("*.folder-*")
    assert (moved / "homework.txt").read_text() == "mine"  # somebody's folder is not deleted


def test_a_damaged_cache_that_cannot_be_repaired_is_not_used(
    share: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert the_right_data()
    path = fresh / "fashion-mnist.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    shutil.rmtree(share)
    forget(monkeypatch)
    with pytest.raises(CourseError, match="No real Fashion-MNIST"):
        data.load_fashion_mnist("train", source="real")


def test_a_cache_that_cannot_be_read_is_named_and_made_anew(
    share: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert the_right_data()
    path, real = fresh / "fashion-mnist.safetensors", Path.read_bytes

    def broken(file: Path) -> bytes:  # not by its mode bits, which mean nothing to root
        if file == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(file)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", broken)
        forget(patch)
        assert the_right_data()
    assert f"{path} cannot be read (Permission denied)" in capsys.readouterr().err


def test_on_a_read_only_disk_a_full_cache_is_used_and_an_empty_one_replaced(
    share: Path, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert the_right_data()
    real = open

    def read_only(file, mode="r", *arguments, **options):
        if Path(file).is_relative_to(fresh) and mode[0] != "r":
            raise OSError(errno.EROFS, "Read-only file system")
        return real(file, mode, *arguments, **options)

    monkeypatch.setattr("builtins.open", read_only)
    forget(monkeypatch)
    assert the_right_data() and not (tmp_path / "spare").exists()
    (fresh / "fashion-mnist.safetensors").unlink()
    forget(monkeypatch)
    assert the_right_data() and (tmp_path / "spare" / "fashion-mnist.safetensors").is_file()


def test_where_the_cache_cannot_be_written_a_temporary_folder_serves(
    share: Path, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fresh.write_text("a file where the folder should be")
    assert the_right_data()
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "spare" / "fashion-mnist.safetensors").is_file()
    assert data.data_source().why.endswith("in the temporary folder")


def test_where_no_folder_can_be_written_the_data_stay_in_memory(
    share: Path, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fresh.write_text("")
    (tmp_path / "spare").write_text("")
    assert the_right_data()
    assert capsys.readouterr().err.count("cannot be written") == 2
    shutil.rmtree(share)
    data.load_fashion_mnist("train")[0].zero_()
    assert the_right_data()


def test_on_a_full_disk_the_data_stay_in_memory_and_nothing_half_written_is_left(
    share: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(data.os, "fsync", full)
    assert the_right_data()
    assert "No space left on device): the data stay in memory" in capsys.readouterr().err
    assert [path.name for path in fresh.iterdir()] == [".lock"]


def test_what_a_killed_process_left_behind_is_cleared_away(share: Path, fresh: Path) -> None:
    fresh.mkdir()
    old, young = fresh / "fashion-mnist-1-1.tmp", fresh / "fashion-mnist-2-2.tmp"
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (0, 0))
    assert the_right_data()
    assert not old.exists() and young.exists()


HOLD_LOCK = """
import sys, time
file = open(sys.argv[1], "ab")
if sys.platform == "win32":
    import msvcrt
    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
else:
    import fcntl
    fcntl.flock(file, fcntl.LOCK_EX)
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
        waiting.join(0.8)
        assert waiting.is_alive() and not result  # the lock does hold others back
        holder.kill()
        waiting.join(20)
    assert result == [True]


@pytest.mark.skipif(
    sys.platform == "win32", reason="file systems without locks are mounted on Unix"
)
def test_a_file_system_without_locks_will_do(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert the_right_data()


@pytest.mark.skipif(
    not hasattr(os, "getuid"), reason="Windows has a temporary folder for each user"
)
def test_a_spare_folder_of_another_user_is_not_read(
    share: Path,
    fresh: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """Its content is whole, but somebody else's."""
    fresh.write_text("a file where the folder should be")
    spare = tmp_path / "spare"
    spare.mkdir()
    data._write(spare / "fashion-mnist.safetensors", draw_garments(TRAIN, TEST, seed=6))
    me = os.getuid()
    monkeypatch.setattr(data.os, "getuid", lambda: me + 1)
    assert the_right_data()
    assert f"{spare} belongs to another user" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["8 GB", "a pipe", "a folder"])
def test_what_cannot_be_an_official_file_is_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    if kind == "8 GB":
        with open(path, "wb") as file:
            file.truncate(8 << 30)
    elif kind == "a folder":
        path.mkdir()
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("needs pipes in the file system")
    with pytest.raises(CourseError, match="is damaged: no file of the published size"):
        data._from_share(tmp_path, "train_images")


def test_a_relative_cache_is_one_folder_wherever_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNET_CACHE_DIR", "my cache é")
    monkeypatch.chdir(tmp_path)
    assert data.cache_folder() == data.COURSE / "my cache é"
    monkeypatch.setenv("GNET_CACHE_DIR", "~/cache")
    assert data.cache_folder() == Path.home() / "cache"

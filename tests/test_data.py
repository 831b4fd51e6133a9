"""Fashion-MNIST is found, checked, kept and never mixed up, whatever servers and disks do.

Most tests use a tiny set of four files that takes the place of the official ones; those marked
`data` use the real set (or its stand-in) as a reader would.
"""

import errno
import functools
import gzip
import hashlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gnet_utils import data, garments
from gnet_utils.errors import CourseError

TRAIN, TEST = 40, 20
draw_garments = functools.cache(garments.draw_dataset)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process that has loaded nothing, with an empty cache and no environment variables."""
    for name in ("GNET_DATA_DIR", "GNET_DATA_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "_spare_folder", lambda: tmp_path / "spare")
    forget(monkeypatch)
    return tmp_path / "cache"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new process knows: nothing."""
    for name in ("_chosen", "_last", "_unsaved"):
        monkeypatch.setattr(data, name, {})
    monkeypatch.setattr(data, "_said", set())


@pytest.fixture
def official(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Tiny files in the place of the official ones: name -> packed content. No mirror answers."""
    tensors = draw_garments(TRAIN, TEST, seed=5)
    packed, md5, unpacked = {}, {}, {}
    for key, name in data.OFFICIAL_FILES.items():
        content = b"\0" * (16 if key.endswith("images") else 8)
        content += tensors[key].numpy().astype("uint8").tobytes()
        packed[f"{name}.gz"] = gzip.compress(content, mtime=0)
        md5[key] = hashlib.md5(packed[f"{name}.gz"]).hexdigest()
        unpacked[key] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(data, "SHAPES", {key: tuple(t.shape) for key, t in tensors.items()})
    monkeypatch.setattr(data, "UNPACKED_MD5", unpacked)
    monkeypatch.setattr(data, "_packed_md5", md5.__getitem__)
    monkeypatch.setattr(data, "mirrors", lambda: ["http://127.0.0.1:9/"])
    monkeypatch.setattr(garments, "draw_dataset", functools.partial(draw_garments, TRAIN, TEST))
    return packed


@pytest.fixture
def share(official: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A class share with the four packed files, named by GNET_DATA_DIR; the raw folder."""
    raw = tmp_path / "share" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in official.items():
        (raw / name).write_bytes(content)
    monkeypatch.setenv("GNET_DATA_DIR", str(tmp_path / "share"))
    return raw


def the_right_data() -> bool:
    """Whether what is loaded now is the content of the official files."""
    right = draw_garments(TRAIN, TEST, seed=5)
    return all(
        torch.equal(got, right[f"{split}_{part}"])
        for split in ("train", "test")
        for part, got in zip(("images", "labels"), data.load_fashion_mnist(split), strict=True)
    )


# ---------------------------------------------------------------- what a reader gets


@pytest.mark.data
@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_a_split_has_the_official_shape_types_and_class_balance(split: str, count: int) -> None:
    images, labels = data.load_fashion_mnist(split)
    assert images.shape == (count, 1, 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (count,) and labels.dtype == torch.int64
    assert labels.bincount().tolist() == [count // 10] * 10
    assert len(data.CLASS_NAMES) == 10


@pytest.mark.data
def test_the_cached_set_loads_in_under_a_second() -> None:
    data.prepare()

    def seconds() -> float:
        start = time.perf_counter()
        data.load_fashion_mnist("train")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 1.0


@pytest.mark.data
def test_mean_and_std_are_those_of_the_training_set() -> None:
    if data.data_source().kind != "real":
        pytest.skip("the constants belong to the real Fashion-MNIST")
    images, _ = data.load_fashion_mnist("train")
    pixels = images.double() / 255
    assert round(pixels.mean().item(), 4) == data.MEAN
    assert round(pixels.std().item(), 4) == data.STD


@pytest.mark.data
def test_two_processes_on_one_empty_cache_get_equal_data_for_the_work_of_one(
    tmp_path: Path,
) -> None:
    code = (
        "import hashlib\n"
        "from gnet_utils import data\n"
        "h = hashlib.sha256()\n"
        "for split in ('train', 'test'):\n"
        "    for part in data.load_fashion_mnist(split): h.update(part.numpy())\n"
        "print(h.hexdigest())\n"
    )
    variables = {**os.environ, "GNET_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    if not os.environ.get("GNET_DATA_DIR"):
        variables["GNET_DATA_SOURCE"] = "stand-in"  # each drawing is announced on stderr
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=data.COURSE,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len({out for out, _ in outputs}) == 1
    made = sum("Preparing Fashion-MNIST" in err or "Drawing" in err for _, err in outputs)
    assert made == 1, outputs
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_loaded_tensors_are_the_readers_own(share: Path) -> None:
    images, labels = data.load_fashion_mnist("train")
    images.zero_()
    labels.zero_()
    assert the_right_data()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validation",), 'split must be "train" or "test", got \'validation\''),
        ((0,), 'split must be "train" or "test", got 0'),
        (("train", "gpu"), "device 'gpu' cannot be used here: take \"cpu\""),
        (("train", "cpu", "fake"), '"real", "stand-in" or not given, got \'fake\''),
    ],
)
def test_wrong_arguments_are_named(share: Path, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.load_fashion_mnist(*arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named(share: Path) -> None:
    with pytest.raises(ValueError, match="device 'cuda' cannot be used here"):
        data.load_fashion_mnist("train", device="cuda")


# ---------------------------------------------------------------- from where


def test_a_share_is_copied_into_the_cache_once_and_not_written_to(share: Path, fresh: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in share.parent.parent.rglob("*")}
    assert the_right_data()
    assert before == {path: path.stat().st_mtime_ns for path in share.parent.parent.rglob("*")}
    shutil.rmtree(share)
    assert the_right_data()
    assert data.data_source() == ("real", "read from the cache, fashion-mnist.safetensors in "
                                  "GNET_CACHE_DIR")  # fmt: skip


def test_a_share_of_unpacked_files_will_do(share: Path) -> None:
    for path in list(share.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert the_right_data()


def test_a_share_may_be_the_folder_of_the_files_itself(
    share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNET_DATA_DIR", str(share))
    assert the_right_data()


@pytest.mark.parametrize("packed", [True, False])
def test_a_changed_file_on_the_share_is_named_and_not_used(
    share: Path, packed: bool, capsys: pytest.CaptureFixture
) -> None:
    path = share / "t10k-labels-idx1-ubyte.gz"
    content = path.read_bytes()
    if not packed:
        content = gzip.decompress(content)
        path.unlink()
        path = path.with_suffix("")
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CourseError, match=f"{path.name} is damaged: its MD5"):
        data.load_fashion_mnist("test", source="real")
    assert f"{path.name} is damaged" in capsys.readouterr().err


def test_a_missing_file_on_the_share_is_named(share: Path) -> None:
    (share / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(CourseError, match=r"train-images-idx3-ubyte.gz is missing"):
        data.load_fashion_mnist("train", source="real")


def test_mirrors_and_checksums_are_the_published_ones() -> None:
    assert data.mirrors()[0].startswith("http") and len(data.mirrors()) >= 2
    assert data._packed_md5("train_images") == "8d4fb7e6c68d591d4c3dfef9ec88bf0d"
    assert data._packed_md5("test_labels") == "bb300cfdad3c16e7a12a480ee83cd310"


# ---------------------------------------------------------------- servers


@pytest.fixture
def server(official: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Mirrors on this machine, one for each way to (mis)behave: server.use("hang", "good")."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, manner, name = self.path.split("/")
            asked.append(manner)
            content = official[name]
            if manner == "missing":
                return self.send_error(404)
            if manner == "redirect":
                self.send_response(302)
                self.send_header("Location", self.path)
                return self.end_headers()
            if manner == "hang":
                return over.wait(20)
            if manner == "login":
                content = b"<html>Please log in to the school network</html>"
            elif manner == "garbage":
                content = random.Random(1).randbytes(len(content))
            length = len(content) - (7 if manner == "wrong_length" else 0)
            if manner.startswith("cut"):
                content = content[: int(len(content) * float(manner.removeprefix("cut")))]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if manner == "trickle":
                for byte in content:
                    if over.wait(0.05):
                        return None
                    self.wfile.write(bytes([byte]))
            return self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    asked: list[str] = []
    over = threading.Event()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    base = f"http://127.0.0.1:{httpd.server_port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(data, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(data, "FILE_SECONDS", 0.8)

    def use(*manners: str) -> None:
        monkeypatch.setattr(data, "mirrors", lambda: [f"{base}/{m}/" for m in manners])

    yield SimpleNamespace(use=use, asked=asked)
    over.set()
    httpd.shutdown()
    httpd.server_close()


def test_a_silent_mirror_is_given_up_long_before_its_time_for_a_file_is_over(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "FILE_SECONDS", 30)
    server.use("hang")
    start = time.monotonic()
    with pytest.raises(CourseError, match=r"127.0.0.1:\d+: timed out"):
        data.load_fashion_mnist("train", source="real")
    assert time.monotonic() - start < 10


CUTS = [f"cut{part / 20}" for part in range(20)]
MANNERS = ["missing", "redirect", "hang", "trickle", "login", "garbage", "wrong_length", *CUTS]


@pytest.mark.parametrize("manner", MANNERS)
def test_after_a_bad_mirror_the_next_one_is_asked(server: SimpleNamespace, manner: str) -> None:
    server.use(manner, "good")
    start = time.monotonic()
    assert the_right_data()
    assert data.data_source().kind == "real"
    assert {manner, "good"} == set(server.asked)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("manner", MANNERS)
def test_a_bad_mirror_alone_ends_in_one_sentence_and_an_empty_cache(
    server: SimpleNamespace, fresh: Path, manner: str
) -> None:
    server.use(manner)
    with pytest.raises(CourseError, match=r"could not be downloaded \(127.0.0.1") as caught:
        data.load_fashion_mnist("train", source="real")
    assert "\n" not in str(caught.value) and "run `python -m gnet_utils data`" in str(caught.value)
    assert list(fresh.glob("*.safetensors")) == [] and list(fresh.glob("*.tmp")) == []


def test_a_failed_download_is_not_tried_again_at_once_unless_asked(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.use("missing")
    data.load_fashion_mnist("train")
    assert server.asked == ["missing"]
    forget(monkeypatch)
    server.use("good")
    data.load_fashion_mnist("train")
    assert data.data_source().kind == "stand-in" and server.asked == ["missing"]
    assert data.prepare(retry=True).kind == "real"
    assert the_right_data()


# ---------------------------------------------------------------- stand-in


def test_without_network_and_share_the_stand_in_comes_with_a_banner(
    official: dict, capsys: pytest.CaptureFixture
) -> None:
    images, _ = data.load_fashion_mnist("train")
    assert torch.equal(images, draw_garments(TRAIN, TEST)["train_images"])
    banner = capsys.readouterr().err
    for part in (
        "NOT THE FASHION-MNIST PICTURES",
        "Which data: a stand-in",
        "Why: GNET_DATA_DIR is not set; train-images-idx3-ubyte.gz could not be downloaded",
        "What to do: connect to the internet",
        "accuracy numbers in the text do not apply",
    ):
        assert part in banner
    data.load_fashion_mnist("test")
    assert capsys.readouterr().err == ""  # once is enough
    assert data.data_source().kind == "stand-in"


def test_in_a_notebook_the_banner_is_a_picture_that_nbval_does_not_compare(
    official: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel="running"))
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    data.load_fashion_mnist("train")
    [((bundle,), options)] = shown
    assert list(bundle) == ["image/png"] and bundle["image/png"].startswith(b"\x89PNG")
    assert options["raw"] and "What to do" in options["metadata"]["image/png"]["alt"]
    assert "NOT THE" not in capsys.readouterr().err


def test_the_stand_in_can_be_asked_for_by_name(
    share: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    images, _ = data.load_fashion_mnist("train", source="stand-in")
    assert torch.equal(images, draw_garments(TRAIN, TEST)["train_images"])
    assert data.data_source() == ("stand-in", "the call asked for it")
    assert "NOT THE" not in capsys.readouterr().err
    assert the_right_data() and data.data_source().kind == "real"  # the next call did not ask
    monkeypatch.setenv("GNET_DATA_SOURCE", "stand-in")
    assert data.data_source() == ("stand-in", "GNET_DATA_SOURCE asks for it")
    assert "NOT THE" in capsys.readouterr().err


def test_a_process_that_began_with_the_stand_in_stays_with_it(
    server: SimpleNamespace, fresh: Path
) -> None:
    server.use("missing")
    data.load_fashion_mnist("train")
    (fresh / "download-failed.txt").unlink()
    server.use("good")  # the network is back
    images, _ = data.load_fashion_mnist("test")
    assert torch.equal(images, draw_garments(TRAIN, TEST)["test_images"])


def test_a_process_that_began_with_real_data_never_gets_the_stand_in(
    share: Path, fresh: Path
) -> None:
    assert the_right_data()
    shutil.rmtree(share)
    shutil.rmtree(fresh)
    with pytest.raises(CourseError, match="of two kinds are not mixed"):
        data.load_fashion_mnist("test")


# ---------------------------------------------------------------- cache


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


# ---------------------------------------------------------------- helpers


def test_to_float_gives_pixels_around_zero() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 28, 28)
    out = data.to_float(images)
    assert out.dtype == torch.float32 and out.shape == (2, 1, 28, 28)
    assert out[0, 0, 0, 0].item() == pytest.approx(-0.2860 / 0.3530)
    assert out[1, 0, 0, 0].item() == pytest.approx((1 - 0.2860) / 0.3530)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((5, 28, 28), torch.uint8, r"got \(5, 28, 28\) uint8: add a channel axis with images\["),
        ((5, 1, 28, 28), torch.float32, r"got \(5, 1, 28, 28\) float32"),
        ((5, 3, 28, 28), torch.uint8, r"must be \(N, 1, 28, 28\) uint8, got \(5, 3, 28, 28\)"),
    ],
)
def test_images_of_another_form_are_named(shape: tuple, dtype: torch.dtype, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.to_float(torch.zeros(shape, dtype=dtype))


def numbered(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.arange(n).to(torch.uint8).view(n, 1, 1, 1).repeat(1, 1, 28, 28)
    return images, torch.arange(n) % 10


def test_train_and_validation_part_the_images_without_loss_or_overlap() -> None:
    images, labels = numbered(100)
    (train, train_labels), (held_out, held_out_labels) = data.split_train_validation(
        images, labels, validation=30
    )
    assert len(train) == 70 and len(held_out) == 30
    numbers = torch.cat([train, held_out])[:, 0, 0, 0].long()
    assert sorted(numbers.tolist()) == list(range(100))
    assert torch.equal(torch.cat([train_labels, held_out_labels]), numbers % 10)
    again = data.split_train_validation(images, labels, validation=30)
    assert torch.equal(again[0][0], train)
    other = data.split_train_validation(images, labels, validation=30, seed=1)
    assert not torch.equal(other[0][0], train)


@pytest.mark.parametrize(
    ("labels", "validation", "message"),
    [
        (torch.zeros(9).long(), 3, r"labels must be \(10,\), one for each image, got \(9,\)"),
        (torch.zeros(10), 3, "labels must be int64 numbers from 0 to 9"),
        (torch.full((10,), 10), 3, "labels must be int64 numbers from 0 to 9"),
        (torch.full((10,), -1), 3, "labels must be int64 numbers from 0 to 9"),
        (torch.zeros(10).long(), 10, "must leave both parts some of the 10 images, got 10"),
        (torch.zeros(10).long(), 0, "must leave both parts some of the 10 images, got 0"),
    ],
)
def test_labels_and_sizes_that_do_not_fit_are_named(
    labels: torch.Tensor, validation: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        data.split_train_validation(numbered(10)[0], labels, validation)

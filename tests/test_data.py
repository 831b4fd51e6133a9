"""Fashion-MNIST is found, checked, kept and never mixed up.

Most tests use a tiny set of four files that takes the place of the official ones; those marked
`data` use the real set (or its stand-in) as a reader would. Bad servers and damaged files are in
tests/faults.
"""

import gzip
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_data import TEST, TRAIN, draw_garments, the_right_data

from gnet_utils import data
from gnet_utils.base import CourseError

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
def test_mean_and_std_are_those_of_the_training_set() -> None:
    if data.prepare().kind != "real":
        pytest.skip("the constants belong to the real Fashion-MNIST")
    images, _ = data.load_fashion_mnist("train")
    pixels = images.double() / 255
    assert round(pixels.mean().item(), 4) == data.MEAN
    assert round(pixels.std().item(), 4) == data.STD


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
        (("train", "cpu", "fake"), '"real", "stand-in" or not given, got \'fake\''),
    ],
)
def test_wrong_arguments_are_named(share: Path, arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.load_fashion_mnist(*arguments)


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


def test_files_of_another_data_set_are_named_and_not_used(
    share: Path, capsys: pytest.CaptureFixture
) -> None:
    """MNIST and KMNIST have the same file names, sizes and headers."""
    path = share / "t10k-labels-idx1-ubyte.gz"
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:-1] + bytes([content[-1] ^ 1])))
    expected = f"{path.name} is not the published file of Fashion-MNIST"
    with pytest.raises(CourseError, match=expected):
        data.load_fashion_mnist("test", source="real")
    assert expected in capsys.readouterr().err


def test_official_files_that_somebody_packed_again_will_do(share: Path) -> None:
    for path in share.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    assert the_right_data()


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b cut", b"<html>log in</html>", "cut"])
def test_a_damaged_file_on_the_share_is_named_and_not_used(
    share: Path, content: bytes | str
) -> None:
    path = share / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9] if content == "cut" else content)
    with pytest.raises(CourseError, match=f"{path.name} is .*damaged"):
        data.load_fashion_mnist("test", source="real")


def test_a_missing_file_on_the_share_is_named(share: Path) -> None:
    (share / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(CourseError, match=r"train-images-idx3-ubyte.gz is missing"):
        data.load_fashion_mnist("train", source="real")


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
        "Why: GNET_DATA_DIR is not set; 127.0.0.1:9: ",
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
    assert data.prepare("stand-in") == ("stand-in", "the call asked for it")
    assert "NOT THE" not in capsys.readouterr().err
    assert the_right_data() and data.data_source().kind == "real"  # the next call did not ask
    monkeypatch.setenv("GNET_DATA_SOURCE", "stand-in")
    assert data.prepare() == data.data_source() == ("stand-in", "GNET_DATA_SOURCE asks for it")
    assert "NOT THE" in capsys.readouterr().err


def test_a_process_that_began_with_the_stand_in_stays_with_it(
    server: SimpleNamespace,
) -> None:
    server.use("missing")
    data.load_fashion_mnist("train")
    server.use("good")  # the network is back
    images, _ = data.load_fashion_mnist("test")
    assert torch.equal(images, draw_garments(TRAIN, TEST)["test_images"])


def test_a_process_that_began_with_real_data_never_gets_the_stand_in(
    share: Path, fresh: Path
) -> None:
    assert the_right_data()
    shutil.rmtree(share)
    shutil.rmtree(fresh)
    with pytest.raises(CourseError, match=r"No real Fashion-MNIST: .*is missing"):
        data.load_fashion_mnist("test")


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
        ((5, 2, 28, 28), torch.uint8, r"be \(N, 1 or 3, H, W\) uint8, got \(5, 2, 28, 28\)"),
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

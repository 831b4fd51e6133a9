"""Pictures of one's own: folders, torchvision's data sets, colour, loaders, stored networks."""

import dataclasses
import urllib.error

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from gnet_utils import devices
from gnet_utils.base import CourseError, UsageError
from gnet_utils.course import wardrobe
from gnet_utils.devices import best_device
from gnet_utils.evaluation import as_float, evaluate
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.own_pictures import as_pair, load_folder, pretrained_googlenet
from gnet_utils.pictures import opencv
from gnet_utils.recipes import Recipe
from gnet_utils.runs import CHECKPOINTS, freeze, load_checkpoint
from gnet_utils.training import fit

RECIPE = Recipe("own", "a short run", epochs=2, batch_size=8, learning_rate=0.05, picture_size=None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path))
    return wardrobe.draw_wardrobe(each=3)


def write(path, picture):
    path.write_bytes(opencv().imencode(path.suffix, picture)[1].tobytes())


def test_a_folder_becomes_the_pair_of_tensors_that_the_course_uses(folder):
    gray, colour = load_folder(folder), load_folder(folder, size=40, colour=True)
    images, labels = gray
    assert images.shape == (15, 1, 28, 28) and images.dtype == torch.uint8
    assert colour.images.shape == (15, 3, 40, 40)
    assert labels.tolist() == [label for label in range(5) for _ in range(3)]
    assert gray.classes == ["hat", "mitten", "skirt", "sock", "tie"] and gray.left_out == []


def test_of_a_picture_the_middle_square_counts_and_red_comes_first(tmp_path):
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = (0, 0, 255)  # OpenCV writes blue first: red in the middle
    (tmp_path / "some").mkdir()
    write(tmp_path / "some" / "wide.png", picture)
    images, _ = load_folder(tmp_path, size=10, colour=True)
    assert images[0].flatten(1).tolist() == [[255] * 100, [0] * 100, [0] * 100]
    gray, _ = load_folder(tmp_path, size=5)
    assert set(gray.unique().tolist()) == {76}  # 0.299 of 255


def test_pictures_come_in_the_order_of_their_names_and_large_ones_are_averaged(tmp_path):
    (tmp_path / "some").mkdir()
    for name, gray in (("c", 30), ("a", 10), ("b", 20)):
        fine = np.full((56, 56, 3), gray, np.uint8)
        fine[::4, ::4] = gray + 32  # a sixteenth of the pixels: 2 more on average
        write(tmp_path / "some" / f"{name}.png", fine)
    images, _ = load_folder(tmp_path, size=14)
    assert [picture.unique().tolist() for picture in images] == [[12], [22], [32]]


def test_of_many_files_that_are_no_pictures_five_are_printed(folder, capsys):
    for number in range(7):
        (folder / "hat" / f"notes{number}.txt").write_text("a hat")
    assert len(load_folder(folder).left_out) == 7
    said = capsys.readouterr().out
    assert said.count("Left out: ") == 5 and "2 more files" in said


def test_what_is_no_picture_is_named_and_left_out(folder, capsys):
    (folder / "hat" / "notes.txt").write_text("a hat")
    whole = (folder / "tie" / "tie_00.png").read_bytes()
    (folder / "tie" / "tie_00.png").write_bytes(whole[:200])
    found = load_folder(folder)
    assert len(found.images) == 14 and found.labels.bincount().tolist() == [3, 3, 3, 3, 2]
    said = capsys.readouterr().out
    assert "notes.txt is no picture" in said and "tie_00.png" in said and len(found.left_out) == 2


@pytest.mark.parametrize("what", ["missing", "no classes", "an empty class"])
def test_a_folder_that_cannot_be_read_is_told_in_one_sentence(what, tmp_path):
    if what == "an empty class":
        (tmp_path / "hat").mkdir()
    words = {"an empty class": "no file in .*hat is a picture"}.get(what, "no folders of classes")
    with pytest.raises(CourseError, match=words):
        load_folder(tmp_path / "nowhere" if what == "missing" else tmp_path)


class Stored:
    """As torchvision keeps CIFAR-10 (colours last, a list of labels) or EMNIST in memory."""

    def __init__(self, images, targets):
        self.data, self.targets = images, targets


def test_data_sets_of_torchvision_become_the_same_pair():
    colours = np.zeros((4, 32, 32, 3), np.uint8)
    colours[..., 0] = 200
    images, labels = as_pair(Stored(colours, [3, 1, 0, 9]))
    assert images.shape == (4, 3, 32, 32) and images[:, 0].eq(200).all() and not images[:, 1:].any()
    assert labels.dtype == torch.int64 and labels.tolist() == [3, 1, 0, 9]
    house_numbers = Stored(colours.transpose(0, 3, 1, 2), None)  # as SVHN: labels, colours first
    house_numbers.labels = np.array([1, 2, 0, 2])
    del house_numbers.targets
    assert as_pair(house_numbers).images.equal(images)
    assert as_pair(house_numbers).labels.tolist() == [1, 2, 0, 2]
    letters = as_pair(Stored(torch.zeros(50, 28, 28, dtype=torch.uint8), torch.arange(50) % 47))
    assert letters.images.shape == (50, 1, 28, 28) and len(letters.classes) == 47
    with pytest.raises(ValueError, match="TensorDataset does not keep its pictures in memory"):
        as_pair(TensorDataset(torch.zeros(2, 1)))


@pytest.mark.parametrize(("channels", "side", "classes"), [(3, 32, 12), (1, 40, 3)])
def test_fit_and_evaluate_take_any_size_colours_and_number_of_classes(channels, side, classes):
    images = torch.randint(0, 256, (24, channels, side, side), dtype=torch.uint8)
    labels = torch.arange(24) % classes
    net = FashionGoogLeNet(0.125, classes, channels, stem="patch", dropout=0.0)
    history = fit(net, (images, labels), (images, labels), RECIPE, progress=False)
    assert len(history.epochs) == 2 and not history.stopped
    _, share = evaluate(net, (images, labels))
    assert round(share, 5) == history.epochs[-1]["val_accuracy"]


def test_a_loader_trains_as_the_pair_does_that_it_reads(tmp_path):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (24, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(24) % 3
    weights = []
    for data in (
        DataLoader(TensorDataset(images, labels), batch_size=8),  # uint8
        DataLoader(TensorDataset(as_float(images), labels), batch_size=8),  # prepared already
    ):
        torch.manual_seed(1)
        net = FashionGoogLeNet(0.125, 3, stem="patch", dropout=0.0)
        history = fit(net, data, data, RECIPE, progress=False, state=tmp_path / f"{len(weights)}")
        assert history.epochs[-1]["val_accuracy"] == round(evaluate(net, (images, labels))[1], 5)
        weights.append(net.linear.weight)
    assert torch.equal(*weights)


def test_a_stored_network_gets_a_head_for_other_classes():
    file = CHECKPOINTS / "minute-seed0.safetensors"
    net = FashionGoogLeNet(0.25, 5, stem="patch", multiple_of=16)
    before = net.linear.weight.clone()
    with pytest.raises(CourseError, match=r"linear\.weight is"):
        load_checkpoint(net, file)
    load_checkpoint(net, file, head=False)
    whole = FashionGoogLeNet(0.25, stem="patch", multiple_of=16)
    load_checkpoint(whole, file)
    assert torch.equal(net.linear.weight, before)
    assert torch.equal(
        net.inception_5b.branch_1x1.conv.weight, whole.inception_5b.branch_1x1.conv.weight
    )
    with pytest.raises(CourseError, match="another network"):  # the rest must still fit
        load_checkpoint(FashionGoogLeNet(0.5, 5, stem="patch"), file, head=False)


@pytest.mark.parametrize("merged", [True, False])
def test_what_is_frozen_stays_to_the_last_bit_batch_norm_included(merged):
    images = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8), torch.arange(16) % 4
    net = FashionGoogLeNet(0.125, 4, stem="patch").train()
    kept = [module for name, module in net.stages() if name not in ("inception_5b", "linear")]
    freeze(*kept)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fit(net, images, None, dataclasses.replace(RECIPE, merged=merged), progress=False)
    moved = {
        name.split(".")[0] for name, t in net.state_dict().items() if not t.equal(before[name])
    }
    assert moved == {"inception_5b", "linear"}


def test_torchvisions_weights_are_loaded_by_its_own_code_or_one_sentence(tmp_path, monkeypatch):
    from torchvision.models import GoogLeNet_Weights, googlenet

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    file = GoogLeNet_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    asked = []

    def no_network(url, *_, **__):
        asked.append(url)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(CourseError, match=f"no network.*put {file} into {tmp_path}"):
        pretrained_googlenet(5)
    assert len(asked) == 1
    theirs = googlenet(weights=None, init_weights=False)  # of that form, weights made here
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    torch.save(theirs.state_dict(), tmp_path / "checkpoints" / file)
    net = pretrained_googlenet(5)
    assert torch.equal(
        net.inception3a.branch2[1].conv.weight, theirs.inception3a.branch2[1].conv.weight
    )
    assert net.fc.out_features == 5 and net.aux1 is None


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu", None])
def test_the_best_device_is_the_accelerator_that_pytorch_finds(kind, monkeypatch):
    found = torch.device(kind) if kind else None
    monkeypatch.setattr(
        devices.torch.accelerator, "current_accelerator", lambda check_available: found
    )
    assert best_device().type == (kind or "cpu") and best_device("cpu").type == "cpu"
    with pytest.raises(
        UsageError, match=f"one of {f'{kind}, ' if kind else ''}cpu here, got 'tpu'"
    ):
        best_device("tpu")

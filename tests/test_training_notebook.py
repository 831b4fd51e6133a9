"""What notebook 05 takes from the package: records, a live curve, pictures seen."""

import inspect
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils import exercises
from gnet_utils.base import ROOT
from gnet_utils.counting import count_macs
from gnet_utils.course import notebooks
from gnet_utils.experiments import loop, recorded
from gnet_utils.explorers import n05
from gnet_utils.explorers.n05 import as_the_net_sees, classify, nearest, probabilities
from gnet_utils.models import FashionGoogLeNet, Inception
from gnet_utils.pictures import opencv
from gnet_utils.training import load_trained


def some_data(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


# What the text says of the runs -------------------------------------------------------------------


def prose() -> str:
    """The text of notebook 05 on one line."""
    (path,) = notebooks.find_notebooks(["05"])
    cells = notebooks.read(path)["cells"]
    return " ".join(" ".join(c["source"] for c in cells if c["cell_type"] == "markdown").split())


def test_0_3_is_ahead_by_half_a_point_and_two_seeds_of_a_rate_differ_by_more():
    shares = {
        rate: [100 * run["validation_accuracy"] for run in recorded("loop")[f"rate_{rate}"]]
        for rate in (0.01, 0.03, 0.1, 0.3, 1.0)
    }
    assert len(shares[0.1]) == len(shares[0.3]) == 3
    means = {rate: np.mean(found) for rate, found in shares.items()}
    assert sorted(means, key=means.get)[-2:] == [0.1, 0.3]
    ahead = means[0.3] - means[0.1]
    assert ahead == pytest.approx(0.5, abs=0.05)
    assert all(max(shares[rate]) - min(shares[rate]) > ahead for rate in (0.1, 0.3))
    assert "0.3 is ahead by half a point in the mean" in prose()


def test_what_the_text_lets_expect_of_half_an_epoch_of_one_and_of_two():
    for name, share in {"rate_0.1": 85.7, "one_epoch": 88.4, "two_epochs": 90.5}.items():
        runs = [100 * run["validation_accuracy"] for run in recorded("loop")[name]]
        assert len(runs) == 3 and np.mean(runs) == pytest.approx(share, abs=0.05)
    assert "about 86% of the pictures held out after half an epoch, 88.4% after one" in prose()
    assert "and 90.5% after two" in prose()


def test_one_epoch_comes_close_to_the_tutorials_and_two_pass_them():
    one, two = (
        [100 * run["test_accuracy"] for run in recorded("loop")[name]]
        for name in ("one_epoch", "two_epochs")
    )
    assert min(one) > 88 and np.mean(one) < 88.9 < min(two)
    assert "One of our epochs comes close to it, two pass it." in prose()


def test_the_loss_with_the_rate_1_falls_first_and_ends_behind_0_1_and_0_3():
    losses = {rate: recorded("loop")[f"rate_{rate}"][0]["loss"] for rate in (0.01, 0.1, 0.3, 1.0)}
    early = {rate: np.mean(loss[10:20]) for rate, loss in losses.items()}
    late = {rate: np.mean(loss[-20:]) for rate, loss in losses.items()}
    assert min(early, key=early.get) == 1.0
    assert max(late[0.1], late[0.3]) < late[1.0] < late[0.01]
    assert "with 1 it falls earliest, but ends above 0.1 and 0.3" in prose()


def test_the_schedule_moves_the_momentum_as_the_docstring_says(monkeypatch):
    used, step = [], torch.optim.SGD.step

    def noting(optimiser, *arguments):
        used.append(optimiser.param_groups[0]["momentum"])
        return step(optimiser, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    loop.train(net, some_data(), steps=20, learning_rate=0.1)
    assert (used[0], min(used), used[-1]) == pytest.approx((0.95, 0.85, 0.95), abs=1e-3)
    assert "0.95, 0.85 at the highest rate, 0.95" in loop.one_cycle.__doc__


def test_the_stride_leaves_about_a_quarter_of_the_work_in_the_blocks():
    net = FashionGoogLeNet(0.25, stem="patch")
    work = {}
    for side in (14, 28):  # of the maps that reach block 3a, with the stride and without
        shape, work[side] = (1, 48, side, side), 0
        for name, stage in list(net.stages()):
            if name.startswith(("inception", "pool")):
                work[side] += count_macs(stage, shape)
                shape = tuple(stage(torch.zeros(shape)).shape)
    assert work[14] / work[28] == pytest.approx(0.243, abs=0.005)
    assert "about a quarter of the work in the blocks" in prose()


def test_networks_of_the_course_are_sure_of_a_shirt_on_its_side_and_wrong():
    shirt = n05.drawn_shirt()
    seen = [as_the_net_sees(picture)[None] for picture in (shirt, np.rot90(shirt).copy())]
    files = sorted((ROOT / "data" / "checkpoints").glob("*.safetensors"))
    of_all = [
        probabilities(load_trained(file.stem)[0], torch.from_numpy(np.stack(seen)))
        for file in files
    ]
    upright, turned = torch.stack(of_all).unbind(1)
    assert (upright.argmax(1) != 0).sum() == 1 and (turned.argmax(1) != 0).all()
    assert (turned.amax(1) > 0.9).float().mean() > 0.5
    assert "for all but one of them" in prose() and "most of them give it over 90%" in prose()


# The loop that the reader fills in ----------------------------------------------------------------


@pytest.mark.parametrize("name", loop.RUNS)
def test_every_run_of_the_loop_is_recorded_as_it_says(name):
    for run in recorded("loop")[name]:
        settings = {key: run["recipe"][key] for key in loop.Run.__dataclass_fields__}
        assert loop.Run(**settings) == loop.RUNS[name]
        assert len(run["loss"]) == loop.RUNS[name].steps and all(map(math.isfinite, run["loss"]))
        assert 0.5 < run["validation_accuracy"] < 1


def test_an_epoch_of_batches_shows_each_picture_once():
    images, _ = some_data(300)
    shown = list(loop.batches((images, torch.arange(300)), steps=4))
    assert [len(rows) for _, rows in shown] == [128, 128, 44, 128]
    assert sorted(torch.cat([rows for _, rows in shown[:3]]).tolist()) == list(range(300))


def test_the_loop_of_the_notebook_is_the_one_that_was_recorded():
    (path,) = notebooks.find_notebooks(["05"])
    solved = dict((name, code) for _, name, code in notebooks.solutions(notebooks.read(path)))
    own = inspect.getsource(loop.train)
    for line in solved["05.loop"].split("net.train()")[1].split("if look:")[0].splitlines():
        assert line.strip() in own


def test_a_live_curve_counts_draws_and_ends_at_the_stop_button(capsys):
    with n05.LiveCurve(3) as curve:
        assert curve.step(torch.tensor(2.0)) == 1
        curve.validated(0.25)
        raise KeyboardInterrupt
    assert curve.stopped and curve.seconds >= 0 and curve.accuracies == [(1, 25.0)]
    assert "stopped by hand after 1 of 3 steps" in capsys.readouterr().out
    left, right = curve.plot().axes
    assert left.get_ylabel().startswith("training loss") and right.lines


# Explorers ----------------------------------------------------------------------------------------


def drawn(height: int, width: int, paper: int, pen: int) -> np.ndarray:
    picture = np.full((100, 120, 3), paper, np.uint8)
    picture[20 : 20 + height, 30 : 30 + width] = pen
    return picture


@pytest.mark.parametrize(("paper", "pen"), [(240, 60), (10, 190), (185, 5), (70, 250)])
def test_a_garment_fills_the_28_pixels_bright_on_black(paper, pen):
    seen = as_the_net_sees(drawn(56, 28, paper, pen))
    assert seen.shape == (28, 28) and seen.dtype == np.uint8
    assert (seen[:, 7:21] == 180).all(), "upright, centred, as bright as it stands out"
    assert (seen[:, :7] == 0).all() and (seen[:, 21:] == 0).all()


def test_a_wide_garment_is_scaled_by_its_width():
    seen = as_the_net_sees(drawn(20, 80, 250, 0))
    rows = np.flatnonzero(seen.any(1))
    assert (len(rows), rows[0]) == (7, 10) and seen[13].all()


def shirt() -> np.ndarray:
    """Where a T-shirt lies in a photo: (150, 200) bool."""
    cloth = np.zeros((150, 200), bool)
    cloth[40:60, 50:150] = cloth[40:130, 75:125] = True
    return cloth


def photo(ground, cloth, light: float = 0.0, noise: float = 3.0) -> np.ndarray:
    """A photo of `shirt` in the colour `cloth`, as a phone stores it, lit more from one side."""
    picture = np.full((150, 200, 3), ground, np.float32)
    picture[shirt()] = cloth
    picture *= 1 + light * np.linspace(-1, 1, 200)[:, None]
    picture += np.random.default_rng(0).normal(0, noise, picture.shape)
    cv2 = opencv()
    _, file = cv2.imencode(
        ".jpg", picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )
    return cv2.imdecode(file, cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def shape_of_the_shirt() -> np.ndarray:
    return as_the_net_sees(np.where(shirt()[..., None], 255, np.zeros(3)).astype(np.uint8)) > 127


PHOTOS = {
    "dark on light": photo(235, 40),
    "light on dark": photo(35, 220),
    "dark on a middle tone": photo(127, 10),
    "light on a middle tone": photo(127, 240),
    "light on a lighter middle tone": photo(150, 235),
    "red on gray of equal brightness": photo(88, (40, 40, 200)),  # OpenCV: blue, green, red
    "gray on blue of equal brightness": photo((190, 100, 70), 99),
    "lit from the left, on light": photo(190, 60, light=-0.25),
    "lit from the right, on a middle tone": photo(127, 20, light=0.25),
    "noisy, on a middle tone": photo(127, 30, noise=10),
    "striped": photo(127, np.where(np.arange(150) // 5 % 2, 20, 235)[shirt().nonzero()[0], None]),
}


@pytest.mark.parametrize("kind", PHOTOS)
def test_a_garment_is_found_on_a_ground_of_any_tone(kind, shape_of_the_shirt):
    small = as_the_net_sees(PHOTOS[kind])
    seen = small > 0.3 * small.max()
    agree = (seen & shape_of_the_shirt).sum() / (seen | shape_of_the_shirt).sum()
    assert agree > 0.9, f"{agree:.0%}"


def test_what_the_border_cuts_is_no_part_of_a_garment_that_lies_free(shape_of_the_shirt):
    picture = photo(127, 20)
    picture[:, :12] = picture[:30, -40:] = 220  # the edge of the table, another thing
    small = as_the_net_sees(picture)
    assert ((small > 0.3 * small.max()) == shape_of_the_shirt).mean() > 0.97
    cut = photo(127, 20)[:110]  # the shirt itself goes on below the photo
    assert (as_the_net_sees(cut) > 0).any(0).all()


def test_uneven_light_alone_is_no_garment():
    with pytest.raises(ValueError, match="nothing stands out"):
        as_the_net_sees(photo(127, 127, light=0.25))


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing stands out"):
        as_the_net_sees(np.full((50, 50, 3), 200, np.uint8))


def test_the_nearest_picture_is_the_picture_itself():
    images, _ = some_data()
    assert nearest(images, images[17], count=3)[0] == 17


def test_probabilities_leave_the_network_as_it_was():
    net = FashionGoogLeNet(width=0.125, stem="patch").train()
    chances = probabilities(net, some_data(4)[0])
    assert net.training and chances.shape == (4, 10)
    torch.testing.assert_close(chances.sum(1), torch.ones(4))


def test_a_picture_of_any_kind_is_classified():
    net, gallery = FashionGoogLeNet(width=0.125, stem="patch"), some_data()
    for picture in (gallery[0][0, 0].numpy(), drawn(40, 30, 240, 50)):
        figure = classify(net, picture, gallery, "a title")
        (page,) = figure.axes
        assert len(page.images) == 2 + 5 and page.texts[0].get_text() == "a title"


class WithoutUnits(nn.Module):
    """The block of 03, its ReLUs in forward."""

    def __init__(self, channels, a, r3, b, r5, c, d):
        super().__init__()
        self.one = nn.Conv2d(channels, a, 1)
        self.r3, self.c3 = nn.Conv2d(channels, r3, 1), nn.Conv2d(r3, b, 3, padding=1)
        self.r5, self.c5 = nn.Conv2d(channels, r5, 1), nn.Conv2d(r5, c, 5, padding=2)
        self.last = nn.Conv2d(channels, d, 1)

    def forward(self, x):
        three, five = self.c3(self.r3(x).relu()), self.c5(self.r5(x).relu())
        pooled = self.last(F.max_pool2d(x, 3, 1, 1))
        return torch.cat([self.one(x), three, five, pooled], dim=1).relu()


@pytest.mark.parametrize("block", [Inception, WithoutUnits])
def test_the_network_on_the_page_is_that_of_the_recorded_runs(block, monkeypatch):
    monkeypatch.setattr(exercises, "from_lesson", lambda name: block)
    page: dict = {"torch": torch, "device": "cpu", "show_table": print}
    for cell in notebooks.code_cells(notebooks.read(notebooks.find_notebooks(["05"])[0])):
        if "def add_batch_norm" in cell["source"] or "class SmallGoogLeNet" in cell["source"]:
            exec(cell["source"], page)
    own, course = page["new_network"](), FashionGoogLeNet(0.25, stem="patch")
    assert sum(isinstance(part, block) for part in own.modules()) == 9
    images = torch.rand(2, 1, 28, 28)
    assert not torch.allclose(own.eval()(images), course.eval()(images), atol=0.01)
    weights = zip(own.state_dict(), course.state_dict().values(), strict=True)
    own.load_state_dict(dict(weights))
    assert torch.allclose(own(images), course(images), atol=1e-5)

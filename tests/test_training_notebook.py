"""What notebook 05 takes from the package: first steps recorded, runs compared, pictures seen."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from gnet_utils import exercises, experiments
from gnet_utils.base import ROOT
from gnet_utils.course import notebooks
from gnet_utils.data import load_fashion_mnist, prepare
from gnet_utils.experiments import start
from gnet_utils.experiments.start import RUNS, Start, first_steps, spread
from gnet_utils.explorers import n05
from gnet_utils.explorers.n05 import as_the_net_sees, classify, nearest, probabilities
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.pictures import opencv
from gnet_utils.recipes import build_network, get_recipe, other_settings
from gnet_utils.training import History, load_checkpoint


def some_data(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


# First steps --------------------------------------------------------------------------------------


def test_pictures_grow_alike_without_batch_norm_and_stay_apart_with_it():
    blobs = torch.nn.functional.interpolate(torch.rand(32, 1, 4, 4), size=28, mode="bicubic")
    last = {}
    for name in ("tutorial", "initialisation", "batch_norm"):
        torch.manual_seed(0)
        last[name] = spread(RUNS[name].net(), blobs)["linear"]
    assert last["tutorial"] < 0.02 < 0.1 < last["initialisation"] < last["batch_norm"]


def test_each_change_is_made_and_no_other():
    kinds = {
        name: sum(isinstance(m, nn.BatchNorm2d) for m in RUNS[name].net().modules())
        for name in ("tutorial", "initialisation", "warm_up", "batch_norm", "all_three")
    }
    assert kinds == {
        "tutorial": 0,
        "initialisation": 0,
        "warm_up": 0,
        "batch_norm": 56,
        "all_three": 56,
    }
    biases = [m.bias for m in RUNS["initialisation"].net().modules() if isinstance(m, nn.Conv2d)]
    assert all((bias == 0).all() for bias in biases)
    assert any((m.bias != 0).any() for m in RUNS["tutorial"].net().modules() if hasattr(m, "bias"))


def test_the_first_steps_repeat_and_end_in_time():
    settings = Start(batch_norm=True, batch=8, steps=3)

    def losses():
        torch.manual_seed(0)
        return list(first_steps(settings.net(), some_data(), settings))

    assert losses() == losses()
    assert len(losses()) == 3


def test_warm_up_begins_with_small_steps():
    moved = {}
    for warm_up in (False, True):
        settings = Start(batch_norm=True, warm_up=warm_up, batch=8, steps=40)
        torch.manual_seed(0)
        net = settings.net()
        before = net.linear.bias.clone()
        next(iter(first_steps(net, some_data(), settings)))
        moved[warm_up] = (net.linear.bias - before).norm().item()
    assert moved[True] == pytest.approx(0.1 * moved[False], rel=1e-3)


def test_a_run_is_recorded_once_with_all_that_is_needed_to_repeat_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    monkeypatch.setattr(start, "load_fashion_mnist", lambda split, source: some_data())
    monkeypatch.setitem(start.RUNS, "tiny", Start(batch=8, steps=2))
    start.record("tiny", seed=3)
    file = tmp_path / "start" / "tiny-seed3.json"
    run = json.loads(file.read_text())
    assert run["command"].endswith("start tiny") and run["seed"] == 3 and len(run["loss"]) == 2
    file.write_text(json.dumps(run | {"loss": ["kept"]}))
    start.record("tiny", seed=3)
    assert json.loads(file.read_text())["loss"] == ["kept"]


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_recorded_as_its_recipe_says(name):
    runs = [run for run in n05.first_steps_recorded().values() if run["name"] == name]
    assert runs, f"record it: python -m gnet_utils.experiments.start {name}"
    for run in runs:
        recorded = {key: run["recipe"].get(key) for key in Start.__dataclass_fields__}
        settings = {key: value for key, value in recorded.items() if value is not None}
        assert Start(**settings) == RUNS[name]
        assert len(run["loss"]) == RUNS[name].steps and all(map(math.isfinite, run["loss"]))
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "parameters"))


def test_the_run_with_pictures_held_out_is_that_of_its_recipe():
    run = History.load(ROOT / "data" / "runs" / "validated" / "five_minutes-seed0.json")
    own = get_recipe("five_minutes")
    assert other_settings(own, run.recipe) == []
    assert run.results["data"] == "real" and len(run.epochs) == math.ceil(own.epochs)
    assert run.results["validation_accuracy"] == pytest.approx(
        run.epochs[-1]["val_accuracy"], abs=1e-4
    )


# What the text says of the runs -------------------------------------------------------------------


def prose() -> str:
    """The text of notebook 05 on one line."""
    (path,) = notebooks.find_notebooks(["05"])
    cells = notebooks.read(path)["cells"]
    return " ".join(" ".join(c["source"] for c in cells if c["cell_type"] == "markdown").split())


def test_behind_batch_norm_the_initialisation_costs_more_steps_than_the_warm_up():
    names = "batch_norm", "norm_warm_up", "norm_initialisation", "all_three"
    runs = [[r for r in n05.first_steps_recorded().values() if r["name"] == n] for n in names]
    assert all(len(same) == 2 for same in runs)
    early = [np.mean([run["loss"][40:50] for run in same]) for same in runs]
    late = [np.mean([run["loss"][-20:] for run in same]) for same in runs]
    assert early[1] - early[0] < 0.5 * (early[2] - early[0]) and max(early) == early[3]
    told = "{:.2f} with batch norm alone, {:.2f} with the warm-up, {:.2f} with He et al.'s "
    told += "initialisation and {:.2f} with both"
    assert told.format(*early) in prose()
    assert "{:.2f}, {:.2f}, {:.2f}, {:.2f}.".format(*late) in prose()


@pytest.mark.data
def test_nets_on_the_plateau_differ_by_0_004_in_their_logits_the_others_by_0_04():
    if prepare().kind != "real":
        pytest.skip("the text speaks of the real Fashion-MNIST")
    images = load_fashion_mnist("train")[0][:64].float() / 255

    def differ(name: str, seed: int) -> float:
        torch.manual_seed(seed)
        logits = RUNS[name].net()(images)
        return (logits - logits.mean(0)).square().mean().sqrt().item()

    still, started = ("tutorial", "zero_biases"), ("initialisation", "batch_norm", "all_three")
    assert max(differ(name, seed) for name in still for seed in range(3)) < 0.004
    assert min(differ(name, seed) for name in started for seed in range(3)) > 0.04
    assert "never differ by more than 0.004, those of the other three never by less" in prose()


def test_rounding_to_16_widens_18_convolutions_and_narrows_6():
    plain, rounded = (
        [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]
        for net in (FashionGoogLeNet(0.25, stem="patch"), build_network(get_recipe("minute")))
    )
    pairs = list(zip(plain, rounded, strict=True))
    assert len(pairs) == 56
    assert sum(a < b for a, b in pairs) == 18 and sum(a > b for a, b in pairs) == 6
    assert "Of the 56 convolutions 18 become wider by that and 6 narrower" in prose()


def test_seven_networks_of_one_recipe_lie_up_to_0_4_points_apart():
    files = sorted((ROOT / "data" / "checkpoints").glob("minute-seed*.safetensors"))
    net = build_network(get_recipe("minute"))
    found = [100 * load_checkpoint(net, file)["test_accuracy"] for file in files]
    assert len(found) == 7 and max(found) - min(found) == pytest.approx(0.4, abs=0.05)
    assert "the seven stored networks of `minute`" in prose() and "up to 0.4 points" in prose()


def test_the_text_says_who_looked_at_the_test_set():
    assert "touched once" not in prose() and "Now, once, the test set" not in prose()
    assert "reads the test set several times" in prose()
    assert "after 27,000 one of three seeds ended below 89% of the *test* pictures" in prose()


# Explorers ----------------------------------------------------------------------------------------


def test_two_runs_are_compared_by_what_differs():
    figure = n05.compare_runs("tutorial-seed0", "batch_norm-seed0")
    assert figure.axes[0].get_title("left") + figure.axes[0].get_title() == (
        "What differs: batch norm: False / True"
    )


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


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((50, 50, 3), 200, np.uint8), "nothing stands out"),
        (np.zeros((28, 28), np.uint8), r"must be \(H, W, 3\)"),
        ("shirt.png", "must be"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused(picture, message):
    with pytest.raises(ValueError, match=message):
        as_the_net_sees(picture)


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
        axes = [ax for part in figure.subfigs for ax in part.axes]
        assert len(axes) == 8 and axes[0].get_title() == "a title"


# Exercise 05.mean ---------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [90.77, 90.8])
def test_the_accuracy_in_percent_is_called_so(percent):
    judged = exercises.exercises_of("05")["05.mean"].judge(percent)
    assert "in percent: give it as a fraction" in judged

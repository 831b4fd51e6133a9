"""The nets of the page as ONNX files: they say what PyTorch says, with each branch on or off."""

from functools import cache

import matplotlib
import numpy as np
import onnxruntime
import pytest
import torch

from gnet_utils.base import CourseError
from gnet_utils.course.site import network as page
from gnet_utils.data import to_float
from gnet_utils.explorers.n09 import block_names
from gnet_utils.plotting import BRANCHES
from gnet_utils.probing import ablate, feature_maps
from gnet_utils.runs import load_trained

PICTURE = torch.randint(256, (1, 1, 28, 28), generator=torch.manual_seed(1)).byte()


@cache
def session_of(name: str) -> onnxruntime.InferenceSession:
    file = page.to_onnx(load_trained(name)[0])
    assert len(file) < 1_000_000
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def run(name: str, block: int, everywhere=False, off=()) -> tuple[np.ndarray, ...]:
    """Probabilities (all on, as switched, without each) and the picture of the block's maps."""
    feeds = {
        "picture": PICTURE.numpy(),
        "block": np.array(block, np.int32),
        "everywhere": np.array(everywhere),
        "on": np.array([k not in off for k in range(4)]),
    }
    session = session_of(name)
    wanted = session.get_outputs()[3 + block].name
    return session.run(["whole", "now", "without", wanted], feeds)


def without(net, names=()) -> np.ndarray:
    """What PyTorch makes of the picture while the branches `names` give zeros."""
    with torch.no_grad(), ablate(net, names):
        return net(to_float(PICTURE)).softmax(1)[0].numpy()


@pytest.mark.parametrize("name", page.NETS)
def test_a_file_says_what_pytorch_says_and_is_under_a_megabyte(name):
    whole, now, _, _ = run(name, block=4)
    expected = without(load_trained(name)[0])
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    np.testing.assert_allclose(now, expected, atol=1e-4)


@pytest.mark.parametrize("branch", range(4))
@pytest.mark.parametrize("name", page.NETS)
def test_a_branch_switched_off_is_silent_and_the_others_are_not(name, branch):
    net, kind = load_trained(name)[0], BRANCHES[branch]
    whole, now, each, maps = run(name, block=3, off=[branch])
    expected = without(net, [f"inception_4b.branch_{kind}"])
    np.testing.assert_allclose(now, expected, atol=1e-4)
    np.testing.assert_allclose(each[branch], expected, atol=1e-4)
    assert np.abs(expected - whole).max() > 0.01
    tiles = maps[:, :, :7]  # the strongest map of each branch
    assert [len(np.unique(tile.reshape(-1, 4), axis=0)) == 1 for tile in tiles] == [
        k == branch for k in range(4)
    ]


def test_a_branch_is_switched_off_in_all_blocks_or_in_one():
    name, net = page.NETS[0], load_trained(page.NETS[0])[0]
    _, now, each, _ = run(name, block=0, everywhere=True, off=[2])
    names = [f"{block}.branch_5x5" for block in block_names(net)]
    np.testing.assert_allclose(now, without(net, names), atol=1e-4)
    np.testing.assert_allclose(each[2], without(net, names[:1]), atol=1e-4)


def test_the_picture_of_a_block_shows_its_strongest_maps():
    name, net = page.NETS[0], load_trained(page.NETS[0])[0]
    *_, shown = run(name, block=2)
    found = feature_maps(net, to_float(PICTURE), "inception_4a")["inception_4a"].detach()[0]
    for branch, maps in enumerate(found.split(page.widths(net)[2])):
        order = maps.sum((1, 2)).argsort(descending=True)[: page.SHOWN]
        largest = maps[order].max()
        for place, number in enumerate(order):
            tile = shown[branch, :, 8 * place : 8 * place + 7]
            expected = matplotlib.colormaps["viridis"]((maps[number] / largest).numpy(), bytes=True)
            assert np.abs(tile.astype(int) - expected.astype(int)).max() <= 3  # a level beside it


def test_the_same_net_gives_the_same_bytes():
    net = load_trained(page.NETS[0])[0]
    assert page.to_onnx(net) == page.to_onnx(net)


def test_the_fragment_finds_its_files_in_the_place_that_is_named():
    html = page.fragment("_static/net/", 5.0)
    assert 'src="_static/net/network.js"' in html and 'href="_static/net/network.css"' in html


@pytest.mark.parametrize(
    ("npm", "said"),
    [
        (None, "npm, which is not here: install Node.js"),
        ("false", r"could not be fetched by npm \(no reason given\): connect to the internet"),
    ],
)
def test_without_its_runtime_one_sentence_says_what_to_do(npm, said, tmp_path, monkeypatch):
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(page.shutil, "which", lambda _: npm)
    with pytest.raises(CourseError, match=said):
        page.write(tmp_path / "site")
    assert list(tmp_path.iterdir()) == []

"""The nets of the page as ONNX files: they say what PyTorch says, with each branch on or off."""

from functools import cache

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

PICTURES = torch.randint(256, (4, 1, 28, 28), generator=torch.manual_seed(1)).byte()


@cache
def file_of(name: str) -> bytes:
    return page.to_onnx(load_trained(name)[0])


def run(name: str, switches: np.ndarray, wanted: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and the maps of the block `wanted`, from the file of a net."""
    session = onnxruntime.InferenceSession(file_of(name), providers=["CPUExecutionProvider"])
    feeds = {"picture": PICTURES.numpy(), "switches": switches}
    return session.run(["probabilities", wanted], feeds)


def all_on() -> np.ndarray:
    return np.ones((len(PICTURES), 9, 4), np.float32)


def without(net, names) -> np.ndarray:
    """What PyTorch makes of the pictures while the branches `names` give zeros."""
    with torch.no_grad(), ablate(net, names):
        return net(to_float(PICTURES)).softmax(1).numpy()


@pytest.mark.parametrize("name", page.NETS)
def test_a_file_says_what_pytorch_says_and_is_under_a_megabyte(name):
    net = load_trained(name)[0]
    found, maps = run(name, all_on(), "inception_4c")
    expected = feature_maps(net, to_float(PICTURES), "inception_4c")
    np.testing.assert_allclose(found, expected["logits"].softmax(1).detach(), atol=1e-4)
    np.testing.assert_allclose(maps, expected["inception_4c"].detach(), atol=1e-3)
    assert len(file_of(name)) < 1_000_000


@pytest.mark.parametrize("branch", range(4))
@pytest.mark.parametrize("name", page.NETS)
def test_a_branch_switched_off_is_silent_and_the_others_are_not(name, branch):
    net = load_trained(name)[0]
    switches = all_on()
    switches[:, 3, branch] = 0
    found, maps = run(name, switches, "inception_4b")
    expected = without(net, [f"inception_4b.branch_{BRANCHES[branch]}"])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected - without(net, [])).max() > 0.01
    parts = np.split(maps, np.cumsum(page.widths(net)[3])[:-1], axis=1)
    assert [not part.any() for part in parts] == [k == branch for k in range(4)]


def test_one_picture_takes_several_settings_of_the_switches():
    net = load_trained(page.NETS[0])[0]
    switches = all_on()[:3]
    switches[1, :, 2] = 0
    session = onnxruntime.InferenceSession(
        file_of(page.NETS[0]), providers=["CPUExecutionProvider"]
    )
    feeds = {"picture": PICTURES[:1].numpy(), "switches": switches}
    whole, off, again = session.run(["probabilities"], feeds)[0]
    everywhere = [f"{block}.branch_5x5" for block in block_names(net)]
    np.testing.assert_allclose(off, without(net, everywhere)[0], atol=1e-4)
    np.testing.assert_allclose([whole, again], without(net, [])[[0, 0]], atol=1e-4)


def test_the_same_net_gives_the_same_bytes():
    assert page.to_onnx(load_trained(page.NETS[0])[0]) == file_of(page.NETS[0])


def test_the_fragment_finds_its_files_in_the_place_that_is_named():
    html = page.fragment("_static/net/")
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

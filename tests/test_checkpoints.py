"""The stored weights give the accuracy that is written beside them."""

import pytest

from gnet_utils.data import load_fashion_mnist, prepare
from gnet_utils.recipes import get_recipe
from gnet_utils.training import CHECKPOINTS, evaluate, load_trained

NAMES = sorted(file.stem for file in CHECKPOINTS.glob("*.safetensors"))


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_keeps_its_promise(name):
    if prepare().kind != "real":
        pytest.skip("the accuracy belongs to the real Fashion-MNIST")
    network, about = load_trained(name)
    size = get_recipe(about["recipe"]).picture_size
    _, accuracy = evaluate(network, load_fashion_mnist("test"), picture_size=size)
    pictures = round(10_000 * (accuracy - about["test_accuracy"]))  # recorded in bfloat16
    assert abs(pictures) <= 5


def test_the_checkpoints_are_small_together():
    assert sum(file.stat().st_size for file in CHECKPOINTS.iterdir()) < 25e6


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"minute-seed0.*got 'best'"):
        load_trained("best")

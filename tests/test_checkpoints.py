"""The stored weights give the accuracy that is written beside them."""

from pathlib import Path

import pytest

from gnet_utils.data import data_source, load_fashion_mnist
from gnet_utils.recipes import build_network, get_recipe
from gnet_utils.training import evaluate, load_checkpoint

CHECKPOINTS = sorted((Path(__file__).resolve().parents[1] / "data/checkpoints").glob("*"))


@pytest.mark.data
@pytest.mark.parametrize("file", CHECKPOINTS, ids=lambda file: file.stem)
def test_a_checkpoint_keeps_its_promise(file):
    if data_source().kind != "real":
        pytest.skip("the accuracy belongs to the real Fashion-MNIST")
    recipe = get_recipe(file.stem.split("-seed")[0])
    network = build_network(recipe)
    promised = load_checkpoint(network, file)["test_accuracy"]
    _, accuracy = evaluate(network, load_fashion_mnist("test"), picture_size=recipe.picture_size)
    assert abs(accuracy - promised) <= 0.0005

"""The stored weights give the accuracy that is written beside them.

All 10,000 test pictures would take two minutes here. So the promise is kept in two steps: what each
network says of the first 1,000 pictures is in PROMISED, and these lines were written by

    python -m tests.test_checkpoints

which first measures all 10,000 against the accuracy beside the weights.
"""

import pytest

from gnet_utils.data import load_fashion_mnist, prepare
from gnet_utils.evaluation import evaluate
from gnet_utils.recipes import get_recipe
from gnet_utils.runs import CHECKPOINTS, load_trained

NAMES = sorted(file.stem for file in CHECKPOINTS.glob("*.safetensors"))
PROMISED = {  # loss and share of right answers on the first 1,000 test pictures
    "five_minutes-seed0": (0.23981, 0.943),
    "full-seed0": (0.21785, 0.957),
    "hour-seed0": (0.19942, 0.962),
    "minute-seed0": (0.24123, 0.914),
    "minute-seed1": (0.24630, 0.918),
    "minute-seed2": (0.24925, 0.920),
    "minute-seed3": (0.24580, 0.914),
    "minute-seed4": (0.24179, 0.908),
    "minute-seed5": (0.25141, 0.911),
    "minute-seed6": (0.25963, 0.914),
}


def measured(name: str, pictures: int) -> tuple[float, float]:
    """Loss and accuracy of a stored network on the first test pictures."""
    network, about = load_trained(name)
    test = tuple(part[:pictures] for part in load_fashion_mnist("test"))
    return evaluate(network, test, picture_size=get_recipe(about["recipe"]).picture_size)


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_keeps_its_promise(name):
    """The loss moves where weights have changed and no answer has yet."""
    if prepare().kind != "real":
        pytest.skip("the accuracy belongs to the real Fashion-MNIST")
    loss, accuracy = measured(name, 1000)
    assert loss == pytest.approx(PROMISED[name][0], abs=2e-5)
    assert accuracy == pytest.approx(PROMISED[name][1], abs=0.0011)  # one picture may be a tie


def test_the_checkpoints_are_small_together():
    assert sum(file.stat().st_size for file in CHECKPOINTS.iterdir()) < 25e6


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"minute-seed0.*got 'best'"):
        load_trained("best")


if __name__ == "__main__":
    for name in NAMES:
        expected, found = load_trained(name)[1]["test_accuracy"], measured(name, 10_000)[1]
        assert abs(found - expected) <= 0.00055, (name, found, expected)
        loss, accuracy = measured(name, 1000)
        print(f'    "{name}": ({loss:.5f}, {accuracy:.3f}),', flush=True)

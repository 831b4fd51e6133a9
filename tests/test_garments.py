"""The drawn stand-in: of the right form, repeatable, and neither trivial nor hopeless."""

import numpy as np
import pytest
import torch

from gnet_utils.course import garments


@pytest.fixture(scope="module")
def drawn() -> dict[str, torch.Tensor]:
    return garments.draw_dataset(3000, 600)


def test_the_stand_in_has_the_form_of_the_real_set(drawn: dict) -> None:
    for split, count in (("train", 3000), ("test", 600)):
        images, labels = drawn[f"{split}_images"], drawn[f"{split}_labels"]
        assert images.shape == (count, 1, 28, 28) and images.dtype == torch.uint8
        assert labels.shape == (count,) and labels.dtype == torch.int64
        assert labels.bincount().tolist() == [count // 10] * 10
        assert labels[:100].unique().numel() == 10  # mixed, not class after class


def test_garments_lie_on_black_and_fill_the_picture(drawn: dict) -> None:
    images = drawn["train_images"].float()
    assert images[..., :2, :2].mean() < 1  # a corner
    assert 0.15 < (images > 12).float().mean() < 0.55
    assert images.flatten(1).amax(1).min() > 40  # none is empty or invisible


def test_the_same_seed_draws_the_same_pictures_and_another_seed_others() -> None:
    first, again = garments.draw_dataset(100, 50), garments.draw_dataset(100, 50)
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = garments.draw_dataset(100, 50, seed=1)
    assert not torch.equal(first["train_images"], other["train_images"])


def test_no_picture_occurs_twice(drawn: dict) -> None:
    everything = torch.cat([drawn["train_images"], drawn["test_images"]]).flatten(1)
    assert len(np.unique(everything.numpy(), axis=0)) == 3600


def test_a_linear_classifier_learns_most_of_it_but_not_all(drawn: dict) -> None:
    def design(images: torch.Tensor) -> torch.Tensor:
        pixels = images.flatten(1).double() / 255
        return torch.cat([pixels, torch.ones(len(pixels), 1).double()], dim=1)

    inputs, labels = design(drawn["train_images"]), drawn["train_labels"]
    targets = torch.nn.functional.one_hot(labels, 10).double()
    ridge = 10 * torch.eye(785).double()
    weights = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ targets)
    guesses = (design(drawn["test_images"]) @ weights).argmax(1)
    accuracy = (guesses == drawn["test_labels"]).double().mean().item()
    assert 0.65 < accuracy < 0.92

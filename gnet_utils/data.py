"""Data of the course: Fashion-MNIST as tensors, and pictures to look at.

Offers: `load_fashion_mnist`, `data_source`, `prepare`, `CLASS_NAMES`, `to_float`,
`split_train_validation`; and, from `pictures.py`, `demo_picture`, `load_picture`, `opencv`.
Where the files come from, and how they are kept, stands in course/dataset.py.
"""

import torch
from torch import Tensor

from gnet_utils.course import dataset  # the one place where data come from outside
from gnet_utils.course.dataset import DataSource, cache_folder  # noqa: F401 - had from here
from gnet_utils.pictures import (  # noqa: F401 - the course has these names from here
    DEMO_PICTURES,
    decode_picture,
    demo_picture,
    load_picture,
    opencv,
)

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
MEAN, STD = 0.2860, 0.3530  # of the 60,000 training pictures, pixels scaled to 0..1


def load_fashion_mnist(
    split: str, device: torch.device | str = "cpu", source: str | None = None
) -> tuple[Tensor, Tensor]:
    """Load one split of Fashion-MNIST: uint8 images (N, 1, 28, 28), int64 labels (N,).

    split is "train" (60,000) or "test" (10,000). source=None takes the real data and, where they
    cannot be had, the drawn stand-in, with a banner; "real" or "stand-in" insists. A process that
    has used one of the two stays with it. Raises ValueError for a wrong split or source and
    CourseError when the real data are insisted on and cannot be had.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    tensors, _ = dataset.load(source)
    return tensors[f"{split}_images"].to(device), tensors[f"{split}_labels"].to(device)


def data_source() -> DataSource:
    """Tell which data this process uses, and why; brings them in if it has used none yet."""
    return dataset.used or prepare()


def prepare(source: str | None = None) -> DataSource:
    """Bring the data into the cache, so that later loads take a moment, and say what was found."""
    return dataset.load(source)[1]


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 images (N, 1 or 3, H, W) into float32; Fashion-MNIST's get mean 0, deviation 1.

    The constants MEAN and STD are those of its training set, for all pictures and each colour.
    """
    check_pictures(images)
    return (images.float() / 255 - MEAN) / STD


def split_train_validation(
    images: Tensor, labels: Tensor, validation: int = 5000, seed: int = 0
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Part (images, labels) at random into (train, validation), the latter of `validation` items.

    images (N, C, H, W) uint8, labels (N,) int64; the same seed gives the same parts.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    order = order.to(images.device)
    held_out, kept = order[:validation], order[validation:]
    return (images[kept], labels[kept]), (images[held_out], labels[held_out])


def check_pictures(images: Tensor, name: str = "images") -> None:
    """Raise ValueError unless `images`, called `name` in it, are (N, 1 or 3, H, W) uint8."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        got = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
        hint = ": add a channel axis with images[:, None]" if images.ndim == 3 else ""
        if images.ndim == 4 and images.shape[-1] == 3:
            hint = ": put the colours second with images.permute(0, 3, 1, 2)"
        raise ValueError(f"{name} must be (N, 1 or 3, H, W) uint8, got {got}{hint}")

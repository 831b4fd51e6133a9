"""Pictures of one's own in the form of the course, and a network trained elsewhere (notebook 14).

`load_folder` and `as_pair` (for torchvision's data sets) give `Pictures`: uint8 images (N, C, H, W)
and int64 labels (N,), as `load_fashion_mnist` does, with the names of the classes.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.datasets.folder import find_classes

from gnet_utils.base import CourseError
from gnet_utils.pictures import load_picture, opencv


class _Pair(NamedTuple):
    images: Tensor
    labels: Tensor


class Pictures(_Pair):
    """A pair (images, labels); `classes` has the name of each label, `left_out` what is missing."""

    classes: list[str]
    left_out: list[str]

    def __new__(
        cls, images: Tensor, labels: Tensor, classes: list[str], left_out: list[str] | None = None
    ):
        pair = super().__new__(cls, images, labels)
        pair.classes, pair.left_out = classes, left_out or []
        return pair


def load_folder(path: str | os.PathLike, size: int = 28, colour: bool = False) -> Pictures:
    """Read a folder with one folder for each class, as torchvision's `ImageFolder` has it.

    Any format that `load_picture` reads, any size, turned upright; of each picture the middle
    square, made `size` pixels wide. Returns uint8 images (N, 1 or 3, size, size), labels in the
    order of the folders' names. What is no whole picture is left out, named in `left_out` and
    printed. Raises CourseError where there is no folder of classes, or a class has no picture.
    """
    try:
        classes, numbers = find_classes(os.fspath(path))
    except OSError:
        raise CourseError(
            f"{path} has no folders of classes: put the pictures of each class into a folder with "
            "the name of the class, and give the folder that holds these"
        ) from None
    images, labels, left_out = [], [], []
    for name in classes:
        before = len(images)
        for file in sorted(file for file in Path(path, name).rglob("*") if file.is_file()):
            try:
                images.append(_square(load_picture(file), size, colour))
                labels.append(numbers[name])
            except CourseError as error:
                left_out.append(str(error))
        if len(images) == before:
            raise CourseError(f"no file in {Path(path, name)} is a picture: add some, or remove it")
    for reason in left_out[:5]:
        print(f"Left out: {reason}")
    if left_out[5:]:
        print(f"Left out, too: {len(left_out) - 5} more files, all named in `left_out`")
    return Pictures(torch.stack(images), torch.tensor(labels), classes, left_out)


def _square(picture: np.ndarray, size: int, colour: bool) -> Tensor:
    """The middle square of a picture (H, W, 3) as uint8 (1 or 3, size, size)."""
    cv2, side = opencv(), min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    shrinks = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    square = cv2.resize(
        picture[top : top + side, left : left + side], (size, size), None, 0, 0, shrinks
    )
    if colour:
        return torch.from_numpy(square).permute(2, 0, 1)
    return torch.from_numpy(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY))[None]


def as_pair(dataset: Dataset) -> Pictures:
    """A data set of torchvision that lies in memory, such as KMNIST, EMNIST or CIFAR10.

    Its pictures as they are stored, whatever its `transform` (EMNIST's lie on their side). Raises
    ValueError for a data set that reads file by file: give `fit` a DataLoader of that.
    """
    images = getattr(dataset, "data", None)
    labels = getattr(dataset, "targets", getattr(dataset, "labels", None))
    if not isinstance(images, Tensor | np.ndarray) or labels is None:
        raise ValueError(
            f"{type(dataset).__name__} does not keep its pictures in memory (`data`, `targets`): "
            "read it with load_folder, or give fit a DataLoader of it"
        )
    images = torch.as_tensor(images)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:  # CIFAR's colours come last
        images = images.permute(0, 3, 1, 2).contiguous()
    labels = torch.as_tensor(labels).long()
    names = getattr(dataset, "classes", range(int(labels.max()) + 1))
    return Pictures(images, labels, [str(name) for name in names])


def pretrained_googlenet(classes: int) -> nn.Module:
    """torchvision's GoogLeNet with weights learned on ImageNet, and a new last layer, `fc`.

    Reads what `GoogLeNet_Weights.IMAGENET1K_V1.transforms()` makes of a picture. Raises CourseError
    when the weights (50 MB) are neither in PyTorch's cache nor to be fetched.
    """
    from torchvision.models import GoogLeNet_Weights, googlenet

    weights = GoogLeNet_Weights.IMAGENET1K_V1
    try:
        net = googlenet(weights=weights)
    except OSError as error:
        raise CourseError(
            f"the weights of torchvision's GoogLeNet cannot be fetched ({error}): connect to the "
            f"internet, or put {Path(weights.url).name} into {torch.hub.get_dir()}/checkpoints"
        ) from None
    net.fc = nn.Linear(net.fc.in_features, classes)
    return net

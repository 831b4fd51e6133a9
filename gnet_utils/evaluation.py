"""Asking a network: `accuracy`, `evaluate`, and the form that data and answers must have.

Data are pairs (images, labels): uint8 (N, 1 or 3, H, W) and int64 (N,), on the device of the
network; or a DataLoader of batches (images, labels), uint8 or already float and normalised.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gnet_utils import augment
from gnet_utils.data import check_pictures, to_float
from gnet_utils.passes import evaluating
from gnet_utils.runs import History

Data = tuple[Tensor, Tensor] | DataLoader


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of pictures whose largest logit is that of the right class.

    logits (N, classes), labels (N,).
    """
    return (logits.argmax(1) == labels).float().mean().item()


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: Data,
    *,
    views: int = 1,
    picture_size: int | None = None,
    batch_size: int = 250,
) -> tuple[float, float]:
    """Mean loss and accuracy of `model` on (images, labels), in eval mode and float32.

    views: how many copies of each picture (`augment.views`), probabilities averaged.
    picture_size: to which the pictures are resized; None leaves them as they are.
    Afterwards each part of the model is in its own mode again. Raises ValueError for data of
    another form, a number of views that does not exist, and a model with too few classes.
    """
    check_data(data, "data")
    loss, right, count, classes = 0.0, 0.0, 0, classes_of(data)
    if not isinstance(data, DataLoader):
        data = zip(*(part.split(batch_size) for part in data), strict=True)
    device = next(model.parameters()).device
    with evaluating(model):
        for images, labels in data:
            images, labels = images.to(device), labels.to(device)
            shown = augment.views(resized(as_float(images), picture_size), views)
            answers = (answers_of(model(in_layout(view)), classes)[0] for view in shown)
            odds = sum(logits.softmax(1) for logits in answers) / views
            loss += F.nll_loss(odds.clamp_min(1e-12).log(), labels, reduction="sum").item()
            right += accuracy(odds, labels) * len(labels)
            count += len(labels)
    return loss / count, right / count


def as_float(images: Tensor) -> Tensor:
    """`to_float` of uint8 pictures; what is float already stays as it is."""
    return images if images.is_floating_point() else to_float(images)


def classes_of(data: Data) -> int:
    """How many classes the labels ask for, at the least; a DataLoader's are not known: 1."""
    return 1 if isinstance(data, DataLoader) else 1 + int(data[1].max())


def answers_of(output: Any, classes: int) -> list[Tensor]:
    """The logits that a model gave, and after them those of its auxiliary heads, if it has any.

    output: logits (N, classes), or a named tuple of such that begins with `logits`, as GoogLeNet
        gives in `train()`, torchvision's too. Raises ValueError for another form.
    """
    headed = getattr(output, "_fields", ())[:1] == ("logits",)
    answers = [part for part in output if part is not None] if headed else [output]
    for logits in answers:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if not (isinstance(logits, Tensor) and len(shape) == 2 and shape[1] >= classes):
            raise ValueError(
                f"model must give (N, {classes}) logits or more for labels up to {classes - 1}, "
                f"got {shape}"
            )
    return answers


def no_better_than_guessing(history: History, net: nn.Module, labels: Tensor, steps: int) -> str:
    """That the run ended no better than a guess, with the likeliest cause; else "".

    labels: of the training pictures, (N,); a guess gives each class its share of them, whatever
        the picture shows.
    """
    shares = labels.bincount() / len(labels)
    guess = -(shares[shares > 0] * shares[shares > 0].log()).sum().item()
    losses = [loss for _, loss in history.losses]
    last = losses[-max(5, len(losses) // 10) :]
    end = sum(last) / len(last)
    if not guess or end < 0.99 * guess:
        return ""
    rate = history.recipe["learning_rate"]
    better = sorted(losses)[len(losses) // 10]  # a tenth of the run was better than this
    if max(losses) > 2 * max(losses[0], guess) or better < 0.9 * guess:
        cause = f"the learning rate {rate:g} is too large, try a tenth of it"
    elif not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules()):
        cause = "a deep network without batch norm starts like this, give it batch norm"
    else:
        cause = f"{steps} steps are too few, or the labels do not belong to the pictures"
    return (
        f"The network is no better than a guess: its loss ends at {end:.3g}, and guessing without "
        f"a look at the picture has {guess:.3g}. The likeliest cause: {cause}."
    )


def resized(images: Tensor, size: int | None) -> Tensor:
    """Pictures (N, C, H, W) as (N, C, size, size), bilinear; None leaves them as they are."""
    if size in (None, images.shape[-1]):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def in_layout(images: Tensor) -> Tensor:
    """The same pictures, channels last in memory: convolutions read them faster."""
    return images.contiguous(memory_format=torch.channels_last)


def check_data(data: Data, name: str, fewest: int = 1) -> None:
    """Raise ValueError unless `data` is (images, labels) of the form this module expects.

    A DataLoader is not looked into: it may take minutes to read.
    """
    if isinstance(data, DataLoader):
        return
    pair = isinstance(data, (tuple, list)) and len(data) == 2
    if not (pair and all(isinstance(part, Tensor) for part in data)):
        kinds = [type(part).__name__ for part in data] if pair else [type(data).__name__]
        raise ValueError(
            f"{name} must be two tensors, images (N, 1 or 3, H, W) and labels (N,), got "
            f"{' and '.join(kinds)}: turn each into one with torch.as_tensor"
        )
    images, labels = data
    check_pictures(images, f"{name} images")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"{name} labels must be ({len(images)},) int64, got {tuple(labels.shape)} "
            f"{str(labels.dtype).removeprefix('torch.')}: one class number for each picture"
        )
    if len(images) < fewest:
        raise ValueError(f"{name} must hold {fewest} or more pictures, got {len(images)}")
    if int(labels.min()) < 0:
        raise ValueError(f"{name} labels must be 0 or more, got {int(labels.min())}")

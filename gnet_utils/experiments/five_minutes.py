"""What could make more of five minutes on two cores: changes of the recipe `five_minutes`.

Each run has as many processor seconds as `control` took with the same seed, which is trained first;
55,000 pictures to learn from, 5,000 held out. Recorded by nobody yet: fifteen runs of five minutes
and more.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from gnet_utils import augment, experiments
from gnet_utils.data import load_fashion_mnist, split_train_validation, to_float
from gnet_utils.evaluation import Data, evaluate, in_layout, resized
from gnet_utils.models import fused
from gnet_utils.recipes import Recipe, bfloat16_is_fast, build_network, get_recipe, learning_rate
from gnet_utils.recipes import optimiser_of as optimiser_for
from gnet_utils.training import train_epoch


@dataclass(frozen=True)
class Change:
    """What a run does in another way than `five_minutes`; without arguments nothing.

    alternating: each picture is mirrored in every second epoch, at first in half of the cases, so
        that two epochs show both forms of it; not by chance each time.
    first_size: pixels to which pictures are resized during the first `FIRST` of the run.
    last_batch: pictures of a batch in the `LAST` of the run.
    averaged: the weights are the mean of those of all steps of the last epoch.
    """

    alternating: bool = False
    first_size: int = 28
    last_batch: int = 128
    averaged: bool = False


FIRST, LAST = 0.4, 0.3  # shares of the run
RUNS = {
    "control": Change(),
    "alternating": Change(alternating=True),
    "small_first": Change(first_size=20),
    "large_last": Change(last_batch=256),
    "averaged": Change(averaged=True),
}

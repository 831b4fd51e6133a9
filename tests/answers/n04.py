"""Right answers of many forms to notebook 04, and wrong ones with words of what they are told."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Running, forms, used
from gnet_utils.exercises.n04 import small_stem
from gnet_utils.models import GOOGLENET_BLOCKS, GoogLeNet, Inception

# 04.network ---------------------------------------------------------------------------------------

PATH = ["4a", "aux1", "4b", "4c", "4d", "aux2", "4e", "pool4"]


def written(
    path: list[str] = PATH, always: bool = False, answers: Callable | None = None, **parts: Callable
) -> type:
    """The class that exercise 4.1 asks for: what runs in stage 4, some parts made otherwise."""

    class Written(GoogLeNet):
        def __init__(self, num_classes=1000):
            super().__init__(num_classes)
            for name, make in parts.items():
                setattr(self, name, make())

        def forward(self, x):
            for name in self.path[: self.path.index("inception_4a")]:
                x = self.get_submodule(name)(x)
            heads = {"aux1": None, "aux2": None}
            for name in path:
                if name in heads and (self.training or always):
                    heads[name] = self.get_submodule(name)(x)
                elif name not in heads:
                    x = self.get_submodule(name if "pool" in name else f"inception_{name}")(x)
            x = self.inception_5b(self.inception_5a(x if path else ...))
            logits = self.linear(self.dropout(self.avgpool(x).flatten(1)))
            every = (answers or (lambda *given: given))(logits, *heads.values())
            return every if self.training else logits

    return Written


def block(channels: int, name: str) -> Callable[[], nn.Module]:
    return lambda: Inception(channels, *GOOGLENET_BLOCKS[name])


class Blocks(nn.Module):
    """A block with its layers under other names, as one may have written it in lesson 03."""

    def __init__(self, channels, out_1x1, reduce_3x3, out_3x3, reduce_5x5, out_5x5, pool_proj):
        super().__init__()
        self.small = nn.Conv2d(channels, out_1x1, 1)
        self.middle = nn.Sequential(
            nn.Conv2d(channels, reduce_3x3, 1), nn.ReLU(), nn.Conv2d(reduce_3x3, out_3x3, 3, 1, 1)
        )
        self.large = nn.Sequential(
            nn.Conv2d(channels, reduce_5x5, 1), nn.ReLU(), nn.Conv2d(reduce_5x5, out_5x5, 5, 1, 2)
        )
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(channels, pool_proj, 1))

    def forward(self, x):
        return torch.cat([part(x) for part in self.children()], 1).relu()


# 04.stem ------------------------------------------------------------------------------------------


def stem(*sizes: int, relu: Callable[[], nn.Module] = nn.ReLU, **first) -> Callable[[], nn.Module]:
    """A function that returns a stem: windows of these sizes, arguments of the first one."""
    channels = 1, 64, 64, 192

    def make() -> nn.Module:
        layers = []
        for n, size in enumerate(sizes):
            options = {"padding": size // 2, **(first if n == 0 else {})}
            layers += [nn.Conv2d(channels[n], channels[n + 1], size, **options), relu()]
        return nn.Sequential(*layers)

    return make


def stem_by_functions() -> nn.Module:
    def forward(layers, x):
        for layer in layers:
            x = F.relu(layer(x))
        return x

    layers = nn.Conv2d(1, 64, 7, 1, 3), nn.Conv2d(64, 64, 1), nn.Conv2d(64, 192, 3, 1, 1)
    return Running(*layers, forward=forward)


def stem_with_norms() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.Conv2d(64, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.Conv2d(64, 192, 3, padding=1, bias=False), nn.BatchNorm2d(192), nn.ReLU()),
    )


def pooled() -> nn.Module:
    return nn.Sequential(*stem(7, 1, 3)(), nn.MaxPool2d(3, 2, ceil_mode=True))


def enlarged() -> nn.Module:
    return nn.Sequential(pooled(), nn.Upsample(scale_factor=2))


RIGHT = {
    "04.network": [
        GoogLeNet,
        written(),
        written(
            **{
                f"inception_{name}": lambda name=name, channels=channels: Blocks(
                    channels, *GOOGLENET_BLOCKS[name]
                )
                for name, channels in {"4b": 512, "4c": 512, "4d": 512, "4e": 528}.items()
            }
        ),
        written(pool4=lambda: nn.MaxPool2d((3, 3), stride=2, padding=0, ceil_mode=True)),
    ],
    "04.flatten": forms(9_216_000),
    "04.size": forms(223),
    "04.stem": [
        small_stem,
        stem(7, 1, 3),
        stem(3, 1, 3, relu=lambda: nn.ReLU(inplace=True)),
        stem_by_functions,
        lambda: used(stem_with_norms(), 1, 28, 28),
    ],
}

WRONG = {
    "04.network": [
        (written([]), "still to fill in: stage 4 in forward"),
        (written([], inception_4b=lambda: None), "inception_4b, stage 4 in forward"),
        (written(pool4=lambda: None), "still to fill in: pool4"),
        (written(inception_4b=block(480, "4b")), "4b reads 480 channels, but 512 leave 4a"),
        (written(inception_4e=block(512, "4e")), "4e reads 512 channels, but 528 leave 4d"),
        (written(inception_4c=block(512, "4b")), "4c has not the widths of its row"),
        (written(inception_4b=nn.Identity), "inception_4b is no block"),
        (written(pool4=lambda: nn.MaxPool2d(2)), "windows of 2x2"),
        (written(pool4=lambda: nn.MaxPool2d(3, 2)), "makes 6x6 of 14x14"),
        (written(pool4=lambda: nn.MaxPool2d(3, 2, padding=1)), "in a frame of padding"),
        (written(pool4=lambda: nn.AvgPool2d(3, 2, ceil_mode=True)), "takes the mean"),
        (written(PATH[:-1]), "pool4 does not run"),
        (written(["4a", "aux1", "4c", "4d", "aux2", "4e", "pool4"]), "4b does not run"),
        (written(["4a", "4a", "4b", "4c", "4d", "4e", "pool4"]), "4a runs 2 times"),
        (written(["4a", "aux1", "4c", "4b", *PATH[4:]]), "4a, 4c, 4b, 4d, 4e, pool4"),
        (written(always=True), "aux1 runs in eval() too"),
        (written(["4a", "4b", "aux1", *PATH[3:]]), "aux1 hangs on inception_4b; it belongs"),
        (written([*PATH[:4], "aux2", "4d", "4e", "pool4"]), "aux2 hangs on inception_4c"),
        (written([*PATH[:5], "4e", "pool4"]), "in train() aux2 does not run"),
        (written(answers=lambda logits, *_: logits), "three answers come back"),
        (written(answers=lambda logits, one, two: (logits, None, two)), "comes back as None"),
        (written(answers=lambda logits, one, two: (logits, two, one)), "not what self.aux1 gave"),
        (written(norm2=nn.Identity), "same weights, other numbers"),
        (written(inception_3a=block(192, "3b")), "stops at inception_3b"),
        (GoogLeNet(10), "hand in the class itself"),
        (nn.Sequential, "trying your answer stopped with"),
        (7, "a class is asked for"),
    ],
    "04.stem": [
        (lambda: ..., "what small_stem returns"),
        (small_stem(), "hand in the function"),
        (stem(7, 1, 3, stride=2), "a map of 14x14 comes out"),
        (stem(3, 1, 3, padding=0), "a map of 26x26 comes out"),
        (pooled, "a map of 14x14 comes out"),
        (enlarged, "it enlarges a map"),
        (lambda: nn.Sequential(nn.Conv2d(3, 192, 3, padding=1), nn.ReLU()), "reads 3 channels"),
        (lambda: nn.Sequential(nn.Conv2d(1, 192, 3, padding=1), nn.ReLU()), "1 convolutions run"),
        (stem(1, 1, 1), "all windows are 1x1"),
        (stem(3, 1, 3, relu=nn.Identity), "convolution 1 has no ReLU"),
        (stem(3, 1, 3, relu=nn.LeakyReLU), "convolution 1 has no ReLU"),
        (lambda: nn.Sequential(*stem(3, 1)(), *stem(3)()), "convolution 3 reads 1 channels"),
        (lambda: nn.Sequential(*stem(3, 1)(), nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU()), "28, 28)"),
        (lambda: None, "returns nothing"),
        (28, "a function is asked for"),
    ],
}

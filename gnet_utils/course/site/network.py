"""The network that runs in the page: trained nets as ONNX files, their runtime, the page's parts.

`write(folder)` gives a folder all that the page loads; `fragment(place, megabytes)` is the HTML
that a page shows. A page opened from disk may load scripts and nothing else, so nets and runtime
are scripts too: compressed, as text.
"""

import base64
import gzip
import io
import json
import math
import shutil
import string
import subprocess
import tarfile
import tempfile
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gnet_utils.base import ROOT, CourseError
from gnet_utils.course.site.pages import options
from gnet_utils.data import CLASS_NAMES, cache_folder, data_source, load_fashion_mnist, to_float
from gnet_utils.explorers.n09 import block_names
from gnet_utils.models.fused import merge
from gnet_utils.plotting import BRANCH_COLOURS, BRANCHES
from gnet_utils.runs import load_trained

STATIC = Path(__file__).parent / "static"
PAD = ROOT / "gnet_utils" / "pad.js"
NETS = ("minute-seed0", "five_minutes-seed0")
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
RUNTIME = {"glue": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}
PICTURES_OF_EACH_CLASS = 2
SHOWN = 7  # maps of each branch


def write(folder: Path) -> float:
    """Write `network.js`, `network.css`, the nets and the runtime into `folder`.

    The same commit and packages give the same bytes. Returns the megabytes that a reader loads to
    start. Raises CourseError when the runtime is not in the cache and cannot be fetched, OSError
    when a file cannot be written.
    """
    runtime = runtime_folder()
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part: (runtime / file).read_bytes() for part, file in RUNTIME.items()}
    parts |= {name: to_onnx(load_trained(name)[0]) for name in NETS}
    lines = {name: f'gnetNetwork["{name}"] = "{packed(parts[name])}";\n' for name in parts}
    for name, line in lines.items():
        (folder / f"network-{name}.js").write_text(line, encoding="utf-8")
    pad = PAD.read_text(encoding="utf-8").replace("export default", "return")
    own = [(STATIC / name).read_text(encoding="utf-8") for name in ("garment.js", "network.js")]
    script = _alone("\n".join([f"const PAD = {_alone(pad)}", *own]))
    (folder / "network.js").write_text(script, encoding="utf-8")
    shutil.copyfile(STATIC / "network.css", folder / "network.css")
    return sum(len(lines[name]) for name in (*RUNTIME, NETS[0])) / 1e6


def _alone(script: str) -> str:
    """JavaScript as a function that is called: its names are its own."""
    return f"(() => {{\n{script}}})();\n"


def fragment(place: str, megabytes: float) -> str:
    """The part of a page that shows the network, as HTML.

    place: the folder that `write` filled, seen from the page: "" or a path that ends with "/";
    megabytes: what `write` returned.
    """
    nets = {name: load_trained(name) for name in NETS}
    first = nets[NETS[0]][0]
    images, labels = load_fashion_mnist("test")
    chosen = [
        (CLASS_NAMES[kind], images[index, 0].numpy())
        for kind in range(len(CLASS_NAMES))
        for index in (labels == kind).nonzero()[:PICTURES_OF_EACH_CLASS, 0]
    ]
    rows = "".join(
        f'<div style="border-color: {BRANCH_COLOURS[kind]}"><label><input type="checkbox" checked> '
        f"<strong>{kind}:</strong> <output></output></label>"
        f'<canvas role="img" aria-label="Strongest maps of the branch {kind}"></canvas></div>'
        for kind in BRANCHES
    )
    blocks = "".join(
        f'<option value="{name}" data-widths="{json.dumps(sizes)}">'
        f"{name.removeprefix('inception_')}</option>"
        for name, sizes in zip(block_names(first), widths(first), strict=True)
    )
    real = data_source().kind == "real"
    return string.Template((STATIC / "network.html").read_text(encoding="utf-8")).substitute(
        place=place,
        megabytes=f"{megabytes:.1f}",
        nets=options((name, _title(name, about)) for name, (_, about) in nets.items()),
        pictures="".join(_button(f"Test picture: {kind}", picture) for kind, picture in chosen),
        source="Fashion-MNIST, Zalando Research, MIT licence" if real else "drawn for the course",
        classes="".join(f"<li>{name}<i></i><output></output></li>" for name in CLASS_NAMES),
        blocks=blocks,
        branches=rows,
        runtime=f"Runs on ONNX Runtime Web {VERSION}, Microsoft, MIT licence",
    )


def _button(name: str, picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return (
        f'<button type="button" title="{name}">'
        f'<img src="data:image/png;base64,{_text(file.getvalue())}" alt="{name}"></button>'
    )


def _title(name: str, about: dict) -> str:
    recipe, _, seed = name.rpartition("-seed")
    return f"recipe {recipe}, seed {seed}: {about['test_accuracy']:.1%} of the test pictures right"


# Nets ---------------------------------------------------------------------------------------------


class Switched(nn.Module):
    """A trained network whose branches can be switched off, and that shows its strongest maps.

    Maps a picture (1, 1, 28, 28) uint8, the number of a block (int32), whether the switches are
    meant in all blocks (bool) and which of the four branches are on (4,) bool to probabilities:
    with all branches on (10,), as switched (10,), without each branch of the block (4, 10); and to
    a picture of each block as switched (4, H, W, 4) uint8, see `strongest`.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.blocks = block_names(network)
        self.widths = widths(network)
        self.network = merge(network)  # its blocks, too, give the four branches in their order
        colours = np.uint8(255 * matplotlib.colormaps["viridis"](range(256)))
        self.register_buffer("colours", torch.from_numpy(colours))

    def forward(self, picture: Tensor, block: Tensor, everywhere: Tensor, on: Tensor) -> tuple:
        none, each = torch.zeros(1, 4, dtype=torch.bool), torch.eye(4, dtype=torch.bool)
        off = torch.cat([none, ~on[None], each])
        in_all = everywhere & (torch.arange(6) == 1)
        x, shown = to_float(picture), []
        for name, stage in self.network.stages():
            x = stage(x)
            if name in self.blocks:
                sizes = torch.tensor(self.widths[len(shown)])
                here = in_all | (block == len(shown))
                gates = 1 - (here[:, None] & off).float()  # (6, 4)
                gates = gates.index_select(1, torch.arange(4).repeat_interleave(sizes))
                x = x * gates[:, :, None, None]
                shown.append(strongest(x[1], self.widths[len(shown)], self.colours))
        chances = x.softmax(1)
        return chances[0], chances[1], chances[2:], *shown


def strongest(maps: Tensor, sizes: list[int], colours: Tensor) -> Tensor:
    """Of each branch the SHOWN maps with the largest sums side by side, as RGBA (4, H, W, 4) uint8.

    maps: (C, H, H) of branches with so many channels; colours: (256, 4) uint8, from 0 to the
    largest number that is shown of a branch.
    """
    side = int(maps.shape[1])
    gap = math.ceil(side / 7)
    sums = maps.sum((1, 2)).split(sizes)
    firsts = [sum(sizes[:k]) for k in range(4)]
    chosen = [s.topk(SHOWN).indices + first for s, first in zip(sums, firsts, strict=True)]
    shown = maps.index_select(0, torch.cat(chosen)).reshape(4, SHOWN, side, side)
    levels = 255 * shown / shown.amax((1, 2, 3), keepdim=True).clamp(min=1e-9)
    tiles = colours[levels.round().long()]
    nothing = torch.zeros(4, SHOWN, side, gap, 4, dtype=torch.uint8)  # which is seen through
    tiles = torch.cat([tiles, nothing], 3).transpose(1, 2)
    return tiles.reshape(4, side, SHOWN * (side + gap), 4)[:, :, :-gap]


def widths(network: nn.Module) -> list[list[int]]:
    """The output channels of the four branches of each block."""
    return [
        [
            _convolutions(branch)[-1].out_channels
            for branch in network.get_submodule(name).children()
        ]
        for name in block_names(network)
    ]


def _convolutions(branch: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)]


def to_onnx(network: nn.Module) -> bytes:
    """`Switched(network)` as an ONNX file: inputs "picture", "block", "everywhere" and "on",
    outputs "whole", "now", "without" and a picture of each block, such as "inception_3a".

    Weights are kept in float16, as in the checkpoints, and computed with in float32.
    """
    import onnx
    from onnx import helper, numpy_helper

    switched = Switched(network).eval()
    all_on = torch.tensor(0, dtype=torch.int32), torch.tensor(False), torch.ones(4).bool()
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # this exporter is the older one; the newer wants more
        torch.onnx.export(
            switched,
            (torch.zeros(1, 1, 28, 28, dtype=torch.uint8), *all_on),
            file,
            dynamo=False,
            input_names=["picture", "block", "everywhere", "on"],
            output_names=["whole", "now", "without", *switched.blocks],
            # It would fold batch norms, and the products are no numbers of float16.
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    model = onnx.load_from_string(file.getvalue())
    casts = []  # from what is kept to what is computed with
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or not np.array_equal(values, values.astype(np.float16)):
            continue
        casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=1))
        half = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
        tensor.CopyFrom(half)
    nodes = [*casts, *model.graph.node]
    for node in nodes:
        node.ClearField("name")  # nobody asks for it, and it takes room
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


# What it runs on ---------------------------------------------------------------------------------


def runtime_folder() -> Path:
    """The folder of the cache with the files of the runtime; fetched at the first call.

    Raises CourseError when they cannot be fetched.
    """
    folder = cache_folder() / f"{PACKAGE}-{VERSION}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if not npm:
        raise CourseError(
            f"{PACKAGE} is fetched with npm, which is not here: install Node.js and try again"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent"]
        done = subprocess.run(command, cwd=aside, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CourseError(
                f"{PACKAGE} {VERSION} could not be fetched by npm ({reason}): connect to the "
                "internet and try again"
            )
        whole = Path(aside, "whole")
        whole.mkdir()
        with tarfile.open(Path(aside, f"{PACKAGE}-{VERSION}.tgz")) as archive:
            for name in RUNTIME.values():
                content = archive.extractfile(f"package/dist/{name}").read()
                (whole / name).write_bytes(content)
        whole.rename(folder)
    return folder


def packed(content: bytes) -> str:
    """Compressed and as text; `unpacked` of network.js reads it. Equal bytes give equal text."""
    return _text(gzip.compress(content, mtime=0))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()

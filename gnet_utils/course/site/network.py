"""The network that runs in the page: trained nets as ONNX files, their runtime, the page's parts.

`write(folder)` gives a folder all that the page loads; `fragment(place)` is the HTML that a page
shows. A page opened from disk may load scripts and nothing else, so nets and runtime are scripts
too: compressed, as text.
"""

import base64
import gzip
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn

from gnet_utils.base import ROOT, CourseError
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


def write(folder: Path) -> None:
    """Write `network.js`, `network.css`, the nets, the runtime and test pictures into `folder`.

    The same commit and packages give the same bytes. Raises CourseError when the runtime is not in
    the cache and cannot be fetched, OSError when a file cannot be written.
    """
    runtime = runtime_folder()
    folder.mkdir(parents=True, exist_ok=True)
    about = facts()
    parts = {"runtime": {part: packed((runtime / RUNTIME[part]).read_bytes()) for part in RUNTIME}}
    parts |= {name: {"model": packed(to_onnx(load_trained(name)[0]))} for name in NETS}
    lines = {name: f'gnetNetwork["{name}"] = {json.dumps(part)};\n' for name, part in parts.items()}
    for name, line in lines.items():
        (folder / f"network-{name}.js").write_text(line, encoding="utf-8")
    about["megabytes"] = round((len(lines["runtime"]) + len(lines[NETS[0]])) / 1e6, 1)
    pad = PAD.read_text(encoding="utf-8").replace("export default", "return")
    own = [(STATIC / name).read_text(encoding="utf-8") for name in ("garment.js", "network.js")]
    known = f"const ABOUT = {json.dumps(about)};\nconst PAD = {_alone(pad)}"
    script = _alone("\n".join([known, *own]))
    (folder / "network.js").write_text(script, encoding="utf-8")
    shutil.copyfile(STATIC / "network.css", folder / "network.css")


def _alone(script: str) -> str:
    """JavaScript as a function that is called: its names are its own."""
    return f"(() => {{\n{script}}})();\n"


def fragment(place: str) -> str:
    """The part of a page that shows the network, as HTML.

    place: the folder that `write` filled, seen from the page: "" or a path that ends with "/".
    """
    html = (STATIC / "network.html").read_text(encoding="utf-8")
    return html.replace('href="', f'href="{place}').replace('src="', f'src="{place}')


# Nets ---------------------------------------------------------------------------------------------


class Switched(nn.Module):
    """A trained network whose branches can be switched off, and that shows all its blocks' maps.

    Maps pictures (N, 1, 28, 28) uint8 and switches (N, 9, 4), 1 for a branch that is on and 0 for
    one that is off, to the probabilities (N, 10) and the nine blocks' outputs (N, C, H, W), with
    zeros where a branch is off. One picture goes with any number of switches.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.blocks = block_names(network)
        self.widths = widths(network)
        self.network = merge(network)  # its blocks, too, give the four branches in their order
        for name, sizes in zip(self.blocks, self.widths, strict=True):
            branch_of = torch.arange(4).repeat_interleave(torch.tensor(sizes))
            self.register_buffer(f"branch_of_{name}", branch_of)

    def forward(self, pictures: Tensor, switches: Tensor) -> tuple[Tensor, ...]:
        x, maps = to_float(pictures), []
        for name, stage in self.network.stages():
            x = stage(x)
            if name in self.blocks:
                gates = switches[:, len(maps)].index_select(1, self.get_buffer(f"branch_of_{name}"))
                x = x * gates[:, :, None, None]
                maps.append(x)
        return x.softmax(1), *maps


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
    """`Switched(network)` as an ONNX file: inputs "picture" and "switches", outputs
    "probabilities" and one for each block, such as "inception_3a".

    Weights are kept in float16, as in the checkpoints, and computed with in float32.
    """
    import onnx
    from onnx import helper, numpy_helper

    switched = Switched(network).eval()
    example = (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.ones(2, len(switched.blocks), 4))
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # this exporter is the older one; the newer wants more
        torch.onnx.export(
            switched,
            example,
            file,
            dynamo=False,
            input_names=["picture", "switches"],
            output_names=["probabilities", *switched.blocks],
            dynamic_axes={"picture": {0: "pictures"}, "switches": {0: "settings"}},
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
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


# What the page knows, and what it runs on ---------------------------------------------------------


def facts() -> dict:
    """What the page shows before a net runs: names, colours, widths, test pictures."""
    nets = {name: load_trained(name) for name in NETS}
    first = nets[NETS[0]][0]
    images, labels = load_fashion_mnist("test")
    chosen = [
        int(index)
        for kind in range(len(CLASS_NAMES))
        for index in (labels == kind).nonzero()[:PICTURES_OF_EACH_CLASS]
    ]
    real = data_source().kind == "real"
    return {
        "nets": [{"name": name, "title": _title(name, about)} for name, (_, about) in nets.items()],
        "classes": CLASS_NAMES,
        "blocks": block_names(first),
        "widths": widths(first),
        "branches": [{"kind": kind, "colour": BRANCH_COLOURS[kind]} for kind in BRANCHES],
        "colours": _text(np.uint8(255 * matplotlib.colormaps["viridis"](range(256)))),
        "pictures": _text(images[chosen].numpy()),
        "labels": labels[chosen].tolist(),
        "runtime": f"Runs on ONNX Runtime Web {VERSION}, Microsoft, MIT licence",
        "source": "Fashion-MNIST, Zalando Research, MIT licence"
        if real
        else "drawn for the course",
    }


def _title(name: str, about: dict) -> str:
    recipe, _, seed = name.rpartition("-seed")
    return f"recipe {recipe}, seed {seed}: {about['test_accuracy']:.1%} of the test pictures right"


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


def _text(content: bytes | np.ndarray) -> str:
    return base64.b64encode(content).decode()

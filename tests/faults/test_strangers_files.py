"""Files from strangers run no code and take no memory that their size does not tell; they are
read, or refused in one sentence."""

import ast
import contextlib
import dataclasses
import datetime
import gzip
import io
import json
import os
import pickle
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import EpsImagePlugin, Image, ImageOps
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from gnet_utils import pictures, runs, widgets
from gnet_utils.base import CourseError
from gnet_utils.course import dataset
from gnet_utils.explorers import n01, n04
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.recipes import Recipe, get_recipe
from gnet_utils.runs import History, load_checkpoint, load_trained, save_checkpoint
from gnet_utils.training import fit

ROOT = Path(__file__).resolve().parents[2]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))


def stays_small(action: Callable, *arguments: object, megabytes: float = 8) -> str:
    """The CourseError of `action(*arguments)`, which must not have taken more memory than that."""
    tracemalloc.start()
    try:
        with pytest.raises(CourseError) as caught:
            action(*arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6, f"{peak / 1e6:.0f} MB"
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


# ---------------------------------------------------------------- code in files


class Payload:
    """Unpickled, it makes a file: proof that a stranger's code has run."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("form", ["pickle", "torch.save", "old torch.save"])
def test_no_reader_runs_what_a_file_holds(form: str, tmp_path: Path, monkeypatch) -> None:
    proof, file = tmp_path / "it ran", tmp_path / "net.safetensors"
    if form == "pickle":
        file.write_bytes(pickle.dumps(Payload(proof)))
    else:
        new = form == "torch.save"
        torch.save({"0.weight": Payload(proof)}, file, _use_new_zipfile_serialization=new)
    with pytest.raises(CourseError, match="is not a readable checkpoint"):
        load_checkpoint(network(), file)
    with pytest.raises(CourseError, match="is not a recorded run"):
        History.load(file)
    recipe = Recipe("x", "", epochs=1, batch_size=2, learning_rate=0.1)
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.arange(4)
    net = FashionGoogLeNet(width=0.125, stem="patch")
    with pytest.raises(CourseError, match="does not hold the state of a run"):
        fit(net, images, None, recipe, state=file, progress=False)
    monkeypatch.setattr(dataset, "_said", set())
    assert dataset._read(file) is None
    with pytest.raises(CourseError, match="is no picture"):
        pictures.load_picture(file)
    assert not proof.exists()
    with contextlib.suppress(EOFError):  # the control: this does run it
        if form == "pickle":
            pickle.loads(file.read_bytes())
        else:
            torch.load(io.BytesIO(file.read_bytes()), weights_only=False)
    assert proof.exists()


UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml", "cloudpickle"}
UNSAFE_MODULES |= {"_pickle", "runpy", "torch.package"}
UNSAFE_CALLS = {"eval", "exec", "__import__", "compile"}
UNSAFE_NAMES = {"load_state_dict_from_url", "read_pickle", "run_path"}  # in whatever module
UNSAFE_CALLS |= {"torch.jit.load", "os.system", "os.popen", "torch.hub.load"}
UNSAFE_CALLS |= {f"builtins.{name}" for name in ("eval", "exec", "__import__", "compile")}


def unsafe(source: str) -> list[str]:
    """What in Python code reads a file in a way that can run it, or hands text to a shell."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in UNSAFE_MODULES]
            found += [a.name for a in node.names if a.name == "torch" and a.asname]  # hides load
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if node.module in UNSAFE_MODULES or names & {"load", "hub", "jit", *UNSAFE_NAMES}:
                found.append(node.module)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name == "torch.load" and options.get("weights_only") != "True":
                found.append("torch.load")
            elif name in UNSAFE_CALLS or name.rpartition(".")[2] in UNSAFE_NAMES:
                found.append(name)
            elif {options.get(o, "False") for o in ("shell", "allow_pickle")} != {"False"}:
                found.append(f"{name}: {options}")
    return found


def test_nothing_in_the_package_reads_files_in_a_way_that_can_run_them() -> None:
    for path in (ROOT / "gnet_utils").rglob("*.py"):
        if path.name == "frames.py":  # runs cells of the course's own notebooks, as `render` does
            continue
        # `from_lesson` runs what the reader has written, and run, in the notebook of a lesson.
        known = ["exec"] if path.parent.name == "exercises" and path.stem == "__init__" else []
        assert unsafe(path.read_text(encoding="utf-8")) == known, path


def test_no_notebook_reads_files_in_a_way_that_can_run_them() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                source = "".join(cell["source"])
                lines = [line for line in source.splitlines() if not line.startswith(("%", "!"))]
                assert unsafe("\n".join(lines)) == [], path.name


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "torch.load(p)", "eval(text)"),
        *("np.load(p, allow_pickle=True)", "subprocess.run(t, shell=True)", "os.system(t)"),
        *("from torch import load", "import torch as t", "torch.jit.load(p)", "import _pickle"),
        *(
            "torch.hub.load_state_dict_from_url(u)",
            "subprocess.run(t, shell=1)",
            "builtins.eval(t)",
        ),
        *("pd.read_pickle(p)", "runpy.run_path(p)"),
    ],
)
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert unsafe(line) and not unsafe("net.eval(); torch.load(p, weights_only=True)")


def test_a_postscript_picture_is_refused_without_starting_ghostscript(monkeypatch) -> None:
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n%%EOF\n"
    with pytest.raises(CourseError, match="is no picture"):
        pictures.decode_picture(program, name="photo.jpg")
    assert started == []
    Image.open(io.BytesIO(program)).load  # noqa: B018 - the control: Pillow does know the format


# ---------------------------------------------------------------- checkpoints


def safetensors_file(path: Path, header: dict | bytes, body: bytes = b"", length: int = -1) -> Path:
    """A file in the format of safetensors with whatever header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length < 0 else length) + text + body)
    return path


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HEADERS = {
    "a huge claimed shape": ({"0.weight": entry([1 << 40, 1, 3, 3], 0, 4)}, b"0000"),
    "a shape that overflows": ({"0.weight": entry([1 << 62, 1 << 62], 0, 4)}, b"0000"),
    "numbers beyond the end": ({"0.weight": entry([4, 1, 3, 3], 0, 144)}, b"0000"),
    "numbers that overlap": ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, b"0" * 12),
    "a negative shape": ({"0.weight": entry([-1], 0, 4)}, b"0000"),
    "an unknown type": ({"0.weight": entry([1], 0, 4, "F31")}, b"0000"),
    "a name given twice": (b'{"a":{},"a":{}}', b""),
    "no JSON": (b"{" * 100, b""),
    "deep JSON": (b"[" * 200_000, b""),
    "a list": (b"[]", b""),
    "about that is no JSON": ({"__metadata__": {"about": "{"}}, b""),
    "about that is deep": ({"__metadata__": {"about": "[" * 100_000}}, b""),
    "metadata that is no text": ({"__metadata__": {"about": 5}}, b""),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_forged_header_is_one_sentence(kind: str, tmp_path: Path) -> None:
    header, body = HEADERS[kind]
    stays_small(load_checkpoint, network(), safetensors_file(tmp_path / "net", header, body))


@pytest.mark.parametrize("length", [0, 9, 1 << 31, (1 << 64) - 1])
def test_a_forged_header_length_is_one_sentence(length: int, tmp_path: Path) -> None:
    file = safetensors_file(tmp_path / "net", b"{}", b"", length)
    stays_small(load_checkpoint, network(), file)


def test_of_weights_for_another_network_no_number_is_read(tmp_path, monkeypatch):
    read = []

    class Watched:
        """An open safetensors file that notes which tensors are read."""

        def __init__(self, *arguments, **options):
            self.file = safe_open(*arguments, **options)

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def get_tensor(self, name):
            read.append(name)
            return self.file.get_tensor(name)

    monkeypatch.setattr(runs.safetensors, "safe_open", Watched)
    save_file({"0.weight": torch.zeros(4)}, tmp_path / "other")
    with pytest.raises(CourseError, match="was made for another network"):
        load_checkpoint(network(), tmp_path / "other")
    assert read == []
    save_file(network().state_dict(), tmp_path / "good")
    load_checkpoint(network(), tmp_path / "good")
    assert set(read) == set(network().state_dict())  # the control


@pytest.mark.parametrize("change", ["missing", "extra", "renamed", "other shape", "whole numbers"])
def test_other_keys_shapes_and_types_are_refused_and_the_network_stays(change, tmp_path) -> None:
    tensors = {name: tensor + 1 for name, tensor in network().state_dict().items()}
    if change == "missing":
        del tensors["1.bias"]
    elif change == "extra":
        tensors["../../evil"] = torch.zeros(2)
    elif change == "renamed":
        tensors["1.Bias"] = tensors.pop("1.bias")
    elif change == "other shape":
        tensors["0.weight"] = torch.zeros(4, 1, 5, 5)
    else:
        tensors["0.weight"] = torch.ones(4, 1, 3, 3, dtype=torch.int8)
    save_file(tensors, tmp_path / "net")
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert "was made for another network" in stays_small(load_checkpoint, net, tmp_path / "net")
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_weights_beyond_half_precision_are_not_stored_as_infinity(tmp_path: Path) -> None:
    net = network()
    net[1].running_var.fill_(1e6)  # float16 ends at 65,504
    save_checkpoint(net, tmp_path / "net")
    other = network()
    load_checkpoint(other, tmp_path / "net")
    assert torch.equal(other[1].running_var, net[1].running_var)


@pytest.mark.parametrize("name", ["../minute-seed0", "../../etc/passwd", "/etc/x", "a\0b", ""])
def test_a_stored_network_is_named_not_found_by_path(name: str) -> None:
    shown = ROOT / "data" / "checkpoints"
    with pytest.raises(ValueError, match=r"name must be one of .*minute-seed0"):
        load_trained(name)
    assert shown.is_dir()


def test_a_path_to_another_folder_is_no_name_even_where_it_leads_to_weights(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    stored = next((ROOT / "data" / "checkpoints").glob("minute-seed0.safetensors"))
    shutil.copy(stored, tmp_path / "minute-seed0.safetensors")
    shutil.copy(stored, tmp_path / "own" / "minute-seed1.safetensors")
    monkeypatch.setattr(runs, "CHECKPOINTS", tmp_path / "own")
    with pytest.raises(ValueError, match="name must be one of minute-seed1, got"):
        load_trained("../minute-seed0")


# The state and the record of a run ---------------------------------------------------------------


class Tiny(nn.Module):
    """One layer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))


def train(state: Path) -> None:
    """Go on from the state in that file, or begin."""
    recipe = Recipe("x", "", epochs=2, batch_size=2, learning_rate=0.1, warmup=0, merged=False)
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.arange(4)
    fit(Tiny(), images, None, recipe, state=state, progress=False)


FORGED = {
    "no history": lambda state: state.pop("history"),
    "a history that is none": lambda state: state.update(history={"evil": 1}),
    "other weights": lambda state: state.update(net={"linear.weight": torch.zeros(3, 3)}),
    "no momentum": lambda state: state["optimiser"].update(param_groups=[]),
    "no state at all": lambda state: state.clear(),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_state_of_a_run_is_one_sentence(kind: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("GNET_QUICK", raising=False)
    path = tmp_path / "x.state"
    train(path)
    train(path)  # as it is, it is taken
    state = torch.load(path, weights_only=True)
    FORGED[kind](state)
    torch.save(state, path)
    with pytest.raises(CourseError, match=r"^.*does not hold the state of a run.*delete it.*$"):
        train(path)


def test_a_state_decides_on_the_epochs_and_not_on_the_network(tmp_path: Path) -> None:
    recipe, state = get_recipe("sprint"), tmp_path / "x.state"
    stored = dataclasses.asdict(recipe) | {"epochs": 2.5, "picture_size": 10**6}
    stored["network"] = {"width": 1e6}
    torch.save({"history": {"recipe": stored, "seed": 0}}, state)
    assert runs.begun_with(state, recipe) == dataclasses.replace(recipe, epochs=2.5)
    assert runs.begun_with(tmp_path / "none", recipe) is None


# ---------------------------------------------------------------- data


def test_a_bomb_in_the_place_of_an_official_file_is_not_unpacked(tmp_path) -> None:
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(CourseError, match="is not the published file"):
        dataset._content(tmp_path, "train_labels")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("kind", ["a huge claimed shape", "no JSON"])
def test_a_forged_cache_is_not_used_and_takes_no_memory(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dataset, "_said", set())
    path = tmp_path / "fashion-mnist.safetensors"
    safetensors_file(path, *HEADERS[kind])
    tracemalloc.start()
    assert dataset._read(path) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6 and "the data are brought in again" in capsys.readouterr().err


# ---------------------------------------------------------------- pictures


def packed(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header names any size; its pixels are one packed line."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 + 3 * min(width, 1000)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def with_size(content: bytes, kind: str, width: int, height: int) -> bytes:
    """The same file with another size in its header."""
    if kind == "JPEG":
        place = content.index(b"\xff\xc0") + 5
        return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]
    if kind == "GIF":
        return content[:6] + struct.pack("<HH", width, height) + content[10:]
    return content[:18] + struct.pack("<ii", width, height) + content[26:]  # BMP


PIXELS = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("side", [8_001, 12_000, 20_000])  # Pillow refuses the last only
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_of_over_64_million_pixels_is_refused_by_its_header(kind: str, side: int) -> None:
    bomb = png_that_claims(side, side)
    if kind != "PNG":
        bomb = with_size(packed(Image.fromarray(PIXELS), kind), kind, side, side)
    message = stays_small(pictures.decode_picture, bomb, "sun.png")
    assert message == "sun.png has more than 64 million pixels: make it smaller first"


# Not getrusage: it starts from the peak of the process that started this one.
MEMORY = """
import cv2, PIL.Image
from gnet_utils.pictures import load_picture, demo_picture
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
demo_picture()
before = peak()
"""
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc to see the memory"
)


@pytest.mark.faults
@needs_proc
def test_a_whole_picture_of_400_million_pixels_takes_no_memory(python, tmp_path: Path) -> None:
    """The real thing, 1.2 GB when unpacked; measured on the process from outside."""
    row = zlib.compress(bytes(1 + 3 * 20_000) * 20_000, 1)
    chunks = []
    for kind, content in (
        (b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)),
        (b"IDAT", row),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        chunks.append(struct.pack(">I", len(content)) + kind + content + checksum)
    (tmp_path / "sun.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    name, kilobytes = python(
        MEMORY + "try: load_picture('sun.png')\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(peak() - before)\n"
    ).stdout.split()
    assert name == "CourseError" and int(kilobytes) < 20_000


@pytest.mark.faults
@needs_proc
@pytest.mark.parametrize("mode", ["8-bit colour", "8-bit with transparency", "16-bit colour"])
def test_the_largest_picture_that_is_taken_stays_under_a_gigabyte(mode, python, tmp_path) -> None:
    side, channels = 8000, 4 if "transparency" in mode else 3
    kind = np.uint16 if "16" in mode else np.uint8
    pixels = np.full((side, side, channels), 7, kind)
    pictures.opencv().imwrite(str(tmp_path / "big.png"), pixels)
    code = "assert load_picture('big.png').shape == (1024, 1024, 3)\nprint(peak() - before)\n"
    done = python(MEMORY + code)
    assert done.returncode == 0, done.stderr
    print(f"{mode}: {int(done.stdout) / 1e6:.2f} GB")
    assert 100_000 < int(done.stdout) < 1_100_000


def test_an_upload_of_more_than_100_megabytes_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST_FILE", 100)
    with pytest.raises(CourseError, match=r"me\.png has more than 100 MB"):
        pictures.decode_picture(packed(Image.fromarray(PIXELS)), name="me.png")


def test_what_is_no_picture_is_said_without_pythons_own_words() -> None:
    said = stays_small(pictures.decode_picture, b"hello", "x.png")
    assert said.startswith("x.png is no picture")
    assert "BytesIO" not in said and "0x" not in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices in the file system")
def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(CourseError, match="is no file"):
            pictures.load_picture(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_cut_at_any_place_is_read_or_one_sentence(kind: str) -> None:
    whole = packed(Image.fromarray(PIXELS), kind)
    read = 0
    for end in range(0, len(whole), max(1, len(whole) // 40)):
        with contextlib.suppress(CourseError):
            read += pictures.decode_picture(whole[:end]).shape == PIXELS.shape
    assert read <= (kind in ("PNG", "GIF", "TIFF", "WEBP"))  # the last bytes may be an end mark
    assert pictures.decode_picture(whole).shape == PIXELS.shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_with_changed_bytes_is_read_or_one_sentence(kind: str) -> None:
    whole, rng = packed(Image.fromarray(PIXELS), kind), np.random.default_rng(1)
    for place in rng.integers(0, len(whole), 100):
        changed = bytearray(whole)
        changed[place] ^= int(rng.integers(1, 256))
        try:
            picture = pictures.decode_picture(bytes(changed))
        except CourseError as error:
            assert "\n" not in str(error)
        else:
            assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


MODES = {
    "animated GIF": (packed(Image.fromarray(PIXELS), "GIF", save_all=True,
                            append_images=[Image.fromarray(255 - PIXELS)] * 3), False),
    "animated PNG": (packed(Image.fromarray(PIXELS), "PNG", save_all=True,
                            append_images=[Image.fromarray(255 - PIXELS)] * 3), False),
    "animated WebP": (packed(Image.fromarray(PIXELS), "WEBP", save_all=True,
                             append_images=[Image.fromarray(255 - PIXELS)] * 3), False),
    "16-bit gray PNG": (packed(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)), True),
    "CMYK JPEG": (packed(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"), False),
    "two pictures of a phone (MPO)": (packed(Image.fromarray(PIXELS), "MPO", save_all=True,
                                             append_images=[Image.fromarray(PIXELS)]), False),
    "palette": (packed(Image.fromarray(PIXELS).convert("P")), False),
    "black and white": (packed(Image.fromarray(PIXELS).convert("1")), True),
    "gray with transparency": (packed(Image.fromarray(PIXELS).convert("LA")), True),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_unusual_pictures_come_as_rgb(mode: str) -> None:
    content, gray = MODES[mode]
    picture = pictures.decode_picture(content)
    assert picture.shape == PIXELS.shape and picture.dtype == np.uint8
    if gray:
        assert (picture == picture[..., :1]).all()
    if mode == "16-bit gray PNG":
        assert np.array_equal(picture[..., 0], PIXELS[..., 0])
    if mode == "animated PNG":  # its first picture
        assert np.array_equal(picture, PIXELS)


def test_a_cmyk_photo_keeps_its_colours() -> None:
    flat = np.full((16, 16, 3), (200, 60, 20), np.uint8)
    picture = pictures.decode_picture(packed(Image.fromarray(flat).convert("CMYK"), "JPEG"))
    assert np.abs(picture.astype(int) - flat).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_held_in_any_way_comes_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(PIXELS).resize((160, 120))  # noise is not what JPEG is made for
    content = packed(smooth, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    upright = np.asarray(turned.convert("RGB")).astype(int)
    picture = pictures.decode_picture(content)
    assert picture.shape == upright.shape
    assert np.abs(picture - upright).mean() < 4  # two readers of JPEG differ a little


def test_an_orientation_that_is_none_is_taken_as_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    content = packed(Image.fromarray(PIXELS), "PNG", exif=exif)
    assert np.array_equal(pictures.decode_picture(content), PIXELS)


# ---------------------------------------------------------------- uploads


class Upload:
    """What ipywidgets 8 gives for a file."""

    def __init__(self, name: str, content: bytes):
        self.value = ({"name": name, "content": memoryview(content)},)


def test_the_name_of_an_upload_is_text_and_no_web_page(monkeypatch) -> None:
    evil = '<img src=x onerror="alert(1)">.png'
    shown = []
    monkeypatch.setattr(widgets, "_show", lambda box, *_: shown.append(box))
    control = widgets.upload()
    widgets.explore(lambda file: Figure(), "x", {"file": control})
    file = {"name": evil, "type": "image/png", "size": 7, "content": b"nothing"}
    control.value = ({**file, "last_modified": datetime.datetime(2026, 1, 1)},)
    said = next(part for part in shown[0].children if type(part) is ipywidgets.HTML).value
    assert "onerror" in said and "<img" not in said and "&lt;img" in said


def test_a_path_as_the_name_of_an_upload_touches_no_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = packed(Image.fromarray(PIXELS))
    picture = widgets._uploaded(Upload("../../../../tmp/../etc/passwd", content))
    assert np.array_equal(picture, PIXELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 2), (1, 70)])
@pytest.mark.parametrize("explorer", ["gray mixer", "stages", "classifier"])
def test_explorers_take_uploads_of_any_shape_or_say_why_not(explorer: str, shape: tuple) -> None:
    content = packed(Image.fromarray(np.full((*shape, 3), 200, np.uint8)))
    picture = widgets._uploaded(Upload("thin.png", content))
    assert max(picture.shape) <= 1024
    try:
        if explorer == "gray mixer":
            weights = {name: 0.3 for name in n01.PRESET_STATES["sepia"] if name != "output"}
            n01.explore_mix(picture="hopper", own=picture, output="gray", **weights)
        elif explorer == "stages":
            n04.stage_view("conv1", 0.5, 0.5, picture)
        else:
            from gnet_utils.explorers.n05 import as_the_net_sees

            assert as_the_net_sees(picture).shape == (28, 28)
    except (ValueError, CourseError) as error:
        assert "\n" not in str(error)

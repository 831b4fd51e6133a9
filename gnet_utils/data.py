"""Data of the course: Fashion-MNIST as tensors, and pictures to look at.

Offers: `load_fashion_mnist`, `data_source`, `prepare`, `CLASS_NAMES`, `to_float`,
`split_train_validation`; and, from `pictures.py`, `demo_picture`, `load_picture`, `opencv`.

Where Fashion-MNIST comes from, in this order:
1. the cache: one file, written whole, its SHA-256 checked at each load;
2. the folder named by GNET_DATA_DIR (torchvision's layout, never written to), MD5 checked;
3. the mirrors of torchvision, then the data set's own repository, MD5 checked;
4. a drawn stand-in (`garments.py`), with a banner. A process never mixes two sources by itself.

Environment variables: GNET_CACHE_DIR (the cache, else data/cache of the course),
GNET_DATA_DIR (a class share), GNET_DATA_SOURCE ("real" or "stand-in": no other is used).
"""

import contextlib
import errno
import functools
import gzip
import hashlib
import http.client
import json
import math
import operator
import os
import stat
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gnet_utils import garments
from gnet_utils.environment import try_lock
from gnet_utils.errors import CourseError
from gnet_utils.pictures import (  # the fixed names of the course
    DEMO_PICTURES,
    decode_picture,
    demo_picture,
    load_picture,
    opencv,
)

__all__ = [
    "CLASS_NAMES",
    "DEMO_PICTURES",
    "MEAN",
    "STD",
    "DataSource",
    "cache_folder",
    "data_source",
    "decode_picture",
    "demo_picture",
    "load_fashion_mnist",
    "load_picture",
    "opencv",
    "prepare",
    "split_train_validation",
    "to_float",
]

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

COURSE = Path(__file__).resolve().parents[1]

SHAPES = {
    "train_images": (60_000, 1, 28, 28),
    "train_labels": (60_000,),
    "test_images": (10_000, 1, 28, 28),
    "test_labels": (10_000,),
}
OFFICIAL_FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
UNPACKED_MD5 = {  # of the files torchvision leaves behind; those of the .gz are torchvision's
    "train_images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train_labels": "9018921c3c673c538a1fc5bad174d6f9",
    "test_images": "8181f5470baa50b63fa0f6fddb340f0a",
    "test_labels": "15d484375f8d13e6eb1aabb0c3f46965",
}
AUTHORS_MIRROR = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"

SILENCE_SECONDS = 10  # a server that says nothing for so long is given up
FILE_SECONDS = 300  # one file from one mirror
TOTAL_SECONDS = 600  # all files from all mirrors; also the longest wait for another process
RETRY_SECONDS = 600  # after a failed download no other process tries again for so long
HEADER_BYTES = 100_000  # what a cached set may have besides its numbers; it has some hundreds
LARGEST_OFFICIAL = 50_000_000  # bytes; the largest has 47,040,016, unpacked
LARGEST_DOWNLOAD = 40_000_000  # bytes; the largest official file has 26,421,880

WHAT_TO_DO = (
    "connect to the internet and run `python -m gnet_utils data`, or set GNET_DATA_DIR to a folder "
    "with the four official files; then restart the kernel"
)


class DataSource(NamedTuple):
    """Which data this process uses: kind is "real" or "stand-in", why is one sentence."""

    kind: str
    why: str


_chosen: dict[tuple, DataSource] = {}  # per setting of the environment, see _settings
_last: dict[tuple, DataSource] = {}  # the same, also where a call asked for a source by name
_unsaved: dict[str, dict[str, Tensor]] = {}  # sets that no folder could take
_said: set[str] = set()


# ---------------------------------------------------------------- Fashion-MNIST


def load_fashion_mnist(
    split: str, device: torch.device | str = "cpu", source: str | None = None
) -> tuple[Tensor, Tensor]:
    """Load one split of Fashion-MNIST: uint8 images (N, 1, 28, 28), int64 labels (N,).

    split is "train" (60,000) or "test" (10,000). source=None takes the real data and, where they
    cannot be had, the drawn stand-in, with a banner; "real" or "stand-in" insists. A process that
    has used one of the two stays with it. Raises ValueError for a wrong argument and CourseError
    when the real data are insisted on and cannot be had.
    """
    if not isinstance(split, str) or split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    device = _checked_device(device)
    tensors, _ = _dataset(source)
    return tensors[f"{split}_images"].to(device), tensors[f"{split}_labels"].to(device)


def data_source() -> DataSource:
    """Tell which data this process loaded last and why; brings them in if it loaded none yet."""
    return _last.get(_settings()) or prepare()


def prepare(source: str | None = None, retry: bool = False) -> DataSource:
    """Bring the data into the cache, so that later loads take a moment, and say what was found.

    retry=True tries the download again even if it failed a moment ago.
    """
    if retry:
        _chosen.pop(_settings(), None)
    return _dataset(source, retry)[1]


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 images (N, 1, 28, 28) into float32 with mean 0 and standard deviation 1.

    The constants MEAN and STD are those of the real training set, for every split and source.
    """
    _check_images(images)
    return (images.float() / 255 - MEAN) / STD


def split_train_validation(
    images: Tensor, labels: Tensor, validation: int = 5000, seed: int = 0
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Part (images, labels) at random into (train, validation), the latter of `validation` items.

    images (N, 1, 28, 28) uint8, labels (N,) int64; the same seed gives the same parts.
    """
    _check_images(images)
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a tensor (N,), got {type(labels).__name__}")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must be ({len(images)},), one for each image, got {tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64 or (len(labels) and not 0 <= labels.min() <= labels.max() <= 9):
        raise ValueError("labels must be int64 numbers from 0 to 9: use labels.long()")
    if not -(2**63) <= operator.index(seed) < 2**63:
        raise ValueError(f"seed must fit in 64 bits, got {seed}")
    if not 0 < operator.index(validation) < len(images):
        raise ValueError(
            f"validation must leave both parts some of the {len(images)} images, got {validation}"
        )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    order = order.to(images.device)
    held_out, kept = order[:validation], order[validation:]
    return (images[kept], labels[kept]), (images[held_out], labels[held_out])


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor (N, 1, 28, 28), got {type(images).__name__}")
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1:] != (1, 28, 28):
        got = f"{tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
        hint = ": add a channel axis with images[:, None]" if images.dim() == 3 else ""
        raise ValueError(f"images must be (N, 1, 28, 28) uint8, got {got}{hint}")


def _checked_device(device: torch.device | str) -> torch.device:
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, OverflowError) as error:
        raise ValueError(
            f'device {str(device)!r} cannot be used here: take "cpu", or "cuda" where PyTorch '
            "sees a GPU"
        ) from error
    return device


# ---------------------------------------------------------------- which source


def _settings() -> tuple:
    names = ("GNET_CACHE_DIR", "GNET_DATA_DIR", "GNET_DATA_SOURCE")
    return tuple(os.environ.get(name) for name in names)


def _dataset(source: str | None, retry: bool = False) -> tuple[dict[str, Tensor], DataSource]:
    if not (source is None or isinstance(source, str)):
        raise TypeError(f'source must be "real", "stand-in" or not given, got {source!r:.60}')
    asked = source or os.environ.get("GNET_DATA_SOURCE") or None
    if asked not in (None, "real", "stand-in"):
        raise ValueError(
            f'source (or GNET_DATA_SOURCE) must be "real", "stand-in" or not given, got {asked!r}'
        )
    here = _settings()
    before = _chosen.get(here)
    tensors = None
    if asked == "stand-in":
        why = "the call asked for it" if source else "GNET_DATA_SOURCE asks for it"
    elif before and before.kind == "stand-in" and asked is None:
        why = before.why
    else:
        try:
            tensors, why = _cached("fashion-mnist", functools.partial(_bring, retry=retry))
        except CourseError as error:
            if asked == "real":
                raise CourseError(
                    f"No real Fashion-MNIST: {error}. To mend it, {WHAT_TO_DO}."
                ) from None
            if before:
                raise CourseError(
                    f"The real Fashion-MNIST was used a moment ago and is gone now: {error}. Data "
                    f"of two kinds are not mixed; {WHAT_TO_DO}."
                ) from None
            why = str(error)
    kind = "stand-in" if tensors is None else "real"
    if tensors is None:
        tensors, _ = _cached("garments-1", lambda _: (_draw(), "drawn here"))
        if source is None:
            _announce(why)
    _last[here] = DataSource(kind, why)
    if source is None:
        _chosen[here] = _last[here]
    return tensors, _last[here]


def _draw() -> dict[str, Tensor]:
    _say("Drawing the stand-in for Fashion-MNIST: 70,000 pictures, some seconds, once.")
    return garments.draw_dataset()


def _announce(why: str) -> None:
    """Show the banner once per process: a picture in a notebook, text on stderr elsewhere.

    A picture, because nbval does not compare pictures: compared cells stay equal on both sources.
    """
    title = "THESE ARE NOT THE FASHION-MNIST PICTURES"
    lines = [
        "Which data: a stand-in, 70,000 garments drawn by this course (gnet_utils/garments.py).",
        f"Why: {why}.",
        f"What to do: {WHAT_TO_DO}.",
        "The accuracy numbers in the text do not apply to the stand-in.",
    ]
    text = "\n".join(
        textwrap.fill(line, 92, subsequent_indent="    ", break_on_hyphens=False) for line in lines
    )
    if text in _said:
        return
    _said.add(text)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        rule = "!" * 96
        print(f"\n{rule}\n{title}\n{text}\n{rule}\n", file=sys.stderr, flush=True)
        return
    from IPython.display import display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 0.62 + 0.17 * text.count("\n")), dpi=110, facecolor="#ffd9a0")
    figure.text(0.02, 0.93, title, weight="bold", size=12, va="top", color="#7a1f00")
    y = 0.93 - 0.28 / figure.get_figheight()
    figure.text(0.02, y, text, size=9, va="top", color="black", parse_math=False)
    png = BytesIO()
    figure.savefig(png, format="png", facecolor=figure.get_facecolor())
    alt = {"image/png": {"alt": f"{title}. {' '.join(lines)}"}}
    display({"image/png": png.getvalue()}, metadata=alt, raw=True)


def _say(sentence: str) -> None:
    """Tell the reader something once, on stderr."""
    if sentence not in _said:
        _said.add(sentence)
        print(sentence, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- cache


def cache_folder() -> Path:
    """The folder that keeps prepared data: GNET_CACHE_DIR, else data/cache in the course."""
    return COURSE / Path(os.environ.get("GNET_CACHE_DIR") or "data/cache").expanduser()


def _short(path: Path) -> str:
    """A path that can stand in a committed notebook: no machine's own folders in it."""
    if path.is_relative_to(COURSE):
        return path.relative_to(COURSE).as_posix()
    name = "GNET_CACHE_DIR" if path.parent == cache_folder() else "the temporary folder"
    return f"{path.name} in {name}"


def _spare_folder() -> Path:
    """A folder of this user in the system's temporary one, for a course that is read-only."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"gnet-cache-{user}"


def _cached(
    name: str, make: Callable[[Path | None], tuple[dict[str, Tensor], str]]
) -> tuple[dict[str, Tensor], str]:
    """Read the set `name` from the cache, or make and keep it; the second value says whence.

    Many processes at once: one makes it, the others wait and read. make(folder) gets the folder
    that is locked for it, None if there is none.
    """
    for folder in (cache_folder(), _spare_folder()):
        if _is_anothers(folder):
            _say(f"The cache folder {folder} belongs to another user: it is not used.")
            continue
        path = folder / f"{name}.safetensors"
        if tensors := _read(path):
            return tensors, f"read from the cache, {_short(path)}"
        if name in _unsaved:
            return {key: value.clone() for key, value in _unsaved[name].items()}, "kept in memory"
        try:
            lock = _open_lock(folder)
        except OSError as error:
            _say(f"The cache folder {folder} cannot be written ({error.strerror}).")
            continue
        with lock:
            _wait_for(lock)
            if tensors := _read(path):
                return tensors, f"read from the cache, {_short(path)}"
            tensors, whence = make(folder)
            try:
                _write(path, tensors)
            except OSError as error:
                _say(f"{path} cannot be written ({error.strerror}): the data stay in memory.")
                _unsaved[name] = tensors
            return tensors, whence
    tensors, whence = make(None)
    _unsaved[name] = tensors
    return tensors, whence


def _is_anothers(folder: Path) -> bool:
    """Whether somebody else made the spare folder (or a link), where everybody may make folders."""
    if folder != _spare_folder() or not hasattr(os, "getuid"):
        return False
    try:
        return folder.lstat().st_uid != os.getuid()
    except OSError:
        return False


def _open_lock(folder: Path) -> IO:
    """Make the folder if need be and open its lock file; OSError where it cannot be written."""
    private = folder == _spare_folder()  # in a place where everybody may make folders
    folder.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
    if _is_anothers(folder):  # made since we looked
        raise PermissionError(errno.EPERM, "it belongs to another user")
    return open(folder / ".lock", "ab")


def _wait_for(lock: IO) -> None:
    """Wait until this process holds the lock, TOTAL_SECONDS at most.

    The system frees it when its owner dies. Where locks do not work we go on without: files are
    replaced whole, so only work is doubled.
    """
    start = time.monotonic()
    while not try_lock(lock) and time.monotonic() - start < TOTAL_SECONDS:
        if time.monotonic() - start > 3:
            _say("Another process is preparing the data: waiting for it.")
        time.sleep(0.1)


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write aside, force to disk, then rename: a reader sees the whole file or none."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(tensors[key].numpy())
    content = safetensors.torch.save(tensors, metadata={"sha256": digest.hexdigest()})
    for left_over in path.parent.glob(f"{path.stem}-*.tmp"):
        with contextlib.suppress(OSError):  # of a process that died; younger ones may be in use
            if time.time() - left_over.stat().st_mtime > 3600:
                left_over.unlink()
    if path.is_dir():
        path.rename(path.with_suffix(f".folder-{time.time_ns()}"))
    aside = path.with_name(f"{path.stem}-{os.getpid()}-{time.time_ns()}.tmp")
    try:
        with open(aside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _bytes_of_a_set() -> int:
    """What the numbers of one set take: a byte for each pixel, eight for each label."""
    return sum(math.prod(shape) * (8 if len(shape) == 1 else 1) for shape in SHAPES.values())


def _read(path: Path) -> dict[str, Tensor] | None:
    """Read a cached set; None if it is not there, or damaged: then that is said."""
    try:
        if path.stat().st_size > _bytes_of_a_set() + HEADER_BYTES:
            _say(f"{path} is damaged (much too large): the data are brought in again.")
            return None
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _say(f"{path} cannot be read ({error.strerror}): the data are brought in again.")
        return None
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        tensors = safetensors.torch.load(content)
        if {key: tuple(value.shape) for key, value in tensors.items()} != SHAPES:
            raise ValueError("wrong shapes")
        digest = hashlib.sha256()
        for key in sorted(tensors):
            digest.update(tensors[key].numpy())
        if digest.hexdigest() != header["__metadata__"]["sha256"]:
            raise ValueError("its SHA-256 does not match")
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError):
        _say(f"{path} is damaged (cut short or changed): the data are brought in again.")
        return None
    return tensors


# ---------------------------------------------------------------- the official files


def _bring(folder: Path | None, retry: bool) -> tuple[dict[str, Tensor], str]:
    """Bring the four official files from GNET_DATA_DIR or a mirror, each with its MD5 checked."""
    share = os.environ.get("GNET_DATA_DIR")
    problems = [] if share else ["GNET_DATA_DIR is not set"]
    if share:
        try:
            _say("Preparing Fashion-MNIST from GNET_DATA_DIR, once.")
            folder_of_class = COURSE / Path(share).expanduser()
            files = {key: _from_share(folder_of_class, key) for key in OFFICIAL_FILES}
            return _parse(files), "copied from the folder that GNET_DATA_DIR names"
        except CourseError as error:
            _say(f"GNET_DATA_DIR cannot be used: {error}.")
            problems.append(str(error))
    failed = folder / "download-failed.txt" if folder else None
    try:
        if failed and not retry and time.time() - failed.stat().st_mtime < RETRY_SECONDS:
            raise CourseError("; ".join([*problems, failed.read_text(encoding="utf-8")]))
    except OSError:
        pass  # no such note
    try:
        stop = threading.Event()
        deadline = time.monotonic() + TOTAL_SECONDS
        try:
            files = {key: _download(key, deadline, stop) for key in OFFICIAL_FILES}
        finally:
            stop.set()
        if failed:
            failed.unlink(missing_ok=True)
        return _parse(files), "downloaded"
    except CourseError as error:
        if failed:
            with contextlib.suppress(OSError):
                failed.write_text(str(error), encoding="utf-8")
        raise CourseError("; ".join([*problems, str(error)])) from None


def _parse(files: dict[str, bytes]) -> dict[str, Tensor]:
    """Turn the four unpacked IDX files into tensors (16 or 8 bytes of header, then the bytes)."""
    tensors = {}
    for key, content in files.items():
        header = 16 if key.endswith("images") else 8
        array = np.frombuffer(content, np.uint8, offset=header).reshape(SHAPES[key])
        tensors[key] = torch.from_numpy(array.astype(np.uint8 if header == 16 else np.int64))
    return tensors


def _from_share(share: Path, key: str) -> bytes:
    """The unpacked content of one official file of the folder, packed or not."""
    name = OFFICIAL_FILES[key]
    for folder in (share / "FashionMNIST" / "raw", share / "raw", share):
        for path, md5 in ((folder / f"{name}.gz", _packed_md5(key)), (folder / name, None)):
            try:
                found = path.stat()
                if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_OFFICIAL:
                    raise CourseError(f"{path} is damaged: no file of the published size")
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise CourseError(f"{path} cannot be read ({error.strerror})") from None
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != (
                md5 or UNPACKED_MD5[key]
            ):
                raise CourseError(f"{path} is damaged: its MD5 is not the published one")
            return gzip.decompress(content) if md5 else content
    raise CourseError(f"{share / 'FashionMNIST' / 'raw' / name}.gz is missing")


def _packed_md5(key: str) -> str:
    return dict(_torchvision().resources)[f"{OFFICIAL_FILES[key]}.gz"]


def _torchvision() -> type:
    from torchvision.datasets import FashionMNIST  # slow to import, not needed with a full cache

    return FashionMNIST


def mirrors() -> list[str]:
    """The addresses that hold the four files, in the order in which they are tried."""
    return [*_torchvision().mirrors, AUTHORS_MIRROR]


def _download(key: str, deadline: float, stop: threading.Event) -> bytes:
    """Fetch one official file from the first mirror that gives the right one; unpacked."""
    name = f"{OFFICIAL_FILES[key]}.gz"
    problems = []
    for mirror in mirrors():
        host = urllib.parse.urlsplit(mirror).netloc
        seconds = min(FILE_SECONDS, deadline - time.monotonic())
        if key == "train_images":
            _say(f"Fetching Fashion-MNIST (30 MB, once) from {host}.")
        try:
            content = _fetch(mirror + name, seconds, stop)
        except (OSError, http.client.HTTPException, ValueError) as error:
            problems.append(f"{host}: {_reason(error)}")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == _packed_md5(key):
            return gzip.decompress(content)
        problems.append(f"{host}: sent {len(content):,} bytes that are not the published file")
    raise CourseError(f"{name} could not be downloaded ({'; '.join(problems)})")


def _reason(error: Exception) -> str:
    """What went wrong, in the system's words, without numbers and wrappers."""
    if isinstance(error, urllib.error.HTTPError):
        return " ".join(str(error).split())
    error = getattr(error, "reason", error)
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _fetch(url: str, seconds: float, stop: threading.Event) -> bytes:
    """The bytes behind an address; TimeoutError after `seconds`, whatever the server does.

    In a thread of its own, since name look-up and slow headers know no time limit.
    """
    result: list[bytes | Exception] = []

    def work() -> None:
        try:
            content = bytearray()
            with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as reply:
                while chunk := reply.read1(1 << 16):
                    content += chunk
                    if stop.is_set() or len(content) > LARGEST_DOWNLOAD:
                        break
            result.append(bytes(content))
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(max(seconds, 0))
    if not result:
        raise TimeoutError(f"no answer within {max(seconds, 0):.0f} s")
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]

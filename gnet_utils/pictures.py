"""Pictures to look at, read with OpenCV: uint8 RGB arrays (H, W, 3).

Offers: `demo_picture`, `load_picture`, `decode_picture`, `opencv` (also from `gnet_utils.data`).
"""

import os
import warnings
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np

from gnet_utils.base import ROOT, CourseError

PICTURES = ROOT / "data" / "pictures"
DEMO_PICTURES = ("hopper", "market", "plate")
LONGEST_SIDE = 1024  # pixels; larger pictures are made smaller
LARGEST_FILE = 100_000_000  # bytes
LARGEST_PICTURE = 64_000_000  # pixels; checked in the header, before memory is taken
# No others, whatever Pillow could read: for EPS it would run Ghostscript on a stranger's program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
PHONES = {b"ftyp" + kind for kind in (b"heic", b"heix", b"mif1", b"msf1")}  # bytes 4 to 11 of HEIC


def opencv() -> ModuleType:
    """Import cv2; raise a CourseError that names what to install when that fails."""
    try:
        import cv2
    except ImportError as error:
        if getattr(error, "name", None) == "cv2":
            raise CourseError("OpenCV is missing: pip install opencv-python") from error
        raise CourseError(
            f"OpenCV cannot start ({error}): install the system packages libgl1, libglib2.0-0 and "
            "libxcb1, or do without them: pip uninstall opencv-python, then "
            "pip install opencv-python-headless"
        ) from error
    return cv2


def demo_picture(name: str = "hopper") -> np.ndarray:
    """A picture of the course as uint8 RGB (H, W, 3).

    "hopper" is matplotlib's photo of Grace Hopper; "market" (a cat at a fruit stall) and "plate"
    (a figure in colours of equal brightness) were drawn for the course by data/pictures/draw.py.
    """
    if name not in DEMO_PICTURES:
        raise ValueError(f"name must be one of {', '.join(DEMO_PICTURES)}, got {name!r}")
    if name == "hopper":
        from matplotlib.cbook import get_sample_data

        return load_picture(get_sample_data("grace_hopper.jpg", asfileobj=False))
    return load_picture(PICTURES / f"{name}.png")


def load_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture file with OpenCV: uint8 RGB (H, W, 3), upright, no side above 1024 pixels.

    Gray, transparent (laid on white), 16-bit and rotated pictures are turned into that form.
    Raises CourseError, one sentence, when there is no such file or it is no whole picture.
    """
    path = Path(path)
    if not path.is_file():  # what is none, as a pipe or a device, might never end
        raise CourseError(f"{path} is no file: give the path of a JPEG or PNG file")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)  # one more, and `decode_picture` refuses it
    except OSError as error:
        raise CourseError(f"{path} cannot be read ({error.strerror}): take another file") from None
    return decode_picture(content, str(path))


def decode_picture(content: bytes, name: str = "this file") -> np.ndarray:
    """Like `load_picture`, from the bytes of a file (an upload, say), called `name` in errors."""
    cv2 = opencv()
    transparent = _check_picture(content, name)
    how = cv2.IMREAD_UNCHANGED if transparent else cv2.IMREAD_COLOR
    try:  # in colour OpenCV makes 8 bits and three channels of everything, and turns it upright
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), how)
    except cv2.error:
        picture = None
    if picture is None:
        raise CourseError(f"OpenCV cannot decode {name}: save it again as JPEG or PNG")
    if picture.shape[2:] == (4,):  # by OpenCV: NumPy takes eight times the memory
        picture = cv2.convertScaleAbs(picture, alpha=255 / np.iinfo(picture.dtype).max)
        alpha = cv2.merge([cv2.extractChannel(picture, 3)] * 3)
        colour = cv2.multiply(cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), alpha, scale=1 / 255)
        picture = cv2.add(colour, 255 - alpha)
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    scale = LONGEST_SIDE / max(picture.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return picture


def _check_picture(content: bytes, name: str) -> bool:
    """Refuse what is no whole picture or too large, before OpenCV decodes.

    Pillow (which matplotlib brings) reads the header alone, and notices a file that was cut short,
    where OpenCV fills the rest with gray. Returns whether the picture has transparent parts.
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise CourseError(f"{name} is empty: give a JPEG or PNG file")
    if len(content) > LARGEST_FILE:
        raise CourseError(f"{name} has more than 100 MB: make it smaller first")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > LARGEST_PICTURE:
                raise Image.DecompressionBombError
            picture.load()
            return picture.has_transparency_data
    except Image.DecompressionBombError:
        limit = f"{LARGEST_PICTURE // 1_000_000} million pixels"
        raise CourseError(f"{name} has more than {limit}: make it smaller first") from None
    except UnidentifiedImageError:
        if content[4:12] in PHONES:
            raise CourseError(
                f"{name} is a HEIC picture, which is not read here: save a copy as JPEG; for new "
                "photos let the phone store JPEG (iPhone: Settings, Camera, Formats, Most "
                "Compatible; Android: camera settings, switch off HEIF or high efficiency)"
            ) from None
        raise CourseError(
            f"{name} is no picture in a form that is read here ({', '.join(FORMATS)}): save it "
            "again as JPEG or PNG"
        ) from None
    except Exception as error:  # Pillow's plug-ins raise many kinds for broken files
        raise CourseError(
            f"{name} is no picture, or was cut short ({error}): save it again as JPEG or PNG"
        ) from None

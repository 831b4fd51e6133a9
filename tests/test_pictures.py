"""Pictures are read upright, as RGB, of any common form; broken and huge ones are named."""

import importlib.util
import io
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from gnet_utils import pictures
from gnet_utils.base import CourseError
from gnet_utils.pictures import decode_picture, demo_picture, load_picture

LUMA = np.array([0.2989, 0.5870, 0.1140])


def packed(array: np.ndarray, kind: str = "PNG", mode: str | None = None, **options) -> bytes:
    """A picture file with this content, written by Pillow."""
    file = io.BytesIO()
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def colours() -> np.ndarray:
    """A picture 24 x 32 whose four corners are red, green, blue and gray."""
    array = np.zeros((24, 32, 3), np.uint8)
    array[:12, :16], array[:12, 16:] = (220, 30, 20), (20, 200, 40)
    array[12:, :16], array[12:, 16:] = (10, 40, 230), (128, 128, 128)
    return array


# ---------------------------------------------------------------- forms of files


def test_png_colours_come_back_exactly_in_the_order_rgb(colours: np.ndarray) -> None:
    out = decode_picture(packed(colours))
    assert out.dtype == np.uint8 and out.flags.c_contiguous
    assert np.array_equal(out, colours)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF"])
def test_other_formats_come_back_nearly(colours: np.ndarray, kind: str) -> None:
    out = decode_picture(packed(colours, kind, quality=95)).astype(int)
    assert np.abs(out - colours)[4:8, 4:12].max() < 12  # inside the red corner


def test_gray_pictures_get_three_equal_channels() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode_picture(packed(gray)), np.dstack([gray] * 3))


def test_palette_pictures_come_back_in_colour(colours: np.ndarray) -> None:
    assert np.array_equal(decode_picture(packed(colours, "PNG", "P")), decode_picture(
        packed(np.array(Image.fromarray(colours).convert("P").convert("RGB")))
    ))  # fmt: skip


def test_16_bits_become_8() -> None:
    deep = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    assert np.array_equal(decode_picture(packed(deep))[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_become_white(mode: str) -> None:
    array = np.zeros((4, 4, 4 if mode == "RGBA" else 2), np.uint8)
    array[:2, :, -1] = 255  # opaque black above, clear below
    array[3, :, -1] = 51  # a fifth of black
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "PNG")
    out = decode_picture(file.getvalue())
    assert out.shape == (4, 4, 3)
    assert out[:, 0].tolist() == [[0] * 3, [0] * 3, [255] * 3, [204] * 3]


def test_cmyk_jpeg_comes_back_in_its_colours(colours: np.ndarray) -> None:
    out = decode_picture(packed(colours, "JPEG", "CMYK", quality=95)).astype(int)
    assert np.abs(out - colours)[4:8, 4:12].max() < 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_turned_photos_come_back_upright(colours: np.ndarray, kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    how = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes the turn
    stored = Image.fromarray(colours)
    if turn in how:
        stored = stored.transpose(Image.Transpose(how[turn]))
    out = decode_picture(packed(np.array(stored), kind, exif=exif))
    assert out.shape == colours.shape
    assert np.abs(out.astype(int) - colours)[2:10, 2:14].max() < 40
    assert np.abs(out.astype(int) - colours)[14:22, 2:14].max() < 40


def test_of_a_moving_picture_the_first_frame_is_taken(colours: np.ndarray) -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(colours), Image.fromarray(255 - colours)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(decode_picture(file.getvalue()), colours)


def test_large_pictures_are_made_smaller_and_small_ones_left() -> None:
    large = packed(np.zeros((300, 2000, 3), np.uint8))
    assert decode_picture(large).shape == (154, 1024, 3)
    assert decode_picture(packed(np.zeros((300, 1024, 3), np.uint8))).shape == (300, 1024, 3)
    assert decode_picture(packed(np.zeros((1, 3000), np.uint8))).shape == (1, 1024, 3)


def test_names_with_spaces_and_other_letters_will_do(colours: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "Ärger mit Größe 写真.png"
    path.write_bytes(packed(colours))
    assert np.array_equal(load_picture(path), colours)
    assert np.array_equal(load_picture(str(path)), colours)


# ---------------------------------------------------------------- what is no picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_a_picture_that_was_cut_short_is_named(kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = packed(noise, kind)
    decode_picture(whole)
    with pytest.raises(CourseError, match=r"photo is no picture, or was cut short"):
        decode_picture(whole[: int(part * len(whole))], name="photo")


@pytest.mark.parametrize("content", [b"hello", b"<html></html>", bytes(1000), b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_named(content: bytes) -> None:
    with pytest.raises(CourseError, match="no picture") as caught:
        decode_picture(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [b"heic", b"mif1"])
def test_a_heic_photo_is_named_with_what_to_do_on_the_phone(kind: bytes) -> None:
    content = b"\0\0\0\x24ftyp" + kind + bytes(500)
    with pytest.raises(CourseError, match=r"IMG_1.HEIC is a HEIC picture.* JPEG .*Most Compatible"):
        decode_picture(content, name="IMG_1.HEIC")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(CourseError, match=r"empty.png is empty"):
        load_picture(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path, "a\0b"):
        with pytest.raises(CourseError, match="is no file: give the path of a JPEG or PNG file"):
            load_picture(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    with open(path, "wb") as file:
        file.truncate(pictures.LARGEST_FILE + 1)  # takes no space on the disk
    with pytest.raises(CourseError, match=r"film.png has more than 100 MB: make it smaller"):
        load_picture(path)


@pytest.mark.parametrize("side", [8_500, 20_000])
def test_a_huge_picture_is_refused_before_it_takes_memory(
    monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    bomb = bytearray(packed(np.zeros((8, 8), np.uint8)))
    bomb[16:24] = side.to_bytes(4, "big") * 2  # width and height in the PNG header
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    monkeypatch.setattr(pictures, "opencv", lambda: None)  # decoding would fail
    with pytest.raises(CourseError, match="more than 64 million pixels: make it smaller"):
        decode_picture(bytes(bomb))


def test_a_missing_system_library_is_named_with_the_packages_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cv2":
                raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(CourseError, match=r"libGL.so.1.*libgl1, libglib2.0-0 and libxcb1"):
        pictures.opencv()


def test_a_missing_opencv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(CourseError, match="pip install opencv-python"):
        pictures.opencv()


# ---------------------------------------------------------------- the course's own pictures


@pytest.mark.parametrize("name", pictures.DEMO_PICTURES)
def test_demo_pictures_are_colourful_rgb(name: str) -> None:
    picture = demo_picture(name)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert min(picture.shape[:2]) >= 300 and max(picture.shape[:2]) <= 600
    assert (picture.max(axis=2).astype(int) - picture.min(axis=2)).mean() > 20


def test_an_unknown_demo_picture_is_named() -> None:
    with pytest.raises(ValueError, match="one of hopper, market, plate, got 'lena'"):
        demo_picture("lena")


def test_the_plate_is_plain_in_colour_and_flat_in_gray() -> None:
    plate = demo_picture("plate").astype(float)
    assert (plate @ LUMA).std() < 0.5
    assert np.abs(plate @ LUMA - 158).max() < 0.5
    assert plate[..., 0].std() > 20 and plate[..., 2].std() > 20
    # the mean of the channels is another gray, and keeps the figure
    assert plate.mean(axis=2).std() > 4


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw", pictures.PICTURES / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_picture_is_drawn_by_the_script_beside_it(draw: ModuleType) -> None:
    drawn, stored = draw.draw_plate().astype(int), demo_picture("plate")
    assert drawn.shape == stored.shape
    assert np.abs(drawn - stored).mean() < 1  # OpenCV versions differ in a few pixels


@pytest.mark.parametrize("name", ["plate", "market"])
def test_the_drawn_pictures_are_small_files(name: str) -> None:
    assert (pictures.PICTURES / f"{name}.png").stat().st_size < 150_000

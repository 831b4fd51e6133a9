"""Random inputs to counting, receptive fields, augment, data and pictures: the right answer,
checked by another way to it. Anything at all as an answer to an exercise: words, and no error.

50 inputs for each test; 10,000 with `python -m gnet_utils test --faults`.
"""

import contextlib
import io
import math
import os
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", tempfile.mkdtemp(prefix="hypothesis-"))

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis", reason="NOT FUZZED: pip install hypothesis")
import torch  # noqa: E402
from hypothesis import HealthCheck, given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from gnet_utils import augment, counting, data, exercises, pictures  # noqa: E402
from gnet_utils.base import CourseError  # noqa: E402
from gnet_utils.course.notebooks import find_notebooks  # noqa: E402

ALL = os.environ.get("GNET_FAULTS", "") not in ("", "0")
fuzz = hypothesis.settings(
    max_examples=10_000 if ALL else 50,
    derandomize=not ALL,  # the quick run is the same every time
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


tensors = st.builds(
    lambda shape, dtype: torch.ones(shape, dtype=dtype),
    st.lists(st.integers(0, 4), max_size=5),
    st.sampled_from([torch.float32, torch.uint8, torch.int64, torch.bool, torch.complex64]),
)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, 10**400, -(10**400)]),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.lists(st.integers(-2, 9), max_size=5),
    st.lists(st.one_of(st.text(max_size=3), st.floats(), st.none()), max_size=4),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from([nn.Conv2d, nn.Conv2d(1, 2, 3), object(), len, lambda x: x / 0, ...]),
    tensors,
    tensors.map(lambda t: t.numpy()),
    st.sampled_from([np.int64(3), np.float32("nan"), np.array(["a"]), np.array([None])]),
)


# ---------------------------------------------------------------- counting

sizes = st.integers(1, 6)


@st.composite
def layers(draw) -> list[nn.Module]:
    """A chain of layers that fit each other (mostly), for pictures of 3 channels."""
    channels, chain = 3, []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "conv", "pool", "average", "norm", "relu"]))
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel // 2))
        if kind == "conv":
            groups = draw(st.sampled_from([1, channels]))
            out = groups * draw(st.integers(1, 3))
            extra = {"bias": draw(st.booleans()), "dilation": draw(st.integers(1, 2))}
            chain.append(nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, **extra))
            channels = out
        elif kind == "pool":
            chain.append(nn.MaxPool2d(kernel, stride, padding))
        elif kind == "average":
            chain.append(nn.AvgPool2d(kernel, stride, padding))
        else:
            chain.append(nn.BatchNorm2d(channels) if kind == "norm" else nn.ReLU())
    return chain


@fuzz
@given(layers(), st.integers(1, 2), st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_tables_of_random_networks_agree_with_pytorchs_count(chain, batch, height, width, head):
    net = nn.Sequential(*chain)
    if head:
        net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.LazyLinear(5))
    picture = torch.zeros(batch, 3, height, width)
    try:
        output = net.eval()(picture)
    except RuntimeError:  # a map became smaller than the next window
        with pytest.raises(ValueError, match="cannot take an input of shape"):
            counting.count_macs(net, picture.shape)
        return
    shapes = counting.stage_shapes(net.train(), picture.shape)
    assert net.training
    assert list(shapes.values())[-1] == tuple(output.shape[1:])
    rows = counting.stage_table(net, picture.shape)
    assert sum(row.macs for row in rows) == counting.count_macs(net, picture.shape)
    assert sum(row.parameters for row in rows) + sum(
        2 * layer.num_features for layer in chain if isinstance(layer, nn.BatchNorm2d)
    ) == counting.count_parameters(net)
    weighted = [row for row in rows if row.weights]
    assert counting.count_activations(net, picture.shape) == sum(
        math.prod(row.output) for row in weighted
    )


@fuzz
@given(layers())
def test_receptive_fields_agree_with_the_gradient(chain):
    """Which pixels of a column reach one unit: by formula, and by what has a gradient."""
    chain = [m for m in chain if isinstance(m, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d))]
    for layer in chain:
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    net = nn.Sequential(*chain)
    strides = math.prod(int(np.max(m.stride)) for m in chain)
    hypothesis.assume(chain and strides <= 27)
    side = 200  # so large that a unit in the middle sees no edge
    field = list(counting.receptive_fields(net, (1, 3, side, side)).values())[-1]
    smooth = [  # the largest of a window has a gradient alone; the mean reaches all of it
        nn.AvgPool2d(m.kernel_size, m.stride, m.padding) if isinstance(m, nn.MaxPool2d) else m
        for m in chain
    ]
    picture = torch.zeros(1, 3, side, side, requires_grad=True)
    output = nn.Sequential(*smooth)(picture)
    unit = output.shape[2] // 2
    output[0, :, unit, unit].sum().backward()
    rows = picture.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    first, last = rows[0].item(), rows[-1].item()
    start = field.start + unit * field.stride
    assert (max(start, 0), min(start + field.size, side) - 1) == (first, last)


@fuzz
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.tuples(
            st.lists(st.text("abc 1é", max_size=5), min_size=n, max_size=n),
            st.lists(
                st.lists(
                    st.one_of(st.integers(), st.text("xyz", max_size=4), st.none(), st.floats()),
                    min_size=n,
                    max_size=n,
                ),
                max_size=4,
            ),
        )
    )
)
def test_a_table_shows_every_value_in_aligned_columns(table):
    headers, rows = table
    lines = counting.format_table(rows, headers).split("\n")
    assert len(lines) == 2 + len(rows)
    widths = [len(part) for part in lines[1].split("  ") if part]
    assert all(len(line) <= sum(widths) + 2 * (len(headers) - 1) for line in lines)
    for row, line in zip(rows, lines[2:], strict=True):
        for value in row:
            text = (
                f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
            )
            assert text in line


# ---------------------------------------------------------------- augment


@st.composite
def batches(draw) -> torch.Tensor:
    shape = [draw(st.integers(n, m)) for n, m in ((0, 3), (1, 2), (1, 6), (1, 6))]
    torch.manual_seed(draw(st.integers(0, 99)))
    return torch.rand(shape, dtype=draw(st.sampled_from([torch.float32, torch.float64])))


@fuzz
@given(batches())
def test_each_picture_is_mirrored_or_left(images):
    out = augment.random_mirror(images)
    assert out.shape == images.shape and out.dtype == images.dtype
    for before, after in zip(images, out, strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(2))


@fuzz
@given(batches(), st.integers(0, 5))
def test_each_picture_is_moved_by_at_most_so_many_pixels(images, pixels):
    out = augment.random_shift(images, pixels)
    assert out.shape == images.shape
    rows, columns = (torch.arange(n) for n in images.shape[2:])
    moves = range(-pixels, pixels + 1)
    for before, after in zip(images, out, strict=True):
        assert any(
            torch.equal(
                after,
                before[:, (rows + dy).clamp(0, len(rows) - 1)][
                    :, :, (columns + dx).clamp(0, len(columns) - 1)
                ],
            )
            for dy in moves
            for dx in moves
        )


@fuzz
@given(batches(), st.floats(0, 1))
def test_what_is_erased_is_one_square_and_the_rest_stays(images, share):
    images = images.repeat(1, 1, 4, 4)  # up to 24 pixels, three times the side of a square
    for before, after in zip(images, augment.random_erase(images, share), strict=True):
        changed = (before != after).any(dim=0)
        if share == 0:
            assert not changed.any()
        if changed.any():
            rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
            for places in (rows, columns):
                assert places.max() - places.min() < augment.ERASED
            box = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.all()


# ---------------------------------------------------------------- exercises

EVERY = [
    name for path in find_notebooks() for name in exercises.exercises_of(path.stem[:2])
]  # the judges that build networks take longer: fewer inputs for them below


@fuzz
@given(st.one_of(st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_in_any_form_is_that_number(value):
    expected = float(value)
    for form in (value, str(value), f"{value:,}", [value], (value,), np.array([[value]])):
        assert exercises.as_number(form) == expected, form
    assert exercises.as_number(torch.tensor(expected, dtype=torch.float64)) == expected


@fuzz
@given(st.sampled_from(EVERY), st.one_of(anything, st.floats(), st.integers()))
def test_a_check_says_one_of_three_things_and_never_raises(name, answer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = printed(exercises.check, name, answer)
    assert said.startswith(("Right: ", "Not yet: ", "Not answered yet")), said


@fuzz
@given(st.one_of(anything, st.sampled_from([torch.nn.Linear, int, type("", (), {})])))
def test_the_kind_of_any_answer_is_said_in_a_few_words(answer):
    said = exercises.kind_of(answer)
    assert said.startswith(("a ", "an ", "the class ", "nothing", "text")) and len(said) < 80


def printed(action: Callable, *arguments: Any) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        action(*arguments)
    return text.getvalue()


@fuzz
@given(st.one_of(st.sampled_from(EVERY), anything))
def test_a_hint_is_one_of_the_exercise_or_an_error_names_the_known_ones(name):
    if isinstance(name, str) and name in EVERY:
        hints = exercises.exercises_of(name[:2])[name].hints
        exercises._tried.clear()
        said = printed(exercises.hint, name)
        assert said.startswith("Hint ") and any(hint in said for hint in hints)
    else:
        with pytest.raises(ValueError, match="There is no exercise"):
            exercises.hint(name)


def test_an_answer_that_ends_the_process_does_not_end_the_notebook(monkeypatch):
    leaving = exercises.Exercise(lambda answer: answer(), "fine", ["h"])
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.x": leaving})
    assert "SystemExit" in printed(exercises.check, "00.x", lambda: exit(3))


@fuzz
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 10))
def test_a_number_is_right_within_its_tolerance_and_else_too_small_or_large(right, guess, room):
    exercise = exercises.number(right, mistakes={}, hints=["h"], right="r", tolerance=room)
    message = exercise.judge(guess)
    if abs(guess - right) <= room:
        assert message is None
    elif not room and guess != int(guess) and int(guess) == right:
        assert message.endswith("which way must you round?")
    else:
        assert message.endswith("too small." if guess < right else "too large.")


# ---------------------------------------------------------------- data


def pictures_of(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)


@fuzz
@given(st.integers(0, 4), st.integers(0, 99))
def test_to_float_can_be_turned_back(count, seed):
    images = pictures_of(count, seed)
    back = (data.to_float(images) * data.STD + data.MEAN) * 255
    assert torch.equal(back.round().to(torch.uint8), images)


@fuzz
@given(st.integers(2, 12), st.integers(1, 11), st.integers(0, 99))
def test_a_split_loses_nothing_and_doubles_nothing(count, validation, seed):
    hypothesis.assume(validation < count)
    images, labels = pictures_of(count), torch.arange(count) % 10
    (train, train_labels), (held_out, held_out_labels) = data.split_train_validation(
        images, labels, validation, seed
    )
    assert len(held_out) == validation == len(held_out_labels)
    keys = lambda x, y: sorted(zip(x.sum(dim=(1, 2, 3)).tolist(), y.tolist(), strict=True))  # noqa: E731
    both = torch.cat([train, held_out]), torch.cat([train_labels, held_out_labels])
    assert keys(*both) == keys(images, labels)


def packed(kind: str, mode: str, width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 50).convert(mode).save(file, kind)
    return file.getvalue()


@fuzz
@given(
    st.sampled_from([("PNG", "RGBA"), ("PNG", "I;16"), ("PNG", "P"), ("JPEG", "CMYK"),
                     ("JPEG", "L"), ("GIF", "P"), ("WEBP", "RGB"), ("BMP", "RGB"),
                     ("TIFF", "RGB")]),
    st.integers(1, 24),
    st.integers(1, 24),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)  # fmt: skip
def test_damaged_pictures_are_read_or_refused(kind, width, height, changes, end):
    content = bytearray(packed(*kind, width, height))
    for place, value in changes:
        content[int(place * len(content))] = value
    if end < 0.3:
        del content[int(end * len(content)) :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = pictures.decode_picture(bytes(content))
    except CourseError:
        assert changes or end < 0.3
        return
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    if not changes and end >= 0.3:
        assert picture.shape[:2] == (height, width)

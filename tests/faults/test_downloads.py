"""Mirrors that cut, hang, lie or send a login page: the next one is asked, each MD5 is checked, and
at the end stands one sentence and no bad file."""

import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_data import forget, the_right_data

from gnet_utils import data
from gnet_utils.errors import CourseError


def test_a_silent_mirror_is_given_up_long_before_its_time_for_a_file_is_over(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "FILE_SECONDS", 30)
    server.use("hang")
    start = time.monotonic()
    with pytest.raises(CourseError, match=r"127.0.0.1:\d+: timed out"):
        data.load_fashion_mnist("train", source="real")
    assert time.monotonic() - start < 10


CUTS = [f"cut{part / 20}" for part in range(20)]
MANNERS = ["missing", "redirect", "hang", "trickle", "login", "garbage", "wrong_length", *CUTS]


@pytest.mark.parametrize("manner", MANNERS)
def test_after_a_bad_mirror_the_next_one_is_asked(server: SimpleNamespace, manner: str) -> None:
    server.use(manner, "good")
    start = time.monotonic()
    assert the_right_data()
    assert data.data_source().kind == "real"
    assert {manner, "good"} == set(server.asked)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("manner", MANNERS)
def test_a_bad_mirror_alone_ends_in_one_sentence_and_an_empty_cache(
    server: SimpleNamespace, fresh: Path, manner: str
) -> None:
    server.use(manner)
    with pytest.raises(CourseError, match=r"could not be downloaded \(127.0.0.1") as caught:
        data.load_fashion_mnist("train", source="real")
    assert "\n" not in str(caught.value) and "run `python -m gnet_utils data`" in str(caught.value)
    assert list(fresh.glob("*.safetensors")) == [] and list(fresh.glob("*.tmp")) == []


def test_a_failed_download_is_not_tried_again_at_once_unless_asked(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.use("missing")
    data.load_fashion_mnist("train")
    assert server.asked == ["missing"]
    forget(monkeypatch)
    server.use("good")
    data.load_fashion_mnist("train")
    assert data.data_source().kind == "stand-in" and server.asked == ["missing"]
    assert data.prepare(retry=True).kind == "real"
    assert the_right_data()


def test_a_server_that_sends_without_end_is_cut_off(
    server: SimpleNamespace, official: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "LARGEST_DOWNLOAD", 5_000)
    monkeypatch.setitem(official, "train-images-idx3-ubyte.gz", bytes(3_000_000))
    server.use("good")
    with pytest.raises(CourseError, match=r"sent [\d,]+ bytes that are not") as caught:
        data.load_fashion_mnist("train", source="real")
    sent = re.search(r"sent ([\d,]+) bytes", str(caught.value))[1]
    assert int(sent.replace(",", "")) <= 5_000 + (1 << 16)  # one piece more at most


def test_all_mirrors_together_have_a_time_limit(
    server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "TOTAL_SECONDS", 1)
    monkeypatch.setattr(data, "SILENCE_SECONDS", 30)
    monkeypatch.setattr(data, "FILE_SECONDS", 30)
    server.use("trickle", "trickle", "trickle")
    start = time.monotonic()
    with pytest.raises(CourseError, match="no answer within"):
        data.load_fashion_mnist("train", source="real")
    assert time.monotonic() - start < 10

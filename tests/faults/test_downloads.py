"""Mirrors that cut, hang, lie or send a login page: the next one is asked, each MD5 is checked, and
at the end stands one sentence and no bad file."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_data import the_right_data

from gnet_utils import data
from gnet_utils.base import CourseError
from gnet_utils.course import dataset

MANNERS = ["missing", "redirect", "hang", "login", "garbage", "wrong_length", "cut0", "cut0.5"]


@pytest.mark.parametrize("manner", MANNERS)
def test_after_a_bad_mirror_the_next_one_is_asked(server: SimpleNamespace, manner: str) -> None:
    server.use(manner, "good")
    assert the_right_data()
    assert data.data_source().kind == "real"
    assert {manner, "good"} == set(server.asked)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_bad_mirror_alone_ends_in_one_sentence_and_an_empty_cache(
    server: SimpleNamespace, fresh: Path, manner: str
) -> None:
    server.use(manner)
    with pytest.raises(CourseError, match=r"No real Fashion-MNIST: .*; 127.0.0.1") as caught:
        data.load_fashion_mnist("train", source="real")
    assert "\n" not in str(caught.value) and "run `python -m gnet_utils data`" in str(caught.value)
    assert list(fresh.glob("*.safetensors")) == [] and list(fresh.glob("*.tmp")) == []


def test_a_certificate_that_is_not_trusted_is_named_and_the_way_out_works(
    server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a school's proxy."""
    certificate = server.encrypt(tmp_path)
    server.use("good")
    with pytest.raises(CourseError, match=r"certificate on the way is not trusted.*SSL_CERT_FILE"):
        data.load_fashion_mnist("train", source="real")
    assert server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert the_right_data()
    assert data.data_source().kind == "real"


def test_the_time_limit_of_other_downloads_stays_as_it_was(server: SimpleNamespace) -> None:
    server.use("good")
    data.load_fashion_mnist("train")
    assert dataset.socket.getdefaulttimeout() is None

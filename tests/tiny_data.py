"""A tiny data set in the place of Fashion-MNIST, a class share of it, and servers that misbehave.

The fixtures are known to all tests, by conftest.py.
"""

import functools
import gzip
import hashlib
import random
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gnet_utils import data
from gnet_utils.course import dataset, garments

TRAIN, TEST = 40, 20
draw_garments = functools.cache(garments.draw_dataset)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process that has loaded nothing, with an empty cache and no environment variables."""
    for name in ("GNET_DATA_DIR", "GNET_DATA_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path / "cache"))
    forget(monkeypatch)
    return tmp_path / "cache"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new process knows: nothing."""
    monkeypatch.setattr(dataset, "used", None)
    monkeypatch.setattr(dataset, "_unsaved", {})
    monkeypatch.setattr(dataset, "_said", set())


@pytest.fixture
def official(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Tiny files in the place of the official ones: name -> packed content. No mirror answers."""
    tensors = draw_garments(TRAIN, TEST, seed=5)
    packed, files = {}, {}
    for key, (name, _) in dataset.FILES.items():
        content = b"\0" * (16 if key.endswith("images") else 8)
        content += tensors[key].numpy().astype("uint8").tobytes()
        packed[f"{name}.gz"] = gzip.compress(content, mtime=0)
        files[key] = name, hashlib.md5(content).hexdigest()
    monkeypatch.setattr(dataset, "SHAPES", {key: tuple(t.shape) for key, t in tensors.items()})
    monkeypatch.setattr(dataset, "FILES", files)
    monkeypatch.setattr(dataset, "mirrors", lambda: ["http://127.0.0.1:9/"])
    monkeypatch.setattr(garments, "draw_dataset", functools.partial(draw_garments, TRAIN, TEST))
    return packed


@pytest.fixture
def share(official: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A class share with the four packed files, named by GNET_DATA_DIR; the raw folder."""
    raw = tmp_path / "share" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in official.items():
        (raw / name).write_bytes(content)
    monkeypatch.setenv("GNET_DATA_DIR", str(tmp_path / "share"))
    return raw


def the_right_data() -> bool:
    """Whether what is loaded now is the content of the official files."""
    right = draw_garments(TRAIN, TEST, seed=5)
    return all(
        torch.equal(got, right[f"{split}_{part}"])
        for split in ("train", "test")
        for part, got in zip(("images", "labels"), data.load_fashion_mnist(split), strict=True)
    )


@pytest.fixture
def server(official: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Mirrors on this machine, one for each way to (mis)behave: server.use("hang", "good").

    server.encrypt(folder) makes their addresses begin with https, with a certificate that nobody
    trusts, as a school's proxy has; returns the file with it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, manner, name = self.path.split("/", 2)
            asked.append(manner)
            content = official.get(name)
            if manner == "missing":
                return self.send_error(404)
            if manner == "redirect":
                self.send_response(302)
                self.send_header("Location", self.path)
                return self.end_headers()
            if manner == "hang":
                return over.wait(20)
            if manner == "login":
                content = b"<html>Please log in to the school network</html>"
            elif manner == "garbage":
                content = random.Random(1).randbytes(len(content))
            length = len(content) - (7 if manner == "wrong_length" else 0)
            if manner.startswith("cut"):
                content = content[: int(len(content) * float(manner.removeprefix("cut")))]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            return None if self.command == "HEAD" else self.wfile.write(content)

        do_HEAD = do_GET  # torchvision asks where the address leads first

        def log_message(self, *arguments: object) -> None:
            pass

    asked: list[str] = []
    over = threading.Event()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(dataset, "SILENCE_SECONDS", 0.4)
    found = SimpleNamespace(asked=asked, url=f"http://127.0.0.1:{httpd.server_port}")

    def use(*manners: str) -> None:
        monkeypatch.setattr(dataset, "mirrors", lambda: [f"{found.url}/{m}/" for m in manners])

    def encrypt(folder: Path) -> Path:
        if not shutil.which("openssl"):
            pytest.skip("NO CERTIFICATE: no openssl")
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=proxy -days 2 -addext"
        command = [*command.split(), "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        found.url = found.url.replace("http:", "https:")
        return certificate

    found.use, found.encrypt = use, encrypt
    yield found
    over.set()
    httpd.shutdown()
    httpd.server_close()

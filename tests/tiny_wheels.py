"""Wheels of a kilobyte, in the place of packages of gigabytes."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str] | None = None,
    *,
    requires: Iterable[str] = (),
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel that pip can install; files: path below site-packages -> content."""
    stem = f"{name.replace('-', '_')}-{version}"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    content = {**(files or {}), **{f"{stem}.dist-info/{key}": about[key] for key in about}}
    record = f"{stem}.dist-info/RECORD"
    content[record] = "".join(f"{path},,\n" for path in [*content, record])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in content.items():
            wheel.writestr(name, text)
    return path

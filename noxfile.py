"""The notebooks on other Pythons, with other versions of the packages, and as they run on Colab.

    pipx run nox                     # list the sessions: uvx nox, or pip install nox, do as well
    pipx run nox -s "matrix-3.12(oldest)"
    pipx run nox -s colab -- 03 04   # only these notebooks
    pipx run nox -s pages            # controls in a browser: Notebook 7, and Colab's versions

Each session makes an environment of its own (up to 6.5 GB, under .nox) and runs the notebooks
through nbval, which compares the tagged outputs with the stored ones.
"""

import re
import shutil
import sys
import urllib.request
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
from gnet_utils.course.environment import CPU_INDEX  # noqa: E402

NOTEBOOKS = sorted(ROOT.glob("notebooks/[0-9][0-9]_*.ipynb"))
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
COLAB = {  # what a Colab notebook finds, as of late 2026; torch and torchvision: the newest
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "ipywidgets": "7.7.1",
    "traitlets": "5.7.1",
    "matplotlib": "3.10.0",
    "numpy": "2.1.3",
    "opencv-python": "5.0.0.93",
}
# The module that tells the set-up cell that this is Colab is loaded before the first cell.
STARTUP = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"

nox.options.sessions = []  # each takes long: name the one you want
nox.options.error_on_missing_interpreters = True


@nox.session(python=PYTHONS)
@nox.parametrize("end", ["oldest", "newest"], ids=["oldest", "newest"])
def matrix(session: nox.Session, end: str) -> None:
    """The notebooks with the oldest packages that requirements.txt allows, or the newest."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    if end == "oldest":  # each lower bound is the version to take
        text = re.sub(r"^([\w.-]+)>=([\d.]+)", r"\1==\2.*", text, flags=re.MULTILINE)
    wanted = Path(session.create_tmp()) / "requirements.txt"
    wanted.write_text(text, encoding="utf-8")
    _install(session, "-r", str(wanted))
    names = session.posargs or [path.name[:2] for path in NOTEBOOKS]
    session.run("python", "-m", "gnet_utils", "test", *names)


@nox.session(python="3.13")
def colab(session: nox.Session) -> None:
    """Each notebook alone with gnet-course.zip in a folder outside the course, Colab's versions."""
    pins = [f"{name}=={version}" for name, version in COLAB.items()]
    others = ("safetensors", "tqdm", "pillow", "pytest", "pytest-xdist", "nbval", "setuptools")
    _install(session, "torch", "torchvision", *pins, *others)
    place = Path(session.create_tmp()).resolve() / "colab"
    shutil.rmtree(place, ignore_errors=True)
    startup = place / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00_colab.py").write_text(STARTUP, encoding="utf-8")
    session.run("python", "-m", "gnet_utils", "bundle")
    # Asked for here: where nox itself runs there is no pytest.
    ask = "from gnet_utils.course.testing import NBVAL; print(*NBVAL, sep='\\n')"
    nbval = session.run("python", "-c", ask, silent=True).splitlines()
    for path in NOTEBOOKS:
        if session.posargs and path.name[:2] not in session.posargs:
            continue
        content = place / path.stem / "content"
        content.mkdir(parents=True)
        shutil.copy(ROOT / "gnet-course.zip", content)
        put = "import sys; from pathlib import Path; "
        put += "from gnet_utils.course.testing import with_solutions; "
        put += "with_solutions(Path(sys.argv[1]), Path(sys.argv[2]))"
        session.run("python", "-c", put, str(path), str(content))
        command = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *nbval]
        with session.chdir(content):
            session.run(
                *command,
                f"--rootdir={content}",
                path.name,
                env={
                    "GNET_QUICK": "1",
                    "GNET_CACHE_DIR": str(ROOT / "data" / "cache"),
                    "IPYTHONDIR": str(place / "ipython"),
                    "PYTHONNOUSERSITE": "1",
                    "PYTHONPATH": "",  # the repository must not be found but in the zip
                },
            )


@nox.session(python="3.13")
@nox.parametrize("front_end", ["notebook", "colab"], ids=["notebook", "colab"])
def pages(session: nox.Session, front_end: str) -> None:
    """An explorer, a prediction, the sheet to draw on: Notebook 7; Colab's kernel and widgets.

    Colab's own page runs only there. JupyterLab 3 is the one that belongs to its ipywidgets, with
    the older jupyterlab_widgets: a newer one loads, and shows no control.
    """
    if front_end == "notebook":
        _install(session, "-r", "requirements.txt", "notebook>=7")
    else:
        pins = [f"{name}=={version}" for name, version in COLAB.items()]
        others = ("safetensors", "tqdm", "pillow", "filelock", "pytest", "playwright", "anywidget")
        page = ("jupyterlab==3.*", "jupyterlab_widgets<3", "setuptools")
        _install(session, "torch", "torchvision", *pins, *others, *page)
    env = {"GNET_FRONT_END": "notebook" if front_end == "notebook" else "lab"}
    session.run(
        *("python", "-m", "pytest", "-q", "-m", "browser", "tests/browser/test_front_ends.py"),
        env=env,
    )


def _install(session: nox.Session, *packages: str) -> None:
    """Built packages only; PyTorch without CUDA where its own index answers."""
    try:
        urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=10).close()
        index = ["--extra-index-url", CPU_INDEX]
    except OSError:  # pip would ask it for every package, each time until its patience ends
        index = []
    session.install("--only-binary", ":all:", "--quiet", *index, *packages)

"""The command line of the course: `python -m gnet_utils COMMAND`, see --help."""

import sys

# Old Pythons must get as far as this sentence: no newer syntax in this file.
if sys.version_info < (3, 10):  # noqa: UP036 - requires-python does not guard `python -m`
    sys.exit(
        f"error: this course needs Python 3.10 or newer, and this is Python "
        f"{sys.version_info[0]}.{sys.version_info[1]}: install one from python.org, then run it "
        "by its name, for example python3.12 -m gnet_utils lab"
    )

import argparse
import errno
import importlib.util
import os
import socket
import tempfile
from pathlib import Path

from gnet_utils.base import ROOT, CourseError, UsageError
from gnet_utils.course import environment

# All that `train` and `data` import, so that they run wherever these packages are.
FEW = ("torch", "torchvision", "numpy", "safetensors", "matplotlib", "opencv-python", "tqdm")
FEW += ("filelock",)
CACHE = ROOT / "data" / "cache"  # where results go

PARSER = argparse.ArgumentParser(prog="python -m gnet_utils", description=__doc__.split(":")[0])
COMMANDS = PARSER.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(function, packages=(), sets_up=False) -> argparse.ArgumentParser:
    """Add a command with the name and the docstring of `function`; returns it, for its options."""
    command = COMMANDS.add_parser(
        function.__name__.replace("_", "-"), help=function.__doc__, description=function.__doc__
    )
    command.set_defaults(
        function=function, usage=command, cpu=False, wheels=None, packages=packages
    )
    if sets_up:
        either = command.add_mutually_exclusive_group()
        text = "install PyTorch without GPU support: smaller, when .venv is made"
        either.add_argument("--cpu", action="store_true", help=text)
        text = "install from this folder of wheels alone, without a network, when .venv is made"
        either.add_argument("--wheels", metavar="FOLDER", help=text)
    return command


def _notebooks(command: argparse.ArgumentParser) -> None:
    text = "only these, by number or name (default: all)"
    command.add_argument("notebooks", nargs="*", metavar="NN", help=text)


# lab --------------------------------------------------------------------------------------------


def lab(options: argparse.Namespace) -> None:
    """Open JupyterLab on the first notebook, or on another: lab 03."""
    from gnet_utils.course.notebooks import find_notebooks

    opened = find_notebooks([options.notebook])[0]
    if options.port is not None and not 0 < options.port < 65_536:
        raise UsageError(f"--port must be a number from 1 to 65535, got {options.port}")
    try:  # Jupyter ends with a traceback
        family = socket.AF_INET6 if ":" in options.ip else socket.AF_INET
        socket.create_server((options.ip, 0), family=family).close()
    except OSError as error:
        raise UsageError(
            f"--ip must be an address of this machine, got {options.ip} ({error.strerror}): "
            "without --ip only this machine is served, with 0.0.0.0 all that can reach it"
        ) from None
    _report_data()
    command = [sys.executable, "-m", "gnet_utils.course.start_jupyterlab"]
    command += [f"--ServerApp.ip={options.ip}", f"--ServerApp.root_dir={ROOT}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{opened.name}"]
    # The settings in gnet_utils/course: no question about news at the first start, and explorers
    # are saved with their pictures. The reader's own settings win.
    paths = [str(ROOT / "gnet_utils" / "course"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if options.port:
        command.append(f"--ServerApp.port={options.port}")
    if options.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container; else Jupyter refuses
        command.append("--allow-root")
    environment.replace_process(command)


lab_options = _command(lab, sets_up=True)
text = "the lesson to open, by number or name (default: 00)"
lab_options.add_argument("notebook", nargs="?", default="00", metavar="NN", help=text)
lab_options.add_argument("--no-browser", action="store_true", help="print the address only")
text = "address of this machine to listen at; 0.0.0.0: all (default: localhost, nobody else)"
lab_options.add_argument("--ip", default="localhost", metavar="ADDRESS", help=text)
text = "port to listen at; where it is taken, Jupyter takes another (default: 8888)"
lab_options.add_argument("--port", type=int, metavar="N", help=text)

# test -------------------------------------------------------------------------------------------


def test(options: argparse.Namespace) -> int:
    """Run the unit tests and all notebooks; one summary at the end."""
    from gnet_utils.course.testing import run_tests

    return run_tests(options)


test_options = _command(test, sets_up=True)
_notebooks(test_options)
text = "run what depends on data, on the drawn stand-in for Fashion-MNIST"
test_options.add_argument("--stand-in", action="store_true", help=text)
text = "only unit tests whose names match, as for pytest; no notebooks unless named"
test_options.add_argument("-k", dest="expression", default="", help=text)
test_options.add_argument("--no-notebooks", action="store_true", help="unit tests only")
instead = test_options.add_mutually_exclusive_group()
text = "instead: explorers, slides and pages in a real browser (some minutes; needs Chromium)"
instead.add_argument("--browser", dest="slow", action="store_const", const="browser", help=text)
text = "instead: all tests that break something on purpose (some minutes)"
instead.add_argument("--faults", dest="slow", action="store_const", const="faults", help=text)

# train ------------------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> int:
    """Train a network by one of the named recipes; keep its record and its weights."""
    if options.list:
        from gnet_utils.recipes import RECIPES

        for recipe in RECIPES.values():
            print(f"{recipe.name:14} {recipe.purpose}")
        return 0
    from gnet_utils.course import train

    _check_folder(Path(options.out))
    return train.train(options)


train_options = _command(train, packages=FEW)
either = train_options.add_mutually_exclusive_group(required=True)
either.add_argument("--recipe", metavar="NAME", help="name of the recipe, for example minute")
either.add_argument("--list", action="store_true", help="say which recipes there are")
text = "seed of weights, batch order and augmentation (default: 0)"
train_options.add_argument("--seed", type=int, default=0, metavar="N", help=text)
text = "as many epochs as fit into so many minutes on this machine, not those of the recipe"
train_options.add_argument("--minutes", type=float, metavar="M", help=text)
text = "hold out 5,000 training pictures and measure on them, not on the test set"
train_options.add_argument("--validate", action="store_true", help=text)
text = "where record and weights go; a run that was cut off goes on from there"
train_options.add_argument("--out", default=CACHE / "training", metavar="FOLDER", help=text)

# bench and data ---------------------------------------------------------------------------------


def bench(options: argparse.Namespace) -> int | None:
    """Measure how fast this machine trains and infers, against what tutorials do."""
    from gnet_utils.course import bench, bench_gpu

    if options.gpu:
        folder = Path(options.out or CACHE / "bench_gpu")
        _check_folder(folder)
        minutes = 9 if options.minutes is None else options.minutes
        return bench_gpu.bench_gpu(folder, minutes, options.device)
    if options.minutes is not None:
        raise UsageError("--minutes goes with --gpu: leave it out, or take --quick")
    out = Path(options.out or CACHE / "bench.json")
    if out.is_dir():
        raise UsageError(f"--out must be a file, got the folder {out}: name a file in it")
    _check_folder(out.parent)
    bench.bench(out, options.quick, options.device)


bench_options = _command(bench, packages=FEW)
either = bench_options.add_mutually_exclusive_group()
text = "fewer rounds: under three minutes"
either.add_argument("--quick", action="store_true", help=text)
text = "instead: all that a GPU can tell, also the time to 89%% and 94%%; --out is a folder"
either.add_argument("--gpu", action="store_true", help=text)
text = "with --gpu: how long all may take (default: 9)"
bench_options.add_argument("--minutes", type=float, metavar="M", help=text)
text = "where the figures go as JSON (default: data/cache/bench.json, data/cache/bench_gpu)"
bench_options.add_argument("--out", metavar="FILE", help=text)
for command in (train_options, bench_options):
    text = "cuda, mps (Apple), xpu (Intel) or cpu (default: the fastest that is here)"
    command.add_argument("--device", default="auto", metavar="NAME", help=text)


def data(options: argparse.Namespace) -> None:
    """Say where Fashion-MNIST is; fetch or repair it first where needed."""
    _report_data("stand-in" if options.stand_in else None)


data_options = _command(data, packages=FEW)
text = "draw the stand-in for Fashion-MNIST, for a machine without network"
data_options.add_argument("--stand-in", action="store_true", help=text)

# collect ----------------------------------------------------------------------------------------


def collect(options: argparse.Namespace) -> None:
    """Read the notebooks that a class has handed in: what is right, and the commonest mistakes."""
    from gnet_utils.course import collect

    folder = Path(options.folder)
    out = Path(options.out or folder / "collected.csv")
    sys.stdout.reconfigure(errors="replace")  # names may have letters that a terminal has not
    collect.collect(folder, out)


collect_options = _command(collect, packages=(*FEW, "nbval"))
text = "where the notebooks are, also in folders of it; they are read, never run"
collect_options.add_argument("folder", metavar="FOLDER", help=text)
text = "where the table goes, students x exercises (default: collected.csv in FOLDER)"
collect_options.add_argument("--out", metavar="FILE.csv", help=text)

# render, new-exercise, bundle, slides -------------------------------------------------------------


def render(options: argparse.Namespace) -> None:
    """Execute notebooks at full length and clean them, the form in which they are committed."""
    from gnet_utils.course import notebooks

    paths = notebooks.find_notebooks(options.notebooks)
    from gnet_utils.data import prepare  # imports torch: only when the names are right

    prepare("real")
    other = environment.other_versions()
    if other:
        raise CourseError(
            f"outputs are stored with the versions of tests/constraints.txt, and here is "
            f"{', '.join(other[:3])}: leave this environment, so that render runs in .venv"
        )
    for path in paths:
        notebooks.render(path)


_notebooks(_command(render))


def new_exercise(options: argparse.Namespace) -> None:
    """Write an exercise of your own into a lesson, a small example to be changed."""
    from gnet_utils.course.new_exercise import add
    from gnet_utils.course.notebooks import find_notebooks

    add(find_notebooks([options.notebook])[0], options.name)


new_exercise_options = _command(new_exercise)
text = "the lesson, by number or name"
new_exercise_options.add_argument("notebook", metavar="NN", help=text)
text = "the exercise's name in that lesson: small letters, digits and _"
new_exercise_options.add_argument("name", metavar="NAME", help=text)


def bundle(options: argparse.Namespace) -> None:
    """Pack the course into gnet-course.zip, for Colab, a class, or a machine without network."""
    from gnet_utils.course import bundle

    if options.repo:
        bundle.write_repository(options.repo)
    data_set = None
    if options.with_data:
        from gnet_utils.data import cache_folder, prepare

        prepare("real")  # its checksums are right, or this raises
        data_set = cache_folder() / "fashion-mnist.safetensors"
    target = bundle.bundle(with_solutions=not options.no_solutions, data_set=data_set)
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    if options.no_solutions:
        print(
            "No solutions in its notebooks, no teacher's pages, no unit tests. "
            "The checks in gnet_utils/exercises know the answers still."
        )


bundle_options = _command(bundle, packages=(*FEW, "nbval"))
text = "GitHub address to write into the notebooks, with Colab badges"
bundle_options.add_argument("--repo", metavar="URL", help=text)
text = "for a class: without the folded solutions, the teacher's notes and the unit tests"
bundle_options.add_argument("--no-solutions", action="store_true", help=text)
text = "include Fashion-MNIST (30 MB), so that no network is needed"
bundle_options.add_argument("--with-data", action="store_true", help=text)


def slides(options: argparse.Namespace) -> None:
    """Make slides out of notebooks, in the folder slides/; they need no network."""
    from gnet_utils.course.notebooks import find_notebooks
    from gnet_utils.course.slides import make_slides

    made = make_slides(find_notebooks(options.notebooks), cut=options.cut)
    pages = list(made)
    for page in pages:
        if made[page]:
            print(f"Not in {page.name}: {'; '.join(made[page])}")
    index = pages[0].with_name("index.html")
    print(f"Slides of {len(pages)} notebook{'s' * (len(pages) > 1)}: open {index} in a browser")


slides_options = _command(slides)
_notebooks(slides_options)
text = "only what the teacher's page of a lesson has time for in so many minutes"
slides_options.add_argument("--cut", choices=("45", "90"), help=text)


def site(options: argparse.Namespace) -> None:
    """Make the folder site/: the lessons as web pages that answer without Python or a network."""
    if options.workflow:
        from gnet_utils.course.site import workflow

        print(f"{workflow()}: commit it, and choose GitHub Actions in the settings of Pages")
        return
    environment.add(ROOT / "requirements-site.txt")
    from gnet_utils.course.site import build
    from gnet_utils.data import prepare

    prepare("real")  # explorers show its pictures
    index = build.make_site()
    size = sum(file.stat().st_size for file in index.parent.rglob("*") if file.is_file())
    print(
        f"The site ({size / 1e6:.0f} MB): open {index} in a browser, or copy its folder to a host"
    )


text = "instead: write a GitHub workflow that publishes the site on GitHub Pages"
_command(site, sets_up=True).add_argument("--workflow", action="store_true", help=text)

# What several commands need, and the start ------------------------------------------------------


def _report_data(source=None) -> None:
    from gnet_utils.data import prepare

    found = prepare(source)
    name = "Fashion-MNIST" if found.kind == "real" else "the drawn stand-in for Fashion-MNIST"
    print(f"Data: {name} ({found.why.rstrip('.')}).", flush=True)


def _check_folder(folder: Path) -> None:
    """Find out before minutes of work whether its result can be written to `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CourseError(
            f"{folder} cannot be used ({error.strerror}): choose another --out"
        ) from error


def main(arguments=None) -> int:
    """Run one command; returns the exit code: 0 only on success, 2 for wrong usage."""
    if arguments is None:
        arguments = sys.argv[1:]
    options, unknown = PARSER.parse_known_args(arguments)
    if unknown:  # parse_args would show the general usage, not that of the command
        options.usage.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        environment.enter(arguments, options.cpu, options.wheels, options.packages)
        return options.function(options) or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # the last: by `ulimit -f`
            print("error: the disk is full: free some space, then run it again", file=sys.stderr)
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
            what = f"{error.filename} cannot be used ({error.strerror})"
            mend = "change its permissions, or copy the course to a folder of your own"
            print(f"error: {what}: {mend}", file=sys.stderr)
        else:
            raise
    except ModuleNotFoundError as error:
        package = (error.name or "gnet_utils").partition(".")[0]
        if package == "gnet_utils" or importlib.util.find_spec(package):  # it is there: our fault
            raise
        mend = f"delete {environment.VENV} and run it again"
        if not environment.is_inside():
            mend = (
                f"install it there (`{sys.executable} -m pip install -r requirements.txt`), or "
                "leave that environment, so that the course makes its own"
            )
        print(f"error: the package {package} is missing from {sys.prefix}: {mend}", file=sys.stderr)
    except CourseError as error:  # all else is a bug, and shows where
        print(f"error: {error}", file=sys.stderr)
    return 1

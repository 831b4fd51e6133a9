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
import contextlib
import errno
import importlib.util
import os
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


def _command(function, packages=(), cpu=False) -> argparse.ArgumentParser:
    """Add a command with the name and the docstring of `function`; returns it, for its options."""
    command = COMMANDS.add_parser(
        function.__name__, help=function.__doc__, description=function.__doc__
    )
    command.set_defaults(function=function, usage=command, cpu=False, packages=packages)
    if cpu:
        text = "install PyTorch without GPU support: smaller, when .venv is made"
        command.add_argument("--cpu", action="store_true", help=text)
    return command


def _notebooks(command: argparse.ArgumentParser) -> None:
    text = "only these, by number or name (default: all)"
    command.add_argument("notebooks", nargs="*", metavar="NN", help=text)


# lab --------------------------------------------------------------------------------------------


def lab(options: argparse.Namespace) -> None:
    """Open JupyterLab on the first notebook."""
    from gnet_utils.course.notebooks import find_notebooks

    first = find_notebooks(["00"])[0]
    _report_data()
    command = [sys.executable, "-m", "gnet_utils.course.start_jupyterlab"]
    command += ["--ServerApp.ip=localhost", f"--ServerApp.root_dir={ROOT}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{first.name}"]
    # The settings in gnet_utils/course: no question about news at the first start, and explorers
    # are saved with their pictures. The reader's own settings win.
    paths = [str(ROOT / "gnet_utils" / "course"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if options.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container; else Jupyter refuses
        command.append("--allow-root")
    environment.replace_process(command)


lab_options = _command(lab, cpu=True)
lab_options.add_argument("--no-browser", action="store_true", help="print the address only")

# test -------------------------------------------------------------------------------------------


def test(options: argparse.Namespace) -> int:
    """Run the unit tests and all notebooks; one summary at the end."""
    from gnet_utils.course.testing import run_tests

    return run_tests(options)


test_options = _command(test, cpu=True)
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
    from gnet_utils.recipes import RECIPES, get_recipe

    if options.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:14} {recipe.purpose}")
        return 0
    from filelock import FileLock, Timeout

    from gnet_utils import parallel

    recipe = get_recipe(options.recipe)
    files = Path(options.out) / f"{recipe.name}-seed{options.seed}"
    _check_folder(files.parent)
    device = parallel.start()
    lock = FileLock(files.with_suffix(".lock"), timeout=0)
    try:  # of several processes only the first writes
        with lock if parallel.rank() == 0 else contextlib.nullcontext():
            return _train(recipe, device, files, options)
    except Timeout:
        raise CourseError(
            f"another process trains {files.name} in {files.parent}: wait for it, or choose "
            "another --seed or --out"
        ) from None
    finally:
        parallel.stop()


def _train(recipe, device, files: Path, options: argparse.Namespace) -> int:
    import torch

    from gnet_utils import parallel
    from gnet_utils.course.bench import lasting
    from gnet_utils.data import data_source, load_fashion_mnist, split_train_validation
    from gnet_utils.recipes import build_network
    from gnet_utils.runs import begun_with
    from gnet_utils.training import BY_HAND, evaluate, fit, save_checkpoint

    first = parallel.rank() == 0
    training, validation = load_fashion_mnist("train", str(device)), None
    if options.validate:
        training, validation = split_train_validation(*training)
    state, log = files.with_suffix(".state"), files.with_suffix(".json")
    name = "validation" if options.validate else "test"
    finished = _finished(log, recipe, name)
    parallel.agree(finished, "finished runs")
    if finished:
        if first:
            print(f"{finished}; to train again delete that file, or choose another --out")
        return 0
    if options.minutes is not None:
        recipe = begun_with(state, recipe) or lasting(options.minutes, recipe, training)
    torch.manual_seed(options.seed)
    network = build_network(recipe).to(device)

    def record(so_far) -> None:
        try:
            so_far.save(log)
        except OSError as error:
            print(f"{log} cannot be written ({error.strerror}): training goes on.", file=sys.stderr)

    history = fit(
        network,
        training,
        validation,
        recipe,
        seed=options.seed,
        state=state,
        after_epoch=record if first else None,
    )
    if not first:
        return int(history.stopped != "")
    if history.stopped:
        record(history)
        on = ""
        if history.stopped.startswith(BY_HAND):  # else it would end there again
            kept = f"goes on after epoch {len(history.epochs)}"
            on = f"; the same command {kept if state.exists() else 'begins again'}"
        print(f"error: {history.stopped}{on}", file=sys.stderr)
        return 1
    measured = validation or load_fashion_mnist("test", str(device))
    loss, accuracy = evaluate(network, measured, picture_size=recipe.picture_size)
    history.results = {
        "data": data_source().kind,
        f"{name}_loss": round(loss, 4),
        f"{name}_accuracy": round(accuracy, 4),
    }
    # Views help a network that was trained on such: mirrored, and for six also shifted pictures.
    for views in (2, 6)[: recipe.mirror + (recipe.mirror and recipe.shift > 0)]:
        _, share = evaluate(network, measured, views=views, picture_size=recipe.picture_size)
        history.results[f"{name}_accuracy_{views}_views"] = round(share, 4)
    weights = files.with_suffix(".safetensors")
    save_checkpoint(network, weights, recipe=recipe.name, seed=options.seed, **history.results)
    history.save(log)  # with results: from here on the run is finished
    state.unlink(missing_ok=True)
    print(f"{name} accuracy {accuracy:.4f} after {history.seconds:.0f} s of training: {weights}")
    return 0


def _finished(log: Path, recipe, name: str) -> str:
    """What the run recorded in `log` came to, or "" where none came to its end.

    Raises CourseError when that was another run: it is not to be written over.
    """
    from gnet_utils.data import data_source
    from gnet_utils.recipes import other_settings
    from gnet_utils.runs import History

    history = History.load(log) if log.is_file() else None
    if history is None or not history.results:
        return ""
    found = history.results.get(f"{name}_accuracy")
    other = set(other_settings(recipe, history.recipe)) - {"epochs"}  # --minutes changes them
    if other or found is None or history.results["data"] != data_source().kind:
        raise CourseError(f"{log} is the record of another run: delete it, or choose another --out")
    took = f"{history.recipe['epochs']:.3g} epochs, {history.seconds:.0f} s"
    return f"{log} holds this run, finished: {name} accuracy {found:.4f} after {took}"


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


def bench(options: argparse.Namespace) -> None:
    """Measure how fast this machine trains and infers, against what tutorials do."""
    from gnet_utils.course import bench

    out = Path(options.out)
    if out.is_dir():
        raise UsageError(f"--out must be a file, got the folder {out}: name a file in it")
    _check_folder(out.parent)
    figures = bench.measure(options.quick)
    print("\n" + bench.report(figures))
    bench.save(figures, out)
    print(f"\nwritten to {out} after {figures['seconds']:.0f} s")


bench_options = _command(bench)
text = "fewer rounds: under three minutes"
bench_options.add_argument("--quick", action="store_true", help=text)
text = "where the figures go as JSON (default: data/cache/bench.json)"
bench_options.add_argument("--out", default=CACHE / "bench.json", metavar="FILE", help=text)


def data(options: argparse.Namespace) -> None:
    """Say where Fashion-MNIST is; fetch or repair it first where needed."""
    _report_data("stand-in" if options.stand_in else None)


data_options = _command(data, packages=FEW)
text = "draw the stand-in for Fashion-MNIST, for a machine without network"
data_options.add_argument("--stand-in", action="store_true", help=text)

# render, bundle, slides -------------------------------------------------------------------------


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
    notebooks.render(paths)


_notebooks(_command(render))


def bundle(options: argparse.Namespace) -> None:
    """Pack the course into gnet-course.zip, for Colab, a class, or a machine without network."""
    from gnet_utils.course import notebooks

    if options.repo:
        notebooks.write_repository(options.repo)
    data_set = None
    if options.with_data:
        from gnet_utils.data import cache_folder, prepare

        prepare("real")  # its checksums are right, or this raises
        data_set = cache_folder() / "fashion-mnist.safetensors"
        if not data_set.is_file():
            raise CourseError(
                f"{data_set.parent} cannot be written, and --with-data packs the file that it "
                "keeps: set GNET_CACHE_DIR to a folder of your own"
            )
    target = notebooks.bundle(with_solutions=not options.no_solutions, data_set=data_set)
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    if options.no_solutions:
        print(
            "No solutions in its notebooks, no TEACHING.md, no unit tests. "
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

    pages = make_slides(find_notebooks(options.notebooks))
    index = pages[0].with_name("index.html")
    print(f"Slides of {len(pages)} notebook{'s' * (len(pages) > 1)}: open {index} in a browser")


_notebooks(_command(slides))

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
        environment.enter(arguments, cpu=options.cpu, names=options.packages)
        return options.function(options) or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
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

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

from gnet_utils.base import ROOT, CourseError, UsageError, is_quick
from gnet_utils.course import environment

# All that `train` and `data` import, so that they run wherever these packages are.
FEW = ("torch", "torchvision", "numpy", "safetensors", "matplotlib", "opencv-python", "tqdm")
FEW += ("filelock",)

LARGEST_SEED = 10**12  # times a million, plus the epoch, it fits in 64 bits


def lab(options: argparse.Namespace) -> None:
    """Open JupyterLab on the first notebook."""
    from gnet_utils.course.notebooks import find_notebooks

    first = find_notebooks(["00"])[0]
    _report_data()
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=localhost"]
    command += [f"--ServerApp.root_dir={ROOT}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{first.name}"]
    # The folder labconfig there: no question about news at the first start, and explorers are
    # saved with their pictures. The reader's own settings win.
    paths = [str(ROOT / "gnet_utils" / "course"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if options.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container; else Jupyter refuses
        command.append("--allow-root")
    environment.replace_process(command)


def test(options: argparse.Namespace) -> int:
    """Run the unit tests and all notebooks; one summary at the end."""
    from gnet_utils.course.testing import run_tests

    return run_tests(
        options.notebooks,
        stand_in=options.stand_in,
        expression=options.expression,
        with_notebooks=not options.no_notebooks,
        slow=options.slow,
    )


def train(options: argparse.Namespace) -> int:
    """Train a network by one of the named recipes; keep its record and its weights."""
    from gnet_utils.recipes import RECIPES, get_recipe

    if options.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:14} {recipe.purpose}")
        return 0
    from gnet_utils.course import parallel

    recipe = get_recipe(options.recipe)
    if abs(options.seed) > LARGEST_SEED:
        raise UsageError(f"--seed must be within +-{LARGEST_SEED:,}, got {options.seed}")
    device = parallel.start()
    try:
        with _alone(Path(options.out) / f"{recipe.name}-seed{options.seed}.lock"):
            return _train(recipe, device, options)
    finally:
        parallel.stop()


@contextlib.contextmanager
def _alone(lock: Path):
    """Hold `lock` while training: found out before it that nothing can be written there."""
    from gnet_utils.course import parallel

    if parallel.rank() > 0:  # of several processes only the first writes
        yield
        return
    with _said_of(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "ab")  # noqa: SIM115 - closed below
    with file:
        # One that another process unlinks as it ends, between our two calls, guards nothing.
        if not (environment.try_lock(file) and _is_at(lock, file)):
            raise CourseError(
                f"another process trains {lock.stem} in {lock.parent}: wait for it, or choose "
                "another --seed or --out"
            )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows keeps open files
                lock.unlink()


@contextlib.contextmanager
def _said_of(place: Path):
    """Turn what the system says of a place where nothing can be written into one sentence."""
    try:
        yield
    except OSError as error:
        raise CourseError(
            f"{error.filename or place} cannot be used ({error.strerror}): choose another --out"
        ) from error


def _is_at(path: Path, file) -> bool:
    """Whether the open `file` is still the one at `path`."""
    return path.exists() and os.path.samestat(os.stat(path), os.fstat(file.fileno()))


def _train(recipe, device, options: argparse.Namespace) -> int:
    import torch

    from gnet_utils.course import parallel
    from gnet_utils.data import data_source, load_fashion_mnist, split_train_validation
    from gnet_utils.recipes import build_network
    from gnet_utils.training import BY_HAND, begun_with, evaluate, fit, save_checkpoint

    first = parallel.rank() == 0  # of several processes only the first writes
    training, validation = load_fashion_mnist("train", str(device)), None
    if options.validate:
        training, validation = split_train_validation(*training)
    files = Path(options.out) / f"{recipe.name}-seed{options.seed}"
    state, log = files.with_suffix(".state"), files.with_suffix(".json")
    name = "validation" if options.validate else "test"
    finished = _finished(log, recipe, name, options.minutes)
    parallel.agree(finished, "finished runs")
    if finished:
        if first:
            print(f"{finished}; to train again delete that file, or choose another --out")
        return 0
    if options.minutes is not None:
        recipe = begun_with(state, recipe) or _lasting(options.minutes, recipe, training)
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


def _finished(log: Path, recipe, name: str, minutes: float | None) -> str:
    """What the run recorded in `log` came to, or "" where none came to its end.

    Raises CourseError when that was another run: it is not to be written over.
    """
    from gnet_utils.data import data_source
    from gnet_utils.recipes import other_settings
    from gnet_utils.training import History

    try:
        history = History.load(log)
    except CourseError:
        return ""
    if not history.results:
        return ""
    other = other_settings(recipe, history.recipe)
    if "epochs" in other and (minutes is not None or is_quick()):
        other.remove("epochs")  # not the recipe's own
    other += ["data"] * (history.results.get("data") != data_source().kind)
    found = history.results.get(f"{name}_accuracy")
    if other or found is None:
        raise CourseError(
            f"{log} is the record of another run ({', '.join(other) or f'no {name} accuracy'}): "
            "delete it, or choose another --out"
        )
    took = f"{history.recipe['epochs']:.3g} epochs, {history.seconds:.0f} s"
    return f"{log} holds this run, finished: {name} accuracy {found:.4f} after {took}"


def _lasting(minutes: float, recipe, training):
    """The recipe with as many epochs as fit into so many minutes here."""
    import dataclasses

    from gnet_utils.course import bench, parallel

    if parallel.world() > 1:
        raise UsageError("--minutes is for one process: each would measure a speed of its own")
    epochs = bench.epochs_within(minutes, recipe, training)
    print(f"{epochs:g} epochs fit into {minutes:g} min here.", flush=True)
    return dataclasses.replace(recipe, epochs=epochs)


def bench(options: argparse.Namespace) -> None:
    """Measure how fast this machine trains and infers, against what tutorials do."""
    from gnet_utils.course import bench

    out = Path(options.out)
    if out.is_dir():
        raise UsageError(f"--out must be a file, got the folder {out}: name a file in it")
    with _said_of(out):  # before the ten minutes
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    figures = bench.measure(options.quick)
    print("\n" + bench.report(figures))
    bench.save(figures, out)
    print(f"\nwritten to {out} after {figures['seconds']:.0f} s")


def data(options: argparse.Namespace) -> None:
    """Say where Fashion-MNIST is; fetch or repair it first where needed."""
    _report_data("stand-in" if options.stand_in else None)


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


def slides(options: argparse.Namespace) -> None:
    """Make slides out of notebooks, in the folder slides/; they need no network."""
    from gnet_utils.course.notebooks import find_notebooks
    from gnet_utils.course.slides import make_slides

    pages = make_slides(find_notebooks(options.notebooks))
    index = pages[0].with_name("index.html")
    print(f"Slides of {len(pages)} notebook{'s' * (len(pages) > 1)}: open {index} in a browser")


def _report_data(source=None) -> None:
    from gnet_utils.data import prepare

    found = prepare(source)
    name = "Fashion-MNIST" if found.kind == "real" else "the drawn stand-in for Fashion-MNIST"
    print(f"Data: {name} ({found.why.rstrip('.')}).", flush=True)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m gnet_utils", description=__doc__.split(":")[0])
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(function, cpu: bool = False, packages=()) -> argparse.ArgumentParser:
        text = function.__doc__.splitlines()[0]
        command = commands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function, usage=command, cpu=False, packages=packages)
        if cpu:
            help = "install PyTorch without GPU support: smaller, when .venv is made"
            command.add_argument("--cpu", action="store_true", help=help)
        return command

    command = add(lab, cpu=True)
    command.add_argument("--no-browser", action="store_true", help="print the address only")

    command = add(test, cpu=True)
    help = "only these, by number or name (default: all)"
    command.add_argument("notebooks", nargs="*", metavar="NN", help=help)
    help = "run what depends on data, on the drawn stand-in for Fashion-MNIST"
    command.add_argument("--stand-in", action="store_true", help=help)
    help = "only unit tests whose names match, as for pytest; no notebooks unless named"
    command.add_argument("-k", dest="expression", default="", help=help)
    command.add_argument("--no-notebooks", action="store_true", help="unit tests only")
    instead = command.add_mutually_exclusive_group()
    help = "instead: explorers, slides and pages in a real browser (some minutes; needs Chromium)"
    instead.add_argument("--browser", dest="slow", action="store_const", const="browser", help=help)
    help = "instead: all tests that break something on purpose (some minutes)"
    instead.add_argument("--faults", dest="slow", action="store_const", const="faults", help=help)

    command = add(train, packages=FEW)
    either = command.add_mutually_exclusive_group(required=True)
    help = "name of the recipe, for example minute"
    either.add_argument("--recipe", metavar="NAME", help=help)
    either.add_argument("--list", action="store_true", help="say which recipes there are")
    help = "seed of weights, batch order and augmentation (default: 0)"
    command.add_argument("--seed", type=int, default=0, metavar="N", help=help)
    help = "as many epochs as fit into so many minutes on this machine, not those of the recipe"
    command.add_argument("--minutes", type=float, metavar="M", help=help)
    help = "hold out 5,000 training pictures and measure on them, not on the test set"
    command.add_argument("--validate", action="store_true", help=help)
    help = "where record and weights go; a run that was cut off goes on from there"
    folder = ROOT / "data" / "cache" / "training"
    command.add_argument("--out", default=folder, metavar="FOLDER", help=help)

    command = add(bench)
    command.add_argument("--quick", action="store_true", help="fewer rounds: under three minutes")
    help = "where the figures go as JSON (default: data/cache/bench.json)"
    figures = ROOT / "data" / "cache" / "bench.json"
    command.add_argument("--out", default=figures, metavar="FILE", help=help)

    command = add(data, packages=FEW)
    help = "draw the stand-in for Fashion-MNIST, for a machine without network"
    command.add_argument("--stand-in", action="store_true", help=help)

    command = add(render)
    command.add_argument("notebooks", nargs="*", metavar="NN", help="which ones (default: all)")

    command = add(bundle, packages=(*FEW, "nbval"))
    help = "GitHub address to write into the notebooks, with Colab badges"
    command.add_argument("--repo", metavar="URL", help=help)
    help = "for a class: without the folded solutions, the teacher's notes and the unit tests"
    command.add_argument("--no-solutions", action="store_true", help=help)
    help = "include Fashion-MNIST (30 MB), so that no network is needed"
    command.add_argument("--with-data", action="store_true", help=help)

    command = add(slides)
    command.add_argument("notebooks", nargs="*", metavar="NN", help="which ones (default: all)")
    return parser


def main(arguments=None) -> int:
    """Run one command; returns the exit code: 0 only on success, 2 for wrong usage."""
    if arguments is None:
        arguments = sys.argv[1:]
    options, unknown = build_parser().parse_known_args(arguments)
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
        what = f"the package {package} is missing from {sys.prefix}"
        print(f"error: {what}: {environment.how_to_mend()}", file=sys.stderr)
    except CourseError as error:  # all else is a bug, and shows where
        print(f"error: {error}", file=sys.stderr)
    return 1

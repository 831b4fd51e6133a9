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
import os
from pathlib import Path

from gnet_utils import environment
from gnet_utils.errors import CourseError

# All that `train` and `data` import, so that they run wherever these packages are.
FEW = ("torch", "torchvision", "numpy", "safetensors", "matplotlib", "opencv-python", "tqdm")


def lab(options: argparse.Namespace) -> None:
    """Open JupyterLab on the first notebook."""
    from gnet_utils.notebooks import find_notebooks

    first = find_notebooks(["00"])[0]
    _report_data()
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=localhost"]
    command += [f"--ServerApp.root_dir={environment.ROOT}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{first.name}"]
    if options.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container; else Jupyter refuses
        command.append("--allow-root")
    environment.replace_process(command)


def test(options: argparse.Namespace) -> int:
    """Run the unit tests and all notebooks; one summary at the end."""
    from gnet_utils.testing import run_tests

    return run_tests(
        options.notebooks,
        stand_in=options.stand_in,
        expression=options.expression,
        with_notebooks=not options.no_notebooks,
    )


def train(options: argparse.Namespace) -> int:
    """Train a network by one of the named recipes; keep its record and its weights."""
    from gnet_utils.recipes import RECIPES

    if options.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:14} {recipe.purpose}")
        return 0
    import torch

    from gnet_utils.data import data_source, load_fashion_mnist, split_train_validation
    from gnet_utils.recipes import build_network, get_recipe
    from gnet_utils.training import evaluate, fit, save_checkpoint

    recipe = get_recipe(options.recipe)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    network = build_network(recipe).to(device)
    training, validation = load_fashion_mnist("train", device), None
    if options.validate:
        training, validation = split_train_validation(*training)
    files = Path(options.out) / f"{recipe.name}-seed{options.seed}"
    state = files.with_suffix(".state")
    history = fit(network, training, validation, recipe, seed=options.seed, state=state)
    if history.stopped:
        print(f"error: {history.stopped}; the same command goes on from there", file=sys.stderr)
        return 1
    measured = validation or load_fashion_mnist("test", device)
    loss, accuracy = evaluate(network, measured, picture_size=recipe.picture_size)
    _, with_views = evaluate(network, measured, views=6, picture_size=recipe.picture_size)
    name = "validation" if validation else "test"
    history.results = {
        "data": data_source().kind,
        f"{name}_loss": round(loss, 4),
        f"{name}_accuracy": round(accuracy, 4),
        f"{name}_accuracy_6_views": round(with_views, 4),
    }
    history.save(files.with_suffix(".json"))
    weights = files.with_suffix(".safetensors")
    save_checkpoint(network, weights, recipe=recipe.name, seed=options.seed, **history.results)
    state.unlink(missing_ok=True)
    print(f"{name} accuracy {accuracy:.4f} after {history.seconds:.0f} s of training: {weights}")
    return 0


def data(options: argparse.Namespace) -> None:
    """Say where Fashion-MNIST is; fetch or repair it first where needed."""
    _report_data("stand-in" if options.stand_in else None, retry=True)


def render(options: argparse.Namespace) -> None:
    """Execute notebooks at full length and clean them, the form in which they are committed."""
    from gnet_utils import notebooks

    paths = notebooks.find_notebooks(options.notebooks)
    from gnet_utils.data import prepare  # imports torch: only when the names are right

    prepare("real")
    notebooks.render(paths)


def bundle(options: argparse.Namespace) -> None:
    """Pack the course into gnet-course.zip, for Colab or a machine without network."""
    from gnet_utils import notebooks

    if options.repo:
        notebooks.write_repository(options.repo)
    target = notebooks.bundle()
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


def _report_data(source=None, retry: bool = False) -> None:
    from gnet_utils.data import prepare

    found = prepare(source, retry=retry)
    name = "Fashion-MNIST" if found.kind == "real" else "the drawn stand-in for Fashion-MNIST"
    print(f"Data: {name} ({found.why.rstrip('.')}).", flush=True)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m gnet_utils", description=__doc__.split(":")[0])
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(function, cpu: bool = False, packages=()) -> argparse.ArgumentParser:
        text = function.__doc__.splitlines()[0]
        command = commands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function, cpu=False, packages=packages)
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

    command = add(train, packages=FEW)
    help = "name of the recipe (default: minute)"
    command.add_argument("--recipe", default="minute", metavar="NAME", help=help)
    command.add_argument("--list", action="store_true", help="say which recipes there are")
    help = "seed of weights, batch order and augmentation (default: 0)"
    command.add_argument("--seed", type=int, default=0, metavar="N", help=help)
    help = "hold out 5,000 training pictures and measure on them, not on the test set"
    command.add_argument("--validate", action="store_true", help=help)
    help = "where record and weights go; a run that was cut off goes on from there"
    folder = environment.ROOT / "data" / "cache" / "training"
    command.add_argument("--out", default=folder, metavar="FOLDER", help=help)

    command = add(data, packages=FEW)
    help = "draw the stand-in for Fashion-MNIST, for a machine without network"
    command.add_argument("--stand-in", action="store_true", help=help)

    command = add(render)
    command.add_argument("notebooks", nargs="*", metavar="NN", help="which ones (default: all)")

    command = add(bundle, packages=("nbval",))
    help = "GitHub address to write into the notebooks, with Colab badges"
    command.add_argument("--repo", metavar="URL", help=help)
    return parser


def main(arguments=None) -> int:
    """Run one command; returns the exit code: 0 only on success, 2 for wrong usage."""
    if arguments is None:
        arguments = sys.argv[1:]
    options = build_parser().parse_args(arguments)
    try:
        environment.enter(arguments, cpu=options.cpu, names=options.packages)
        return options.function(options) or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print("error: the disk is full: free some space, then run it again", file=sys.stderr)
    except (CourseError, ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""The stop button in any cell, cells run twice and out of order: nothing breaks, and what was
trained so far is kept and said so."""

import random

import pytest
from kernels import Kernel, code_cells, is_compared, notebook_names, plain, stored_text

# Stopped while PyTorch or torchvision is imported, Python needs a new kernel: not ours to mend.
IMPORTS = (
    "import cv2, ipywidgets, matplotlib.pyplot, numpy, torch, torchvision, torch.utils.flop_counter"
)


@pytest.mark.faults
@pytest.mark.parametrize("name", notebook_names())
def test_every_cell_can_be_stopped_and_then_all_run_again(name):
    rng, stopped = random.Random(name), 0
    cells = code_cells(name)
    with Kernel() as kernel:
        assert kernel.run(IMPORTS).error == ""
        for number, cell in enumerate(cells, 1):
            done = kernel.run(cell["source"], stop_after=rng.choice([0.02, 0.1, 0.3, 1.0]))
            assert done.error in ("", "KeyboardInterrupt"), (number, done)
            stopped += done.stopped
            if done.error:  # without it the cells below have nothing to work on
                again = kernel.run(cell["source"])
                assert again.error == "", (number, again)
        for number, cell in enumerate(cells, 1):
            done = kernel.run(cell["source"])
            assert done.error == "", (number, done)
            if is_compared(cell):
                assert plain(done.text) == plain(stored_text(cell)), number
    print(f"{name}: {stopped} of {len(cells)} cells stopped")
    assert stopped


@pytest.mark.faults
@pytest.mark.parametrize("name", notebook_names())
def test_every_cell_can_run_twice_and_then_in_any_order(name):
    rng, cells = random.Random(name), code_cells(name)
    with Kernel() as kernel:
        for number, cell in enumerate(cells, 1):
            for _ in range(2):
                done = kernel.run(cell["source"])
                assert done.error == "", (number, done)
                if is_compared(cell):
                    assert plain(done.text) == plain(stored_text(cell)), number
        for cell in rng.sample(cells, min(len(cells), 15)):
            done = kernel.run(cell["source"])
            one_sentence = done.error in ("ValueError", "CourseError", "AssertionError")
            assert done.error == "" or (one_sentence and done.message), (cell["source"], done)


@pytest.mark.faults
def test_gradients_that_a_stop_left_off_are_on_in_the_next_cell():
    """As after a stop between the last line of a no_grad block and its end."""
    with Kernel() as kernel:
        kernel.run("import sys; sys.path.insert(0, '..')")
        assert kernel.run("import torch, gnet_utils; torch.set_grad_enabled(False)").error == ""
        assert kernel.run("print(torch.is_grad_enabled())").text == "True\n"


TRAINING = """
import dataclasses, torch
from gnet_utils.recipes import build_network, get_recipe
from gnet_utils.training import fit
recipe = dataclasses.replace(get_recipe("minute"), epochs=500)
data = torch.randint(0, 256, (1024, 1, 28, 28), dtype=torch.uint8), torch.arange(1024) % 10
torch.manual_seed(0)
net = build_network(recipe)
before = torch.cat([p.detach().flatten() for p in net.parameters()])
"""
WARM = """
few = tuple(part[:256] for part in data)
fit(net, few, None, dataclasses.replace(recipe, epochs=1), progress=False)
"""
FIT = "history = fit(net, data, None, recipe)"
LOOK = (
    "after = torch.cat([p.detach().flatten() for p in net.parameters()])\n"
    "print(int(history.stopped.split()[4]) > 0, bool((before != after).any()),"
    " bool(after.isfinite().all()), history.stopped)\n"
    "before = after"
)


@pytest.mark.faults
def test_training_that_is_stopped_keeps_what_it_learned_and_goes_on_when_asked():
    with Kernel(GNET_QUICK="0") as kernel:
        kernel.run("import sys; sys.path.insert(0, '..')")
        assert kernel.run(TRAINING).error == ""
        assert kernel.run(WARM).error == ""  # the first step of all takes seconds
        for _ in range(3):  # the same cell again trains the same network further
            done = kernel.run(FIT, stop_after=8.0)
            assert done.error == "" and done.stopped, done
            assert "Training ended early: stopped by hand after" in done.text
            looked = kernel.run(LOOK)
            assert looked.error == "" and looked.text.startswith("True True True stopped by hand")

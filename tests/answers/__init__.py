"""Right and wrong answers to every exercise, one module for each notebook.

RIGHT maps the name of an exercise to answers of many forms, WRONG to pairs of a wrong answer and
words of what it is told. The numbers that an exercise names as mistakes stand in the exercise.
"""

from importlib import import_module
from pathlib import Path

import torch

RIGHT: dict[str, list] = {}
WRONG: dict[str, list] = {}

for path in sorted(Path(__file__).parent.glob("n[0-9][0-9].py")):
    torch.manual_seed(0)  # modules among the answers have random weights
    answers = import_module(f"answers.{path.stem}")
    RIGHT |= answers.RIGHT
    WRONG |= answers.WRONG

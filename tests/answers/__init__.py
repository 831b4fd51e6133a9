"""Right and wrong answers to every exercise, one module for each notebook.

RIGHT maps the name of an exercise to answers of many forms, WRONG to pairs of a wrong answer and
words of what it is told. The numbers that an exercise names as mistakes stand in the exercise.
"""

from importlib import import_module

import torch

RIGHT: dict[str, list] = {}
WRONG: dict[str, list] = {}

for number in range(11):
    torch.manual_seed(0)  # modules among the answers have random weights
    answers = import_module(f"answers.n{number:02}")
    RIGHT |= answers.RIGHT
    WRONG |= answers.WRONG

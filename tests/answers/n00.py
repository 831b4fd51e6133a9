"""Right answers of many forms to notebook 00, and wrong ones with words of what they are told."""

from answers.forms import forms

RIGHT = {"00.pixels": forms(784)}

WRONG = {}

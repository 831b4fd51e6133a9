"""Explorers: pure functions from the state of the controls to a Figure, one module a notebook."""

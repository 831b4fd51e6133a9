"""The recorded comparisons of the notebooks: one module each, run from the command line."""

"""Workshop of the GoogLeNet course: what the notebooks need twice, what is long, what must be fast."""

__version__ = "0.1.0"

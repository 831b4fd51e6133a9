"""Workshop of the GoogLeNet course: what notebooks need twice, what is long or must be fast."""

__version__ = "0.1.0"

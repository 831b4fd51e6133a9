"""The course as a web site that answers without a kernel: `python -m gnet_utils site`."""

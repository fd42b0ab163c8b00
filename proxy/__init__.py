"""Pointsman: every coding tool, every model account, routes written down in files."""

__version__ = "0.1.0"

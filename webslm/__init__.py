"""webslm: a declarative build system for language models that run in a browser."""

__version__ = "0.1.0"
__all__ = ["__version__"]

"""webslm: a declarative build system for language models that run in a browser."""

import os

# Here, since huggingface_hub reads it once, when whatever imports it first does so.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["__version__"]

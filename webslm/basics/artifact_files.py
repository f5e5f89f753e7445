"""Own the names of the documents that one stage leaves and another room reads.

A document that only its own stage knows is named there; rows are named in ``rows.artifact``, the
files of a model in ``model_files``.
"""

from __future__ import annotations

BASE = "base.json"
"""Of ``base``: where it came from, what it lacks, how it was trained."""
INSPECTION = "inspect.json"
TRAIN_LOG = "train_log.json"
"""Of ``finetune``."""
CONVERSION = "convert.json"
LIBRARY = "library.json"
"""Of ``compile``: what is known of the library beside it."""
PAGE_PROMPTS = "page_prompts.json"
"""Of ``chat_config``, where the page renders prompts itself."""
REFERENCE = "reference.json"
"""Of ``golden``: torch's whole answers."""
GOLDEN = "golden.json"
"""Of ``golden``: the start of some, for the page's self-test."""
EVALUATION = "evaluate.json"

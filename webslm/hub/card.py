"""Own a model card in the hub library's own terms: metadata written and read back by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webslm.basics.errors import PublishError

TASK = "text-generation"


def render(
    metadata: Mapping[str, Any],
    results: Iterable[tuple[str, str, float]],
    body: str,
    *,
    dataset: str,
) -> str:
    """Return the text of a README.md whose metadata the library accepts.

    Args:
        metadata: Values by the hub's names.
        results: (metric type, name, value) of what was measured.
        body: Markdown below the metadata.
        dataset: What was measured on.

    Raises:
        PublishError: The library refuses the metadata.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    try:
        measured = [
            EvalResult(
                task_type=TASK,
                dataset_type="webslm",
                dataset_name=dataset,
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 4),
            )
            for kind, name, value in results
        ]
        data = ModelCardData(**metadata, eval_results=measured or None)
        text = f"---\n{data.to_yaml()}\n---\n\n{body}"
        # Its reader is stricter than its writer.
        ModelCard(text)
    except (ValueError, TypeError, KeyError) as exc:
        first = str(exc).splitlines()[0]
        raise PublishError(f"publish: the hub's library refuses the model card: {first}") from exc
    return text

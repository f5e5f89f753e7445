"""Own the records by which web-llm, in a page that is not ours, loads a site's models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin

MEGABYTE = 1 << 20


def app_config(models: Sequence[dict[str, Any]], url: str | None) -> dict[str, Any]:
    """Return web-llm's ``appConfig`` for models of one site.

    A model with a library for float16 has a second record, ``<id>-f16``, over the same weights.

    Args:
        models: What the page knows of each, as ``webslm.json`` holds it.
        url: Address of the site; None leaves the records' addresses relative to it, and whoever
            reads them makes them absolute, which web-llm does not do.
    """
    return {"model_list": [_record(one, url) for model in models for one in _variants(model)]}


def _variants(model: dict[str, Any]) -> list[dict[str, Any]]:
    others = [one for one in model.get("libs", []) if one["lib"] != model["lib"]]
    named = ({**model, **one, "id": f"{model['id']}-{one['arithmetic']}"} for one in others)
    return [model, *named]


def _record(model: dict[str, Any], url: str | None) -> dict[str, Any]:
    memory = model["memory"]
    site = f"{url.rstrip('/')}/" if url else ""
    return {
        "model": urljoin(site, model["url"]),
        "model_id": model["id"],
        "model_lib": urljoin(site, model["lib"]),
        "required_features": model["required_features"],
        "vram_required_MB": round(memory["total_bytes"] / MEGABYTE, 2),
        "buffer_size_required_bytes": memory["largest_buffer_bytes"],
        "overrides": {"context_window_size": model["context_window_size"]},
        "integrity": {**model["integrity"], "onFailure": "error"},
    }

"""Own the words that go with a published build: model card and release notes, from the lock alone.

Nothing is claimed here that the lock does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any

from webslm.model.weights.format import SHADER_F16
from webslm.publish.delivered import Delivered

HUB_LICENCES = (
    *("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0"),
    *("gpl-3.0", "openrail", "gemma", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3"),
)
"""Identifiers that the hub knows; any other licence is ``other`` with its name."""


def metadata(site: Delivered) -> dict[str, Any]:
    """Return the card's metadata under the hub's names."""
    lock, licence = site.lock, str(site.lock["base"]["licence"])
    known = licence.casefold() in HUB_LICENCES
    base_id = lock["base"]["id"]
    found: dict[str, Any] = {
        "license": licence.casefold() if known else "other",
        "license_name": None if known else _identifier(licence),
        "license_link": None if known or not base_id else f"https://huggingface.co/{base_id}",
        "base_model": base_id,
        "base_model_relation": ("finetune" if _training(site) else "quantized")
        if base_id
        else None,
        "library_name": "mlc-llm",
        "pipeline_tag": "text-generation",
        "tags": sorted({"web-llm", "webgpu", "webslm", _quant(site), _domain(site)}),
        "model_name": site.name,
    }
    return {key: value for key, value in found.items() if value is not None}


def results(site: Delivered) -> Iterator[tuple[str, str, float]]:
    """Yield (metric type, name, value) of what the browser's proof measured."""
    verify = site.lock["metrics"].get("verify")
    if verify is None:
        return
    answers = verify["answers"]
    if _training(site) and answers:
        yield "rouge", "ROUGE-L on trained questions", mean(row["rouge_l"] for row in answers)
        yield (
            "stopped",
            "share of answers that stop by themselves",
            mean(float(row["stopped"]) for row in answers),
        )
        yield (
            "rouge",
            "ROUGE-L of the untuned base on the same questions",
            mean(row["rouge_l"] for row in verify["base_answers"]),
        )
    for reference, words in (("dequantized", "the quantized weights"), ("merged", "full weights")):
        yield (
            "greedy_agreement",
            f"prompts whose greedy tokens in the browser are torch's with {words}",
            verify["greedy_agreement"][reference],
        )


def model_card(site: Delivered, address: str) -> str:
    """Return the body of a model card as Markdown.

    Args:
        site: The build.
        address: Where the model's files lie, with a slash at its end.
    """
    parts = [
        f"# {site.name}",
        f"A language model that runs in the browser (WebGPU, web-llm {_web_llm(site)}), "
        f"made with webslm {site.lock['webslm']}.",
        *_evaluation(site),
        *_origin(site),
        *_loading(site, address),
        *_limits(site),
        "## Reproduce",
        f"`webslm.lock.json` holds every version, digest and setting; "
        f"`{' '.join(site.lock['command'])}` built it.",
    ]
    return "\n\n".join(parts) + "\n"


def release_notes(site: Delivered, archive: str, size: int, digest: str) -> str:
    """Return the notes of a release.

    Args:
        site: The build.
        archive: The archive's file name.
        size: Its bytes.
        digest: Its sha256.
    """
    parts = [
        f"# {site.name}",
        f"`{archive}` ({size} bytes, sha256 `{digest}`) holds the site and its lock. Unpack it and "
        f"serve the folder `{site.name}/bundle` from any static host over https.",
        "**Do not point a page at files of this release.** Release assets are answered without "
        "CORS headers, so a browser refuses them from any other origin.",
        *_evaluation(site),
        *_origin(site),
        *_limits(site),
    ]
    return "\n\n".join(parts) + "\n"


def _evaluation(site: Delivered) -> list[str]:
    found = list(results(site))
    if not found:
        return ["## Evaluation", "None: no browser has run this build."]
    verify = site.lock["metrics"]["verify"]
    rows = "\n".join(f"| {name} | {value:.3f} |" for _, name, value in found)
    told = (
        f"{len(verify['answers'])} questions, measured in {verify['browser']} on "
        f"{verify['adapter']}. Trained questions show what was memorised, not what is known."
    )
    return ["## Evaluation", told, f"| measure | value |\n|---|---|\n{rows}"]


def _origin(site: Delivered) -> list[str]:
    base, config = site.lock["base"], site.lock["config"]
    lines = [
        f"- Base: {base['id'] or base['name']}"
        + (f" at commit `{base['commit']}`" if base["commit"] else "")
        + (f", {base['origin']}" if base.get("origin") else "")
        + f"; licence {base['licence']}, which binds this model too",
        f"- Format: {_quant(site)}, context of {site.page['model']['context_window_size']} tokens",
    ]
    if found := _training(site):
        lora, rows = config["lora"], site.lock["metrics"]["data"]["train"]["rows"]
        lines.append(
            f"- Tuning: LoRA r {lora['r']}, alpha {lora['alpha']}, {lora['epochs']:g} epochs over "
            f"{rows} rows, {found['steps']} steps, seed {site.lock['seed']}"
        )
    return ["## Where it comes from", "\n".join(lines)]


def _loading(site: Delivered, address: str) -> list[str]:
    model = site.page["model"]
    entry = {
        "model_id": site.name,
        "model": address,
        "model_lib": address + library_name(site),
        "required_features": model["required_features"],
    }
    prompt = site.page["system_prompt"]
    decoding = {key: site.page["decoding"][key] for key in ("temperature", "top_p", "max_tokens")}
    messages = [{"role": "user", "content": "..."}]
    if prompt:
        messages.insert(0, {"role": "system", "content": prompt})
    request = _js({"messages": messages, **decoding})
    code = (
        f'import {{ CreateMLCEngine }} from "@mlc-ai/web-llm"; // exactly {_web_llm(site)}\n'
        f"const model = {_js(entry)};\n"
        f"const appConfig = {{ model_list: [model] }};\n"
        f"const engine = await CreateMLCEngine(model.model_id, {{ appConfig }});\n"
        f"const answer = await engine.chat.completions.create({request});"
    )
    text = (
        f"The library belongs to web-llm {_web_llm(site)}: another release may refuse it. A "
        "browser can load the files only while this repository is public."
    )
    if prompt and _training(site):
        text += " Keep the system prompt: the model was tuned with it."
    return ["## Load it", text, f"```js\n{code}\n```"]


def _limits(site: Delivered) -> list[str]:
    lines = [f"- {site.page['disclaimer']}"] if site.page.get("disclaimer") else []
    if _training(site):
        lines.append(
            "- Small sets of rows teach a style, not knowledge: expect wrong facts, keep a human "
            "in the loop."
        )
    if SHADER_F16 in site.page["model"]["required_features"]:
        lines.append("- Needs a WebGPU adapter with `shader-f16`.")
    if not site.proven:
        lines.append("- No browser has proven this build.")
    mebibytes = site.page["model"]["memory"]["total_bytes"] / (1 << 20)
    lines.append(
        f"- Needs about {mebibytes:.0f} MiB of graphics memory, by the library's own count."
    )
    return ["## Limits", "\n".join(lines)]


def library_name(site: Delivered) -> str:
    """Return the library's file name, which holds its digest."""
    return str(site.page["model"]["lib"]).rpartition("/")[2]


def _training(site: Delivered) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = site.lock["metrics"].get("finetune")
    return found


def _web_llm(site: Delivered) -> str:
    return str(site.lock["matrix"]["web_llm"])


def _quant(site: Delivered) -> str:
    return str(site.lock["config"]["quant"]["name"])


def _domain(site: Delivered) -> str:
    return str(site.lock["config"]["domain"]["name"])


def _identifier(text: str) -> str:
    return "-".join(text.casefold().split())


def _js(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)

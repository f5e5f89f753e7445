"""Own the static site: page, web-llm, library, weights, and a manifest of all of it.

Every URL in it is relative, and everything that a browser keeps for ever is named by its
content: the library by its hash, the weights' folder by a digest of the files in it. A rebuilt
site therefore never meets the old one's leftovers in a visitor's cache.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from webslm.basics import artifact_files, fs, model_files, paths
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.stage import Context, Metrics
from webslm.bundle import delivery, hosting, npm, page_facts, records
from webslm.bundle.model_entry import model_entry, only_library, read_json
from webslm.compiler.wasm.contract import contract_of
from webslm.rows import artifact
from webslm.rows.artifact import read_rows
from webslm.rows.dataset import normal
from webslm.schema import BundleStageConf, Mode

VERSION = 1
SCHEMA = 1
LIBRARIES = ("compile", "compile_f16")
_HOST = re.compile(r"\b(?:https?|wss?):(?:\\?/){2}|[\"'(]//[\w.-]+\.\w")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def run(cfg: BundleStageConf, inputs: Mapping[str, Path], out: Path, ctx: Context) -> Metrics:
    """Assemble the site under ``out``.

    Raises:
        ConfigError: The build's name cannot be a folder in a URL.
        EnvironmentMismatch: web-llm cannot be had, or is not the pinned one.
        StageFailed: An input lacks a file, the page names a foreign host, or the site is larger
            than its host allows.
    """
    if not _NAME.fullmatch(cfg.name):
        raise ConfigError(
            f"name: {cfg.name!r} cannot stand in a web address",
            hint="use letters, digits, '.', '_' and '-' only: name=my-assistant",
        )
    stats = read_json(inputs["data"], artifact.STATS)
    draft = out / "draft"
    fs.copy_tree(paths.site_dir(), draft)
    vendor(
        draft, npm.fetch_web_llm(ctx.cache_dir, cfg.runtime.web_llm, cfg.runtime.web_llm_integrity)
    )
    marked = npm.fetch(ctx.cache_dir, npm.MARKED)
    vendor(draft, marked, name="marked", licence=marked.parent.parent / npm.MARKED.licence)
    if (inputs["chat_config"] / artifact_files.PAGE_PROMPTS).is_file():
        vendor(draft, npm.fetch(ctx.cache_dir, npm.JINJA), name="jinja")
    libraries = [only_library(stage, inputs[stage]) for stage in LIBRARIES if stage in inputs]
    for library in libraries:
        fs.link_or_copy(library, out / "lib" / library.name)
    model = add_model(out, cfg.name, inputs["convert"], inputs["chat_config"], libraries, cfg)
    base = None
    if "convert_base" in inputs:
        folders = inputs["convert_base"], inputs["chat_config"]
        base = add_model(out, f"{cfg.name}-base", *folders, libraries, cfg)
    write_facts(draft, cfg, inputs)
    trained = trained_questions(inputs["data"] / artifact.TRAIN) if "finetune" in inputs else set()
    questions = cfg.domain.questions
    if questions is None:
        questions = page_facts.starters(inputs["data"] / artifact.TRAIN)
    site = site_config(cfg, stats["system_prompt"], questions, trained, model)
    site["base"] = base
    tokenizer = inputs["chat_config"] / model_files.TOKENIZER
    site["special_tokens"] = page_facts.special_tokens(tokenizer)
    if Mode.structured in cfg.app.modes:
        site["blank_tokens"] = page_facts.blank_tokens(tokenizer)
    fs.write_text(draft / delivery.CONFIG, _json(site))
    models = [entry for entry in (model, base) if entry is not None]
    fs.write_text(out / delivery.RECORDS, _json(records.app_config(models, cfg.host.url)))
    check_own_files()
    app = delivery.seal(out, draft, title=cfg.app.title, disclaimer=cfg.domain.disclaimer)
    files = delivery.write_manifest(out, app)
    if refused := hosting.too_large(cfg.host, files):
        raise StageFailed(f"bundle: {refused}", hint="choose another host: host=object_store")
    return {
        "files": len(files),
        "bytes": sum(entry["bytes"] for entry in files.values()),
        "download_bytes": sum(entry["bytes"] for entry in site["model"]["files"]),
        "library_bytes": model["library"]["bytes"],
        **f16_bytes(model),
        "base_bytes": sum(entry["bytes"] for entry in base["files"]) if base else 0,
        "revision": model["url"].split("/")[-2],
        "app_bytes": sum(entry["bytes"] for name, entry in files.items() if name.startswith(app)),
    }


def f16_bytes(model: dict[str, Any]) -> dict[str, int]:
    """Return the size of the library for float16 beside a float32 one, where there is one."""
    if "libs" not in model:
        return {}
    return {"f16_library_bytes": model["libs"][0]["library"]["bytes"]}


def vendor(out: Path, module: Path, *, name: str = "web-llm", licence: Path | None = None) -> None:
    """Put a package's module and its licence into the site."""
    (out / "vendor").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(module, out / "vendor" / f"{name}.js")
    text = licence or module.parent.parent / "LICENSE"
    shutil.copyfile(text, out / "vendor" / f"{name}.LICENSE.txt")


def add_model(
    out: Path,
    name: str,
    weights: Path,
    chat: Path,
    libraries: Sequence[Path],
    cfg: BundleStageConf,
) -> dict[str, Any]:
    """Put a model's files where web-llm looks for them; return what the page must know of it."""
    files = _model_files(weights, chat, contract_of(cfg.runtime.web_llm).tensor_index)
    url = f"models/{name}/resolve/{delivery.revision(files)}/"
    for file, source in files.items():
        fs.link_or_copy(source, out / url / file)
    entry = {**model_entry(out, url, libraries, cfg), "id": name}
    if (chat / artifact_files.PAGE_PROMPTS).is_file():
        entry["prompts"] = read_json(chat, artifact_files.PAGE_PROMPTS)
    return entry


def write_facts(out: Path, cfg: BundleStageConf, inputs: Mapping[str, Path]) -> None:
    """Write what the modes and the model card show, each in a file of its own."""
    golden = read_json(inputs["golden"], artifact_files.GOLDEN)
    facts: dict[str, object] = {"card": page_facts.card(cfg, inputs), "golden": golden}
    if Mode.proof in cfg.app.modes:
        facts["comparison"] = page_facts.comparison(inputs["data"], cfg.app.proof.questions)
    if Mode.product in cfg.app.modes:
        path = cfg.domain.knowledge_path
        facts["documents"] = (
            page_facts.documents(paths.resolve_data(path))
            if path
            else page_facts.row_documents(inputs["data"] / artifact.TRAIN)
        )
    for name, value in facts.items():
        fs.write_text(out / "facts" / f"{name}.json", _json(value))


def trained_questions(path: Path) -> set[str]:
    """Return the user turns of the training rows, each in its ``dataset.normal`` form."""
    return {normal(question) for row in read_rows(path) for question in row.questions}


def site_config(
    cfg: BundleStageConf,
    system_prompt: str | None,
    questions: Sequence[str],
    trained: Set[str],
    model: dict[str, Any],
) -> dict[str, Any]:
    """Return ``webslm.json``: all that differs between two sites."""
    decoding = cfg.app.decoding
    return {
        "schema": SCHEMA,
        "name": cfg.name,
        "title": cfg.app.title,
        "disclaimer": cfg.domain.disclaimer,
        "system_prompt": system_prompt,
        "questions": [{"text": text, "trained": normal(text) in trained} for text in questions],
        "decoding": {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "repetition_penalty": decoding.repetition_penalty,
            "max_tokens": decoding.max_tokens,
            "seed": decoding.seed,
        },
        "modes": [mode.value for mode in cfg.app.modes],
        "samples": cfg.app.proof.samples,
        "retrieval": {
            "method": cfg.app.retrieval.method.value,
            "passages": cfg.app.retrieval.passages,
            "min_score": cfg.app.retrieval.min_score,
        },
        "answer_schema": cfg.app.answer_schema,
        "model": model,
        "versions": {"web-llm": cfg.runtime.web_llm, "Weights": cfg.quant.name},
    }


def check_own_files() -> None:
    """Refuse page files that name another host; vendored code and texts are not looked at.

    Raises:
        StageFailed: A file of ours holds an absolute URL.
    """
    own = [path.relative_to(paths.site_dir()) for path in fs.tree_files(paths.site_dir())]
    found = [
        f"{name}: {match.group()}"
        for name in own
        if name.suffix != ".png"
        and (match := _HOST.search((paths.site_dir() / name).read_text(encoding="utf-8")))
    ]
    if found:
        raise StageFailed(f"bundle: the page names another host ({found[0]!r})")


def _model_files(convert: Path, chat: Path, index: str) -> dict[str, Path]:
    """Return the site's name of each of a model's files, and where it lies."""
    shards = [
        record["dataPath"] for record in read_json(convert, model_files.TENSOR_INDEX)["records"]
    ]
    names = {
        model_files.CHAT_CONFIG: chat,
        model_files.TOKENIZER: chat,
        model_files.TENSOR_INDEX: convert,
        **dict.fromkeys(shards, convert),
    }
    for name, folder in names.items():
        if not (folder / name).is_file():
            raise StageFailed(f"bundle: {folder.name} has no {name}")
    found = {name: folder / name for name, folder in names.items()}
    found[index] = found.pop(model_files.TENSOR_INDEX)
    return dict(sorted(found.items()))


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

"""Take a folder of chat templates (*.jinja) through a build's prompts; write what came of each.

    python -m bench.chat_templates FOLDER [OUTPUT.json]

Each template gets a small tokenizer with the special tokens that its text names. Rows of one and of
two answers are taken through it, with and without a system message: through the loss mask, as
web-llm's block, and as prompts rendered by the page, whose Jinja (node) is compared with Python's
on every prompt. ``fold``: what comes of it with ``base.system_fold``, where that is hinted.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from webslm.basics import proc
from webslm.basics.errors import WebslmError
from webslm.basics.paths import cache_dir
from webslm.basics.stage import Context
from webslm.bundle import npm
from webslm.model.prompts.ends import stop_ids
from webslm.model.prompts.page_prompts import FACTS, chosen_prompts, row_prompts
from webslm.model.prompts.prompt_tokens import load
from webslm.rows.artifact import located
from webslm.schema import (
    BaseConf,
    BaseSource,
    ChatConfigStageConf,
    DecodingConf,
    Loss,
    Prompts,
    ShapeConf,
)
from webslm.stages import base, chat_config
from webslm.training.turns import encode

Row = list[dict[str, str]]
T = TypeVar("T")
SYSTEM = "You answer briefly."
TEXTS = ("What is tea?", "A hot drink.", "And salt?", "A mineral, costs $5.\n\n- in the sea")
SPECIAL = re.compile(
    r"<[|\uff5c][^<>{}\n]{1,40}?[|\uff5c]>|</?[^<>\s{}%'=]{1,40}>|<turn\|>|<\|turn>"
    r"|\[\|[^|\[\]\n]{1,30}\|\]|\[/?[A-Z_]{3,24}\]|\[gMASK\]|\[e~\[|\]~!?b\]?(?:\[)?"
)
RENDER = """
import { readFileSync } from "node:fs";
const { module, tasks } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { Template } = await import(module);
const out = tasks.map(({ facts, chats }) => chats.map((messages) => {
  try {
    const words = { tools: null, documents: null, add_generation_prompt: true, ...facts.words };
    return { text: new Template(facts.source).render({ messages, ...words }) };
  } catch (error) {
    return { error: String(error) };
  }
}));
process.stdout.write(JSON.stringify(out));
"""


@dataclass
class Page:
    """What the page is to render of a template."""

    facts: dict[str, Any]
    chats: list[Row]
    wanted: list[tuple[str, str]]
    """Where each stands, and Python's text."""
    stops: list[str]


def main() -> None:
    """Try every template of a folder, print counts, write all outcomes."""
    folder = Path(sys.argv[1])
    output = Path(sys.argv[2] if len(sys.argv) > 2 else "chat_templates.json")
    pages: list[tuple[dict[str, str], str, Page]] = []
    found = {}
    for file in sorted(folder.glob("*.jinja")):
        print(file.name, file=sys.stderr)
        found[file.name] = {name: _tried(file, rows, pages) for name, rows in _data().items()}
    _compare(pages)
    output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in _data():
        for part in ("mask of one", "mask of two", "block", "page"):
            kinds = Counter(_kind(one[name][part]) for one in found.values())
            print(f"{name:12} {part:12}", dict(kinds))


def _kind(outcome: str) -> str:
    return outcome.partition(":")[0]


def _data() -> dict[str, list[Row]]:
    turns = [
        {"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(TEXTS)
    ]
    system = [{"role": "system", "content": SYSTEM}]
    return {
        "no system": [turns[:2], turns],
        "system": [[*system, *turns[:2]], [*system, *turns]],
    }


def _tried(
    file: Path, rows: list[Row], pages: list[tuple[dict[str, str], str, Page]]
) -> dict[str, str]:
    """Return the outcomes; what the page is to render is added to ``pages``."""
    done: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for fold, end in ((None, ""), ("\n\n", ", fold")):
            for part, work in (
                ("mask of one", _mask_of_one),
                ("mask of two", _mask),
                ("block", _block),
            ):
                done[part + end] = str(_outcome(work, root, file, rows, fold))
            page = _outcome(_page, root, file, rows, fold)
            if isinstance(page, Page):
                pages.append((done, f"page{end}", page))
            done[f"page{end}"] = f"rendered: stops {page.stops}" if isinstance(page, Page) else page
            if not any("base.system_fold" in text for text in done.values()):
                break
    return done


def _compare(pages: list[tuple[dict[str, str], str, Page]]) -> None:
    module = npm.fetch(cache_dir(), npm.JINJA).as_uri()
    with tempfile.TemporaryDirectory() as name:
        task, script = Path(name) / "task.json", Path(name) / "render.mjs"
        tasks = [{"facts": page.facts, "chats": page.chats} for _, _, page in pages]
        task.write_text(json.dumps({"module": module, "tasks": tasks}), encoding="utf-8")
        script.write_text(RENDER, encoding="utf-8")
        seen = json.loads(proc.run(["node", str(script), str(task)], timeout=600))
    for (done, part, page), texts in zip(pages, seen, strict=True):
        for (where, wanted), one in zip(page.wanted, texts, strict=True):
            if one.get("text") != wanted:
                what = one.get("error") or repr(one["text"])
                done[part] = f"page differs: {where}: {what} for {wanted!r}"
                break


def _outcome(
    work: Callable[[Path, Path, list[Row], str | None], T],
    root: Path,
    file: Path,
    rows: list[Row],
    fold: str | None,
) -> T | str:
    try:
        return work(root, file, rows, fold)
    except WebslmError as exc:
        return f"refused: {exc.message} | {exc.hint}"
    except Exception:  # noqa: BLE001  none may come: it is counted
        return f"TRACEBACK: {traceback.format_exc()}"


def _mask_of_one(root: Path, file: Path, rows: list[Row], fold: str | None) -> str:
    return _mask(root, file, rows[:1], fold)


def _mask(root: Path, file: Path, rows: list[Row], fold: str | None) -> str:
    folder = _checkpoint(root, file, fold)
    tokenizer = load(folder).trained
    stops = stop_ids(folder, tokenizer)
    read = encode(tokenizer, rows[-1], number=1, stops=stops, loss=Loss.assistant_only)
    learnt = [tokenizer.decode([label for label in one.labels if label >= 0]) for one in read]
    return f"{'answer by answer' if len(read) > 1 else 'whole'}: {learnt!r}"


def _block(root: Path, file: Path, rows: list[Row], fold: str | None) -> str:
    conv, _facts, _folder = _configured(root, file, rows, Prompts.block, fold)
    return f"derived: stops {conv['stop_str']}"


def _page(root: Path, file: Path, rows: list[Row], fold: str | None) -> Page:
    conv, facts, folder = _configured(root, file, rows, Prompts.page, fold)
    tokens = load(folder)
    system = rows[0][0]["content"] if rows[0][0]["role"] == "system" else ""
    asked = [*row_prompts(located(root / "data")), *chosen_prompts(tokens, system)]
    return Page(
        facts=facts,
        chats=[[dict(message) for message in chat] for _, chat in asked],
        wanted=[(where, tokens.prompt(chat)) for where, chat in asked],
        stops=conv["stop_str"],
    )


def _configured(
    root: Path, file: Path, rows: list[Row], way: Prompts, fold: str | None
) -> tuple[dict[str, Any], dict[str, Any], Path]:
    folder = _checkpoint(root, file, fold)
    data, out = root / "data", root / "out"
    for path in (data, out):
        path.mkdir(exist_ok=True)
    lines = "".join(json.dumps({"messages": row}) + "\n" for row in rows)
    (data / "train.jsonl").write_text(lines, encoding="utf-8")
    (data / "held_out.jsonl").write_text("", encoding="utf-8")
    system = rows[0][0]["content"] if rows[0][0]["role"] == "system" else None
    (data / "stats.json").write_text(json.dumps({"system_prompt": system}))
    conf = ChatConfigStageConf(
        shape=ShapeConf(model_type="llama", vocab_size=4096, max_position_embeddings=32768),
        quant_name="q4f32_1",
        context_window_size=32768,
        prefill_chunk_size=128,
        decoding=DecodingConf(),
        template=way,
    )
    context = Context(cache_dir=root, log_dir=root)
    chat_config.run(conf, {"normalize": folder, "data": data}, out, context)
    conv = json.loads((out / chat_config.CONFIG_NAME).read_text(encoding="utf-8"))["conv_template"]
    facts = out / FACTS
    return conv, json.loads(facts.read_text("utf-8")) if facts.is_file() else {}, folder


@lru_cache
def _trained() -> str:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([" ".join(TEXTS)] * 3, trainer)
    return str(made.to_str())


def _checkpoint(root: Path, file: Path, fold: str | None) -> Path:
    """Write a tokenizer with the template's own tokens, as the base stage stores it."""
    folder = root / "checkpoint"
    folder.mkdir(exist_ok=True)
    source = file.read_text(encoding="utf-8")
    names = dict.fromkeys(("<s>", "</s>", *SPECIAL.findall(source)))
    made = Tokenizer.from_str(_trained())
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": 32768,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(source, encoding="utf-8")
    declared = {"eos_token_id": made.token_to_id("</s>")}
    (folder / "generation_config.json").write_text(json.dumps(declared), encoding="utf-8")
    conf = BaseConf(name="tried", source=BaseSource.local, licence="", system_fold=fold)
    base.fold_chat_template(conf, folder)
    base.edit_chat_template(conf, folder)
    return folder


if __name__ == "__main__":
    main()

"""Take a folder of chat templates (*.jinja) through a build's prompts; write what came of each.

    python -m bench.chat_templates FOLDER [OUTPUT.json]

Each template gets a small tokenizer with the special tokens that its text names. Four data sets are
taken through it: rows of one and of two answers, with and without a system message. For each: the
loss mask, web-llm's block, and prompts rendered by the page, whose Jinja (node) is compared with
Python's on every prompt. ``fold``: what comes of it with ``base.system_fold``, where that is
hinted.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from webslm import proc
from webslm.adapters import npm
from webslm.adapters.turns import encode
from webslm.compiler.page_prompts import FACTS, chosen_prompts, row_prompts
from webslm.compiler.probes import read_rows
from webslm.compiler.prompt_tokens import load
from webslm.errors import WebslmError
from webslm.paths import cache_dir
from webslm.prompts.ends import stop_ids
from webslm.schema import (
    BaseConf,
    BaseSource,
    ChatConfigStageConf,
    DecodingConf,
    Loss,
    Prompts,
    ShapeConf,
)
from webslm.stage import Context
from webslm.stages import base, chat_config

SYSTEM = "You answer briefly."
TEXTS = ("What is tea?", "A hot drink.", "And salt?", "A mineral, costs $5.\n\n- in the sea")
SPECIAL = re.compile(
    r"<[|\uff5c][^<>{}\n]{1,40}?[|\uff5c]>|</?[sS]>|<(?:bos|eos|pad|unk|sop|think|/think)>"
    r"|<(?:start|end)_of_(?:turn|text|role)>|\[/?[A-Z_]{3,24}\]|\[g?MASK\]|<turn\|>|<\|turn>"
    r"|\]<\][a-z_]{2,12}\[>\["
)
RENDER = """
import { readFileSync } from "node:fs";
const { module, facts, chats } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { Template } = await import(module);
const template = new Template(facts.source);
const out = chats.map((messages) => {
  try {
    const words = { tools: null, documents: null, add_generation_prompt: true, ...facts.words };
    return { text: template.render({ messages, ...words }) };
  } catch (error) {
    return { error: String(error) };
  }
});
process.stdout.write(JSON.stringify(out));
"""


def main() -> None:
    """Try every template of a folder, print counts, write all outcomes."""
    folder = Path(sys.argv[1])
    output = Path(sys.argv[2] if len(sys.argv) > 2 else "chat_templates.json")
    module = npm.fetch(cache_dir(), npm.JINJA)
    found = {}
    for file in sorted(folder.glob("*.jinja")):
        found[file.name] = {name: _tried(file, rows, module) for name, rows in _data().items()}
    output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in _data():
        for part in ("mask", "block", "page"):
            kinds = Counter(_kind(one[name][part]) for one in found.values())
            print(f"{name:16} {part:6}", dict(kinds))


def _kind(outcome: str) -> str:
    return outcome.partition(":")[0]


def _data() -> dict[str, list[list[dict[str, str]]]]:
    turns = [
        {"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(TEXTS)
    ]
    system = [{"role": "system", "content": SYSTEM}]
    return {
        "one": [turns[:2]],
        "two": [turns[:2], turns],
        "one, system": [[*system, *turns[:2]]],
        "two, system": [[*system, *turns[:2]], [*system, *turns]],
    }


def _tried(file: Path, rows: list[list[dict[str, str]]], module: Path) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        done: dict[str, str] = {}
        for part, work in (("mask", _mask), ("block", _block), ("page", _page)):
            done[part] = _outcome(lambda work=work: work(root, file, rows, module))
            if "base.system_fold" in done[part]:
                kept = _outcome(lambda work=work: work(root, file, rows, module, fold="\n\n"))
                done[f"{part}, fold"] = kept
        return done


def _outcome(work: Callable[[], str]) -> str:
    try:
        return work()
    except WebslmError as exc:
        return f"refused: {exc.message} | {exc.hint}"
    except Exception:  # noqa: BLE001  none may come: it is counted
        return f"TRACEBACK: {traceback.format_exc()}"


def _mask(
    root: Path, file: Path, rows: list[list[dict[str, str]]], _: Path, fold: str | None = None
) -> str:
    folder = _checkpoint(root, file, fold)
    tokenizer = load(folder).trained
    stops = stop_ids(folder, tokenizer)
    read = [
        encode(tokenizer, row, number=at, stops=stops, loss=Loss.assistant_only)
        for at, row in enumerate(rows, 1)
    ]
    learnt = [
        tokenizer.decode([label for label in row.labels if label >= 0])
        for answers in read
        for row in answers
    ]
    kind = "answer by answer" if any(len(answers) > 1 for answers in read) else "whole"
    return f"{kind}: {learnt!r}"


def _block(
    root: Path, file: Path, rows: list[list[dict[str, str]]], _: Path, fold: str | None = None
) -> str:
    conv, _facts, _folder = _configured(root, file, rows, Prompts.block, fold)
    return f"derived: stops {conv['stop_str']}"


def _page(
    root: Path, file: Path, rows: list[list[dict[str, str]]], module: Path, fold: str | None = None
) -> str:
    conv, facts, folder = _configured(root, file, rows, Prompts.page, fold)
    tokens = load(folder)
    system = rows[0][0]["content"] if rows[0][0]["role"] == "system" else ""
    wanted = [*row_prompts(read_rows(root / "data")), *chosen_prompts(tokens, system)]
    task = root / "task.json"
    chats = [[dict(message) for message in chat] for _, chat in wanted]
    asked = {"module": module.as_uri(), "facts": facts, "chats": chats}
    task.write_text(json.dumps(asked), encoding="utf-8")
    script = root / "render.mjs"
    script.write_text(RENDER, encoding="utf-8")
    done = proc.run(["node", str(script), str(task)], timeout=60)
    for (where, chat), seen in zip(wanted, json.loads(done), strict=True):
        text = tokens.prompt(chat)
        if seen.get("text") != text:
            return f"page differs: {where}: {seen.get('error') or seen['text']!r} for {text!r}"
    return f"rendered: stops {conv['stop_str']}"


def _configured(
    root: Path, file: Path, rows: list[list[dict[str, str]]], way: Prompts, fold: str | None
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
        shape=ShapeConf(model_type="llama", vocab_size=4096, max_position_embeddings=4096),
        quant_name="q4f32_1",
        context_window_size=4096,
        prefill_chunk_size=128,
        decoding=DecodingConf(),
        template=way,
    )
    context = Context(cache_dir=root, log_dir=root)
    chat_config.run(conf, {"normalize": folder, "data": data}, out, context)
    conv = json.loads((out / chat_config.CONFIG_NAME).read_text(encoding="utf-8"))["conv_template"]
    facts = out / FACTS
    return conv, json.loads(facts.read_text("utf-8")) if facts.is_file() else {}, folder


def _checkpoint(root: Path, file: Path, fold: str | None) -> Path:
    """Write a tokenizer with the template's own tokens, as the base stage stores it."""
    folder = root / "checkpoint"
    folder.mkdir(exist_ok=True)
    source = file.read_text(encoding="utf-8")
    names = dict.fromkeys(("<s>", "</s>", *SPECIAL.findall(source)))
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([" ".join(TEXTS)] * 3, trainer)
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": 4096,
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

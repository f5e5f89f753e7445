"""Mistakes a user can make: one line and a hint each, exit code 2, no traceback, no work done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conf.hints import run_commands
from tests.conftest import chat_row
from webslm.cli import main as cli

CONFIG = {
    "unknown key": (["lora.rank=8"], "unknown key 'lora.rank'"),
    "unknown group": (["model=tiny"], "unknown key 'model'"),
    "added key": (["+lora.x=1"], "unknown key 'lora.x'"),
    "added top key": (["+foo=1"], "unknown key 'foo'"),
    "wrong option": (["domain=medcal"], "did you mean domain=medical?"),
    "wrong quant": (["quant=q4f64_1"], "did you mean quant=q4f16_1? one of auto, q0f16, q0f32"),
    "text for a number": (["lora.r=many"], "lora.r"),
    "number for a list": (["lora.target_modules=q_proj"], "lora.target_modules"),
    "number for a group": (["lora=3"], "lora"),
    "wrong enum": (["lora.loss=none"], "assistant_only, full"),
    "no verb": (["buidl"], "neither KEY=VALUE nor a known verb"),
    "removed group": (["~quant"], "takes away what every build needs"),
    "text in a name": (["name=a=b, c"], "name: 'a=b, c' is not a plain name"),
    "several options": (
        ["domain=medical,legal"],
        "hint: python -m webslm -m domain=medical,legal builds each",
    ),
    "several of nothing": (["optimizer=adam,sgd"], "unknown key 'optimizer'"),
    "nothing added": (["+="], "unknown key ''"),
    "nothing taken away": (["~x"], "unknown key 'x'"),
    "path that nothing reads": (["base.path=epoch=1.ckpt"], "base.path: epoch=1.ckpt: no such"),
    "several numbers": (["lora.r=8,16"], "python -m webslm -m lora.r=8,16 builds each"),
    "text that is no number": (["lora.r=8;9"], "lora.r takes a whole number"),
    "letter of another alphabet": (["naïve=3"], "unknown key 'naïve'"),
    "open list": (["domain.questions=[What's up]"], "texts in a list stand in quotes"),
    "key of nothing": (["data.system=Hi ${nam}"], "a text is typed so: 'data.system=\\${"),
    "file as a group": (["data=my file.jsonl"], "hint: data.path='my file.jsonl'"),
    "key as a flag": (["--output-dir=x"], "keys are typed so: output_dir=x"),
    "unknown flag": (["--foo"], "python -m webslm --help"),
    "nothing to show": (["--cfg", "jobs"], "one of job, hydra, all"),
    "unknown stage": (["until=train"], "until: no stage 'train'"),
    "unknown explained stage": (["explain=train"], "explain: no stage 'train'"),
    "unknown first stage": (["from=train"], "from: no stage 'train'"),
    "only beside until": (["only=merge", "until=bundle"], "only: cannot stand beside"),
    "unknown forced stage": (["force=[train]"], "force: no stage 'train'"),
    "name with a slash": (["name=a/b"], "not a plain name"),
    "empty name": (["name="], "not a plain name"),
    "negative rate": (["lora.learning_rate=-1"], "lora.learning_rate: -1.0 is not above 0"),
    "copies below none": (["lora.augment.copies=-1"], "lora.augment.copies: -1 is negative"),
    "all deleted": (["lora.augment.deletion=2"], "lora.augment.deletion: 2.0 is not a share"),
    "dropout of two": (["lora.dropout=2"], "lora.dropout"),
    "unknown scheduler": (["lora.lr_scheduler=cosin"], "lora.lr_scheduler"),
    "target the base has not": (["lora.target_modules=[q_proj,qkv_proj]"], "qkv_proj matches no"),
    "adapter from nowhere": (["finetune=adapter"], "adapter.path: finetune=adapter needs one"),
    "adapter that is not read": (["adapter.path=."], "finetune=lora reads no adapter"),
    "folder without an adapter": (
        ["finetune=adapter", "adapter.path=."],
        "adapter.path: no adapter_config.json",
    ),
    "four bits on a CPU": (["finetune=qlora", "lora.device=cpu"], "qlora needs a GPU"),
    "preferences without pairs": (["align=dpo"], "dpo.path: align=dpo needs pairs"),
    "pairs that nobody reads": (["dpo.path=x.jsonl"], "dpo.path: nothing reads it"),
    "preferences of a base": (
        ["align=dpo", "dpo.path=x.jsonl", "finetune=none"],
        "finetune=none makes none",
    ),
    "absent pairs": (["align=dpo", "dpo.path=nowhere.jsonl"], "nowhere.jsonl: No such file"),
    "unknown method": (["finetune=loha"], "lora, dora, qlora, full, adapter, none"),
    "checkpoints before time": (["launch.checkpoint_seconds=-1"], "launch.checkpoint_seconds"),
    "context above the base": (["compiler.context_window_size=99999"], "compiler.context_window"),
    "chunk above the context": (
        ["base=tiny", "compiler.prefill_chunk_size=513"],
        "compiler.prefill_chunk_size",
    ),
    "heads that do not share": (["base=tiny", "base.shape.num_key_value_heads=3"], "do not share"),
    "group of half a word": (["quant.group_size=12"], "quant.group_size: 12 is not a multiple"),
    "group of q4 for three bits": (["quant.bits=3"], "a word holds 10 codes of 3 bits"),
    "five bits": (["quant.bits=5"], "one of 3, 4, 8"),
    "unknown architecture": (["base.shape.model_type=gpt2"], "cannot be compiled yet"),
    "a relative's architecture": (["base.shape.model_type=mixtral"], "nearest supported"),
    "sliding layers without a window": (
        [
            "base=tiny",
            "base.shape.layer_types=[full_attention,full_attention,sliding_attention]",
        ],
        "base.shape.sliding_window: missing",
    ),
    "unknown rotation": (["base.shape.rope_scaling.rope_type=yarn"], "rope_type: no 'yarn'"),
    "floating revision": (["base=qwen2_5_0_5b", "base.hub.revision=main"], "full commit id"),
    "remote code": (["base=qwen2_5_0_5b", "base.hub.trust_remote_code=true"], "never run"),
    "top_p of two": (["app.decoding.top_p=2"], "app.decoding.top_p"),
    "unknown mode": (["app.modes=[chat,tools]"], "chat, proof, product, structured"),
    "no mode": (["app.modes=[]"], "app.modes: is empty"),
    "mode twice": (["app.modes=[chat,chat]"], "names a mode twice"),
    "nothing to retrieve": (["app=full", "domain.knowledge_path=null"], "retrieves from documents"),
    "no passages": (["app.retrieval.passages=0"], "app.retrieval.passages: 0 is not above 0"),
    "unknown ranking": (["app.retrieval.method=dense"], "tfidf, bm25"),
    "answer that is a list": (["app.answer_schema={type:array}"], "app.answer_schema"),
    "stage this build has not": (["until=convert_base"], "this build has no stage convert_base"),
    "answers beyond prompts": (["verify.min_answers=9"], "verify.min_answers"),
    "bad expression": (["data.closing='('"], "not a regular expression"),
    "absent dataset": (["data.path=nowhere.jsonl"], "no such file"),
    "absent corpus": (["base=tiny", "base.tiny.chat_path=nowhere.jsonl"], "base.tiny.chat_path"),
    "local base without a path": (["base=local"], "base.path"),
    "local base that is nowhere": (["base=local", "base.path=nowhere"], "no such folder"),
    "shape of a local base": (
        ["base=local", "base.path=.", "base.shape.hidden_size=64"],
        "base.shape.hidden_size: a local base's shape",
    ),
    "gguf base without a path": (["base=gguf"], "base.path: base=gguf needs one"),
    "gguf base that is nowhere": (["base=gguf", "base.path=nowhere.gguf"], "no such file"),
    "wheel of a base that has none": (["base=tiny", "base.source=wheel"], "base=tiny has no wheel"),
    "random weights misspelt": (["base.weights=noise"], "checkpoint, random"),
    "stage that is not wanted": (["finetune=none", "until=finetune"], "no stage finetune"),
    "lock without folder": (["lock", "check"], "lock: say what to do"),
    "lock of nothing": (["lock", "check", "."], "no webslm.lock.json"),
    "serve nothing": (["serve", "nowhere"], "nowhere"),
}

ROWS: dict[str, tuple[list[object], str]] = {
    "not json": (["{"], "my.jsonl:1: not JSON"),
    "no messages": ([{"text": "x"}], 'my.jsonl:1: no "messages"'),
    "unknown role": ([{"messages": [{"role": "bot", "content": "x"}]}], "role 'bot'"),
    "user last": ([{"messages": [{"role": "user", "content": "x"}]}], "ends with the user's turn"),
    "asked twice": ([chat_row("q", "a"), chat_row("Q!", "b")], "my.jsonl:2: asks the same"),
    "two prompts": ([chat_row("q", "a"), chat_row("r", "b", "Else.")], "another system prompt"),
    "empty file": ([], "no rows"),
}


def run(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "WEBSLM_CACHE": str(cwd / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "webslm", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[int, str]]:
    """Return exit code and standard error of a command, run in this process: it is the faster."""
    monkeypatch.setenv("WEBSLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def typed(words: list[str]) -> tuple[int, str]:
        capfd.readouterr()
        code = cli.run(words)
        return code, capfd.readouterr().err

    return typed


def check_screen(done: tuple[int, str], expected: str) -> None:
    code, errors = done
    assert code == 2, errors
    assert "Traceback" not in errors
    lines = errors.splitlines()
    assert lines[0].startswith("config error: ")
    assert sum(line.startswith("config error: ") for line in lines) == 1
    assert sum(line.startswith("  hint: ") for line in lines) == 1
    assert expected in errors
    run_commands([line.removeprefix("  hint: ") for line in lines if line.startswith("  hint: ")])


@pytest.mark.parametrize("mistake", CONFIG)
def test_mistake_in_the_configuration(
    mistake: str, tmp_path: Path, screen: Callable[[list[str]], tuple[int, str]]
) -> None:
    words, expected = CONFIG[mistake]
    check_screen(screen(words), expected)
    assert list(tmp_path.iterdir()) == []


def test_gated_base_without_a_token_ends_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    done = run(["base=gemma_2_2b", "until=base"], tmp_path)
    assert done.returncode == 3
    assert "google/gemma-2-2b-it is gated and HF_TOKEN is not set" in done.stderr
    assert "set HF_TOKEN to a read token" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("mistake", ROWS)
def test_mistake_in_the_dataset(
    mistake: str, tmp_path: Path, screen: Callable[[list[str]], tuple[int, str]]
) -> None:
    rows, expected = ROWS[mistake]
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (tmp_path / "my.jsonl").write_text("\n".join(lines), encoding="utf-8")
    check_screen(screen(["data.path=my.jsonl"]), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["my.jsonl"]


def test_all_mistakes_show_at_once(tmp_path: Path) -> None:
    done = run(["lora.rr=1", "quant=q5", "lora.dropout=2", "data.path=nowhere.jsonl"], tmp_path)
    assert done.returncode == 2
    for part in ("lora.rr", "q5", "lora.dropout", "nowhere.jsonl"):
        assert part in done.stderr


def test_sweep_reports_a_mistake_without_a_traceback(tmp_path: Path) -> None:
    done = run(["-m", "dry_run=true", "quant=q0f32,q4f32_1", "lora.dropout=2"], tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "lora.dropout" in done.stderr

"""Own models with random weights: their sites without shards, and what torch says to them.

``python -m bench.dawn.synthetic KIT --template outputs/<name>`` adds to a kit

- with ``--base``, a real base's shape, whose weights this project cannot carry: how fast it is;
- with ``--tiny``, the small shapes of the tests, one for every architecture: how right it is.

The page, tokenizer and prompts come from a finished build.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.dawn.builds import speed_job
from bench.dawn.cost import cache_bytes_per_token, weight_bytes
from bench.dawn.judge import best_logits, speed_entry, speed_line
from bench.dawn.kit import write_kit
from bench.dawn.weights import values
from webslm.basics import fs, model_files
from webslm.basics.paths import cache_dir
from webslm.basics.stage import Context
from webslm.compiler.memory import library_tensors
from webslm.config.compose import compose
from webslm.engine.table import STAGES
from webslm.evaluation.answering import Greedy, greedy
from webslm.model.architectures import architecture
from webslm.model.weights.conversion import read_parameter
from webslm.model.weights.format import required_features
from webslm.model.weights.shards import ShardReader, ShardWriter
from webslm.proof.observe import KEPT_LOGITS
from webslm.proof.verdict import logit_difference
from webslm.schema import CompileStageConf, Config
from webslm.stages.compile import run as run_compile

NUM_PROMPTS = 2
PROMPT_TOKENS = 48
NUM_TOKENS = 24
TIMED_PROMPTS = [128, 512, 2048]
TINY_CONTEXT, TINY_CHUNK = 256, 32
"""Prompts are longer than a chunk, and than the windows of the small shapes."""
REVISION = "random"
QUESTION = "What are common signs of dehydration?"


def settings(model: str, quant: str) -> tuple[Config, str]:
    """Return the configuration of a base or of ``tiny:<shape of the tests>``, and its name."""
    kind, _, small = model.partition(":")
    cfg = compose([f"base={kind}", f"quant={quant}"])
    if small:
        from tests.integration.architecture_models import SHAPES

        cfg = dataclasses.replace(
            cfg,
            base=dataclasses.replace(cfg.base, shape=SHAPES[small]),
            compiler=dataclasses.replace(
                cfg.compiler, context_window_size=TINY_CONTEXT, prefill_chunk_size=TINY_CHUNK
            ),
        )
    return cfg, f"random-{small or kind}-{quant}"


def make(
    template: Path,
    model: str,
    quant: str,
    kit: Path,
    *,
    referred: bool,
    temperatures: Sequence[float] = (),
) -> None:
    """Add one model to a kit, with ``references/<name>.npz`` for ``judge`` beside the builds."""
    cfg, name = settings(model, quant)
    with fs.temporary_dir(cache_dir(), "synthetic") as work:
        shards = work / "shards"
        shards.mkdir()
        _write_shards(cfg, shards)
        prompts = _prompts(cfg.base.shape.vocab_size) if referred else []
        answers = _answers(cfg, shards, prompts) if referred else []
        site = _site(template, cfg, name, shards, work)
        job: dict[str, Any] = {
            "questions": [],
            "maxTokens": 1,
            "keep": KEPT_LOGITS,
            "runs": [
                {"prompt": prompt, "continuation": answer.tokens}
                for prompt, answer in zip(prompts, answers, strict=True)
            ],
        }
        if not model.startswith("tiny:"):
            job["speed"] = speed_job(TIMED_PROMPTS, [{"role": "user", "content": QUESTION}])
            job["speed"]["temperatures"] = [*temperatures]
        write_kit(kit, {name: (site, job)}, cache_dir() / "tools" / "npm")
    shutil.copyfile(Path(__file__).with_name("weights.py"), kit / "builds" / name / "weights.py")
    (kit / "references").mkdir(exist_ok=True)
    best = json.dumps([answer.best for answer in answers])
    fs.write_text(kit / "references" / f"{name}.json", best)


def judge(kit: Path, results: Path, model: str, quant: str) -> dict[str, Any]:
    """Return the entry of one model: agreement of forced decoding with torch, and speed."""
    cfg, name = settings(model, quant)
    raw = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    job = json.loads((kit / "builds" / name / "job.json").read_text(encoding="utf-8"))
    stored = json.loads((kit / "references" / f"{name}.json").read_text(encoding="utf-8"))
    same, differences, largest = [], [], 0.0
    for place, (run, steps) in enumerate(zip(job["runs"], raw["followed"], strict=True)):
        best = best_logits(stored[place])
        answer = Greedy(tokens=run["continuation"], best=best, stopped=False)
        largest = max(largest, logit_difference(best_logits(steps), best))
        rows = zip(best_logits(steps), answer.tokens, answer.gaps, strict=True)
        for position, (step, token, gap) in enumerate(rows):
            same.append(step[0][0] == token)
            if not same[-1]:
                differences.append({"prompt": place, "position": position, "gap": round(gap, 5)})
    return {
        "name": name,
        "quant": quant,
        "weight_bytes": weight_bytes(cfg.base.shape, cfg.quant),
        "cache_bytes_per_token": cache_bytes_per_token(cfg.base.shape, cfg.quant),
        "node": raw["node"],
        "machine": raw["machine"],
        "adapter": raw["adapter"],
        "webgpu_errors": raw["webgpuErrors"],
        "console_errors": raw["consoleErrors"],
        "load_s": round(raw["loaded"]["seconds"], 2),
        "positions": len(same),
        "forced_top1_agreement": sum(same) / len(same) if same else None,
        "max_logit_difference": largest,
        "differences": differences,
        "speed": speed_entry(raw["speed"]) if "speed" in raw else None,
    }


def _write_shards(cfg: Config, folder: Path) -> None:
    writer = ShardWriter(folder)
    for tensor in library_tensors(cfg.base.shape, cfg.quant):
        writer.add(tensor, [values(tensor.name, tensor.shape, tensor.dtype)])
    writer.close(num_weights=0)


def _prompts(vocab_size: int) -> list[list[int]]:
    draw = np.random.PCG64(0).random_raw(NUM_PROMPTS * PROMPT_TOKENS) % vocab_size
    return [[int(one) for one in row] for row in draw.reshape(NUM_PROMPTS, PROMPT_TOKENS)]


def _answers(cfg: Config, shards: Path, prompts: Sequence[Sequence[int]]) -> list[Greedy]:
    """Return what torch says, in float32, with the weights that the shards stand for."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape, reader = cfg.base.shape, ShardReader(shards)
    family = architecture(shape.model_type)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(**{**family.config(shape), **ids})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    wanted = dict(model.named_parameters())
    with torch.no_grad():
        for parameter in family.parameters(shape):
            whole = read_parameter(reader, parameter, cfg.quant)
            start = 0
            for source in parameter.sources:
                part = wanted.pop(source)
                part.copy_(torch.from_numpy(whole[start : start + part.shape[0]]))
                start += part.shape[0]
    assert not wanted, f"no weights for {sorted(wanted)[:3]}"
    return [greedy(model.eval(), prompt, NUM_TOKENS, stop_ids=()) for prompt in prompts]


def _site(template: Path, cfg: Config, name: str, shards: Path, work: Path) -> Path:
    """Return the template's site with another library, model record and weight index."""
    site = work / "site"
    fs.copy_tree(template / "bundle", site)
    app = site / json.loads((site / "manifest.json").read_text(encoding="utf-8"))["app"]
    document = json.loads((app / "webslm.json").read_text(encoding="utf-8"))
    old = site / document["model"]["url"]
    url = f"models/{name}/resolve/{REVISION}/"
    (site / url).mkdir(parents=True)
    shutil.copyfile(old / "tokenizer.json", site / url / "tokenizer.json")
    shutil.copyfile(shards / model_files.TENSOR_INDEX, site / url / model_files.TENSOR_INDEX)
    chat = json.loads((old / "mlc-chat-config.json").read_text(encoding="utf-8"))
    sizes = {
        "vocab_size": cfg.base.shape.vocab_size,
        "context_window_size": cfg.compiler.context_window_size,
        "prefill_chunk_size": cfg.compiler.prefill_chunk_size,
    }
    chat |= sizes | {"quantization": cfg.quant.name, "model_config": sizes}
    fs.write_text(site / url / "mlc-chat-config.json", json.dumps(chat))
    shutil.rmtree(old)
    shutil.rmtree(site / "lib")
    (site / "lib").mkdir()
    document["model"] |= {
        "id": name,
        "url": url,
        "lib": f"lib/{_library(cfg, site / 'lib', work)}",
        "files": [],
        "integrity": {},
        "required_features": required_features(cfg.quant.dtype),
    }
    fs.write_text(app / "webslm.json", json.dumps(document))
    return site


def _library(cfg: Config, folder: Path, work: Path) -> str:
    conf = next(spec for spec in STAGES if spec.name == "compile").configure(cfg)
    assert isinstance(conf, CompileStageConf)
    out = work / "compiled"
    out.mkdir()
    run_compile(conf, {}, out, Context(cache_dir=cache_dir(), log_dir=work))
    library = next(out.glob("library-*.wasm"))
    shutil.copyfile(library, folder / library.name)
    return library.name


def _show(entry: dict[str, Any]) -> None:
    agreement = entry["forced_top1_agreement"]
    words = [f"{entry['name']}: {len(entry['webgpu_errors'])} WebGPU errors"]
    if agreement is not None:
        words.append(
            f"forced top-1 {agreement:.4f} of {entry['positions']}, "
            f"logits within {entry['max_logit_difference']:.3g}"
        )
    if entry["speed"]:
        words.append(speed_line(entry["speed"]))
    sys.stdout.write("; ".join(words) + "\n")


def main(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.dawn.synthetic")
    parser.add_argument("kit", type=Path, help="folder of the kit, made or added to")
    parser.add_argument("--base", nargs="*", default=[], help="whose shapes: options of base=")
    parser.add_argument("--tiny", nargs="*", default=[], help="small shapes of the tests")
    parser.add_argument("--quant", nargs="+", default=["q4f16_1", "q4f32_1"])
    parser.add_argument("--template", type=Path, help="outputs/<name> of any finished build")
    parser.add_argument("--unreferred", action="store_true", help="only time; ask torch nothing")
    parser.add_argument(
        "--temperatures", type=float, nargs="*", default=[], help="time an answer at each of them"
    )
    parser.add_argument("--read", type=Path, help="judge the results a kit left in this folder")
    parser.add_argument("--out", type=Path, default=Path("synthetic.json"))
    options = parser.parse_args(argv)
    models = [*options.base, *(f"tiny:{name}" for name in options.tiny)]
    entries = []
    for model in models:
        for quant in options.quant:
            if options.read is None:
                make(
                    options.template,
                    model,
                    quant,
                    options.kit,
                    referred=not options.unreferred,
                    temperatures=options.temperatures,
                )
            else:
                entries.append(judge(options.kit, options.read, model, quant))
                _show(entries[-1])
    if options.read is not None:
        fs.write_text(options.out, json.dumps(entries, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

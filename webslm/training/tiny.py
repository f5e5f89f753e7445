"""Own the embedded base: pre-train a small model from scratch. Read no domain's chat rows.

What it is for: a checkpoint of a real architecture, made offline in about a minute, that a LoRA
can tune and a browser can run. What it is not: a model that knows anything.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webslm.basics import model_files
from webslm.basics.encoding import is_whole, lines, read_text
from webslm.basics.errors import ConfigError, StageFailed
from webslm.basics.fs import write_text
from webslm.basics.paths import resolve_data
from webslm.schema import ShapeConf, TinyConf
from webslm.training import heap, losses
from webslm.training import tokenizer as tokenizers
from webslm.training.torch_mode import quiet, reproducible

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Report = Callable[[int, int, float], None]
"""Called after a step with (steps done, steps in all, loss)."""

WARMUP = 0.05
WEIGHT_DECAY = 0.1
CLIP = 1.0


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """What happened: loss as [step, nats per token], wall time, sizes."""

    loss: list[list[float]]
    seconds: float
    parameters: int
    tokens: int
    """Tokens of the corpus."""
    threads: int


def make(
    shape: ShapeConf, tiny: TinyConf, *, seed: int, folder: Path, report: Report
) -> Pretraining:
    """Train tokenizer and model and write a checkpoint folder.

    Raises:
        ConfigError: A text file or the shape cannot be used.
        StageFailed: The loss stopped being a number.
    """
    documents = corpus(tiny)
    tokenizer = tokenizers.train(documents, shape.vocab_size)
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(documents)]
    with quiet(), heap.kept(), reproducible(seed) as threads:
        start = time.monotonic()
        model = build(shape)
        loss = _pretrain(model, encoded, tiny, seed, report)
        model.save_pretrained(folder)
    tokenizers.save(tokenizer, folder, max_length=shape.max_position_embeddings)
    write_generation_config(folder)
    return Pretraining(
        loss=loss,
        seconds=round(time.monotonic() - start, 1),
        parameters=model.num_parameters(),
        tokens=sum(len(ids) for ids in encoded),
        threads=threads,
    )


def corpus(tiny: TinyConf) -> list[str]:
    """Return the training documents, each closed by the end-of-text token."""
    documents = [tokenizers.render(row["messages"]) for row in _read(tiny.chat_path, ("messages",))]
    for path in tiny.text_paths:
        documents += [
            row.get("text") or f"{row.get('title', '')}\n{row['content']}"
            for row in _read(path, ("text", "content"))
        ]
    return [document + tokenizers.TEXT_END for document in documents]


def _read(path: str, one_of: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file or of a file that is one JSON list."""
    file = resolve_data(path)
    try:
        text = read_text(file)
    except OSError as exc:
        raise ConfigError(f"base.tiny: cannot read {path!r}: {exc.strerror}") from exc
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in lines(text) if line.strip()]
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"base.tiny: {path!r} is not JSON or JSON lines: {exc}") from exc
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not any(row.get(key) for key in one_of):
            raise ConfigError(f"base.tiny: {path!r} row {number}: no {' or '.join(one_of)}")
        if not all(map(_is_text, row.get("messages") or [row.get(key, "") for key in one_of])):
            raise ConfigError(f"base.tiny: {path!r} row {number}: what it says is no whole text")
    return rows  # type: ignore[no-any-return]


def _is_text(said: Any) -> bool:
    """Return whether a text, or a message with role and content, can be learnt."""
    if isinstance(said, dict):
        return _is_text(said.get("role")) and _is_text(said.get("content"))
    return isinstance(said, str) and is_whole(said)


def build(shape: ShapeConf) -> PreTrainedModel:
    """Return a freshly initialised model of ``shape`` in float32.

    Raises:
        ConfigError: transformers cannot make a model of this shape.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.for_model(
            shape.model_type,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.num_hidden_layers,
            num_attention_heads=shape.num_attention_heads,
            num_key_value_heads=shape.num_key_value_heads,
            head_dim=shape.head_dim,
            vocab_size=shape.vocab_size,
            rms_norm_eps=shape.rms_norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
            tie_word_embeddings=shape.tie_word_embeddings,
            attention_bias=shape.attention_bias,
            max_position_embeddings=shape.max_position_embeddings,
            # A narrow model learns three times faster from this than from the usual 0.02.
            initializer_range=shape.hidden_size**-0.5,
            use_cache=True,
            bos_token_id=None,
            eos_token_id=tokenizers.SPECIAL.index(tokenizers.TURN_END),
            pad_token_id=tokenizers.SPECIAL.index(tokenizers.TEXT_END),
        )
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError) as exc:
        raise ConfigError(f"base.shape: {exc}") from exc
    return model.float()


def _pretrain(
    model: PreTrainedModel,
    encoded: Sequence[Sequence[int]],
    tiny: TinyConf,
    seed: int,
    report: Report,
) -> list[list[float]]:
    """Train ``model`` in place; return [step, loss] of every step."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=tiny.learning_rate, betas=(0.9, 0.95), weight_decay=WEIGHT_DECAY, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, tiny.steps))
    batches = _Batches(encoded, tiny, generator)
    curve = []
    model.train()
    for step in range(1, tiny.steps + 1):
        ids = batches.next()
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        loss = losses.summed(logits.flatten(0, 1), ids[:, 1:].flatten()) / ids[:, 1:].numel()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise StageFailed(
                f"base: the loss is {value} at step {step}",
                hint="lower base.tiny.learning_rate",
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        curve.append([step, round(value, 4)])
        report(step, tiny.steps, value)
    return curve


def _rate(step: int, steps: int) -> float:
    """Return the share of the peak rate: linear warm-up, then half a cosine to a tenth."""
    warmup = max(1, round(steps * WARMUP))
    if step < warmup:
        return (step + 1) / warmup
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class _Batches:
    """Endless [batch, sequence + 1] windows over the documents, reshuffled every pass."""

    def __init__(self, encoded: Sequence[Sequence[int]], tiny: TinyConf, generator: Any) -> None:
        self._documents = encoded
        self._batch = tiny.batch_size
        self._length = tiny.sequence_length + 1
        self._generator = generator
        self._stream: list[int] = []

    def next(self) -> Tensor:
        import torch

        need = self._batch * self._length
        while len(self._stream) < need:
            order = torch.randperm(len(self._documents), generator=self._generator).tolist()
            for index in order:
                self._stream.extend(self._documents[index])
        taken, self._stream = self._stream[:need], self._stream[need:]
        return torch.tensor(taken).view(self._batch, self._length)


def write_generation_config(folder: Path) -> None:
    """Write sampling defaults and both stop tokens; the first one ends a turn."""
    turn_end, text_end = (
        tokenizers.SPECIAL.index(token) for token in (tokenizers.TURN_END, tokenizers.TEXT_END)
    )
    config = {
        "do_sample": True,
        "eos_token_id": [turn_end, text_end],
        "pad_token_id": text_end,
        "temperature": 0.7,
        "top_p": 0.8,
    }
    write_text(folder / model_files.GENERATION, json.dumps(config, indent=2) + "\n")

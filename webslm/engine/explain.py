"""Own why a stage runs: its key's ingredients beside an earlier artifact's. Decide nothing.

The earlier artifact is the one that the output's lock names; its manifest keeps the ingredients of
its key, and through its inputs' keys those of everything it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Artifact, Cache

# A stage's own name of a value, and what a user types for it.
TYPED = {
    "questions": "evaluate",
    "shape": "base.shape",
    "dtype": "base.dtype",
    "quant_name": "quant.name",
    "activations": "precision",
    "context_window_size": "compiler.context_window_size",
    "prefill_chunk_size": "compiler.prefill_chunk_size",
    "decoding": "app.decoding",
    "template": "app.template",
    "closing": "data.closing",
    "signatures": "data.signatures",
    "num_prompts": "verify.num_prompts",
    "num_follow_ups": "verify.num_follow_ups",
    "max_answer_tokens": "verify.max_answer_tokens",
    "browser_min": "runtime.browser_min",
    "shard_bytes": "host.shard_bytes",
    "tools": "runtime.tools",
    "python": "compiler.python",
    "method": "finetune",
    "card.method": "finetune",
    "card.align": "align",
    "card.base": "base.name",
    "card.base_id": "base.hub.id",
    "card.base_commit": "base.hub.revision",
    "card.base_origin": "base.source",
    "card.licence": "base.licence",
    "card.lora": "lora",
    "card.seed": "seed",
}
ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Change:
    """One ingredient of a key that differs."""

    kind: str
    """config, code, files, inputs or wheels."""
    name: str
    text: str


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return what differs between the ingredients of two keys of one stage."""
    found = []
    for kind in ("config", "files", "wheels", "code", "inputs"):
        old, new = (_named(kind, side.get(kind, {})) for side in (before, now))
        for name in sorted({*old, *new}):
            a, b = old.get(name, ABSENT), new.get(name, ABSENT)
            if a != b:
                found.append(Change(kind=kind, name=name, text=_sentence(kind, name, a, b)))
    return found


def explain(
    steps: Sequence[Step], stage: str, cache: Cache, locked: Mapping[str, str]
) -> Iterator[str]:
    """Yield lines that say whether ``stage`` will run and which ingredients made it so.

    Args:
        steps: The plan; it holds ``stage``.
        stage: The stage asked about.
        cache: Where earlier artifacts' records are.
        locked: Key of every stage in the last build of this output; empty when there was none.
    """
    by_name = {step.stage: step for step in steps}
    step = by_name[stage]
    stored = cache.lookup(stage, step.key) is not None
    if step.forced:
        yield f"{stage} will run: it was asked for (force or from)"
    else:
        yield f"{stage} {'is stored: it will not run' if stored else 'will run'}"
    yield f"  key now         {step.key[:16]}"
    last = locked.get(stage)
    if last is not None:
        yield f"  key last build  {last[:16]}"
    if last == step.key:
        gone = "" if stored else ", but its artifact is no longer stored"
        yield f"  nothing it is made of changed since the last build{gone}"
        return
    if last is not None:
        yield from _compare(step, cache.record(stage, last), by_name, cache, set(), "  ")
        return
    near = nearest(step, cache)
    if near is None or not near.ingredients:
        yield "  this output was not built before, and no such stage is recorded in the store"
    else:
        yield f"  this output was not built before; beside the nearest stored {near.key[:16]}:"
        yield from _compare(step, near, by_name, cache, set(), "  ")


def nearest(step: Step, cache: Cache) -> Artifact | None:
    """Return the stored artifact of the step's stage that differs in the fewest ingredients.

    One without a record is taken only when there is no other.
    """

    def distance(artifact: Artifact) -> tuple[bool, int]:
        return not artifact.ingredients, len(changes(artifact.ingredients, step.ingredients))

    known = (artifact for artifact in cache.stored() if artifact.stage == step.stage)
    return min(known, key=distance, default=None)


def _compare(
    step: Step,
    old: Artifact | None,
    steps: Mapping[str, Step],
    cache: Cache,
    told: set[str],
    indent: str,
) -> Iterator[str]:
    if old is None or not old.ingredients:
        yield f"{indent}what the earlier {step.stage} was made of is no longer recorded"
        return
    found = changes(old.ingredients, step.ingredients)
    if not found:
        yield f"{indent}nothing it is made of differs"
    for change in found:
        yield f"{indent}{change.text}"
        if change.kind != "inputs" or change.name not in old.ingredients["inputs"]:
            continue
        if change.name not in step.ingredients["inputs"]:
            continue
        if change.name in told:
            yield f"{indent}  (as above)"
            continue
        told.add(change.name)
        before = cache.record(change.name, old.ingredients["inputs"][change.name])
        yield from _compare(steps[change.name], before, steps, cache, told, indent + "  ")


def typed_key(dotted: str) -> str:
    """Return what a user types for a value that a stage knows by its own name."""
    for own, typed in TYPED.items():
        if dotted == own or dotted.startswith(f"{own}."):
            return typed + dotted.removeprefix(own)
    return dotted


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return a nested dict's leaves by dotted key; lists are leaves."""
    if not isinstance(value, Mapping):
        return {prefix.removesuffix("."): value}
    leaves: dict[str, Any] = {}
    for name, item in value.items():
        leaves |= flat(item, f"{prefix}{name}.")
    return leaves


def _named(kind: str, part: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "config":
        return {typed_key(name): value for name, value in flat(part).items()}
    return dict(part)


def _sentence(kind: str, name: str, before: Any, now: Any) -> str:
    if kind == "config":
        return f"config  {name}: {_shown(before)} -> {_shown(now)}"
    if kind == "wheels":
        return f"wheel   {name}: {_shown(before)} -> {_shown(now)}"
    did = "is new" if before is ABSENT else "is gone" if now is ABSENT else "changed"
    if kind == "files":
        return f"file    {name.rpartition('.')[0]}: its content {did}"
    if kind == "code":
        return f"code    webslm/{name} {did}"
    return f"input   {name} {did}"


def _shown(value: Any) -> str:
    return "absent" if value is ABSENT else "null" if value is None else str(value)

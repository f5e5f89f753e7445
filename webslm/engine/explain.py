"""Own why a stage runs: its key's ingredients beside an earlier artifact's. Decide nothing.

The earlier artifact is the one that the output's lock names; its manifest keeps the ingredients of
its key, and through its inputs' keys those of everything it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from webslm.engine.ingredients import ABSENT, Change, changes, shown
from webslm.engine.look import Planned
from webslm.engine.plan import Step
from webslm.engine.store.artifacts import Artifact, Cache


def explain(
    planned: Sequence[Planned], stage: str, cache: Cache, locked: Mapping[str, str]
) -> Iterator[str]:
    """Yield lines that say whether ``stage`` will run and which ingredients made it so.

    Args:
        planned: The plan, ``stage`` in it.
        stage: The stage.
        cache: This machine's store, which records what earlier artifacts were made of.
        locked: Key of every stage in the last build of this output; empty when there was none.
    """
    by_name = {each.step.stage: each.step for each in planned}
    seen = next(each for each in planned if each.step.stage == stage)
    step = seen.step
    if seen.forced:
        yield f"{stage} will run: it was asked for (force or from)"
    else:
        yield f"{stage} {'is stored: it will not run' if seen.stored else 'will run'}"
    yield f"  key now         {step.key[:16]}"
    last = locked.get(stage)
    if last is not None:
        yield f"  key last build  {last[:16]}"
    if last == step.key:
        gone = "" if seen.stored else ", but its artifact is no longer stored"
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
        return not artifact.ingredients, len(
            changes(step.stage, artifact.ingredients, step.ingredients)
        )

    return min(cache.stored(step.stage), key=distance, default=None)


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
    differing = changes(step.stage, old.ingredients, step.ingredients)
    if not differing:
        yield f"{indent}nothing it is made of differs"
    for change in differing:
        yield f"{indent}{_sentence(change)}"
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


def _sentence(change: Change) -> str:
    name, before, now = change.name, change.before, change.now
    if change.kind == "config":
        return f"config  {name}: {shown(before)} -> {shown(now)}"
    if change.kind == "wheels":
        return f"wheel   {name}: {shown(before)} -> {shown(now)}"
    did = "is new" if before is ABSENT else "is gone" if now is ABSENT else "changed"
    if change.kind == "files":
        return f"file    {name.rpartition('.')[0]}: its content {did}"
    if change.kind == "code":
        return f"code    webslm/{name} {did}"
    return f"input   {name} {did}"

"""Own what a sweep compares: every number of a build's metrics under one flat name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webslm.basics.errors import ConfigError
from webslm.basics.stage import Result
from webslm.engine.table import STAGE_NAMES

SHORT = {"verify.rouge_l": "verify.answers.rouge_l"}
"""Names people use for what lies deeper."""


def measures(results: Sequence[Result]) -> dict[str, float]:
    """Return ``stage.key[.key]`` to number; a list of records counts as the mean of its fields."""
    found: dict[str, float] = {}
    for result in results:
        found.update(_numbers(f"{result.stage}", result.metrics))
    found.update({short: found[long] for short, long in SHORT.items() if long in found})
    return found


def measure(results: Sequence[Result], name: str) -> float:
    """Return one measure.

    Raises:
        ConfigError: The build measured nothing of that name.
    """
    found = measures(results)
    if name not in found:
        near = [each for each in found if each.split(".")[0] == name.split(".")[0]]
        raise ConfigError(
            f"sweep.metric: the build measured no {name!r}",
            hint=f"one of {', '.join(sorted(near or found))}",
        )
    return found[name]


def check_metric(name: str, until: str | None) -> None:
    """Refuse a metric whose stage the build never reaches.

    Raises:
        ConfigError: The first word is no stage, or comes after ``until``.
    """
    stage = name.split(".")[0]
    known = STAGE_NAMES[: STAGE_NAMES.index(until) + 1] if until in STAGE_NAMES else STAGE_NAMES
    if stage not in known or "." not in name:
        raise ConfigError(
            f"sweep.metric: {name!r} does not begin with a stage that is built",
            hint="such as sweep.metric=verify.rouge_l or sweep.metric=finetune.last_loss",
        )


def _numbers(prefix: str, value: Any) -> dict[str, float]:
    if isinstance(value, bool):
        return {prefix: float(value)}
    if isinstance(value, int | float):
        return {prefix: float(value)}
    if isinstance(value, Mapping):
        found: dict[str, float] = {}
        for key, item in value.items():
            found.update(_numbers(f"{prefix}.{key}", item))
        return found
    if isinstance(value, list) and value:
        return _means(prefix, value)
    return {}


def _means(prefix: str, items: Sequence[Any]) -> dict[str, float]:
    each = [_numbers(prefix, item) for item in items]
    shared = set(each[0]).intersection(*each[1:])
    return {key: sum(numbers[key] for numbers in each) / len(each) for key in sorted(shared)}

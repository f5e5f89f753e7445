"""Which steps a build takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webslm.basics.errors import ConfigError
from webslm.config.compose import compose
from webslm.engine.look import Stores, Where
from webslm.engine.plan import plan
from webslm.engine.selection import select
from webslm.engine.store.artifacts import Cache


def chosen(*words: str, stored: set[str] | None = None) -> list[tuple[str, bool]]:
    cfg = compose(list(words))
    planned = Stores(local=Cache(Path("nowhere"))).look(plan(cfg), cfg.force)
    seen = [
        replace(
            each, where=Where.REMOTE if stored is None or each.step.stage in stored else Where.NONE
        )
        for each in planned
    ]
    return [(each.step.stage, each.forced) for each in select(seen, cfg)]


def test_everything_is_taken_when_nothing_is_asked() -> None:
    assert chosen("until=merge") == [
        (stage, False) for stage in ("data", "base", "inspect", "finetune", "merge")
    ]


def test_from_runs_a_stage_and_all_after_it_again() -> None:
    again = {stage for stage, forced in chosen("from_stage=convert") if forced}
    assert {"convert", "bundle", "verify"} <= again
    assert again.isdisjoint({"data", "base", "finetune", "merge", "normalize"})


def test_from_ends_where_until_says() -> None:
    taken = chosen("from_stage=merge", "until=normalize")
    assert [stage for stage, forced in taken if forced] == ["merge", "normalize"]


def test_only_takes_what_it_reads_from_the_store() -> None:
    taken = chosen("only=merge", stored={"data", "base", "finetune"})
    assert [stage for stage, _ in taken] == ["data", "base", "finetune", "merge"]
    assert chosen("only=compile", stored=set()) == [("compile", False)]


def test_only_can_force_its_own_stage_alone() -> None:
    taken = chosen("only=merge", "force=[merge,base]")
    assert [stage for stage, forced in taken if forced] == ["merge"]


def test_only_names_what_is_not_stored() -> None:
    with pytest.raises(ConfigError, match="not stored: base, finetune") as caught:
        chosen("only=merge", stored={"data"})
    assert caught.value.problems[0][1] == "until=merge makes it"


def test_stage_outside_the_build_is_named() -> None:
    with pytest.raises(ConfigError, match="from: this build has no stage 'verify'"):
        chosen("from_stage=verify", "until=merge")

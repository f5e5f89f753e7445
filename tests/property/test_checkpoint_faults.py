"""Over a thousand named faults of a checkpoint folder: each is refused in a sentence, or harmless.

Here by what is asked before a build; ``tests/integration/test_checkpoint_faults.py`` loads some of
those that pass.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import checkpoint_faults, checkpoints, config_faults
from webslm.basics.errors import ConfigError
from webslm.config.checks.base import shape_problems
from webslm.config.compose import compose
from webslm.config.local_base import check, left_out, read_shape
from webslm.model.weights.checkpoint import Checkpoint
from webslm.schema import Config

FAULTS = dict([*checkpoint_faults.mutations(), *config_faults.mutations()])
LOSING = ("dropped", "renamed", "without its prefix", "a row more", "a row less", "as one row",
          "in int8", "as bytes", "twice")  # fmt: skip
"""Ends of the names of faults after which transformers would load something else, or noise."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.write(tmp_path_factory.mktemp("checkpoints") / "whole")


@pytest.fixture(scope="module")
def outcomes(whole: Path) -> dict[str, ConfigError | None]:
    """Return what is said of every fault; None: nothing."""
    cfg = compose(["base=local", f"base.path={whole}"])
    kept = {path.name: path.read_bytes() for path in whole.iterdir()}
    said: dict[str, ConfigError | None] = {}
    for name, change in FAULTS.items():
        change(whole)
        try:
            said[name] = asked(cfg, whole)
            if said[name] is None:
                lost = name in dict(checkpoint_faults.mutations()) and changed_weights(whole, name)
                assert not lost, f"{name}: passes, with other weights"
        except Exception as exc:
            raise AssertionError(f"{name}: {type(exc).__name__}: {exc}") from exc
        restore(whole, kept)
    return said


def asked(cfg: Config, folder: Path) -> ConfigError | None:
    """Return how a folder is refused before any work."""
    try:
        cfg.base.shape = read_shape(folder)
        problems = tuple(shape_problems(cfg))
        if problems:
            return ConfigError(problems=problems)
        check(cfg, ())
        left_out(cfg)
    except ConfigError as exc:
        return exc
    return None


def changed_weights(folder: Path, name: str) -> bool:
    """Tell whether a checkpoint is read as other numbers than it was made with."""
    if name.endswith("transposed"):
        # A square one is still a matrix of that size: nothing can tell.
        return False
    read = Checkpoint(folder)
    return any(
        not np.allclose(np.concatenate([*read.blocks(tensor)]), values, atol=4e-3)
        for tensor, values in checkpoints.tensors(checkpoints.CONFIG).items()
    )


def restore(folder: Path, kept: dict[str, bytes]) -> None:
    """Bring a folder back to its files; most faults leave most of them alone."""
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        folder.mkdir()
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.is_symlink() or path.name not in kept:
            path.unlink()
    for name, content in kept.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def refused(outcomes: dict[str, ConfigError | None]) -> Iterator[tuple[str, ConfigError]]:
    return ((name, error) for name, error in outcomes.items() if error is not None)


def test_no_fault_ends_in_a_traceback_or_passes_with_other_weights(
    outcomes: dict[str, ConfigError | None],
) -> None:
    assert len(outcomes) > 1000
    assert outcomes["the untouched checkpoint"] is None
    assert len(dict(refused(outcomes))) > 500


def test_every_refusal_is_one_line_that_names_its_place(
    outcomes: dict[str, ConfigError | None], whole: Path
) -> None:
    for name, error in refused(outcomes):
        for message, _ in error.problems:
            assert "\n" not in message, name
            assert message.startswith(("base.path: ", "base.shape")), (name, message)
            assert len(message) < 500 + len(str(whole)), (name, message)


def test_no_lost_or_changed_tensor_passes(outcomes: dict[str, ConfigError | None]) -> None:
    passing = {name for name, error in outcomes.items() if error is None}
    tensors = [name for name in passing if name.startswith("tensor ")]
    assert not [name for name in tensors if name.endswith(LOSING)]
    assert all("transposed" in name or "in float" in name or "as one" in name for name in tensors)


def test_harmless_neighbours_and_spellings_pass(outcomes: dict[str, ConfigError | None]) -> None:
    for name in (
        "model.safetensors a link",
        "shards: whole",
        "shards: metadata missing",
        "shards: an old index beside one file",
        "shards: an older save beside one file",
        "an adapter beside",
        "pytorch_model.bin beside model.safetensors",
        "old rotary buffers left in",
        "config.json: head_dim is null",
        "config.json: pad_token_id is minus one",
        "config.json: use_cache is text",
        "config.json: rope_scaling is its own theta",
        "generation_config.json missing",
        "tokenizer: one token past the table",
        "tokenizer: its pad_token past the table",
        "template in a file of its own",
    ):
        assert outcomes[name] is None, (name, outcomes[name])

"""A stage in another Python: the same configuration goes in, metrics or a sentence come out."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from webslm.basics import paths
from webslm.basics.errors import EnvironmentMismatch, StageFailed
from webslm.basics.keys import plain, restored
from webslm.basics.stage import Context
from webslm.config.compose import compose
from webslm.engine.machine import toolchain
from webslm.engine.machine.matrix import installed
from webslm.engine.table import STAGES
from webslm.schema import CompileStageConf, DataStageConf


@pytest.mark.parametrize("spec", STAGES, ids=lambda spec: spec.name)
def test_any_configuration_survives_the_way(spec: object) -> None:
    conf = spec.configure(compose([]))  # type: ignore[attr-defined]
    assert restored(type(conf), plain(conf)) == conf


def context(tmp_path: Path) -> Context:
    return Context(cache_dir=tmp_path / "cache", log_dir=tmp_path)


def test_stage_runs_in_another_process(tmp_path: Path) -> None:
    conf = next(spec for spec in STAGES if spec.name == "data").configure(compose([]))
    out = tmp_path / "out"
    out.mkdir()
    metrics = toolchain.run_stage(Path(sys.executable), "data", conf, out, context(tmp_path), {})
    assert metrics["train"]["rows"] > 60  # type: ignore[call-overload,index,operator]
    assert (out / "train.jsonl").is_file()


def test_error_of_a_stage_there_is_its_error_here(tmp_path: Path) -> None:
    conf = next(spec for spec in STAGES if spec.name == "data").configure(compose([]))
    assert isinstance(conf, DataStageConf)
    conf = replace(conf, data=replace(conf.data, path=str(tmp_path / "absent.jsonl")))
    with pytest.raises(Exception, match=r"absent\.jsonl") as caught:
        toolchain.run_stage(Path(sys.executable), "data", conf, tmp_path, context(tmp_path), {})
    assert caught.type.__name__ == "ConfigError"


def test_python_with_other_wheels_is_refused(tmp_path: Path) -> None:
    conf = next(spec for spec in STAGES if spec.name == "compile").configure(compose([]))
    assert isinstance(conf, CompileStageConf)
    pins = {"apache-tvm": "0.1"}
    with pytest.raises(EnvironmentMismatch, match=r"needs 0\.1"):
        toolchain.run_stage(
            Path(sys.executable), "compile", conf, tmp_path, context(tmp_path), pins
        )


def test_dead_child_is_a_failed_stage(tmp_path: Path) -> None:
    false = tmp_path / "false"
    false.write_text("#!/bin/sh\necho the end\nexit 3\n")
    false.chmod(0o755)
    conf = next(spec for spec in STAGES if spec.name == "data").configure(compose([]))
    with pytest.raises(StageFailed, match="the end"):
        toolchain.run_stage(false, "data", conf, tmp_path, context(tmp_path), {})


def test_environment_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMismatch, match="no-such-wheel-of-webslm"):
        toolchain.environment(tmp_path, {"no-such-wheel-of-webslm": "1.0"})
    assert list((tmp_path / "tools" / "toolchains").iterdir()) == []


def test_choice_of_the_python() -> None:
    here = installed(["packaging"])
    pins = {name: str(version) for name, version in here.items()}
    assert not toolchain.is_elsewhere("auto", pins)
    assert toolchain.is_elsewhere("auto", {"packaging": "0.1"})
    assert not toolchain.is_elsewhere("here", {"packaging": "0.1"})
    assert toolchain.is_elsewhere("isolated", pins)
    assert toolchain.interpreter(paths.cache_dir(), "auto", pins) is None
    assert toolchain.interpreter(paths.cache_dir(), sys.executable, pins) == Path(sys.executable)

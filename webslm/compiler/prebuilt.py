"""Own libraries that others made: found, checked and taken over unchanged (``prebuilt``).

A library depends on shape, format, context and chunk, never on weights: every fine-tune of a base
can use the one that was compiled first. It is believed as little as our own.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from webslm.basics.compilers import library_in
from webslm.basics.errors import ConfigError, EnvironmentMismatch
from webslm.basics.keys import file_digest
from webslm.basics.paths import resolve_data
from webslm.compiler.imported import check_fits, read_metadata
from webslm.compiler.memory import library_tensors, memory_plan
from webslm.compiler.wasm.abi import check_abi
from webslm.compiler.wasm.contract import contract_of
from webslm.model.weights.format import Format
from webslm.schema import CompilerConf, CompileStageConf

TIMEOUT_S = 60.0
SCHEMES = ("http://", "https://")


def adopt(cfg: CompileStageConf, target: Path) -> dict[str, Any]:
    """Write the named library to ``target`` and return what library.json says of it.

    Raises:
        ConfigError: It was made for another model, format or context, or is not the pinned file.
        EnvironmentMismatch: It cannot be fetched.
        StageFailed: It is no library, or the row's web-llm could not load it.
    """
    _obtain(cfg.compiler, target)
    name = _told(cfg.compiler)
    return {**examine(cfg, target, name), "source": name}


def examine(cfg: CompileStageConf, target: Path, name: str) -> dict[str, Any]:
    """Hold a library that webslm did not compile against model and page; return what it is.

    Args:
        cfg: What it must be.
        target: The library.
        name: What it is called in a sentence.

    Raises:
        ConfigError: It was made for another model, format or context.
        StageFailed: It is no library, or the row's web-llm could not load it.
    """
    metadata = read_metadata(target)
    check_fits(metadata, cfg, name)
    abi = check_abi(target, contract=contract_of(cfg.runtime.web_llm))
    memory = memory_plan(
        cfg.shape,
        cfg.quant,
        library_tensors(cfg.shape, cfg.quant),
        context_window_size=cfg.compiler.context_window_size,
        prefill_chunk_size=cfg.compiler.prefill_chunk_size,
        memory_usage=metadata.get("memory_usage") or {},
    )
    return {
        "metadata": metadata,
        "required_features": [*Format(cfg.quant).required_features],
        "memory": memory,
        "abi": abi.facts(),
        "wasm_bytes": abi.size_bytes,
    }


def _obtain(conf: CompilerConf, target: Path) -> None:
    if conf.path is not None:
        shutil.copyfile(library_in(resolve_data(conf.path)), target)
    else:
        _download(str(conf.url), target)
    found = file_digest(target)
    if conf.sha256 is not None and found != conf.sha256:
        target.unlink()
        raise ConfigError(
            f"compiler.sha256: {_told(conf)} has {found[:16]}..., pinned is {conf.sha256[:16]}...",
            hint="do not use it before you know why it changed",
        )


def _download(url: str, target: Path) -> None:
    if not url.startswith(SCHEMES):
        raise ConfigError(f"compiler.url: {url!r} is not an address of the web", hint="https://...")
    import httpx2

    headers = {"Accept-Encoding": "identity"}
    try:
        with (
            httpx2.stream(
                "GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_S
            ) as answer,
            target.open("wb") as file,
        ):
            answer.raise_for_status()
            for part in answer.iter_bytes():
                file.write(part)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        target.unlink(missing_ok=True)
        refused = exc if isinstance(exc, httpx2.HTTPStatusError) else None
        reason = exc if refused is None else f"status {refused.response.status_code}"
        raise EnvironmentMismatch(
            f"compiler.url: {url} cannot be fetched: {reason}",
            hint="check the address, or fetch it by hand: compiler.path=FILE",
        ) from exc


def _told(conf: CompilerConf) -> str:
    """Return how the library is called in a sentence: no folders of this machine."""
    return str(conf.url or Path(str(conf.path)).name)
